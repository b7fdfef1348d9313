//! The processes of a container that runs, as the host numbers them, and the files that count what they use.

use super::{cgroup, enter_cgroup};
use crate::error::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every process of the container whose first one is `init`: those of its control group and of groups below it; where it
/// has none of its own, those of its pid namespace.
pub fn of(init: i32) -> Result<BTreeSet<i32>> {
    let mut pids = BTreeSet::new();
    // Any will do: on cgroup v1 a container is in the hierarchies that it needs.
    let own =
        ["pids", "memory", "devices"].into_iter().map(|c| group(init, c)).find_map(Result::transpose).transpose()?;
    match own {
        Some((folder, _)) => collect(&folder, &mut pids).verb_context(|| format!("read {}", folder.display()))?,
        None => in_namespace(init, &mut pids).verb_context(|| "look for the container's processes".into())?,
    }
    Ok(pids)
}

/// The container's folder in the hierarchy that has this controller, and whether that is of cgroup v2. `None`: the
/// container is in the same group as the caller.
pub fn group(init: i32, controller: &str) -> Result<Option<(PathBuf, bool)>> {
    let all = cgroup::of_host()?;
    let Some(hierarchy) = cgroup::holding(&all, controller) else { return Ok(None) };
    let folder = enter_cgroup::folder_of(init, hierarchy)?.filter(|folder| folder.exists());
    Ok(folder.map(|folder| (folder, hierarchy.v2)))
}

fn collect(folder: &Path, pids: &mut BTreeSet<i32>) -> std::io::Result<()> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs"))?;
    pids.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()));
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            // Groups come and go.
            let _ = collect(&entry.path(), pids);
        }
    }
    Ok(())
}

fn in_namespace(init: i32, pids: &mut BTreeSet<i32>) -> std::io::Result<()> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid"));
    let own = namespace(init)?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok());
        // A process that has ended meanwhile is none of them.
        if let Some(pid) = pid.filter(|pid| namespace(*pid).is_ok_and(|ns| ns == own)) {
            pids.insert(pid);
        }
    }
    Ok(())
}
