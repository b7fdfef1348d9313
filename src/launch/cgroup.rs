//! The container's control groups on the host: where they are, and taking them away.

use super::cgroup_v2;
use crate::error::{Context, Error, Result};
use crate::facts::cgroup::ROOT;
use crate::plan::Draft;
use crate::spec;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One mounted hierarchy: the controllers' names (`unified` for cgroup v2) and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    pub v2: bool,
}

/// Where a container is put: the group's path, the same in each hierarchy.
#[derive(Debug)]
pub struct Placement {
    /// `/hardrun/<id>`; with systemd `/hardrun.slice/hardrun-<id>.scope/<id>`
    pub path: String,
    pub hierarchies: Vec<Hierarchy>,
    /// Detached mounts that the hierarchies' paths lead through.
    pub held: Vec<OwnedFd>,
}

impl Placement {
    /// cgroup v1: the launcher places the container and sets its limits.
    pub fn is_own(&self) -> bool {
        self.hierarchies.iter().all(|h| !h.v2)
    }
}

/// Every cgroup hierarchy in a mountinfo text.
pub fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let mut fields = tail.split(' ');
        let kind = fields.next().unwrap_or("");
        if kind != "cgroup" && kind != "cgroup2" {
            continue;
        }
        let Some(mount) = head.split(' ').nth(4) else { continue };
        let options = fields.nth(1).unwrap_or("");
        let controllers = options.split(',').filter(|o| !matches!(*o, "rw" | "ro")).map(str::to_owned).collect();
        let hierarchy = Hierarchy { controllers, mount: mount.into(), v2: kind == "cgroup2" };
        if !found.iter().any(|h| h.mount == hierarchy.mount) {
            found.push(hierarchy);
        }
    }
    found
}

/// Hierarchies of this host that containers are put into: those that its facts are about.
pub fn of_host() -> Result<Vec<Hierarchy>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context(|| "read /proc/self/mountinfo".into())?;
    Ok(used(hierarchies(&text), crate::facts::cgroup::is_v2()))
}

/// On a host of cgroup v2 the hierarchy at [`ROOT`] alone, whatever else is mounted: a VPN's client mounts net_cls of v1, others
/// the unified hierarchy once more. Elsewhere, of several mounts of one hierarchy, that below [`ROOT`].
fn used(all: Vec<Hierarchy>, v2: bool) -> Vec<Hierarchy> {
    if v2 {
        return all.into_iter().filter(|h| h.v2 && h.mount == Path::new(ROOT)).collect();
    }
    let is_same = |a: &Hierarchy, b: &Hierarchy| a.v2 == b.v2 && (a.v2 || a.controllers == b.controllers);
    let is_main = |h: &Hierarchy| h.mount.starts_with(ROOT);
    let again = |h: &Hierarchy| !is_main(h) && all.iter().any(|main| is_main(main) && is_same(main, h));
    all.iter().filter(|h| !again(h)).cloned().collect()
}

/// The hierarchy that a controller's files are in: its own under cgroup v1, else the unified one.
pub fn holding<'a>(hierarchies: &'a [Hierarchy], controller: &str) -> Option<&'a Hierarchy> {
    hierarchies
        .iter()
        .find(|h| !h.v2 && h.controllers.iter().any(|c| c == controller))
        .or_else(|| hierarchies.iter().find(|h| h.v2))
}

/// Decide where the container goes. With cgroup v1 hierarchies the launcher places it itself; of cgroup v2, which is one
/// hierarchy, it makes the group, and libcontainer puts the process there.
pub fn place(draft: &Draft) -> Result<Placement> {
    let all = of_host()?;
    if let Some(rootless) = crate::rootless::current() {
        return super::cgroup_rootless::place(draft, &all, rootless);
    }
    if all.iter().any(|h| !h.v2) {
        return super::cgroup_v1::take_over(spec::cgroups_path(draft), &all, &draft.resources);
    }
    let path = match all.first() {
        Some(unified) => cgroup_v2::make(&unified.mount, draft)?,
        None => spec::cgroups_path(draft),
    };
    Ok(Placement { path, hierarchies: all, held: Vec::new() })
}

/// Before a container starts again: nobody else's is in its group.
///
/// # Errors
/// One is: a container of another store that has the same id, for one store is a copy of the other.
pub fn is_free(draft: &Draft) -> Result<()> {
    let host = of_host()?;
    if paths(draft).iter().any(|path| is_supervised(&host, path)) {
        return Err(Error::verb(format!("Container {} runs already, from another store", draft.id))
            .hint("one store is a copy of the other (--root): stop it there, or make a new container here"));
    }
    Ok(())
}

/// Everywhere that the container's group may be, whoever made it.
pub fn paths(draft: &Draft) -> Vec<String> {
    std::iter::once(spec::cgroups_path(draft)).chain(cgroup_v2::path_in_scope(draft)).collect()
}

/// Kill what is left in a container's cgroups and remove them. `path` as in the spec: `/hardrun/<id>`.
///
/// # Errors
/// A path that is not a container's own. One that was cut short (a full disk, a crash in the middle of writing it) would
/// name a parent, in the worst case the whole host, and everything below that would be killed.
pub fn remove(hierarchies: &[Hierarchy], path: &str, id: &str) -> Result<()> {
    if !is_own(path, id) {
        return Err(Error::runner(format!("refusing to remove the cgroup {path:?}: it is not that of container {id}")));
    }
    // Of a container that was paused: what is frozen in the v1 hierarchy dies only when it thaws.
    for hierarchy in hierarchies.iter().filter(|h| !h.v2 && h.controllers.iter().any(|c| c == "freezer")) {
        let folder = hierarchy.mount.join(path.trim_start_matches('/'));
        if folder.exists() {
            kill_members(&folder);
            std::fs::write(folder.join("freezer.state"), "THAWED").context(|| format!("thaw {}", folder.display()))?;
        }
    }
    for hierarchy in hierarchies {
        let folder = hierarchy.mount.join(path.trim_start_matches('/'));
        if folder.exists() {
            remove_tree(&folder)?;
        }
    }
    Ok(())
}

