//! An exposure figure: how much of the host a workload that turned hostile can reach. 0 is nothing that is weighed
//! here; docker's default is computed from the same table, so the two can be compared and neither is a grade.

use super::{AppArmor, Draft, MountKind, Namespace, NetworkMode, SeLinux, UserNamespace, draft::MASKED_PATHS};
use crate::facts::Facts;
use crate::policy::sensitive;
use crate::seccomp;
use serde::Serialize;
use std::fmt::Write;

/// One published weight. What is exposed is a share from 0 to 1, or a count where many can be (binds, devices).
#[derive(Serialize)]
pub struct Weight {
    pub id: &'static str,
    /// What the points stand for, and what a share of them means.
    pub what: &'static str,
    /// Points at share 1, or for one of many.
    pub points: f64,
    #[serde(skip)]
    exposed: fn(&Draft, &Facts) -> f64,
    /// Share of a plain `docker run IMAGE`.
    docker: f64,
}

/// Points of one line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub id: &'static str,
    pub points: f64,
    pub docker: f64,
}

/// The figure of one draft.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    pub total: f64,
    pub docker: f64,
    pub lines: Vec<Line>,
}

/// Capabilities that, on the host, are the host.
const HOST_CAPS: &[&str] = &[
    "CAP_BPF",
    "CAP_DAC_READ_SEARCH",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_PERFMON",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_TIME",
    "CAP_SYSLOG",
];

fn has_userns(d: &Draft) -> bool {
    matches!(d.namespaces.user.value, UserNamespace::Private { .. })
}

fn share(condition: bool) -> f64 {
    if condition { 1.0 } else { 0.0 }
}

fn not_private(ns: &Namespace) -> f64 {
    match ns {
        Namespace::Private => 0.0,
        Namespace::Container(_) => 0.5,
        Namespace::Host => 1.0,
    }
}

/// A capability counts 1, one that is the host counts 10; in a user namespace of its own a tenth of that.
fn capabilities(d: &Draft, _: &Facts) -> f64 {
    let sum: f64 = d.capabilities.value.iter().map(|c| if HOST_CAPS.contains(&c.as_str()) { 10.0 } else { 1.0 }).sum();
    if has_userns(d) { sum / 10.0 } else { sum }
}

fn calls(d: &Draft, facts: &Facts) -> f64 {
    let host = seccomp::Host::new(&facts.kernel, &d.capabilities.value);
    // A profile that cannot be read is not started with either: count it as no profile.
    seccomp::count_allowed(&d.seccomp, &host).map_or(1.0, |(some, of)| some as f64 / of as f64)
}

fn binds(d: &Draft, facts: &Facts, writable: bool, is_sensitive: bool) -> f64 {
    let count = d.mounts.iter().filter(|m| match &m.kind {
        MountKind::Bind { source, typed, seen, .. } => {
            m.readonly.value != writable && sensitive::is_sensitive(source, typed, seen, facts) == is_sensitive
        }
        _ => false,
    });
    count.count() as f64
}

