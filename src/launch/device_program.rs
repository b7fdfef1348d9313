//! What a container may do with devices on cgroup v2, as a program for the kernel's BPF machine: there is no controller for
//! it, and libcontainer's own program needs a C library that hardrun does not link.

use crate::error::{Context, Error, Result};
use crate::sys::bpf::{Instruction, load_device_program};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use std::os::fd::OwnedFd;

/// Have the kernel keep a program that lets through what the rules do.
pub fn load(rules: &[LinuxDeviceCgroup]) -> Result<OwnedFd> {
    load_device_program(&program(rules)?)
        .context(|| "load the program that limits devices".into())
        .map_err(|e| e.hint("the kernel needs CONFIG_CGROUP_BPF=y, and bpf() must not be kept from hardrun"))
}

/// Type, access, major, minor: where the program keeps what is asked for.
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// A copy to calculate with.
const COPY: u8 = 0;

/// The rules as a program: what none of them lets through is refused. Pure.
///
/// # Errors
/// A rule that refuses anything but everything: the order of rules would matter, and nobody makes such ones.
fn program(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Instruction>> {
    let mut code = vec![
        // struct bpf_cgroup_dev_ctx: access in the upper half of the first word and type in the lower, major, minor.
        load_word(TYPE, 0),
        move_register(ACCESS, TYPE),
        constant(0x57, TYPE, 0xffff),
        constant(0x77, ACCESS, 16),
        load_word(MAJOR, 4),
        load_word(MINOR, 8),
    ];
    for (n, rule) in rules.iter().enumerate() {
        if rule.allow() {
            code.extend(allow(rule)?);
        } else if n > 0 || rule.typ() != Some(LinuxDeviceType::A) {
            return Err(Error::runner(format!("the device rule {rule} refuses something: rules only let through")));
        }
    }
    code.extend([constant(0xb7, COPY, 0), EXIT]);
    Ok(code)
}

const EXIT: Instruction = Instruction { code: 0x95, registers: 0, offset: 0, constant: 0 };

/// Let through what this rule matches; else go on behind it.
fn allow(rule: &LinuxDeviceCgroup) -> Result<Vec<Instruction>> {
    let mut tests = Vec::new();
    match rule.typ() {
        Some(LinuxDeviceType::B) => tests.push(unless_equal(TYPE, 1)),
        Some(LinuxDeviceType::C) => tests.push(unless_equal(TYPE, 2)),
        Some(LinuxDeviceType::A) | None => {}
        other => return Err(Error::runner(format!("no device rule is about the type {other:?}"))),
    }
    for (register, wanted) in [(MAJOR, rule.major()), (MINOR, rule.minor())] {
        // -1 stands for every number, too.
        if let Some(number) = wanted.filter(|n| *n >= 0) {
            tests.push(unless_equal(register, i32::try_from(number).context(|| format!("read the rule {rule}"))?));
        }
    }
    // BPF_DEVCG_ACC_MKNOD, _READ, _WRITE: what is asked for beyond the rule's is refused.
    let given = rule.access().as_deref().unwrap_or("rwm").chars().fold(0, |given, letter| match letter {
        'm' => given | 1,
        'r' => given | 2,
        'w' => given | 4,
        _ => given,
    });
    tests.extend([move_register(COPY, ACCESS), constant(0x57, COPY, !given), unless_equal(COPY, 0)]);
    tests.extend([constant(0xb7, COPY, 1), EXIT]);
    // Each jump goes behind this rule's last instruction.
    let length = tests.len();
    for (n, test) in tests.iter_mut().enumerate().filter(|(_, t)| t.code == 0x55) {
        test.offset = i16::try_from(length - n - 1).context(|| format!("read the rule {rule}"))?;
    }
    Ok(tests)
}

/// `register = *(u32 *)(context + offset)`; the context is in register 1.
fn load_word(register: u8, offset: i16) -> Instruction {
    Instruction { code: 0x61, registers: 1 << 4 | register, offset, constant: 0 }
}

fn move_register(to: u8, from: u8) -> Instruction {
    Instruction { code: 0xbf, registers: from << 4 | to, offset: 0, constant: 0 }
}

/// An operation of a register with a constant: 0x57 and, 0x77 shift right, 0xb7 move.
fn constant(code: u8, register: u8, constant: i32) -> Instruction {
    Instruction { code, registers: register, offset: 0, constant }
}

/// Jump, unless the register is this number.
fn unless_equal(register: u8, number: i32) -> Instruction {
    constant(0x55, register, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    fn rule(allow: bool, kind: LinuxDeviceType, numbers: (i64, i64), access: &str) -> LinuxDeviceCgroup {
        let mut builder = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
        if numbers.0 >= 0 {
            builder = builder.major(numbers.0);
        }
        if numbers.1 >= 0 {
            builder = builder.minor(numbers.1);
        }
        builder.build().unwrap()
    }

    /// The instructions in use, as the kernel carries them out.
    fn answer(code: &[Instruction], context: [u32; 3]) -> u64 {
        let (mut registers, mut at) = ([0u64; 11], 0usize);
        loop {
            let i = code[at];
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            at += 1;
            match i.code {
                0x61 => registers[to] = context[i.offset as usize / 4].into(),
                0xbf => registers[to] = registers[from],
                0x57 => registers[to] &= i.constant as i64 as u64,
                0x77 => registers[to] >>= i.constant,
                0xb7 => registers[to] = i.constant as i64 as u64,
                0x55 if registers[to] != i.constant as i64 as u64 => at += i.offset as usize,
                0x55 => {}
                0x95 => return registers[0],
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    fn rules() -> Vec<LinuxDeviceCgroup> {
        vec![
            rule(false, LinuxDeviceType::A, (-1, -1), "rwm"),
            rule(true, LinuxDeviceType::C, (1, 3), "rwm"),
            rule(true, LinuxDeviceType::C, (136, -1), "rwm"),
            rule(true, LinuxDeviceType::B, (8, 1), "r"),
        ]
    }

    #[test]
    fn only_what_a_rule_lets_through_is_let_through() {
        let code = program(&rules()).unwrap();
        let asked = |kind: u32, access: u32, major: u32, minor: u32| answer(&code, [access << 16 | kind, major, minor]);
        for (kind, access, major, minor, wanted) in [
            (2, 6, 1, 3, 1),
            (2, 1, 1, 3, 1),
            (2, 2, 136, 4711, 1),
            (1, 2, 8, 1, 1),
            (1, 4, 8, 1, 0),
            (1, 6, 8, 1, 0),
            (1, 1, 8, 1, 0),
            (1, 2, 8, 0, 0),
            (1, 2, 1, 3, 0),
            (2, 2, 8, 1, 0),
            (2, 2, 1, 1, 0),
        ] {
            assert_eq!(asked(kind, access, major, minor), wanted, "type {kind}, access {access}, {major}:{minor}");
        }
        let all = [rule(true, LinuxDeviceType::A, (-1, -1), "rwm")];
        assert_eq!(answer(&program(&all).unwrap(), [7 << 16 | 1, 8, 0]), 1);
    }

    #[test]
    fn a_rule_that_refuses_one_thing_is_not_passed_over() {
        let mut rules = rules();
        rules.push(rule(false, LinuxDeviceType::B, (8, 0), "w"));
        assert!(program(&rules).is_err());
    }

    #[test]
    fn the_kernel_takes_it() {
        match load_device_program(&program(&rules()).unwrap()) {
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => eprintln!("skipped: {e}"),
            Err(e) => panic!("{e}"),
        }
    }
}
