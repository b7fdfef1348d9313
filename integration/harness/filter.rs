//! What a seccomp filter lets through, worked out from its instructions: every path is followed whose outcome hangs on
//! arguments, so a call is found to be allowed, denied, or allowed for some arguments only. Nothing is executed.

use super::raw::Instruction;
use std::collections::BTreeSet;

pub const X86_64: u32 = 0xc000_003e;
pub const I386: u32 = 0x4000_0003;
/// Bit that makes an x86_64 number an x32 one.
pub const X32: u32 = 0x4000_0000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Denied,
    Conditional,
    Allowed,
}

/// A call as the filter sees it; arguments that are not given are all tried.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub arch: u32,
    pub number: u32,
    pub first: Option<u64>,
}

/// The verdict of several filters on one call: the strictest of them.
pub fn verdict(filters: &[Vec<Instruction>], call: Call) -> Verdict {
    filters.iter().map(|f| one(f, call)).min().unwrap_or(Verdict::Allowed)
}

fn one(filter: &[Instruction], call: Call) -> Verdict {
    let mut outcomes = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![State { at: 0, a: Some(0), x: Some(0), memory: [Some(0); 16] }];
    while let Some(state) = open.pop() {
        if seen.insert(state) {
            step(filter, call, state, &mut open, &mut outcomes);
        }
    }
    match (outcomes.contains(&true), outcomes.contains(&false)) {
        (true, false) => Verdict::Allowed,
        (true, true) => Verdict::Conditional,
        _ => Verdict::Denied,
    }
}

/// Registers; `None` is a value that hangs on the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    at: usize,
    a: Option<u32>,
    x: Option<u32>,
    memory: [Option<u32>; 16],
}

fn step(filter: &[Instruction], call: Call, mut s: State, open: &mut Vec<State>, outcomes: &mut BTreeSet<bool>) {
    let Some(i) = filter.get(s.at) else {
        outcomes.insert(false);
        return;
    };
    s.at += 1;
    // BPF_SRC: the other operand is X, or the constant.
    let other = if i.code & 0x08 != 0 { s.x } else { Some(i.k) };
    match i.code {
        // ld [k]: seccomp_data holds nr, arch, two words of ip, twelve of arguments.
        0x20 => {
            s.a = match i.k {
                0 => Some(call.number),
                4 => Some(call.arch),
                16 => call.first.map(|v| v as u32),
                20 => call.first.map(|v| (v >> 32) as u32),
                _ => None,
            }
        }
        0x00 => s.a = Some(i.k),
        0x01 => s.x = Some(i.k),
        0x60 => s.a = s.memory[i.k as usize & 15],
        0x61 => s.x = s.memory[i.k as usize & 15],
        0x02 => s.memory[i.k as usize & 15] = s.a,
        0x03 => s.memory[i.k as usize & 15] = s.x,
        0x07 => s.x = s.a,
        0x87 => s.a = s.x,
        c if c & 0x07 == 0x04 => s.a = arithmetic(c & 0xf0, s.a, other),
        // ja
        0x05 => s.at += i.k as usize,
        c if c & 0x07 == 0x05 => {
            let holds = compare(c & 0xf0, s.a, other);
            for (truth, distance) in [(true, i.jt), (false, i.jf)] {
                if holds.is_none_or(|h| h == truth) {
                    open.push(State { at: s.at + distance as usize, ..s });
                }
            }
            return;
        }
        // ret k, ret A. ALLOW, and LOG, which allows too.
        0x06 => {
            outcomes.insert(matches!(i.k & 0xffff_0000, 0x7fff_0000 | 0x7ffc_0000));
            return;
        }
        _ => {
            // `ret A` and whatever else a compiler may come up with: unknown, so both.
            outcomes.extend([true, false]);
            return;
        }
    }
    open.push(s);
}

fn arithmetic(op: u16, a: Option<u32>, b: Option<u32>) -> Option<u32> {
    let (a, b) = (a?, b.unwrap_or(0));
    match op {
        0x00 => Some(a.wrapping_add(b)),
        0x10 => Some(a.wrapping_sub(b)),
        0x20 => Some(a.wrapping_mul(b)),
        0x40 => Some(a | b),
        0x50 => Some(a & b),
        0x60 => a.checked_shl(b),
        0x70 => a.checked_shr(b),
        0x80 => Some(a.wrapping_neg()),
        0xa0 => Some(a ^ b),
        _ => None,
    }
}

fn compare(op: u16, a: Option<u32>, b: Option<u32>) -> Option<bool> {
    let (a, b) = (a?, b?);
    Some(match op {
        0x10 => a == b,
        0x20 => a > b,
        0x30 => a >= b,
        0x40 => a & b != 0,
        _ => return None,
    })
}

/// The system calls that x86_64 has, by number, as the installed libseccomp knows them.
pub fn calls() -> Vec<(u32, String)> {
    use libseccomp::{ScmpArch, ScmpSyscall};
    (0..600)
        .filter_map(|n| {
            let name = ScmpSyscall::from(n).get_name_by_arch(ScmpArch::X8664).ok()?;
            Some((n as u32, name))
        })
        .collect()
}