/// Whether a cgroup of this host has processes in any hierarchy.
pub fn is_populated(path: &str) -> Result<bool> {
    for hierarchy in of_host()? {
        let procs = hierarchy.mount.join(path.trim_start_matches('/')).join("cgroup.procs");
        match std::fs::read_to_string(&procs) {
            Ok(text) if !text.is_empty() => return Ok(true),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).context(|| format!("read {}", procs.display())),
        }
    }
    Ok(false)
}

/// Whether the first process of a container in this group is the child of a supervisor that lives.
pub fn is_supervised(hierarchies: &[Hierarchy], path: &str) -> bool {
    hierarchies.iter().flat_map(|h| members(&h.mount.join(path.trim_start_matches('/')))).any(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
        let is_first = field("NSpid:").split_whitespace().nth(1) == Some("1");
        let parent = field("PPid:").trim().parse::<i32>().unwrap_or_default();
        is_first && super::launcher::is_supervisor(parent) && !super::process_is_exiting(parent)
    })
}

/// Whether the kernel has killed a process of this group because its memory was used up.
pub fn oom_killed(group: &Placement) -> bool {
    let Some(hierarchy) = holding(&group.hierarchies, "memory") else { return false };
    let file = if hierarchy.v2 { "memory.events" } else { "memory.oom_control" };
    let folder = hierarchy.mount.join(group.path.trim_start_matches('/'));
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines().filter_map(|l| l.strip_prefix("oom_kill ")).any(|n| n.trim() != "0")
}

/// Whether `path` is the absolute name of a cgroup that is called after the container.
pub fn is_own(path: &str, id: &str) -> bool {
    let mut parts = path.split('/');
    !id.is_empty()
        && path.starts_with('/')
        && parts.clone().all(|p| p != "." && p != "..")
        && parts.next_back() == Some(id)
}

fn remove_tree(folder: &Path) -> Result<()> {
    let attempt = || format!("remove the cgroup {}", folder.display());
    // Nearly always it is empty: the container cannot make groups below its own.
    if std::fs::remove_dir(folder).is_ok() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).context(attempt)? {
        let entry = entry.context(attempt)?;
        if entry.file_type().context(attempt)?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    // A process that was just killed keeps its cgroup busy for a moment.
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        match std::fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < give_up => {
                kill_members(folder);
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) => return Err(e).context(attempt),
        }
    }
}

/// Kill all of a group at once; no security module is asked (cgroup v2, Linux 5.14).
pub fn kill_all(folder: &Path) -> std::io::Result<()> {
    write(&folder.join("cgroup.kill"), "1")
}

/// Not `fs::write`: nothing may be created here, a missing file is a missing controller or an older kernel.
pub fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(file)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

fn kill_members(folder: &Path) {
    if kill_all(folder).is_ok() {
        return;
    }
    // A process that ended between the reading and the kill is what was wanted.
    for pid in members(folder) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

/// The processes of a group; one that is not there has none.
fn members(folder: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_once_each() {
        let text = "30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    31 25 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n\
                    32 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    33 25 8:1 / / rw - ext4 /dev/vda rw\n";
        let found = hierarchies(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert!(found[1].v2 && !found[0].v2);
    }

    #[test]
    fn what_else_is_mounted_does_not_change_the_version() {
        let v1 = "31 25 0:27 / /run/vpn/net_cls rw - cgroup cgroup rw,net_cls\n";
        let v2 = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let again = "32 25 0:26 / /run/other rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let mounts = |all: Vec<Hierarchy>| all.into_iter().map(|h| h.mount.display().to_string()).collect::<Vec<_>>();
        for text in [[v1, v2, again].concat(), [again, v2, v1].concat(), v2.to_owned()] {
            assert_eq!(mounts(used(hierarchies(&text), true)), ["/sys/fs/cgroup"], "{text}");
        }
        let hybrid = "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
                      33 25 0:28 / /jail/pids rw - cgroup cgroup rw,pids\n\
                      34 25 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let found = mounts(used(hierarchies(&[again, v1, hybrid].concat()), false));
        assert_eq!(found, ["/run/vpn/net_cls", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"]);
        assert_eq!(mounts(used(hierarchies(again), false)), ["/run/other"]);
    }

    /// A stand-in for a hierarchy: folders only, as the kernel's are to rmdir.
    #[test]
    fn only_the_containers_own_cgroup_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        for cgroup in ["hardrun/abc/below", "hardrun/other", "system.slice/ssh"] {
            std::fs::create_dir_all(dir.path().join(cgroup)).unwrap();
        }
        let host = [Hierarchy { controllers: Vec::new(), mount: dir.path().into(), v2: true }];
        for bad in ["", "/", "abc", "/hardrun", "/hardrun/", "/hardrun/other", "/hardrun/x/../abc", "/../abc"] {
            assert!(remove(&host, bad, "abc").is_err(), "{bad:?}");
        }
        assert!(remove(&host, "/hardrun/", "").is_err());
        assert!(dir.path().join("hardrun/abc/below").exists());
        remove(&host, "/hardrun/abc", "abc").unwrap();
        assert!(!dir.path().join("hardrun/abc").exists());
        assert!(dir.path().join("hardrun/other").exists() && dir.path().join("system.slice/ssh").exists());
    }
}
