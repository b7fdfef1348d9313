//! Into the control groups of a container that runs.
//!
//! Where they are is read from its first process, so that `--cgroup-parent` and a host of either version need no care. Of
//! v1 hierarchies the caller goes there itself and back again, which is cheap for a process with one thread; in the unified
//! one the new process is moved.

use super::cgroup;
use crate::error::{Context, Error, Result};
use std::path::PathBuf;

/// The caller is in the container's v1 groups.
#[must_use]
pub struct Visit {
    home: Vec<PathBuf>,
    /// `cgroup.procs` of the container's unified group, if that is not ours already.
    unified: Option<PathBuf>,
}

/// Go into the v1 groups of process `init`.
pub fn join(init: i32) -> Result<Visit> {
    let (own, theirs) = (memberships("self")?, memberships(&init.to_string())?);
    let mut visit = Visit { home: Vec::new(), unified: None };
    for hierarchy in cgroup::of_host()? {
        let key = if hierarchy.v2 { String::new() } else { hierarchy.controllers.first().cloned().unwrap_or_default() };
        let at = |all: &[(Vec<String>, String)]| {
            let here = |(names, _): &&(Vec<String>, String)| {
                if hierarchy.v2 { names.is_empty() } else { names.contains(&key) }
            };
            all.iter().find(here).map(|(_, path)| path.clone())
        };
        let (Some(from), Some(to)) = (at(&own), at(&theirs)) else { continue };
        if from == to {
            continue;
        }
        let folder = |path: &str| hierarchy.mount.join(path.trim_start_matches('/'));
        if let Some(rootless) = crate::rootless::current() {
            // Without a group of its own the container is in that of whoever started it, where nobody else is let in.
            if hierarchy.v2 && rootless.bus.is_some() && super::cgroup_rootless::is_delegated(&to, rootless) {
                super::cgroup_rootless::come_near(&from, rootless)?;
                visit.unified = Some(folder(&to).join("cgroup.procs"));
            }
            continue;
        }
        if hierarchy.v2 {
            visit.unified = Some(folder(&to).join("cgroup.procs"));
            continue;
        }
        visit.home.push(folder(&from).join("tasks"));
        write(&folder(&to).join("tasks"), "0")?;
    }
    Ok(visit)
}

impl Visit {
    /// Go back, and leave the new process, if there is one, there.
    pub fn leave(self, pid: Option<i32>) -> Result<()> {
        self.home.iter().try_for_each(|tasks| write(tasks, "0"))?;
        match (&self.unified, pid) {
            (Some(procs), Some(pid)) => write(procs, &pid.to_string()),
            _ => Ok(()),
        }
    }
}

/// The group of process `pid` in a hierarchy. `None` where that is the caller's own too.
pub fn folder_of(pid: i32, hierarchy: &cgroup::Hierarchy) -> Result<Option<PathBuf>> {
    let key = hierarchy.controllers.first().cloned().unwrap_or_default();
    let at = |all: Vec<(Vec<String>, String)>| {
        let here =
            |(names, _): &&(Vec<String>, String)| if hierarchy.v2 { names.is_empty() } else { names.contains(&key) };
        all.iter().find(here).map(|(_, path)| path.clone())
    };
    let (own, theirs) = (at(memberships("self")?), at(memberships(&pid.to_string())?));
    Ok(theirs.filter(|path| Some(path) != own.as_ref()).map(|path| hierarchy.mount.join(path.trim_start_matches('/'))))
}

/// Controllers (none: the unified hierarchy) and path, a line of /proc/PID/cgroup each.
fn memberships(pid: &str) -> Result<Vec<(Vec<String>, String)>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).context(|| format!("read {path}"))?;
    let line = |l: &str| {
        let mut parts = l.splitn(3, ':').skip(1);
        let names = parts.next()?.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
        Some((names, parts.next()?.to_owned()))
    };
    text.lines().map(|l| line(l).ok_or_else(|| Error::runner(format!("{path} has the line {l:?}")))).collect()
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    std::fs::write(path, text).context(|| format!("enter the container's control group by {}", path.display()))
}
