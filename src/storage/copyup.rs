//! Filling an empty volume with what the image has at its destination, as docker does for named and anonymous volumes.

use crate::error::{Context, Error, Result};
use pathrs::Root;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, SeekFrom, Uid, openat, renameat_with};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Copy the tree at `destination` inside `rootfs` into `volume` if that is empty. Ids on the mounted root are host ids of
/// the container's range; `base` is taken off them.
pub fn copy_up(rootfs: &Path, destination: &str, volume: &Path, base: u32) -> Result<()> {
    let attempt = || format!("fill the volume for {destination} from the image");
    let state = lock(volume).context(attempt)?;
    let interrupted = state.metadata().context(attempt)?.len() > 0;
    if !interrupted && std::fs::read_dir(volume).context(attempt)?.next().is_some() {
        return Ok(());
    }
    let root = Root::open(rootfs).context(attempt)?;
    let Ok(found) = root.resolve(destination) else { return Ok(()) };
    let source: OwnedFd = found.into();
    let stat = rustix::fs::fstat(&source).context(attempt)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(());
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(rustix::fs::CWD, volume, flags, Mode::empty()).context(attempt)?;
    let source = openat(&source, ".", flags, Mode::empty()).context(attempt)?;
    state.write_all_at(b"filling\n", 0).context(attempt)?;
    copy_folder(&source, &target, base).map_err(|e| Error::runner(attempt()).because(e))?;
    copy_attributes(&source, &target, base).map_err(|e| Error::runner(attempt()).because(e))?;
    state.set_len(0).context(attempt)
}

/// Held while a volume is filled, so that a second container does not start with half of it. The file beside the volume
/// is not empty until it is whole: a fill that was cut by a kill or a full disk is taken up by the next container.
fn lock(volume: &Path) -> std::io::Result<File> {
    let mut name = volume.as_os_str().to_owned();
    name.push(".fill");
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(name)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(file)
}

/// A file has this name until it is whole.
const UNFINISHED: &std::ffi::CStr = c".hardrun-fill";

/// What is there already stays: an earlier fill brought it, or a container that ran since.
fn keep(made: rustix::io::Result<()>) -> std::io::Result<bool> {
    match made {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn copy_folder(source: &OwnedFd, target: &OwnedFd, base: u32) -> std::io::Result<()> {
    for entry in Dir::read_from(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let (uid, gid) = (inside(stat.st_uid, base), inside(stat.st_gid, base));
        let chown_link = || {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(target, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        };
        let nofollow = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                keep(rustix::fs::mkdirat(target, name, Mode::RWXU))?;
                let from = openat(source, name, OFlags::DIRECTORY | nofollow, Mode::empty())?;
                let to = openat(target, name, OFlags::DIRECTORY | nofollow, Mode::empty())?;
                copy_folder(&from, &to, base)?;
                copy_attributes(&from, &to, base)?;
            }
            FileType::RegularFile => {
                let mut from = std::fs::File::from(openat(source, name, OFlags::RDONLY | nofollow, Mode::empty())?);
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | nofollow;
                match rustix::fs::unlinkat(target, UNFINISHED, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(e) => return Err(e.into()),
                }
                let mut to = std::fs::File::from(openat(target, UNFINISHED, flags, Mode::RUSR | Mode::WUSR)?);
                copy_data(&mut from, &mut to)?;
                copy_attributes(from.as_fd(), to.as_fd(), base)?;
                if !keep(renameat_with(target, UNFINISHED, target, name, RenameFlags::NOREPLACE))? {
                    rustix::fs::unlinkat(target, UNFINISHED, AtFlags::empty())?;
                }
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(source, name, Vec::new())?;
                if !keep(rustix::fs::symlinkat(&*link, target, name))? {
                    continue;
                }
                chown_link()?;
            }
            FileType::Fifo => {
                if !keep(rustix::fs::mknodat(target, name, FileType::Fifo, mode, 0))? {
                    continue;
                }
                chown_link()?;
            }
            // Sockets mean nothing without their listener, and a container's root has no device nodes.
            _ => {}
        }
    }
    Ok(())
}

/// Holes stay holes: a sparse file of an image (lastlog) would fill the disk.
fn copy_data(from: &mut File, to: &mut File) -> std::io::Result<()> {
    let size = from.metadata()?.len();
    let mut at = 0;
    while at < size {
        let (start, end) = match rustix::fs::seek(&*from, SeekFrom::Data(at)) {
            Ok(start) => (start, rustix::fs::seek(&*from, SeekFrom::Hole(start))?),
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            // The file system knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => (at, size),
            Err(e) => return Err(e.into()),
        };
        rustix::fs::seek(&*from, SeekFrom::Start(start))?;
        rustix::fs::seek(&*to, SeekFrom::Start(start))?;
        std::io::copy(&mut Read::by_ref(from).take(end - start), to)?;
        at = end;
    }
    to.set_len(size)
}

fn copy_attributes(from: impl AsFd, to: impl AsFd, base: u32) -> std::io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    let (uid, gid) = (inside(stat.st_uid, base), inside(stat.st_gid, base));
    rustix::fs::fchown(to.as_fd(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    rustix::fs::fchmod(to.as_fd(), Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let times = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: rustix::fs::Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    };
    rustix::fs::futimens(to, &times)?;
    Ok(())
}

/// An id of the container's range as the container sees it; one outside the range is nobody's and becomes root's.
fn inside(id: u32, base: u32) -> u32 {
    id.checked_sub(base).filter(|id| *id < super::idrange::SIZE).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_fill_that_was_cut_is_taken_up_and_spares_what_is_there() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: owners are set by root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (root, volume) = (dir.path().join("root"), dir.path().join("_data"));
        std::fs::create_dir_all(root.join("d/sub")).unwrap();
        std::fs::create_dir(&volume).unwrap();
        for name in ["a", "b", "sub/c"] {
            std::fs::write(root.join("d").join(name), "image").unwrap();
        }
        std::fs::write(volume.join("b"), "container").unwrap();
        let fill = || copy_up(&root, "/d", &volume, 0).unwrap();
        fill();
        assert!(!volume.join("a").exists(), "a volume with something in it is left alone");
        std::fs::write(volume.join(".hardrun-fill"), "half").unwrap();
        std::fs::write(dir.path().join("_data.fill"), "filling\n").unwrap();
        fill();
        let read = |name: &str| std::fs::read_to_string(volume.join(name)).unwrap();
        assert_eq!([read("a"), read("b"), read("sub/c")], ["image", "container", "image"]);
        assert!(!volume.join(".hardrun-fill").exists());
        std::fs::remove_file(volume.join("a")).unwrap();
        fill();
        assert!(!volume.join("a").exists(), "done once");
    }

    #[test]
    fn holes_are_copied_as_holes() {
        let (mut from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"middle", 20 << 20).unwrap();
        copy_data(&mut from, &mut to).unwrap();
        let mut middle = [0; 6];
        to.read_exact_at(&mut middle, 20 << 20).unwrap();
        let meta = to.metadata().unwrap();
        assert_eq!((&middle, meta.len()), (b"middle", 64 << 20));
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    }
}