/// The published table. Changing a weight changes every figure: say so in the changelog.
pub const WEIGHTS: &[Weight] = &[
    Weight {
        id: "user-namespace",
        what: "root inside is root on the host",
        points: 15.0,
        exposed: |d, _| share(!has_userns(d)),
        docker: 1.0,
    },
    Weight {
        id: "root-user",
        what: "starts as uid 0 inside",
        points: 3.0,
        exposed: |d, _| share(d.process.user.value.uid == 0),
        docker: 1.0,
    },
    Weight {
        id: "capabilities",
        what: "each granted capability (10 times for one that is the host; a tenth inside a user namespace)",
        points: 1.0,
        exposed: capabilities,
        docker: 14.0,
    },
    Weight {
        id: "new-privileges",
        what: "setuid files raise privileges",
        points: 5.0,
        exposed: |d, _| share(!d.process.no_new_privileges.value),
        docker: 1.0,
    },
    Weight {
        id: "system-calls",
        what: "share of the kernel's calls that the filter lets through",
        points: 20.0,
        exposed: calls,
        docker: 295.0 / 362.0,
    },
    Weight {
        id: "lsm",
        what: "neither AppArmor nor SELinux confines it (docker: on Debian, AppArmor does)",
        points: 4.0,
        exposed: |d, f| {
            let permissive = f.selinux_mode.watches() || d.permissive_type(f).is_some();
            let labels = matches!(d.selinux.value, SeLinux::Labels { .. }) && !permissive;
            let profile =
                matches!(d.apparmor.value, AppArmor::Builtin | AppArmor::Named(_)) && !f.apparmor_mode.watches();
            share(!labels && !profile)
        },
        docker: 0.0,
    },
    Weight {
        id: "landlock",
        what: "no Landlock ruleset",
        points: 3.0,
        exposed: |d, _| share(crate::landlock::rules(d).is_err()),
        docker: 1.0,
    },
    Weight {
        id: "pid-namespace",
        what: "sees and signals the host's processes (half: another container's)",
        points: 8.0,
        exposed: |d, _| not_private(&d.namespaces.pid.value),
        docker: 0.0,
    },
    Weight {
        id: "ipc-namespace",
        what: "shares the host's shared memory and semaphores",
        points: 4.0,
        exposed: |d, _| not_private(&d.namespaces.ipc.value),
        docker: 0.0,
    },
    Weight {
        id: "uts-namespace",
        what: "shares the host's name",
        points: 1.0,
        exposed: |d, _| not_private(&d.namespaces.uts.value),
        docker: 0.0,
    },
    Weight {
        id: "cgroup-namespace",
        what: "sees the host's cgroups",
        points: 2.0,
        exposed: |d, _| not_private(&d.namespaces.cgroup.value),
        docker: 0.0,
    },
    Weight {
        id: "network",
        what: "the host's network is 1, a bridge or another container's 0.5, loopback only 0",
        points: 10.0,
        exposed: |d, _| match d.namespaces.network.value {
            NetworkMode::None => 0.0,
            NetworkMode::Bridge | NetworkMode::Named(_) | NetworkMode::Container(_) => 0.5,
            NetworkMode::Host => 1.0,
        },
        docker: 0.5,
    },
    Weight {
        id: "published-ports",
        what: "each published port",
        points: 1.0,
        exposed: |d, _| d.asked.publish.len() as f64,
        docker: 0.0,
    },
    Weight {
        id: "kernel-paths",
        what: "share of the hidden paths of /proc and /sys that it sees",
        points: 5.0,
        exposed: |d, _| {
            let seen = MASKED_PATHS.iter().filter(|p| !d.masked_paths.value.iter().any(|m| m == *p)).count();
            seen as f64 / MASKED_PATHS.len() as f64
        },
        docker: 1.0 - 12.0 / MASKED_PATHS.len() as f64,
    },
    Weight {
        id: "writable-root",
        what: "its root file system can be changed",
        points: 2.0,
        exposed: |d, _| share(!d.root.readonly.value),
        docker: 1.0,
    },
    Weight {
        id: "binds-read-only",
        what: "each ordinary host path, read-only",
        points: 0.5,
        exposed: |d, f| binds(d, f, false, false),
        docker: 0.0,
    },
    Weight {
        id: "binds-writable",
        what: "each ordinary host path, writable",
        points: 2.0,
        exposed: |d, f| binds(d, f, true, false),
        docker: 0.0,
    },
    Weight {
        id: "sensitive-binds-read-only",
        what: "each sensitive host path, read-only",
        points: 5.0,
        exposed: |d, f| binds(d, f, false, true),
        docker: 0.0,
    },
    Weight {
        id: "sensitive-binds-writable",
        what: "each sensitive host path, writable",
        points: 40.0,
        exposed: |d, f| binds(d, f, true, true),
        docker: 0.0,
    },
    Weight {
        id: "devices",
        what: "each host device, and each device rule",
        points: 6.0,
        exposed: |d, _| (d.devices.len() + d.device_cgroup_rules.len()) as f64,
        docker: 0.0,
    },
    Weight {
        id: "memory-limit",
        what: "no memory limit",
        points: 3.0,
        exposed: |d, _| share(d.resources.memory.as_ref().is_none_or(|m| m.value <= 0)),
        docker: 1.0,
    },
    Weight {
        id: "swap-limit",
        what: "memory can be pushed out to the host's swap",
        points: 1.0,
        exposed: |d, _| {
            let memory = d.resources.memory.as_ref().map_or(-1, |m| m.value);
            share(d.resources.memory_swap.as_ref().is_none_or(|s| s.value < 0 || s.value > memory))
        },
        docker: 1.0,
    },
    Weight {
        id: "pids-limit",
        what: "no limit of processes",
        points: 3.0,
        exposed: |d, _| share(d.resources.pids.as_ref().is_none_or(|p| p.value <= 0)),
        docker: 1.0,
    },
    Weight {
        id: "core-dumps",
        what: "core files can be written",
        points: 1.0,
        exposed: |d, _| share(d.process.rlimits.get("core").is_none_or(|l| l.value.hard > 0)),
        docker: 1.0,
    },
    Weight {
        id: "oom-first",
        what: "the host's daemons are ended before it when memory runs out",
        points: 1.0,
        exposed: |d, _| share(d.process.oom_score_adj.value <= 0),
        docker: 1.0,
    },
];

