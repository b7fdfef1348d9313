//! Runs a filter over one system call, as the kernel would: what tests and comparisons ask.

use super::bpf::{AND, Insn, JA, JEQ, JGE, JGT, JSET, LD, NATIVE_ARCH, RET};
use super::rules::Action;
use crate::error::{Error, Result};

/// One system call as a filter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// `AUDIT_ARCH_*`
    pub arch: u32,
    pub nr: u32,
    pub args: [u64; 6],
}

impl Call {
    /// A call through this machine's own ABI.
    pub fn native(nr: u32, args: [u64; 6]) -> Self {
        Call { arch: NATIVE_ARCH, nr, args }
    }

    /// `struct seccomp_data`
    fn bytes(&self) -> [u8; 64] {
        let mut data = [0; 64];
        data[..4].copy_from_slice(&self.nr.to_ne_bytes());
        data[4..8].copy_from_slice(&self.arch.to_ne_bytes());
        for (slot, arg) in data[16..].chunks_exact_mut(8).zip(self.args) {
            slot.copy_from_slice(&arg.to_ne_bytes());
        }
        data
    }
}

/// What the filter answers, and after how many instructions.
pub fn run(filter: &[u8], call: &Call) -> Result<(Action, usize)> {
    let bad = |what: &str| Error::runner(format!("the seccomp filter is not well-formed: {what}"));
    let data = call.bytes();
    let (mut pc, mut a, mut steps) = (0usize, 0u32, 0usize);
    loop {
        let at = pc.checked_mul(Insn::SIZE).ok_or_else(|| bad("a jump overflows"))?;
        let raw = filter.get(at..at + Insn::SIZE).ok_or_else(|| bad("it runs past its end"))?;
        let insn = Insn::from_bytes(raw.try_into().map_err(|_| bad("a cut instruction"))?);
        steps += 1;
        pc += 1;
        let branch = |taken: bool| usize::from(if taken { insn.jt } else { insn.jf });
        match insn.code {
            LD => {
                let at = insn.k as usize;
                let word = data.get(at..at + 4).ok_or_else(|| bad("a load outside the call's data"))?;
                a = u32::from_ne_bytes(word.try_into().map_err(|_| bad("a cut word"))?);
            }
            AND => a &= insn.k,
            JA => pc += insn.k as usize,
            JEQ => pc += branch(a == insn.k),
            JSET => pc += branch(a & insn.k != 0),
            JGT => pc += branch(a > insn.k),
            JGE => pc += branch(a >= insn.k),
            RET => {
                let action = Action::from_ret(insn.k).ok_or_else(|| bad("an unknown answer"))?;
                return Ok((action, steps));
            }
            code => return Err(bad(&format!("unknown instruction {code:#x}"))),
        }
    }
}
