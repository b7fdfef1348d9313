//! Small file-system steps that the store is made of: private folders, atomic writes, removal of trees of any depth.

use crate::error::{Context, Error, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Make a folder and its missing parents, reachable by their owner only. One that is there already is checked.
pub fn private_dir(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .verb_context(|| format!("making the folder {}", path.display()))?;
    check_private(path)
}

/// A folder of the store that somebody else may write in is not ours: he could put another layer in the place of one
/// that was checked, or a symlink to a folder of the host.
///
/// # Errors
/// It belongs to somebody else, or its mode lets group or others write.
pub fn check_private(path: &Path) -> Result<()> {
    let meta = std::fs::metadata(path).verb_context(|| format!("looking at {}", path.display()))?;
    let me = rustix::process::geteuid().as_raw();
    let shown = path.display();
    if meta.uid() != me {
        return Err(Error::verb(format!(
            "{shown} belongs to uid {}, who could change what is run from it",
            meta.uid()
        ))
        .hint(format!("name a folder that is not there yet; or: chown {me} {shown} && chmod 700 {shown}")));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(Error::verb(format!(
            "{shown} has the mode {:04o}: others could change what is run from it",
            meta.mode() & 0o7777
        ))
        .hint(format!("name a folder that is not there yet; or: chmod 700 {shown}")));
    }
    Ok(())
}

/// Replace a file as a whole: a reader, and a crash at any moment, sees the old content or the new one.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<()> {
    let say = || format!("writing {}", path.display());
    let folder = path.parent().expect("a file of the store has a folder");
    let mut tmp = tempfile::Builder::new()
        .prefix(".hardrun-tmp-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .tempfile_in(folder)
        .verb_context(say)?;
    tmp.write_all(content).verb_context(say)?;
    tmp.as_file().sync_all().verb_context(say)?;
    tmp.persist(path).verb_context(say)?;
    sync_dir(folder)
}

/// Whether it failed for want of space on the disk.
pub fn is_disk_full(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = e.source();
    }
    false
}

/// Overwrite a file in place with text that is not longer, padded with spaces to the old length: asks for no block. One
/// write, but not atomic: for a disk that has no room for [`write_atomic`].
///
/// # Errors
/// Also where the text is longer.
pub fn write_in_place(path: &Path, content: &[u8]) -> Result<()> {
    let say = || format!("writing {} on a full disk", path.display());
    let file = File::options().write(true).open(path).verb_context(say)?;
    let length = file.metadata().verb_context(say)?.len();
    if content.len() as u64 > length {
        return Err(Error::verb(say()).because("it would grow"));
    }
    let mut padded = content.to_vec();
    padded.resize(length as usize, b' ');
    file.write_all_at(&padded, 0).verb_context(say)?;
    file.sync_all().verb_context(say)
}

/// Make a rename in `folder` survive a power cut.
pub fn sync_dir(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|d| d.sync_all()).verb_context(|| format!("syncing {}", folder.display()))
}

/// Open a lock file, made if it is missing.
pub fn lock_file(path: &Path) -> Result<File> {
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .verb_context(|| format!("opening the lock {}", path.display()))
}

/// Bytes and inodes that may still be used on the file system of `path`, with a reserve of 64 MiB or 1 % (whichever is
/// smaller) left to the host.
pub fn free_space(path: &Path) -> Result<(u64, u64)> {
    let s = rustix::fs::statvfs(path).verb_context(|| format!("looking at the free space of {}", path.display()))?;
    let total = s.f_blocks.saturating_mul(s.f_frsize);
    let reserve = (total / 100).min(64 << 20);
    let bytes = s.f_bavail.saturating_mul(s.f_frsize).saturating_sub(reserve);
    // File systems without a table of inodes (btrfs) report none at all.
    let inodes = if s.f_files == 0 { u64::MAX } else { s.f_favail };
    Ok((bytes, inodes))
}

/// Remove `name` in `parent`, a folder with everything in it, without ever following a symlink. What somebody else removes
/// meanwhile is gone as well, and no error.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &CStr) -> std::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e.into()),
    }
    let Some(top) = unless_gone(open_dir(parent, name))? else { return Ok(()) };
    empty_dir(top.as_fd())?;
    unless_gone(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))?;
    Ok(())
}

fn unless_gone<T>(came: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match came {
        Err(Errno::NOENT) => Ok(None),
        came => came.map(Some),
    }
}

fn open_dir(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        // Not root, and the folder's mode shuts its own owner out.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(parent, name, flags, Mode::empty())
        }
        other => other,
    }
}

/// Every subfolder is moved up into `top` before it is emptied, so that a tree of any depth (a layer can make one far
/// deeper than there are file descriptors) takes two descriptors.
fn empty_dir(top: BorrowedFd<'_>) -> std::io::Result<()> {
    let mut serial = 0u64;
    loop {
        let mut folders = Vec::new();
        for (name, is_dir) in names(top)? {
            if is_dir {
                folders.push(name);
            } else {
                unless_gone(rustix::fs::unlinkat(top, name.as_c_str(), AtFlags::empty()))?;
            }
        }
        if folders.is_empty() {
            return Ok(());
        }
        for folder in folders {
            let Some(fd) = unless_gone(open_dir(top, &folder))? else { continue };
            for (name, is_dir) in names(fd.as_fd())? {
                if !is_dir {
                    unless_gone(rustix::fs::unlinkat(&fd, name.as_c_str(), AtFlags::empty()))?;
                } else if rustix::fs::unlinkat(&fd, name.as_c_str(), AtFlags::REMOVEDIR).is_err() {
                    unless_gone(move_up(fd.as_fd(), &name, top, &mut serial))?;
                }
            }
            unless_gone(rustix::fs::unlinkat(top, folder.as_c_str(), AtFlags::REMOVEDIR))?;
        }
    }
}

