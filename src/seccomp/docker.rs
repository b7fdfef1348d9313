//! Docker's profile format (`--security-opt seccomp=FILE`), made into the same code as the built-in profile.
//!
//! What is read as runc and libseccomp read it: an entry without conditions wins over those with; the first such entry
//! wins; an entry with two conditions on one argument means either of them; calls newer than the newest that a
//! default-deny profile names answer ENOSYS. What is stricter here: a key that is not part of the format is an error
//! (a misspelt `args` would drop a condition), other ABIs are refused whatever `archMap` says, and a call that this
//! program does not know is refused even by a profile that allows by default.

use super::bpf::NATIVE_ARCH;
use super::rules::{Action, Body, Clause, Cond, Op, Policy, Test};
use super::{Host, NOT_IMPLEMENTED, all_calls};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: ScmpAction,
    default_errno_ret: Option<u32>,
    syscalls: Option<Vec<Entry>>,
    /// Filters are for native calls only, so these do not change anything.
    #[serde(default, rename = "architectures")]
    _architectures: IgnoredAny,
    #[serde(default, rename = "archMap")]
    _arch_map: IgnoredAny,
    /// podman writes the errno's name beside its number.
    #[serde(default, rename = "defaultErrno")]
    _default_errno: IgnoredAny,
    #[serde(default)]
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// The format of Docker before 1.12.
    name: Option<String>,
    names: Option<Vec<String>>,
    action: ScmpAction,
    errno_ret: Option<u32>,
    args: Option<Vec<Arg>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
    #[serde(default, rename = "errno")]
    _errno: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: ScmpOp,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
