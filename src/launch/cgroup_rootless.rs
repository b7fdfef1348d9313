//! Control groups of an ordinary user: those that its systemd delegates, or none.

use super::cgroup::{Hierarchy, Placement};
use super::{cgroup_v2, systemd};
use crate::error::{Context, Result};
use crate::facts::cgroup::ROOT;
use crate::plan::{Draft, SLICE};
use crate::rootless::Rootless;
use crate::spec;
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount};
use std::path::Path;

/// Where the container goes. Without delegation it stays in the group of whoever started it, and has no limits: the plan says so.
pub fn place(draft: &Draft, all: &[Hierarchy], rootless: &Rootless) -> Result<Placement> {
    if let [unified] = all
        && unified.v2
        && unified.mount == Path::new(ROOT)
        && rootless.bus.is_some()
        && let Some(path) = cgroup_v2::make_in_scope(&unified.mount, draft)?
    {
        return Ok(Placement { path, hierarchies: all.to_vec(), held: Vec::new() });
    }
    hide(all)?;
    Ok(Placement { path: spec::cgroups_path(draft), hierarchies: Vec::new(), held: Vec::new() })
}

/// Whether a group is below the user's own systemd.
pub fn is_delegated(group: &str, rootless: &Rootless) -> bool {
    group.starts_with(&format!("{}/", crate::rootless::manager_group(rootless.uid)))
}

/// Be in a group of the user's own systemd, from which a process may be moved to another one there. `from` is where this one is.
pub fn come_near(from: &str, rootless: &Rootless) -> Result<()> {
    match is_delegated(from, rootless) {
        true => Ok(()),
        false => systemd::enter_scope(&format!("exec-{}", std::process::id()), SLICE).map(drop),
    }
}

/// libcontainer looks for hierarchies to write to. It is shown a unified one that it cannot write to, or none.
fn hide(all: &[Hierarchy]) -> Result<()> {
    let attempt = || format!("hide the cgroup hierarchies in {ROOT}");
    match all.iter().find(|h| h.v2) {
        Some(unified) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = openat(CWD, &unified.mount, flags, Mode::empty()).context(attempt)?;
            let tree = clone_tree(&folder, true).context(attempt)?;
            set_attributes(&tree, Attributes::RDONLY, None, true).context(attempt)?;
            attach(&tree, Path::new(ROOT)).context(attempt)
        }
        None if all.is_empty() => Ok(()),
        None => {
            mount("none", ROOT, "tmpfs", MountFlags::RDONLY | MountFlags::NOSUID, c"size=0,mode=0755").context(attempt)
        }
    }
}
