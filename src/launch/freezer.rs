//! `pause`: every process of the container stops where it is.
//!
//! cgroup v2 freezes the container's own group. Of the v1 hierarchies a container is not in that of the freezer, which
//! would cost every start something: its processes are moved there when it is first paused.

use super::cgroup::{Placement, holding, kill_all};
use crate::error::{Context, Error, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen};
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a process may take to stop: one in the middle of a disk access stops after it.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Freezer<'a> {
    pub group: &'a Placement,
    /// The v1 freezer hierarchy, mounted for nobody else to see, once it was needed.
    v1: Option<OwnedFd>,
}

impl<'a> Freezer<'a> {
    pub fn new(group: &'a Placement) -> Freezer<'a> {
        Freezer { group, v1: None }
    }

    pub fn freeze(&mut self) -> Result<()> {
        if crate::rootless::current().is_some() && self.group.hierarchies.is_empty() {
            return Err(Error::verb("the container has no control group of its own: it cannot be paused")
                .hint("`hardrun doctor` says what lets an ordinary user's containers have one"));
        }
        let deadline = Instant::now() + PATIENCE;
        if !self.group.is_own() {
            let folder = self.v2_folder()?;
            write(&folder.join("cgroup.freeze"), "1")?;
            return wait_for(deadline, || Ok(read(&folder.join("cgroup.events"))?.contains("frozen 1")));
        }
        let folder = self.v1_folder()?;
        std::fs::create_dir_all(&folder).context(|| format!("make the freezer group {}", self.group.path))?;
        self.move_all(&folder, deadline)?;
        let state = folder.join("freezer.state");
        wait_for(deadline, || {
            // Written again: a process that was just forked is caught by the next attempt.
            write(&state, "FROZEN")?;
            Ok(read(&state)?.trim() == "FROZEN")
        })
    }

    pub fn thaw(&mut self) -> Result<()> {
        if !self.group.is_own() {
            return write(&self.v2_folder()?.join("cgroup.freeze"), "0");
        }
        write(&self.v1_folder()?.join("freezer.state"), "THAWED")
    }

    /// Kill all of the group, where the kernel can.
    pub fn kill(&self) -> Result<()> {
        kill_all(&self.v2_folder()?).context(|| format!("kill the group {}", self.group.path))
    }

    /// After the container's end: take the freezer's group away.
    pub fn clean_up(&mut self) -> Result<()> {
        if self.v1.is_none() {
            return Ok(());
        }
        let folder = self.v1_folder()?;
        let deadline = Instant::now() + PATIENCE;
        wait_for(deadline, || match std::fs::remove_dir(&folder) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Ok(false),
            Err(e) => Err(e).context(|| format!("remove the freezer group {}", self.group.path)),
        })
    }

    fn v2_folder(&self) -> Result<PathBuf> {
        let hierarchy = self.group.hierarchies.iter().find(|h| h.v2);
        let hierarchy = hierarchy.ok_or_else(|| Error::verb("this host has no cgroup that can be frozen"))?;
        Ok(hierarchy.mount.join(self.group.path.trim_start_matches('/')))
    }

    fn v1_folder(&mut self) -> Result<PathBuf> {
        let mounted = match self.v1.take() {
            Some(mounted) => mounted,
            None => mount_freezer().context(|| "mount the cgroup freezer (does this kernel have it?)".into())?,
        };
        let folder = format!("/proc/self/fd/{}{}", mounted.as_raw_fd(), self.group.path);
        self.v1 = Some(mounted);
        Ok(folder.into())
    }

    /// Move every process of the container; one that forks meanwhile is found in the next round.
    fn move_all(&self, folder: &Path, deadline: Instant) -> Result<()> {
        let members = |path: &Path| -> Result<BTreeSet<String>> {
            Ok(read(&path.join("cgroup.procs"))?.lines().map(str::to_owned).collect())
        };
        let counted = holding(&self.group.hierarchies, "pids").or(self.group.hierarchies.first());
        let counted =
            counted.ok_or_else(|| Error::verb("the container is in no cgroup: its processes are not known"))?;
        let counted = counted.mount.join(self.group.path.trim_start_matches('/'));
        wait_for(deadline, || {
            let missing: Vec<String> = members(&counted)?.difference(&members(folder)?).cloned().collect();
            for pid in &missing {
                match std::fs::write(folder.join("cgroup.procs"), pid) {
                    // It has ended meanwhile.
                    Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                    other => other.context(|| format!("move process {pid} to the freezer"))?,
                }
            }
            Ok(missing.is_empty())
        })
    }
}

fn mount_freezer() -> rustix::io::Result<OwnedFd> {
    let fs = fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(&fs, "freezer")?;
    fsconfig_create(&fs)?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn wait_for(deadline: Instant, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    while !done()? {
        if Instant::now() > deadline {
            return Err(Error::verb(format!("the container's processes did not stop within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).context(|| format!("read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).context(|| format!("write {}", path.display()))
}
