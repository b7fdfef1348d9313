//! What the host's kernel says about a process: status, maps, mounts, cgroups.

use super::{Outcome, fail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every process as (pid, parent).
pub fn processes() -> Vec<(i32, i32)> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return Vec::new() };
    dir.flatten()
        .filter_map(|e| {
            let pid: i32 = e.file_name().to_str()?.parse().ok()?;
            Some((pid, stat_fields(pid)?.get(1)?.parse().ok()?))
        })
        .collect()
}

/// The fields of /proc/PID/stat after the name, which may hold spaces and brackets: state is the first.
pub fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat[stat.rfind(')')? + 2..].split(' ').map(str::to_owned).collect())
}

/// All processes below one, nearest first.
pub fn descendants(of: i32) -> Vec<i32> {
    let all = processes();
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.remove(0);
    found
}

/// The first process below `front` that is pid 1 of a namespace other than ours and already runs the workload: it is
/// no longer the launcher's own program, or, with `--init`, it has started one.
pub fn container_init(front: i32) -> Option<i32> {
    let launcher = exe_id(front);
    descendants(front).into_iter().find(|pid| {
        let nspid = status(*pid).get("NSpid").cloned().unwrap_or_default();
        let inner: Vec<&str> = nspid.split_whitespace().collect();
        inner.len() > 1
            && inner.last() == Some(&"1")
            && (runs_something_else(*pid, &launcher) || !descendants(*pid).is_empty())
    })
}

fn exe_id(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

fn runs_something_else(pid: i32, launcher: &Option<PathBuf>) -> bool {
    let exe = exe_id(pid);
    let text = exe.as_deref().map(Path::to_string_lossy).unwrap_or_default().into_owned();
    exe.is_some() && exe != *launcher && !text.contains("memfd:") && !text.contains("hardrun")
}

/// /proc/PID/status as a map.
pub fn status(pid: i32) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_owned(), v.trim().to_owned())).collect()
}

/// The five capability sets, as bit masks, by the names of /proc/PID/status.
pub fn capabilities(pid: i32) -> BTreeMap<String, u64> {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let status = status(pid);
    sets.iter()
        .map(|k| ((*k).to_owned(), status.get(*k).and_then(|v| u64::from_str_radix(v, 16).ok()).unwrap_or(u64::MAX)))
        .collect()
}

/// Inode number of a namespace: `user`, `pid`, `mnt`, `ipc`, `uts`, `net`, `cgroup`.
pub fn namespace(pid: i32, kind: &str) -> Outcome<String> {
    Ok(std::fs::read_link(format!("/proc/{pid}/ns/{kind}"))?.to_string_lossy().into_owned())
}

/// One line of uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapped {
    pub inside: u64,
    pub outside: u64,
    pub count: u64,
}

/// /proc/PID/uid_map (or gid_map).
pub fn id_map(pid: i32, which: &str) -> Outcome<Vec<Mapped>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{which}"))?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    Ok(numbers.chunks(3).map(|c| Mapped { inside: c[0], outside: c[1], count: c[2] }).collect())
}

/// One line of mountinfo.
#[derive(Debug, Clone)]
pub struct Mount {
    pub target: String,
    pub fstype: String,
    pub options: BTreeSet<String>,
    /// `shared:N`, `master:N`, …: empty for a private mount.
    pub tags: Vec<String>,
}

/// The mounts that a process sees.
pub fn mounts(pid: i32) -> Outcome<Vec<Mount>> {
    Ok(parse_mounts(&std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?))
}

pub fn parse_mounts(text: &str) -> Vec<Mount> {
    let set = |s: &str| s.split(',').map(str::to_owned).collect();
    text.lines()
        .filter_map(|l| {
            let (left, right) = l.split_once(" - ")?;
            let left: Vec<&str> = left.split(' ').collect();
            let right: Vec<&str> = right.split(' ').collect();
            Some(Mount {
                target: left.get(4)?.to_string(),
                options: set(left.get(5)?),
                tags: left[6..].iter().map(|t| t.to_string()).collect(),
                fstype: right.first()?.to_string(),
            })
        })
        .collect()
}

/// Where a controller's files for a process are: a v1 hierarchy, or the unified one.
pub fn cgroup_dir(pid: i32, controller: &str) -> Outcome<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let line = |want: &dyn Fn(&str) -> bool| {
        text.lines().find_map(|l| {
            let mut parts = l.splitn(3, ':').skip(1);
            let (names, path) = (parts.next()?, parts.next()?);
            want(names).then(|| path.to_owned())
        })
    };
    let base = Path::new("/sys/fs/cgroup");
    if let Some(path) = line(&|names| names.split(',').any(|n| n == controller)) {
        return Ok(base.join(controller).join(path.trim_start_matches('/')));
    }
    match line(&|names| names.is_empty()) {
        Some(path) if base.join("cgroup.controllers").exists() => Ok(base.join(path.trim_start_matches('/'))),
        _ => fail(format!("process {pid} is in no cgroup of the {controller} controller:\n{text}")),
    }
}

/// A cgroup file by its v1 or v2 name, whichever is there.
pub fn cgroup_value(pid: i32, controller: &str, v1: &str, v2: &str) -> Outcome<String> {
    let dir = cgroup_dir(pid, controller)?;
    for name in [v1, v2] {
        if let Ok(text) = std::fs::read_to_string(dir.join(name)) {
            return Ok(text.trim().to_owned());
        }
    }
    fail(format!("neither {v1} nor {v2} is in {}", dir.display()))
}

/// Open descriptors of a process and what they are.
pub fn descriptors(pid: i32) -> Outcome<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for e in std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        if let Some(n) = e.file_name().to_str().and_then(|n| n.parse().ok()) {
            let target = std::fs::read_link(e.path()).map(|t| t.to_string_lossy().into_owned());
            found.insert(n, target.unwrap_or_default());
        }
    }
    Ok(found)
}

/// The kernel's release.
pub fn kernel() -> Outcome<hardrun::facts::kernel::Release> {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    text.parse().or_else(|e: hardrun::error::Error| super::fail(e.to_string()))
}

/// Whether the kernel has AppArmor, and it is on.
pub fn has_apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.trim() == "Y")
}

/// Whether SELinux is in force.
pub fn has_selinux() -> bool {
    std::fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|on| on.trim() == "1")
}