fn move_up(from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, serial: &mut u64) -> rustix::io::Result<()> {
    loop {
        let to = CString::new(format!(".hardrun-rm-{serial}")).expect("no NUL");
        *serial += 1;
        match rustix::fs::renameat_with(from, name, top, &to, rustix::fs::RenameFlags::NOREPLACE) {
            // A folder can only be moved by who may write its `..` entry.
            Err(Errno::ACCESS) => rustix::fs::chmodat(from, name, Mode::RWXU, AtFlags::empty())?,
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// What is in a folder, and which of it are folders. In one that was removed there is nothing.
fn names(dir: BorrowedFd<'_>) -> std::io::Result<Vec<(CString, bool)>> {
    // Each listing starts at the beginning.
    rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0))?;
    let mut space = [MaybeUninit::uninit(); 32 * 1024];
    let mut list = RawDir::new(dir, &mut space);
    let mut out = Vec::new();
    while let Some(entry) = list.next() {
        let Some(entry) = unless_gone(entry)? else { break };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
                let Some(stat) = unless_gone(stat)? else { continue };
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        out.push((name.to_owned(), kind == FileType::Directory));
    }
    Ok(out)
}

/// Remove a folder by path.
pub fn remove_path(path: &Path) -> Result<()> {
    let say = || format!("removing {}", path.display());
    let parent = path.parent().expect("a folder of the store has a parent");
    let name =
        CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.file_name().expect("not a root"))).expect("no NUL");
    let fd = File::open(parent).verb_context(say)?;
    remove_tree(fd.as_fd(), &name).verb_context(say)
}

/// The names in a folder; an absent folder has none.
pub fn list(path: &Path) -> Result<Vec<String>> {
    let fd = match File::open(path) {
        Ok(fd) => fd,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).verb_context(|| format!("listing {}", path.display())),
    };
    let mut out = Vec::new();
    for entry in Dir::new(fd).verb_context(|| format!("listing {}", path.display()))? {
        let entry = entry.verb_context(|| format!("listing {}", path.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn who_removes_a_tree_that_another_removes_too_is_done_as_well() {
        let tmp = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let top = tmp.path().join(format!("{round}"));
            for n in 0..30 {
                std::fs::create_dir_all(top.join(format!("a{n}/b/c"))).unwrap();
                std::fs::write(top.join(format!("a{n}/b/file")), "").unwrap();
            }
            std::thread::scope(|scope| {
                let both = [0; 2].map(|_| scope.spawn(|| remove_path(&top)));
                both.into_iter().for_each(|one| one.join().unwrap().unwrap());
            });
            assert!(!top.exists());
        }
    }

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_is_removed_and_symlinks_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("canary")).unwrap();
        std::fs::write(dir.path().join("canary/file"), "x").unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir(&top).unwrap();
        symlink("../canary", top.join("link")).unwrap();
        let mut fd: OwnedFd = File::open(&top).unwrap().into();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&fd, "d", Mode::RWXU).unwrap();
            rustix::fs::symlinkat("/canary", &fd, "s").unwrap();
            fd = rustix::fs::openat(&fd, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        remove_path(&top).unwrap();
        assert!(!top.exists());
        assert_eq!(std::fs::read(dir.path().join("canary/file")).unwrap(), b"x");
    }

    #[test]
    fn a_file_is_overwritten_in_place_where_it_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("index.json");
        std::fs::write(&file, "long text").unwrap();
        write_in_place(&file, b"short").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"short    ");
        assert!(write_in_place(&file, b"longer than that").is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"short    ");
        let full = std::fs::write("/dev/full", "x").verb_context(|| "writing".into()).unwrap_err();
        assert!(is_disk_full(&full) && !is_disk_full(&Error::verb("x").because("no space left on device")));
    }

    #[test]
    fn a_folder_that_others_may_write_in_is_no_store() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let made = dir.path().join("a/b");
        private_dir(&made).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
        mode(&made, 0o755);
        private_dir(&made).unwrap();
        for open in [0o1777, 0o775] {
            mode(&made, open);
            assert!(private_dir(&made).unwrap_err().message.contains(&format!("{open:04o}")));
        }
        mode(&made, 0o700);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&made, Some(1), None).unwrap();
            let e = private_dir(&made).unwrap_err();
            assert!(e.message.contains("belongs to uid 1") && e.hint.unwrap().contains("chown 0 "));
        }
    }

    #[test]
    fn an_atomic_write_replaces_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("index.json");
        write_atomic(&file, b"one").unwrap();
        write_atomic(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(list(dir.path()).unwrap(), ["index.json"]);
    }
}
