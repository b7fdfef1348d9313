//! Giving what a container wrote to another range of ids: its own is in use by somebody else when it is started again.

use crate::error::{Context, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, openat, statat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Ids that move: `size` of them from `from` on become those from `to` on.
#[derive(Debug, Clone, Copy)]
pub struct Shift {
    pub from: u32,
    pub to: u32,
    pub size: u32,
}

impl Shift {
    fn of(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.from)?;
        (offset < self.size).then(|| self.to + offset)
    }

    /// Everything in a folder, and the folder. A container made it, to any depth: two descriptors are held, and links are not
    /// followed. Nobody else may be in it.
    pub fn apply(self, folder: &Path) -> Result<()> {
        self.walk(folder).context(|| format!("give {} to the container's new range of ids", folder.display()))
    }

    fn walk(self, folder: &Path) -> std::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |at: BorrowedFd<'_>, name: &CStr| openat(at, name, flags, Mode::empty());
        let mut here: OwnedFd = openat(CWD, folder, flags, Mode::empty())?;
        self.one(here.as_fd(), c"")?;
        // Folders that are still to be entered, by level.
        let mut levels = vec![self.all_in(here.as_fd())?];
        while let Some(level) = levels.last_mut() {
            match level.pop() {
                Some(name) => {
                    here = open(here.as_fd(), &name)?;
                    levels.push(self.all_in(here.as_fd())?);
                }
                None => {
                    levels.pop();
                    if !levels.is_empty() {
                        here = open(here.as_fd(), c"..")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything in one folder; returns the folders in it.
    fn all_in(self, folder: BorrowedFd<'_>) -> std::io::Result<Vec<CString>> {
        let mut folders = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if self.one(folder, name)? == FileType::Directory {
                folders.push(name.to_owned());
            }
        }
        Ok(folders)
    }

    fn one(self, folder: BorrowedFd<'_>, name: &CStr) -> std::io::Result<FileType> {
        let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = statat(folder, name, flags)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let (uid, gid) = (self.of(stat.st_uid), self.of(stat.st_gid));
        if uid.is_some() || gid.is_some() {
            chownat(folder, name, uid.map(Uid::from_raw), gid.map(Gid::from_raw), flags)?;
            // The kernel takes set-id modes away with the owner.
            if stat.st_mode & 0o6000 != 0 && kind == FileType::RegularFile {
                chmodat(folder, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
            }
        }
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

    #[test]
    fn only_ids_of_the_range_move_and_modes_stay() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("upper");
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(top.join("a/b/program"), "").unwrap();
        std::fs::write(top.join("other"), "").unwrap();
        symlink("/etc/passwd", top.join("link")).unwrap();
        for path in ["", "a", "a/b", "a/b/program"] {
            chown(top.join(path), Some(1000), Some(1007)).unwrap();
        }
        lchown(top.join("link"), Some(1001), Some(1)).unwrap();
        std::fs::set_permissions(top.join("a/b/program"), PermissionsExt::from_mode(0o4755)).unwrap();
        let before = std::fs::metadata("/etc/passwd").unwrap().uid();
        Shift { from: 1000, to: 5000, size: 100 }.apply(&top).unwrap();
        let ids = |path: &str| std::fs::symlink_metadata(top.join(path)).map(|m| (m.uid(), m.gid())).unwrap();
        assert_eq!(
            (ids(""), ids("a/b/program"), ids("link"), ids("other")),
            ((5000, 5007), (5000, 5007), (5001, 1), (0, 0))
        );
        assert_eq!(std::fs::metadata(top.join("a/b/program")).unwrap().mode() & 0o7777, 0o4755);
        assert_eq!(std::fs::metadata("/etc/passwd").unwrap().uid(), before);
    }
}