enum ScmpAction {
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

#[derive(Deserialize, Clone, Copy)]
enum ScmpOp {
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

impl Arg {
    fn cond(&self) -> Cond {
        let wide = |op| Test::Wide { op, value: self.value };
        let test = match self.op {
            ScmpOp::Ne => wide(Op::Ne),
            ScmpOp::Lt => wide(Op::Lt),
            ScmpOp::Le => wide(Op::Le),
            ScmpOp::Eq => wide(Op::Eq),
            ScmpOp::Ge => wide(Op::Ge),
            ScmpOp::Gt => wide(Op::Gt),
            ScmpOp::MaskedEq => Test::WideMask { mask: self.value, value: self.value_two & self.value },
        };
        Cond { arg: self.index, test }
    }
}

/// The largest errno that the kernel returns.
const MAX_ERRNO: u32 = 4095;

fn action(action: ScmpAction, errno: Option<u32>) -> std::result::Result<Action, String> {
    Ok(match action {
        ScmpAction::Allow => Action::Allow,
        ScmpAction::Log => Action::Log,
        ScmpAction::Kill | ScmpAction::KillThread => Action::KillThread,
        ScmpAction::KillProcess => Action::KillProcess,
        ScmpAction::Trap => Action::Trap(0),
        ScmpAction::Errno => match errno.unwrap_or(libc::EPERM as u32) {
            errno @ 0..=MAX_ERRNO => Action::Errno(errno as u16),
            errno => return Err(format!("errnoRet {errno} is not an error number (0 to {MAX_ERRNO})")),
        },
        ScmpAction::Trace => {
            return Err("SCMP_ACT_TRACE needs a tracer, and nobody may trace a container here".to_owned());
        }
        ScmpAction::Notify => {
            return Err("SCMP_ACT_NOTIFY needs an agent that listens, and there is none here".to_owned());
        }
    })
}

/// The policy that a profile describes on this host. `path` is for messages only.
pub(super) fn parse(path: &Path, json: &str, host: &Host) -> Result<Policy> {
    let fail = |what: String| Error::runner(format!("seccomp profile {}: {what}", path.display()));
    let profile: Profile =
        serde_json::from_str(json).map_err(|e| fail("not a Docker profile".to_owned()).because(e))?;
    let default =
        action(profile.default_action, profile.default_errno_ret).map_err(|e| fail(format!("defaultAction: {e}")))?;
    // One thread is filtered, before it starts others: TSYNC has nothing to do.
    if let Some(flag) = profile.flags.iter().flatten().find(|f| *f != "SECCOMP_FILTER_FLAG_TSYNC") {
        return Err(fail(format!("flag {flag:?} is not supported")).hint("leave \"flags\" out"));
    }
    if profile.listener_path.is_some_and(|p| !p.is_empty()) {
        return Err(fail("listenerPath: there is no agent here that listens".to_owned()));
    }

    let native: BTreeMap<&str, u32> = all_calls().map(|call| (call.name, call.nr)).collect();
    let mut rules: BTreeMap<u32, Rules> = BTreeMap::new();
    for (index, entry) in profile.syscalls.iter().flatten().enumerate() {
        let fail = |what: String| fail(format!("syscalls[{index}] ({}): {what}", first_name(entry)));
        let names = match (&entry.name, entry.names.as_deref()) {
            (Some(name), None | Some([])) if !name.is_empty() => std::slice::from_ref(name),
            (None, Some(names)) if !names.is_empty() => names,
            (Some(name), Some(names)) if name.is_empty() && !names.is_empty() => names,
            (Some(_), Some(_)) => return Err(fail("either \"name\" or \"names\", not both".to_owned())),
            _ => return Err(fail("no call is named".to_owned())),
        };
        let action = action(entry.action, entry.errno_ret).map_err(&fail)?;
        let args = entry.args.as_deref().unwrap_or_default();
        if let Some(arg) = args.iter().find(|a| a.index > 5) {
            return Err(fail(format!("argument {} does not exist: 0 to 5 do", arg.index)));
        }
        if !applies(entry, host).map_err(&fail)? {
            continue;
        }
        for name in names {
            let Some(&nr) = native.get(name.as_str()) else {
                // In an allow list such a call stays refused. In a deny list it would be a hole.
                if !action.permits() && default.permits() && !super::foreign::NAMES.contains(&name.as_str()) {
                    return Err(fail(format!("no system call is called {name:?}, so it cannot be refused")));
                }
                continue;
            };
            let rules = rules.entry(nr).or_default();
            if action != default {
                rules.add(args, action);
            }
        }
    }
    Ok(policy(default, rules))
}

/// What the entries say about one call.
#[derive(Default)]
struct Rules {
    always: Option<Action>,
    clauses: Vec<Clause>,
}

impl Rules {
    fn add(&mut self, args: &[Arg], action: Action) {
        if self.always.is_some() {
            return;
        }
        if args.is_empty() {
            self.always = Some(action);
            self.clauses.clear();
            return;
        }
        let twice = args.iter().enumerate().any(|(at, arg)| args[..at].iter().any(|other| other.index == arg.index));
        if twice {
            self.clauses.extend(args.iter().map(|arg| Clause { all: vec![arg.cond()], action }));
        } else {
            self.clauses.push(Clause { all: args.iter().map(Arg::cond).collect(), action });
        }
    }
}

fn policy(default: Action, rules: BTreeMap<u32, Rules>) -> Policy {
    let newest = rules.keys().last().copied().unwrap_or(0);
    let unknown = match default {
        Action::Allow | Action::Log | Action::Errno(_) => NOT_IMPLEMENTED,
        harder => harder,
    };
    let mut calls: BTreeMap<u32, Body> = all_calls()
        .map(|call| {
            let newer = call.nr > newest && matches!(default, Action::Errno(_));
            (call.nr, Body::always(if newer { NOT_IMPLEMENTED } else { default }))
        })
        .collect();
    for (nr, mut rules) in rules {
        let body = match rules.always {
            Some(action) => Body::always(action),
            None => {
                // Where conditions overlap, the refusal holds.
                rules.clauses.sort_by_key(|clause| clause.action.permits());
                Body { clauses: rules.clauses, otherwise: default }
            }
        };
        calls.insert(nr, body);
    }
    Policy { calls, unlisted: unknown, foreign: NOT_IMPLEMENTED }
}

/// Is the entry meant for this host and container?
fn applies(entry: &Entry, host: &Host) -> std::result::Result<bool, String> {
    let (includes, excludes) = (entry.includes.as_ref(), entry.excludes.as_ref());
    let has = |cap: &String| host.capabilities.contains(cap);
    let here = |arch: &String| ARCH_NAMES.contains(&arch.as_str());
    let new_enough = |filter: Option<&Filter>| -> std::result::Result<Option<bool>, String> {
        let Some(min) = filter.and_then(|f| f.min_kernel.as_deref()).filter(|min| !min.is_empty()) else {
            return Ok(None);
        };
        let version = min.split_once('.').and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
        let version = version.ok_or_else(|| format!("minKernel {min:?} is not a version like 4.8"))?;
        Ok(Some(host.kernel >= version))
    };
    let caps = |filter: Option<&Filter>| filter.and_then(|f| f.caps.clone()).unwrap_or_default();
    let arches = |filter: Option<&Filter>| filter.and_then(|f| f.arches.clone()).unwrap_or_default();

    let included = caps(includes).iter().all(has)
        && (arches(includes).is_empty() || arches(includes).iter().any(here))
        && new_enough(includes)?.unwrap_or(true);
    let excluded =
        caps(excludes).iter().any(has) || arches(excludes).iter().any(here) || new_enough(excludes)?.unwrap_or(false);
    Ok(included && !excluded)
}

/// This machine's architecture, as profiles spell it.
const ARCH_NAMES: &[&str] = if NATIVE_ARCH == 0xc000_003e {
    &["amd64", "x86_64", "SCMP_ARCH_X86_64"]
} else {
    &["arm64", "aarch64", "SCMP_ARCH_AARCH64"]
};

fn first_name(entry: &Entry) -> &str {
    let first = entry.names.iter().flatten().next();
    entry.name.as_ref().or(first).map_or("no name", String::as_str)
}

#[cfg(test)]
mod tests;
