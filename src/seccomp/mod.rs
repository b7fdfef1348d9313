//! Seccomp: which system calls a container may make.
//!
//! [`cached`] gives the code for a plan, [`crate::sys::seccomp::load`] puts it on a process. The built-in profile is
//! the table in [`builtin`]; a Docker-format JSON profile goes through [`docker`] into the same code.

pub mod bpf;
pub mod builtin;
mod cache;
mod checks;
mod compare;
mod docker;
mod foreign;
mod numbers;
pub mod rules;
pub mod sets;
pub mod simulate;

pub use cache::cached;
pub use compare::weaker_than_builtin;

use crate::error::{Error, Result};
use crate::plan::{SeccompPlan, SeccompProfile};
use checks::Options;
use rules::{Action, Body, Policy};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a Docker-format profile asks about the host and the container besides the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Major and minor version of the running kernel.
    pub kernel: (u32, u32),
    /// Granted capabilities, `CAP_CHOWN`.
    pub capabilities: BTreeSet<String>,
}

impl Host {
    /// `release` as in `uname -r`.
    pub fn new(release: &str, capabilities: &BTreeSet<String>) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
        let kernel = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Host { kernel, capabilities: capabilities.clone() }
    }
}

/// Does the plan have a filter? Also an unconfined one does, where it may not leave setuid files behind.
pub fn has_filter(plan: &SeccompPlan) -> bool {
    plan.profile.value != SeccompProfile::Unconfined || plan.no_setid.value
}

/// The filter of a plan as BPF code. `None`: the plan has no filter (`seccomp=unconfined` was overridden and nothing
/// else asks for one).
pub fn compile(plan: &SeccompPlan, host: &Host) -> Result<Option<Vec<u8>>> {
    policy(plan, host)?.map(|policy| bpf::assemble(&policy)).transpose()
}

/// The same before it is code.
fn policy(plan: &SeccompPlan, host: &Host) -> Result<Option<Policy>> {
    for group in &plan.opened {
        check_group(group)?;
    }
    for group in &plan.shut {
        check_shut(group)?;
    }
    let options = Options { opened: &plan.opened, shut: &plan.shut };
    let only = plan.only.as_ref().map(|only| expand(&only.value)).transpose()?;
    let mut policy = match &plan.profile.value {
        SeccompProfile::Builtin => builtin_policy(options, only.as_ref()),
        SeccompProfile::Unconfined if !has_filter(plan) => return Ok(None),
        SeccompProfile::Unconfined => unconfined(),
        SeccompProfile::File { path, json } => docker::parse(path, json, host)?,
    };
    if plan.no_setid.value {
        refuse_setid(&mut policy);
    }
    Ok(Some(policy))
}

/// Where a preset lists its calls, those take the place of the groups that are open by default.
fn builtin_policy(options: Options<'_>, only: Option<&BTreeSet<&'static str>>) -> Policy {
    let mut calls = BTreeMap::new();
    for group in builtin::GROUPS {
        for call in group.calls() {
            let listed = only.map_or(group.open, |only| only.contains(call.name));
            let open = options.opens(group.name) || listed && !options.shut.contains(group.name);
            let body = if open { call.check.body(options) } else { Body::always(Action::Errno(group.errno as u16)) };
            calls.insert(call.nr, body);
        }
    }
    Policy { calls, unlisted: NOT_IMPLEMENTED, foreign: NOT_IMPLEMENTED }
}

/// Everything native that is known.
fn unconfined() -> Policy {
    let calls = all_calls().map(|call| (call.nr, Body::always(Action::Allow))).collect();
    Policy { calls, unlisted: NOT_IMPLEMENTED, foreign: NOT_IMPLEMENTED }
}

/// No setuid or setgid file can be made, whatever else the profile lets through.
fn refuse_setid(policy: &mut Policy) {
    for call in all_calls() {
        let Some(body) = policy.calls.get_mut(&call.nr) else { continue };
        if call.name.starts_with("io_uring_") {
            *body = Body::always(Action::Errno(libc::EPERM as u16));
        } else if let Some(clause) = call.check.setid() {
            body.clauses.insert(0, clause);
        }
    }
}

/// A call that is not known, or comes through another ABI, does not exist here: programs then take their older way.
const NOT_IMPLEMENTED: Action = Action::Errno(libc::ENOSYS as u16);

fn all_calls() -> impl Iterator<Item = &'static builtin::Call> {
    builtin::GROUPS.iter().flat_map(builtin::Group::calls)
}

/// Names and documentation of what a preset can open.
pub fn groups() -> Vec<(&'static str, &'static str)> {
    let shut = builtin::GROUPS.iter().filter(|g| !g.open).map(|g| (g.name, g.doc));
    shut.chain(builtin::WIDER.iter().copied()).collect()
}

