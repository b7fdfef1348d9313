//! Small files of the launch (/etc/hosts and the like), mounted on the root before the container is built.
//!
//! libcontainer can mount them too, with some seventy checked look-ups each, a hundred microseconds for the usual three.
//! What lies on the root before comes along when it binds the root for the container, and is locked there.

use crate::error::{Context, Result};
use crate::plan::{MountKind, MountPlan};
use crate::sys::mounts::{Attributes, attach_to, clone_tree, set_attributes};
use crate::sys::process::files_as;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Mount what can be mounted now, and tell which: one answer a mount. `staged` are their sources, `owner` is the host id
/// of the container's root.
///
/// Only where nothing but files is planned: any other mount may have to lie below one of them, by its name or through a
/// symlink of the image. A file in a folder that the image does not have is left to libcontainer, which makes it.
pub fn place(root: &Path, mounts: &[MountPlan], staged: &[Option<PathBuf>], owner: u32) -> Result<Vec<bool>> {
    if !mounts.iter().all(|m| matches!(m.kind, MountKind::File { .. })) {
        return Ok(vec![false; mounts.len()]);
    }
    let attempt = || format!("open the root {}", root.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = openat(CWD, root, flags, Mode::empty()).context(attempt)?;
    let mut targets = Vec::new();
    for mount in mounts {
        targets.push(target(&inside, &mount.destination, owner)?);
    }
    let mut placed = Vec::new();
    for ((mount, source), target) in mounts.iter().zip(staged).zip(&targets) {
        placed.push(match (source, target) {
            (Some(source), Some(target)) => attach_file(mount, source, target).map(|()| true)?,
            _ => false,
        });
    }
    Ok(placed)
}

fn attach_file(mount: &MountPlan, source: &Path, target: &OwnedFd) -> Result<()> {
    let attempt = || format!("mount {}", mount.destination);
    let file =
        openat(CWD, source, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).context(attempt)?;
    let tree = clone_tree(&file, false).context(attempt)?;
    let mut set = Attributes::NOSUID | Attributes::NODEV;
    if mount.noexec {
        set |= Attributes::NOEXEC;
    }
    if mount.readonly.value {
        set |= Attributes::RDONLY;
    }
    set_attributes(&tree, set, None, false).context(attempt)?;
    attach_to(&tree, target).context(attempt)
}

/// What to mount on: the file as the image has it, or a new one; `None` where that is not to be had.
fn target(inside: &OwnedFd, destination: &str, owner: u32) -> Result<Option<OwnedFd>> {
    if let Ok(found) = resolve(inside, Path::new(destination), OFlags::PATH) {
        return Ok(Some(found));
    }
    let path = Path::new(destination);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let Ok(folder) = resolve(inside, folder, OFlags::PATH | OFlags::DIRECTORY) else { return Ok(None) };
    let _ids = files_as(owner, owner).context(|| format!("make {destination}"))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o644)).ok())
}

/// Links are followed inside the root only, and none of /proc's.
fn resolve(inside: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(inside, path, flags | OFlags::CLOEXEC, Mode::empty(), how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Sourced;

    fn mount(destination: &str, kind: MountKind) -> MountPlan {
        MountPlan {
            destination: destination.into(),
            kind,
            readonly: Sourced::default(false),
            noexec: false,
            asked: String::new(),
            propagation: Sourced::default("private".into()),
        }
    }

    #[test]
    fn beside_another_mount_nothing_is_placed() {
        let dir = tempfile::tempdir().unwrap();
        let file = || mount("/etc/hosts", MountKind::File { content: String::new(), mode: 0o644 });
        let tmpfs = mount("/etc", MountKind::Tmpfs { size: 0, mode: 0o755, uid: 0, gid: 0 });
        let placed = place(dir.path(), &[file(), tmpfs], &[Some("/x".into()), None], 0).unwrap();
        assert_eq!(placed, [false, false]);
    }

    #[test]
    fn a_file_in_a_folder_that_is_missing_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = mount("/etc/hosts", MountKind::File { content: String::new(), mode: 0o644 });
        assert_eq!(place(dir.path(), &[file], &[Some("/x".into())], 0).unwrap(), [false]);
        assert!(!dir.path().join("etc").exists());
    }
}
