//! From a table of system calls to classic BPF.
//!
//! Why not libseccomp's generator: it takes one comparison an argument and one errno for everything that is not
//! listed, so "any ioctl but these three", "ENOSYS above the newest known call" and "EAFNOSUPPORT for a foreign socket
//! family" cannot be said in it; and version 2.5.4 merges some 64-bit comparisons wrongly. The tests hold this generator
//! against libseccomp's on the rules that both can say.
//!
//! Code is built from its end, because BPF only jumps forward: every target is known when a jump to it is written.

use super::rules::{Action, Body, Cond, Op, Policy, Test};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// `AUDIT_ARCH_*` of the calls that pass.
#[cfg(target_arch = "x86_64")]
pub const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub const NATIVE_ARCH: u32 = 0xc000_00b7;

/// `BPF_MAXINSNS`
const MAX_INSTRUCTIONS: usize = 4096;

// Offsets in `struct seccomp_data`.
const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
fn offset_low(arg: u8) -> u32 {
    16 + 8 * u32::from(arg) + if cfg!(target_endian = "big") { 4 } else { 0 }
}
fn offset_high(arg: u8) -> u32 {
    16 + 8 * u32::from(arg) + if cfg!(target_endian = "big") { 0 } else { 4 }
}

pub(super) const LD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
pub(super) const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
pub(super) const JA: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
pub(super) const JEQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
pub(super) const JGT: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
pub(super) const JGE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
pub(super) const JSET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
pub(super) const RET: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// One instruction as the kernel lays it out (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Insn {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

impl Insn {
    pub const SIZE: usize = 8;

    fn bytes(self) -> [u8; Self::SIZE] {
        let (code, k) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [code[0], code[1], self.jt, self.jf, k[0], k[1], k[2], k[3]]
    }

    pub fn from_bytes(b: [u8; Self::SIZE]) -> Self {
        Insn {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        }
    }
}

/// Position of an instruction, counted from the end of the program.
type Label = usize;

#[derive(Default)]
struct Builder {
    /// Last instruction first.
    code: Vec<Insn>,
    /// Same instruction with the same targets: written once.
    known: HashMap<(u16, u32, Label, Label), Label>,
}

/// The most that a conditional jump reaches, less the two trampolines that may be put before it.
const REACH: usize = 255 - 2;

impl Builder {
    fn push(&mut self, insn: Insn) -> Label {
        self.code.push(insn);
        self.code.len() - 1
    }

    fn ret(&mut self, action: Action) -> Label {
        let key = (RET, action.to_ret(), 0, 0);
        if let Some(&label) = self.known.get(&key) {
            return label;
        }
        let label = self.push(Insn { code: RET, jt: 0, jf: 0, k: action.to_ret() });
        self.known.insert(key, label);
        label
    }

    /// A target within reach of the next conditional jump.
    fn near(&mut self, target: Label) -> Label {
        if self.code.len() - target - 1 <= REACH {
            return target;
        }
        let insn = self.code[target];
        if insn.code == RET {
            let copy = self.push(insn);
            self.known.insert((RET, insn.k, 0, 0), copy);
            return copy;
        }
        let distance = (self.code.len() - target - 1) as u32;
        self.push(Insn { code: JA, jt: 0, jf: 0, k: distance })
    }

    fn jump(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let key = (code, k, yes, no);
        if let Some(&label) = self.known.get(&key) {
            return label;
        }
        let (near_yes, near_no) = (self.near(yes), self.near(no));
        let here = self.code.len();
        let insn = Insn { code, jt: (here - near_yes - 1) as u8, jf: (here - near_no - 1) as u8, k };
        let label = self.push(insn);
        self.known.insert(key, label);
        label
    }

