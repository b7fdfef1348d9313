//! One declared policy over paths, ports and sockets, which AppArmor and Landlock both carry out.
//!
//! The words are AppArmor's: a rule allows or denies letters of access on a pattern, and what is denied stays denied
//! whatever allows it. A container without a policy has what the other layers leave it.

mod access;
pub mod base;
mod enforce;
mod pattern;
mod sockets;

pub use access::Access;
pub use enforce::{Gap, covered_by_mounts, gaps};
pub use pattern::{Cursor, Pattern, VARIABLES};
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

impl Ports {
    pub fn is_empty(&self) -> bool {
        *self == Ports::default()
    }
}

/// Families and types of sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    /// Only these, unix sockets and the netlink of name look-ups. `None`: what the seccomp filter leaves.
    pub allow: Option<Sourced<BTreeSet<SocketRule>>>,
    pub deny: Vec<Sourced<SocketRule>>,
}

/// Everything of a plan that is about paths, ports and sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathsPlan {
    pub policy: Option<Policy>,
    pub ports: Ports,
    pub sockets: Sockets,
    pub apparmor_rules: Vec<Sourced<AppArmorRule>>,
}

impl PathsPlan {
    /// Nothing was declared.
    pub fn is_empty(&self) -> bool {
        *self == PathsPlan::default()
    }
}

impl Rule {
    /// As one line: `deny /bin/sh mrwklx`.
    pub fn text(&self) -> String {
        let verb = match self.verb {
            Verb::Read | Verb::Write | Verb::Execute | Verb::Allow => "",
            Verb::Audit => "audit ",
            Verb::Deny => "deny ",
        };
        let access = if self.verb == Verb::Deny { self.access.to_string() } else { self.access.allowing() };
        format!("{verb}{} {access}", self.pattern)
    }

    pub fn denies(&self) -> bool {
        self.verb == Verb::Deny
    }
}

impl Policy {
    /// What is allowed, the base included.
    pub fn allowed(&self) -> Vec<(Pattern, Access)> {
        let own = self.rules.iter().map(|r| &r.value).filter(|r| !r.denies());
        let mut all: Vec<_> = own.map(|r| (r.pattern.clone(), r.access)).collect();
        if self.base {
            all.extend(base::rules());
        }
        if self.all {
            all.push((Pattern::parse("/{,**}").expect("a constant"), Access::ALL));
        }
        all
    }

    /// What is denied, whatever allows it.
    pub fn denied(&self) -> impl Iterator<Item = &Sourced<Rule>> {
        self.rules.iter().filter(|r| r.value.denies())
    }

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