fn round(points: f64) -> f64 {
    (points * 10.0).round() / 10.0
}

/// The figure of a draft beside docker's default.
pub fn score(draft: &Draft, facts: &Facts) -> Score {
    let lines: Vec<Line> = WEIGHTS
        .iter()
        .map(|w| Line {
            id: w.id,
            points: round(w.points * (w.exposed)(draft, facts)),
            docker: round(w.points * w.docker),
        })
        .collect();
    Score {
        total: round(lines.iter().map(|l| l.points).sum()),
        docker: round(lines.iter().map(|l| l.docker).sum()),
        lines,
    }
}

/// For a terminal.
pub fn text(score: &Score) -> String {
    let mut out = String::new();
    let change = (score.total / score.docker - 1.0) * 100.0;
    let word = if change <= 0.0 { "less" } else { "more" };
    let _ = writeln!(
        out,
        "exposure {:.1}; a plain docker run has {:.1} ({:.0} % {word})\n",
        score.total,
        score.docker,
        change.abs()
    );
    let _ = writeln!(out, "{:26}{:>8}{:>8}", "LAYER", "POINTS", "DOCKER");
    for l in score.lines.iter().filter(|l| l.points > 0.0 || l.docker > 0.0) {
        let _ = writeln!(out, "{:26}{:>8.1}{:>8.1}", l.id, l.points, l.docker);
    }
    out
}

/// The table of weights, for a terminal.
pub fn weights_text() -> String {
    let mut out = format!("{:26}{:>8}{:>8}  {}\n", "LAYER", "POINTS", "DOCKER", "WHAT");
    for w in WEIGHTS {
        let _ = writeln!(out, "{:26}{:>8.1}{:>8.1}  {}", w.id, w.points, w.points * w.docker, w.what);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn total(preset: &'static str, change: impl FnOnce(&mut crate::request::Request)) -> f64 {
        let (plan, facts) = crate::plan::draft::tests::plan(preset, change);
        score(&plan.draft, &facts).total
    }

    #[test]
    fn less_is_safer_and_every_loosening_costs() {
        let (plan, facts) = crate::plan::draft::tests::plan("default", |_| {});
        let default = score(&plan.draft, &facts);
        assert!(default.total < default.docker / 2.0, "{default:?}");
        assert!(total("strict", |_| {}) < default.total);
        let mounts = |pairs| crate::plan::draft::tests::binds(pairs);
        for (name, figure) in [
            ("host pid", total("default", |r| r.isolation.pid = Some(crate::request::NamespaceMode::Host))),
            ("privileged", total("default", |r| r.isolation.privileged = true)),
            ("no pids limit", total("default", |r| r.resources.pids_limit = Some(-1))),
            ("a bind", total("default", |r| r.mounts.mounts = mounts(&[("/home/u", "/w")]))),
            ("a sensitive bind", total("default", |r| r.mounts.mounts = mounts(&[("/usr", "/w")]))),
        ] {
            assert!(figure > default.total, "{name}: {figure}");
        }
        assert!(total("default", |r| r.isolation.read_only = Some(true)) < default.total);
    }

    #[test]
    fn weights_have_ids_of_their_own_and_points() {
        let ids: BTreeSet<&str> = WEIGHTS.iter().map(|w| w.id).collect();
        assert_eq!(ids.len(), WEIGHTS.len());
        assert!(WEIGHTS.iter().all(|w| w.points > 0.0 && w.what.len() > 10));
    }
}
