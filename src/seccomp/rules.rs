//! What a filter answers to which call, before it is code.

use std::collections::BTreeMap;

/// What a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    Allow,
    /// Allow and log.
    Log,
    Errno(u16),
    /// SIGSYS that can be caught; the number is si_errno.
    Trap(u16),
    KillThread,
    KillProcess,
}

impl Action {
    /// Does the call run?
    pub fn permits(self) -> bool {
        matches!(self, Action::Allow | Action::Log)
    }

    /// The value that the kernel expects (`SECCOMP_RET_*`).
    pub fn to_ret(self) -> u32 {
        match self {
            Action::Allow => libc::SECCOMP_RET_ALLOW,
            Action::Log => libc::SECCOMP_RET_LOG,
            Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Action::Trap(data) => libc::SECCOMP_RET_TRAP | u32::from(data),
            Action::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Action::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }

    /// The reverse of [`Action::to_ret`]; `None` for what this module never writes.
    pub fn from_ret(ret: u32) -> Option<Self> {
        let data = (ret & libc::SECCOMP_RET_DATA) as u16;
        Some(match ret & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_ALLOW => Action::Allow,
            libc::SECCOMP_RET_LOG => Action::Log,
            libc::SECCOMP_RET_ERRNO => Action::Errno(data),
            libc::SECCOMP_RET_TRAP => Action::Trap(data),
            libc::SECCOMP_RET_KILL_THREAD => Action::KillThread,
            libc::SECCOMP_RET_KILL_PROCESS => Action::KillProcess,
            _ => return None,
        })
    }
}

/// One look at one argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cond {
    /// 0 to 5.
    pub arg: u8,
    pub test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// `low 32 bits & mask` is one of `any`. For arguments that the kernel takes as `int`: it drops the upper half, so
    /// a filter that looks at 64 bits is passed by with one high bit set (the TIOCSTI hole of CVE-2019-10063).
    Low { mask: u32, any: Vec<u32> },
    /// At least one of these bits of the low half is set.
    AnyBits(u32),
    /// All 64 bits.
    Wide { op: Op, value: u64 },
    /// `argument & mask == value`, all 64 bits.
    WideMask { mask: u64, value: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Cond {
    /// The low half is one of `any`.
    pub fn any(arg: u8, any: &[u32]) -> Self {
        Cond { arg, test: Test::Low { mask: u32::MAX, any: any.to_vec() } }
    }
    /// At least one of `mask` is set in the low half.
    pub fn any_of_bits(arg: u8, mask: u32) -> Self {
        Cond { arg, test: Test::AnyBits(mask) }
    }
    /// The low half under a mask is `value`.
    pub fn bits(arg: u8, mask: u32, value: u32) -> Self {
        Cond { arg, test: Test::Low { mask, any: vec![value] } }
    }
}

/// If all conditions hold, the action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clause {
    pub all: Vec<Cond>,
    pub action: Action,
}

/// What one system call gets: the first clause that holds, else `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Body {
    pub clauses: Vec<Clause>,
    pub otherwise: Action,
}

impl Body {
    pub fn always(action: Action) -> Self {
        Body { clauses: Vec::new(), otherwise: action }
    }

    /// Are there arguments with which the call runs?
    pub fn permits_some(&self) -> bool {
        self.otherwise.permits() || self.clauses.iter().any(|c| c.action.permits())
    }

    /// What a call with these arguments gets.
    pub fn answer(&self, args: &[u64; 6]) -> Action {
        let holds = |cond: &Cond| cond.test.holds(args[usize::from(cond.arg)]);
        self.clauses.iter().find(|clause| clause.all.iter().all(holds)).map_or(self.otherwise, |clause| clause.action)
    }

    /// Does the call run whatever its arguments?
    pub fn permits_all(&self) -> bool {
        self.otherwise.permits() && self.clauses.iter().all(|c| c.action.permits())
    }
}

impl Test {
    fn holds(&self, arg: u64) -> bool {
        match self {
            Test::Low { mask, any } => any.contains(&(arg as u32 & mask)),
            Test::AnyBits(mask) => arg as u32 & mask != 0,
            Test::WideMask { mask, value } => arg & mask == *value,
            Test::Wide { op, value } => match op {
                Op::Eq => arg == *value,
                Op::Ne => arg != *value,
                Op::Lt => arg < *value,
                Op::Le => arg <= *value,
                Op::Gt => arg > *value,
                Op::Ge => arg >= *value,
            },
        }
    }
}

/// A whole filter, before it is code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// By native call number.
    pub calls: BTreeMap<u32, Body>,
    /// Numbers that are not in `calls`: what the kernel will have learnt after this was written, and x32.
    pub unlisted: Action,
    /// Calls made through another ABI (int 0x80).
    pub foreign: Action,
}