    /// An instruction that is followed by the one at `next`.
    fn before(&mut self, code: u16, k: u32, next: Label) -> Label {
        let key = (code, k, next, next);
        if let Some(&label) = self.known.get(&key) {
            return label;
        }
        if next + 1 != self.code.len() {
            let distance = (self.code.len() - next - 1) as u32;
            self.push(Insn { code: JA, jt: 0, jf: 0, k: distance });
        }
        let label = self.push(Insn { code, jt: 0, jf: 0, k });
        self.known.insert(key, label);
        label
    }

    fn cond(&mut self, cond: &Cond, yes: Label, no: Label) -> Label {
        let arg = cond.arg;
        match &cond.test {
            Test::Low { mask, any } => {
                let first = any.iter().rev().fold(no, |next, &value| self.jump(JEQ, value, yes, next));
                let first = if *mask == u32::MAX { first } else { self.before(AND, *mask, first) };
                self.before(LD, offset_low(arg), first)
            }
            Test::AnyBits(mask) => {
                let tested = self.jump(JSET, *mask, yes, no);
                self.before(LD, offset_low(arg), tested)
            }
            Test::WideMask { mask, value } => {
                let low = self.masked(offset_low(arg), *mask as u32, *value as u32, yes, no);
                self.masked(offset_high(arg), (mask >> 32) as u32, (value >> 32) as u32, low, no)
            }
            Test::Wide { op, value } => {
                let (op, yes, no) = match op {
                    Op::Eq => return self.wide_equal(arg, *value, yes, no),
                    Op::Ne => return self.wide_equal(arg, *value, no, yes),
                    Op::Gt => (JGT, yes, no),
                    Op::Le => (JGT, no, yes),
                    Op::Ge => (JGE, yes, no),
                    Op::Lt => (JGE, no, yes),
                };
                let (high, low) = ((value >> 32) as u32, *value as u32);
                let compared = self.jump(op, low, yes, no);
                let low = self.before(LD, offset_low(arg), compared);
                let same = self.jump(JEQ, high, low, no);
                let first = self.jump(JGT, high, yes, same);
                self.before(LD, offset_high(arg), first)
            }
        }
    }

