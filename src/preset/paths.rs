//! A preset's say on paths and sockets, on top of what is there.

use super::schema::{PathFile, PathsFile};
use crate::error::Result;
use crate::paths::{Access, AppArmorRule, Pattern, Policy, Rule, SocketRule, Verb};
use crate::plan::{Source, Sourced};
use std::collections::BTreeSet;

/// A list that is given takes the place of the one below; what is denied adds up.
pub(super) fn policy(below: Option<&Policy>, file: &PathsFile, source: &Source) -> Result<Policy> {
    let PathsFile { base, all, read, write, execute, allow, audit, deny } = file;
    let mut policy = below.cloned().unwrap_or_else(Policy::nothing);
    policy.base = base.unwrap_or(policy.base);
    policy.all = all.unwrap_or(policy.all);
    for (verb, list, access) in [(Verb::Read, read, "r"), (Verb::Write, write, "rwkl"), (Verb::Execute, execute, "mrx")]
    {
        let Some(list) = list else { continue };
        policy.rules.retain(|r| r.value.verb != verb);
        for path in list {
            push(&mut policy, verb, path, access, source)?;
        }
    }
    for (verb, list) in [(Verb::Allow, allow), (Verb::Audit, audit)] {
        let Some(list) = list else { continue };
        policy.rules.retain(|r| r.value.verb != verb);
        for PathFile { path, access } in list {
            push(&mut policy, verb, path, access, source)?;
        }
    }
    for PathFile { path, access } in deny {
        push(&mut policy, Verb::Deny, path, access, source)?;
    }
    Ok(policy)
}

fn push(policy: &mut Policy, verb: Verb, path: &str, access: &str, source: &Source) -> Result<()> {
    let rule = Rule { verb, pattern: Pattern::parse(path)?, access: Access::parse(access)? };
    if !policy.rules.iter().any(|held| held.value == rule) {
        policy.rules.push(Sourced::new(rule, source.clone()));
    }
    Ok(())
}

pub(super) fn sockets(words: &BTreeSet<String>) -> Result<BTreeSet<SocketRule>> {
    words.iter().map(|word| SocketRule::parse(word)).collect()
}

pub(super) fn apparmor_rules(words: &BTreeSet<String>) -> Result<BTreeSet<AppArmorRule>> {
    words.iter().map(|word| AppArmorRule::parse(word)).collect()
}

/// Allows no more and denies no less.
pub(super) fn as_tight(new: &BTreeSet<AppArmorRule>, old: &BTreeSet<AppArmorRule>) -> bool {
    new.iter().filter(|r| !r.denies()).all(|r| old.contains(r))
        && old.iter().filter(|r| r.denies()).all(|r| new.contains(r))
}