/// Is `name` a group that can be opened? The error lists those that are.
pub fn check_group(name: &str) -> Result<()> {
    if groups().iter().any(|(known, _)| *known == name) {
        return Ok(());
    }
    let known: Vec<&str> = groups().iter().map(|(name, _)| *name).collect();
    Err(Error::runner(format!("no seccomp group is called {name:?}")).hint(format!("groups: {}", known.join(", "))))
}

/// Groups without which no program starts.
const ESSENTIAL: [&str; 6] = ["files", "paths", "memory", "process", "signals", "waiting"];

/// Is `name` a group that can be shut? Those that are shut by default may be named too.
pub fn check_shut(name: &str) -> Result<()> {
    if ESSENTIAL.contains(&name) {
        return Err(Error::runner(format!("the seccomp group {name:?} cannot be shut: no program starts without it")));
    }
    let open = builtin::GROUPS.iter().filter(|g| g.open && !ESSENTIAL.contains(&g.name)).map(|g| g.name);
    let mut known: Vec<&str> = open.chain(builtin::SOCKETS.iter().map(|(name, _)| *name)).collect();
    if known.contains(&name) || check_group(name).is_ok() {
        return Ok(());
    }
    known.extend(groups().iter().map(|(name, _)| *name));
    Err(Error::runner(format!("no seccomp group is called {name:?}")).hint(format!("groups: {}", known.join(", "))))
}

/// The calls of one set or group, or the one call of that name; none where nothing is called so.
pub fn calls_of(name: &str) -> Vec<&'static str> {
    if let Some(set) = sets::set(name) {
        return set.to_vec();
    }
    match builtin::GROUPS.iter().find(|g| g.name == name) {
        Some(group) => group.calls().map(|c| c.name).collect(),
        None => all_calls().find(|c| c.name == name).map(|c| c.name).into_iter().collect(),
    }
}

/// The calls that names of sets, groups and single calls stand for.
///
/// # Errors
/// One of them is none of the three, or nothing could be started with them.
pub fn expand(names: &BTreeSet<String>) -> Result<BTreeSet<&'static str>> {
    let mut calls = BTreeSet::new();
    for name in names {
        let named = calls_of(name);
        if named.is_empty() {
            let known: Vec<&str> = sets::SETS.iter().map(|(name, ..)| *name).collect();
            return Err(Error::runner(format!("{name:?} is no system call, set or group of them"))
                .hint(format!("sets: {}", known.join(", "))));
        }
        calls.extend(named);
    }
    match START.iter().find(|needed| !calls.contains(*needed)) {
        Some(needed) => Err(Error::runner(format!("without {needed} no program starts: system-calls has to hold it"))
            .hint("the set `start` has what every program needs")),
        None => Ok(calls),
    }
}

const START: [&str; 3] = ["execve", "exit_group", "mmap"];

/// The calls of the groups that are open by default.
pub fn open_by_default() -> BTreeSet<&'static str> {
    builtin::GROUPS.iter().filter(|g| g.open).flat_map(builtin::Group::calls).map(|c| c.name).collect()
}

/// Groups without which a capability is of no use: opened by `--cap-add`, as Docker's profile does.
pub fn groups_for_capability(capability: &str) -> &'static [&'static str] {
    match capability {
        "CAP_SYS_ADMIN" => &[
            "mount",
            "mount-query",
            "namespaces",
            "bpf",
            "perf",
            "fanotify",
            "quota",
            "host-name",
            "lsm-label",
            "syslog",
        ],
        "CAP_BPF" => &["bpf"],
        "CAP_PERFMON" => &["perf", "bpf"],
        "CAP_SYS_PTRACE" => &["ptrace"],
        "CAP_SYS_CHROOT" => &["chroot"],
        "CAP_SYS_MODULE" => &["modules"],
        "CAP_SYS_BOOT" => &["reboot"],
        "CAP_SYS_PACCT" => &["accounting"],
        "CAP_SYS_RAWIO" => &["raw-io"],
        "CAP_SYS_TIME" => &["clock-setting"],
        "CAP_SYS_NICE" => &["numa"],
        "CAP_SYS_TTY_CONFIG" => &["tty-hangup"],
        "CAP_SYSLOG" => &["syslog"],
        "CAP_DAC_READ_SEARCH" => &["file-handles"],
        "CAP_NET_RAW" => &["raw-sockets", "packet-sockets"],
        "CAP_NET_ADMIN" => &["socket-diag", "netlink-events"],
        _ => &[],
    }
}

/// How many calls run with at least some arguments, and how many the kernel has.
pub fn count_allowed(plan: &SeccompPlan, host: &Host) -> Result<(usize, usize)> {
    let total = all_calls().count();
    Ok(match policy(plan, host)? {
        None => (total, total),
        Some(policy) => (policy.calls.values().filter(|body| body.permits_some()).count(), total),
    })
}

/// The kernel's name of a call number, for messages.
pub fn call_name(nr: u32) -> Option<&'static str> {
    all_calls().find(|call| call.nr == nr).map(|call| call.name)
}

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;
