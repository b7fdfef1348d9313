//! One declared policy over paths, ports and sockets, which AppArmor and Landlock both carry out.
//!
//! The words are AppArmor's: a rule allows or denies letters of access on a pattern, and what is denied stays denied
//! whatever allows it. A container without a policy has what the other layers leave it.

mod access;
mod pattern;
mod sockets;

pub use access::Access;
pub use pattern::Pattern;
pub use sockets::{AppArmorRule, SocketRule};

use crate::plan::Sourced;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What may be done to files. Nothing that no rule allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What every program needs is allowed besides.
    pub base: bool,
    /// Everything is allowed that no rule denies: AppArmor's `file,`.
    pub all: bool,
    pub rules: Vec<Sourced<Rule>>,
}

/// Letters of access on a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub verb: Verb,
    pub pattern: Pattern,
    pub access: Access,
}

/// The list of a preset that a rule is from, and with it what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Allows reading; `dir/**` stands for `dir` itself too, as in the next two.
    Read,
    /// Allows reading, writing, making, removing, linking and locking.
    Write,
    /// Allows reading, mapping and executing.
    Execute,
    Allow,
    /// Allows, and has AppArmor log each use.
    Audit,
    Deny,
}

/// TCP ports. `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ports {
    pub listen: Option<Sourced<BTreeSet<u16>>>,
    pub connect: Option<Sourced<BTreeSet<u16>>>,
}

/// Families and types of sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    /// Only these, unix sockets and the netlink of name look-ups. `None`: what the seccomp filter leaves.
    pub allow: Option<Sourced<BTreeSet<SocketRule>>>,
    pub deny: Vec<Sourced<SocketRule>>,
}

impl Policy {
    /// A policy that allows nothing but the base.
    pub fn nothing() -> Policy {
        Policy { base: true, all: false, rules: Vec::new() }
    }

    /// Whether everything that `self` allows is allowed by `old` as well, as far as that shows in the patterns.
    pub fn is_as_tight_as(&self, old: &Policy) -> bool {
        let covered = |rule: &Rule| {
            old.all
                || old.rules.iter().map(|r| &r.value).any(|held| {
                    held.verb != Verb::Deny && held.access.contains(rule.access) && held.pattern.holds(&rule.pattern)
                })
        };
        (old.all || !self.all)
            && (old.all || old.base || !self.base)
            && self.rules.iter().map(|r| &r.value).filter(|r| r.verb != Verb::Deny).all(covered)
            && old
                .rules
                .iter()
                .filter(|r| r.value.verb == Verb::Deny)
                .all(|held| self.rules.iter().any(|r| r.value == held.value))
    }
}

#[cfg(test)]
mod tests;