    fn masked(&mut self, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Label {
        if mask == 0 {
            return if value == 0 { yes } else { no };
        }
        let compared = self.jump(JEQ, value, yes, no);
        let masked = if mask == u32::MAX { compared } else { self.before(AND, mask, compared) };
        self.before(LD, offset, masked)
    }

    fn wide_equal(&mut self, arg: u8, value: u64, yes: Label, no: Label) -> Label {
        let low = self.masked(offset_low(arg), u32::MAX, value as u32, yes, no);
        self.masked(offset_high(arg), u32::MAX, (value >> 32) as u32, low, no)
    }

    fn body(&mut self, body: &Body) -> Label {
        let mut next = self.ret(body.otherwise);
        for clause in body.clauses.iter().rev() {
            let hit = self.ret(clause.action);
            next = clause.all.iter().rev().fold(hit, |yes, cond| self.cond(cond, yes, next));
        }
        next
    }

    /// A balanced search over `(first number, code)`, sorted.
    fn search(&mut self, ranges: &[(u32, Label)]) -> Label {
        match ranges {
            [(_, only)] => *only,
            _ => {
                let (low, high) = ranges.split_at(ranges.len() / 2);
                let (yes, no) = (self.search(high), self.search(low));
                self.jump(JGE, high[0].0, yes, no)
            }
        }
    }
}

/// The filter as an array of `struct sock_filter` in this machine's byte order.
pub fn assemble(policy: &Policy) -> Result<Vec<u8>> {
    let mut b = Builder::default();
    let foreign = b.ret(policy.foreign);
    // Neighbours that get the same answer are one range.
    let mut ranges: Vec<(u32, Body)> = vec![(0, Body::always(policy.unlisted))];
    for (&nr, body) in &policy.calls {
        cut(&mut ranges, nr, body.clone());
        if !policy.calls.contains_key(&(nr + 1)) {
            cut(&mut ranges, nr + 1, Body::always(policy.unlisted));
        }
    }
    let labels: Vec<(u32, Label)> = ranges.iter().map(|(first, body)| (*first, b.body(body))).collect();
    let tree = b.search(&labels);
    let number = b.before(LD, OFFSET_NR, tree);
    let arch = b.jump(JEQ, NATIVE_ARCH, number, foreign);
    let entry = b.before(LD, OFFSET_ARCH, arch);
    if entry + 1 != b.code.len() {
        return Err(Error::runner("the seccomp filter has no code behind its entry"));
    }
    if b.code.len() > MAX_INSTRUCTIONS {
        return Err(Error::runner(format!(
            "the seccomp filter has {} instructions and the kernel takes {MAX_INSTRUCTIONS}",
            b.code.len()
        ))
        .hint("a profile with fewer argument conditions fits"));
    }
    Ok(b.code.iter().rev().flat_map(|insn| insn.bytes()).collect())
}

fn cut(ranges: &mut Vec<(u32, Body)>, first: u32, body: Body) {
    match ranges.last_mut() {
        Some((start, last)) if *start == first => *last = body,
        Some((_, last)) if *last == body => {}
        _ => ranges.push((first, body)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Clause;
    use super::super::simulate::{Call, run};
    use super::*;
    use proptest::prelude::*;

    const VALUES: [u64; 9] = [0, 1, 2, 5, 0xffff_ffff, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX];

    fn value() -> impl Strategy<Value = u64> {
        prop::sample::select(&VALUES[..])
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![Just(Action::Allow), (0..40u16).prop_map(Action::Errno), Just(Action::KillProcess)]
    }

    fn cond() -> impl Strategy<Value = Cond> {
        let op = prop::sample::select(&[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge][..]);
        let test = prop_oneof![
            (value(), prop::collection::vec(value().prop_map(|v| v as u32), 1..4))
                .prop_map(|(mask, any)| Test::Low { mask: mask as u32, any }),
            value().prop_map(|v| Test::AnyBits(v as u32)),
            (op, value()).prop_map(|(op, value)| Test::Wide { op, value }),
            (value(), value()).prop_map(|(mask, value)| Test::WideMask { mask, value }),
        ];
        (0..3u8, test).prop_map(|(arg, test)| Cond { arg, test })
    }

    fn body() -> impl Strategy<Value = Body> {
        let clause = (prop::collection::vec(cond(), 0..4), action()).prop_map(|(all, action)| Clause { all, action });
        (prop::collection::vec(clause, 0..4), action()).prop_map(|(clauses, otherwise)| Body { clauses, otherwise })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// Enough calls that jumps get longer than the 255 instructions that a conditional one reaches.
        #[test]
        fn code_answers_what_the_table_says(
            calls in prop::collection::btree_map(0..200u32, body(), 0..60),
            unlisted in action(),
            picks in prop::collection::vec((0..220u32, value(), value(), value()), 200),
        ) {
            let policy = Policy { calls, unlisted, foreign: Action::KillProcess };
            let code = assemble(&policy).unwrap();
            for (nr, a, b, c) in picks {
                let args = [a, b, c, 0, 0, 0];
                let expected = policy.calls.get(&nr).map_or(unlisted, |body| body.answer(&args));
                prop_assert_eq!(run(&code, &Call::native(nr, args)).unwrap().0, expected, "call {}", nr);
                let foreign = Call { arch: 0x4000_0003, nr, args };
                prop_assert_eq!(run(&code, &foreign).unwrap().0, Action::KillProcess);
            }
        }
    }

    #[test]
    fn a_filter_that_the_kernel_would_not_take_is_an_error() {
        let any: Vec<u32> = (0..5000).collect();
        let body = Body {
            clauses: vec![Clause { all: vec![Cond::any(0, &any)], action: Action::Allow }],
            otherwise: Action::Trap(0),
        };
        let policy = Policy { calls: [(0, body)].into(), unlisted: Action::Allow, foreign: Action::Allow };
        assert!(assemble(&policy).unwrap_err().message.contains("the kernel takes 4096"));
    }
}
