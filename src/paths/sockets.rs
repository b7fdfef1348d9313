//! Rules over sockets, and the further kinds of rules that only AppArmor knows.

use super::Sockets;
use crate::error::{Error, Result};
use crate::plan::Sourced;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// `inet tcp`, `inet6 udp`, `raw`: a family, a type or a protocol, or a family and one of the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketRule(String);

const FAMILIES: &[&str] = &["unix", "inet", "inet6", "netlink", "packet", "vsock", "bluetooth", "can", "xdp", "alg"];
const KINDS: &[&str] = &["stream", "dgram", "seqpacket", "rdm", "raw", "packet", "tcp", "udp", "icmp"];

impl SocketRule {
    /// # Errors
    /// A word that is neither a family nor a type that hardrun knows.
    pub fn parse(text: &str) -> Result<SocketRule> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let good = match words.as_slice() {
            [one] => FAMILIES.contains(one) || KINDS.contains(one),
            [family, kind] => FAMILIES.contains(family) && KINDS.contains(kind),
            _ => false,
        };
        if !good {
            return Err(Error::runner(format!("{text:?} is not a kind of socket")).hint(format!(
                "a family ({}), a type ({}), or both, as \"inet tcp\"",
                FAMILIES.join(" "),
                KINDS.join(" ")
            )));
        }
        Ok(SocketRule(words.join(" ")))
    }

    /// Family, and type or protocol.
    pub fn parts(&self) -> (Option<&str>, Option<&str>) {
        match self.0.split_once(' ') {
            Some((family, kind)) => (Some(family), Some(kind)),
            // "packet" alone is the family, as in AppArmor.
            None if FAMILIES.contains(&self.0.as_str()) => (Some(&self.0), None),
            None => (None, Some(&self.0)),
        }
    }
}

/// Family, protocol, type, and the seccomp group that lets it through.
const COMBINATIONS: &[(&str, &str, &str, &str)] = &[
    ("unix", "", "", "unix-sockets"),
    ("netlink", "", "", "netlink-sockets"),
    ("inet", "tcp", "stream", "inet-tcp"),
    ("inet", "udp", "dgram", "inet-udp"),
    ("inet", "icmp", "dgram", "inet-icmp"),
    ("inet6", "tcp", "stream", "inet6-tcp"),
    ("inet6", "udp", "dgram", "inet6-udp"),
    ("inet6", "icmp", "dgram", "inet6-icmp"),
];

impl Sockets {
    /// The groups of the seccomp filter that have to be shut for these rules. What the filter shuts anyway (raw, packet) is not
    /// among them.
    pub fn shut(&self) -> BTreeSet<String> {
        let hit = |rule: &SocketRule, (family, protocol, kind, _): &(&str, &str, &str, &str)| {
            let (of, what) = rule.parts();
            of.is_none_or(|f| f == *family) && what.is_none_or(|w| w == *protocol || w == *kind)
        };
        let shut = |c: &&(&str, &str, &str, &str)| {
            let allowed = |list: &Sourced<BTreeSet<SocketRule>>| list.value.iter().any(|rule| hit(rule, c));
            let optional = c.0.starts_with("inet");
            optional && self.allow.as_ref().is_some_and(|list| !allowed(list))
                || self.deny.iter().any(|rule| hit(&rule.value, c))
        };
        COMBINATIONS.iter().filter(shut).map(|c| c.3.to_owned()).collect()
    }
}

/// A line of an AppArmor profile of a kind that no other layer is told by it: `umount`, `deny mount`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppArmorRule(String);

impl AppArmorRule {
    /// # Errors
    /// Another kind of rule than those over mounts.
    pub fn parse(text: &str) -> Result<AppArmorRule> {
        let words: Vec<&str> = text.trim_end_matches(',').split_ascii_whitespace().collect();
        let rest = words.iter().position(|w| !matches!(*w, "deny" | "audit")).map_or(&[][..], |at| &words[at..]);
        if words.len() > rest.len() + 1 || !matches!(rest, ["mount" | "umount" | "remount" | "pivot_root"]) {
            return Err(Error::runner(format!("{text:?} is not a further AppArmor rule"))
                .hint("mount, umount, remount or pivot_root, with deny or audit before it; files go into [paths]"));
        }
        Ok(AppArmorRule(words.join(" ")))
    }

    pub fn denies(&self) -> bool {
        self.0.starts_with("deny ")
    }

    /// `mount`
    pub fn kind(&self) -> &str {
        self.0.rsplit(' ').next().unwrap_or(&self.0)
    }
}

macro_rules! text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$type> for String {
            fn from(rule: $type) -> String {
                rule.0
            }
        }
        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(text: String) -> Result<$type> {
                $type::parse(&text)
            }
        }
    };
}
text!(SocketRule);
text!(AppArmorRule);
