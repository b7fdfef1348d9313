//! What only trying can tell: each probe does what a launch does, in a process of its own that ends with it.

use crate::error::{Context as _, Error, Result};
use crate::plan::{SeccompPlan, SeccompProfile, Sourced};
use crate::state::Paths;
use crate::storage::{Stage, root::mount_root};
use crate::sys::bpf::{Instruction, load_device_program};
use crate::sys::userns::IdMap;
use crate::{seccomp, sys};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Something to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Make a user namespace with a map.
    UserNamespace,
    /// Mount an idmapped layer from the storage folder under an overlay, and write a file in it.
    Overlay,
    /// Load the built-in filter and be refused by it.
    Seccomp,
    /// Make and remove a cgroup in every hierarchy.
    Cgroup,
    /// Have the kernel take a program that judges devices, where cgroup v2 wants one.
    Devices,
}

impl Probe {
    pub const ALL: [Probe; 5] = [Probe::UserNamespace, Probe::Overlay, Probe::Seccomp, Probe::Cgroup, Probe::Devices];

    pub fn name(self) -> &'static str {
        match self {
            Probe::UserNamespace => "user-namespace",
            Probe::Overlay => "overlay",
            Probe::Seccomp => "seccomp",
            Probe::Cgroup => "cgroup",
            Probe::Devices => "devices",
        }
    }

    pub fn named(name: &str) -> Option<Probe> {
        Probe::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Try it in this process, which must do nothing else afterwards: it may be in other namespaces, or filtered.
    pub fn run_here(self, paths: &Paths) -> Result<()> {
        if self != Probe::Seccomp && crate::rootless::is_needed() {
            return match self {
                // Control groups are asked of systemd when a container starts, and are not looked for where there is none.
                Probe::Cgroup => Ok(()),
                Probe::Overlay => crate::rootless::enter().and_then(|()| overlay_of_user(paths)),
                _ => crate::rootless::enter(),
            };
        }
        match self {
            Probe::UserNamespace => user_namespace().map(drop),
            Probe::Overlay => overlay(paths),
            Probe::Seccomp => filter(),
            Probe::Cgroup => cgroup(Path::new(super::cgroup::ROOT)),
            Probe::Devices => devices(Path::new(super::cgroup::ROOT)),
        }
    }
}

/// An arbitrary range for trying: what a container gets is above it.
const BASE: u32 = 1 << 19;

fn user_namespace() -> Result<std::os::fd::OwnedFd> {
    let map = [IdMap { inside: 0, outside: BASE, count: 65536 }];
    sys::userns::create(&map, &map).context(|| "make a user namespace".into())
}

fn overlay(paths: &Paths) -> Result<()> {
    let userns = user_namespace()?;
    try_overlay(paths, Some(userns.as_fd()), BASE)
}

/// As an ordinary user does: without a map, for there is one already.
fn overlay_of_user(paths: &Paths) -> Result<()> {
    try_overlay(paths, None, 0)
}

fn try_overlay(paths: &Paths, userns: Option<BorrowedFd<'_>>, owner: u32) -> Result<()> {
    // On the file system of the layers and of the containers' upper folders, for it is what decides.
    let folder = Scratch::new(&paths.root)?;
    let make = |name: &str, mode: u32| -> Result<PathBuf> {
        let path = folder.0.join(name);
        std::fs::DirBuilder::new().mode(mode).create(&path).context(|| format!("make {}", path.display()))?;
        Ok(path)
    };
    let (layer, writable, run) = (make("layer", 0o755)?, make("writable", 0o711)?, make("run", 0o711)?);
    let file = layer.join("file");
    std::fs::write(&file, b"layer").context(|| format!("write {}", file.display()))?;
    let stage = Stage::enter(&run)?;
    let root = mount_root(&stage, &[layer], userns, owner, &writable, false, None)?;
    let seen = std::fs::metadata(root.join("file")).context(|| "look at a file through the overlay".into())?.uid();
    if seen != owner {
        return Err(Error::runner(format!(
            "a layer's root file belongs to {seen} and not to {owner} through its id map"
        )));
    }
    // An overlay with an upper folder that it cannot use turns read-only without an error.
    std::fs::write(root.join("new"), b"new").context(|| "write through the overlay".into())?;
    stage.leave()
}

