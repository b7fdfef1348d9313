//! The stage: a private mount namespace with a small tmpfs in it, where a container's mounts are put together.

use crate::error::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Everything below belongs to this process's mount namespace and goes away with it.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// Enter a mount namespace of our own, cut off from the host's propagation, and mount the stage in it.
    ///
    /// `run` is a folder that every user may traverse: the container's root, which is nobody special on the host, resolves
    /// its root file system through it.
    pub fn enter(run: &Path) -> Result<Stage> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
            .context(|| "enter a mount namespace of our own".into())?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .context(|| "make every mount private".into())?;
        let folder = run.join("stage");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&folder)
            .context(|| format!("make {}", folder.display()))?;
        open_for_traversal(run)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("hardrun", &folder, "tmpfs", flags, c"mode=0711,size=64m,nr_inodes=4096")
            .context(|| format!("mount the stage on {}", folder.display()))?;
        Ok(Stage { folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Make a folder on the stage that the container's root may traverse.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::DirBuilder::new().mode(0o711).create(&path).context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Make an empty file to mount something on.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, b"").context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Write a small file that belongs to the container.
    pub fn owned_file(&self, name: &str, content: &[u8], mode: u32, owner: u32) -> Result<PathBuf> {
        let path = self.path(name);
        let attempt = || format!("write {}", path.display());
        std::fs::write(&path, content).context(attempt)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).context(attempt)?;
        chown(&path, Some(owner), Some(owner)).context(attempt)?;
        Ok(path)
    }

    /// Take the stage and everything mounted below it away, so that what lies under the overlay can be removed.
    pub fn leave(&self) -> Result<()> {
        rustix::mount::unmount(&self.folder, rustix::mount::UnmountFlags::DETACH)
            .context(|| format!("unmount the stage {}", self.folder.display()))
    }
}

/// Whoever was first after the boot to need a folder below `run` made it, and closed it to others with its own folder (0700): what is
/// secret below it is closed by itself.
fn open_for_traversal(run: &Path) -> Result<()> {
    let attempt = || format!("let containers through {}", run.display());
    let mode = std::fs::metadata(run).context(attempt)?.permissions().mode();
    if mode & 0o111 == 0o111 {
        return Ok(());
    }
    std::fs::set_permissions(run, std::fs::Permissions::from_mode(mode & 0o777 | 0o111)).context(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_closed_is_opened_for_traversal_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = || std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777;
        for (before, after) in [(0o700, 0o711), (0o711, 0o711), (0o755, 0o755)] {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(before)).unwrap();
            open_for_traversal(dir.path()).unwrap();
            assert_eq!(mode(), after);
        }
    }
}