fn filter() -> Result<()> {
    let plan = SeccompPlan {
        profile: Sourced::default(SeccompProfile::Builtin),
        only: None,
        opened: BTreeSet::new(),
        shut: BTreeSet::new(),
        no_setid: Sourced::default(false),
    };
    let uname = rustix::system::uname();
    let host = seccomp::Host::new(&uname.release().to_string_lossy(), &BTreeSet::new());
    let code = seccomp::compile(&plan, &host)?.ok_or_else(|| Error::runner("the built-in profile made no filter"))?;
    rustix::thread::set_no_new_privs(true).context(|| "set no_new_privs".into())?;
    sys::seccomp::load(&code).context(|| "load the seccomp filter".into())?;
    match nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUTS) {
        Err(nix::errno::Errno::EPERM) => Ok(()),
        Err(e) => Err(Error::runner("the filter refused unshare in another way").because(e)),
        Ok(()) => Err(Error::runner("the filter was loaded and did not refuse unshare")),
    }
}

fn cgroup(root: &Path) -> Result<()> {
    let hierarchies: Vec<PathBuf> = if root.join("cgroup.controllers").exists() {
        vec![root.to_owned()]
    } else {
        let found: Vec<PathBuf> = ["memory", "pids", "cpu", "cpuset", "devices"]
            .iter()
            .map(|c| root.join(c))
            .filter(|p| p.is_dir())
            .collect();
        if found.is_empty() {
            return Err(Error::runner(format!("no cgroup hierarchy is mounted in {}", root.display())));
        }
        found
    };
    for hierarchy in hierarchies {
        let group = hierarchy.join(format!("hardrun-doctor-{}", std::process::id()));
        std::fs::create_dir(&group).context(|| format!("make {}", group.display()))?;
        std::fs::remove_dir(&group).context(|| format!("remove {}", group.display()))?;
    }
    Ok(())
}

/// A program that refuses everything; loaded, and gone with this process.
fn devices(root: &Path) -> Result<()> {
    if !root.join("cgroup.controllers").exists() {
        return Ok(());
    }
    let refuse = Instruction { code: 0xb7, registers: 0, offset: 0, constant: 0 };
    let exit = Instruction { code: 0x95, registers: 0, offset: 0, constant: 0 };
    load_device_program(&[refuse, exit]).map(drop).context(|| "load a program that limits devices".into())
}

/// Where the probe in process `pid` works.
fn scratch(parent: &Path, pid: u32) -> PathBuf {
    parent.join(format!(".doctor-{pid}"))
}

/// A folder that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> Result<Scratch> {
        let path = scratch(parent, std::process::id());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .context(|| format!("make {}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a failure mounts are still in the way: then the parent removes it, once they are gone with this process.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What came of a probe.
#[derive(Debug, Default)]
pub struct Came {
    /// What went wrong.
    pub failed: Option<String>,
    /// What it said though it worked.
    pub said: String,
}

/// Try every probe in a child of its own.
pub fn all(paths: &Paths) -> Result<Vec<(Probe, Came)>> {
    let fresh = !paths.root.exists();
    let found = Probe::ALL.into_iter().map(|probe| Ok((probe, in_child(probe, paths)?))).collect();
    if fresh {
        // Looking leaves nothing behind; where something else filled the folder meanwhile, it stays.
        let _ = std::fs::remove_dir(&paths.root);
    }
    found
}

fn in_child(probe: Probe, paths: &Paths) -> Result<Came> {
    let child = std::process::Command::new("/proc/self/exe")
        .arg("--root")
        .arg(&paths.root)
        .args(["doctor", "--probe", probe.name()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .verb_context(|| format!("cannot start the probe {}", probe.name()))?;
    let left = scratch(&paths.root, child.id());
    let output = child.wait_with_output().verb_context(|| format!("cannot wait for the probe {}", probe.name()))?;
    if left.exists() {
        std::fs::remove_dir_all(&left).verb_context(|| format!("cannot remove {}", left.display()))?;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(Came { failed: None, said: text.into_owned() });
    }
    let lines: Vec<&str> = text.lines().map(|l| l.trim().trim_start_matches("hardrun: ")).collect();
    let why = lines.join("; ").replace("caused by: ", "");
    let why = if why.is_empty() { format!("the probe ended with {}", output.status) } else { why };
    Ok(Came { failed: Some(why), said: String::new() })
}
