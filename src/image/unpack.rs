//! Unpack one layer into an empty folder, in the form overlayfs wants: a deleted file is a character device 0:0, a
//! replaced folder has the attribute `trusted.overlay.opaque`. The layer was written by a stranger.
//!
//! What is left out: device nodes (a container gets a /dev of its own, and a root made by mmdebstrap or debootstrap is
//! full of them) and extended attributes other than file capabilities and `user.*`. File capabilities and setuid bits are
//! kept, for the root is mounted nosuid and the folder above the layer is 0700: they are data.

use super::fsutil;
use super::tarball::{Entry, Kind, Tarball, display};
use super::tree::{self, EntryPath, Tree};
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Entries of one layer. The largest images in use have a few hundred thousand.
const ENTRIES_MAX: u64 = 4_000_000;
const WHITEOUT: &[u8] = b".wh.";

/// What a layer may use: it cannot fill the disk of the host.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and of the files in it with their holes filled.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

impl Limits {
    /// What is free on the file system of `path`.
    pub fn of_disk(path: &Path) -> Result<Limits> {
        let (bytes, inodes) = fsutil::free_space(path)?;
        Ok(Limits { bytes, entries: inodes.min(ENTRIES_MAX) })
    }
}

/// What was unpacked, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub entries: u64,
    /// Bytes of all regular files: docker's size of a layer.
    pub size: u64,
    /// The layer's root hides everything below it.
    pub opaque_root: bool,
    pub devices_left_out: u64,
    pub xattrs_left_out: u64,
}

/// Unpack the archive into the empty folder `into`. After an error the folder is in an undefined state, and the caller
/// removes it.
///
/// # Errors
/// Name the entry.
pub fn unpack<R: Read>(archive: R, into: &Path, limits: Limits) -> Result<Report> {
    let tree = Tree::open(into).map_err(|e| Error::verb(format!("opening {}", into.display())).because(e))?;
    let mut unpacker = Unpacker { tree, limits, report: Report::default(), folders: Vec::new() };
    let mut tarball = Tarball::new(Limited { inner: archive, left: limits.bytes });
    while let Some(entry) = tarball.next_entry()? {
        unpacker.entry(&entry, &mut tarball).map_err(|why| match why {
            Why::Hostile(text) => Error::verb(format!("entry {} {text}", entry.display())),
            Why::Io(e) => Error::verb(format!("unpacking entry {}", entry.display())).because(e),
        })?;
    }
    // What stands behind the end of the archive is part of the layer's digest.
    io::copy(&mut tarball.into_inner(), &mut io::sink()).map_err(|e| Error::verb("reading the layer").because(e))?;
    unpacker.finish()
}

/// Why an entry was not unpacked: what is wrong with it, or what the system said.
enum Why {
    Hostile(String),
    Io(io::Error),
}

impl From<io::Error> for Why {
    fn from(e: io::Error) -> Why {
        Why::Io(e)
    }
}

impl From<rustix::io::Errno> for Why {
    fn from(e: rustix::io::Errno) -> Why {
        Why::Io(e.into())
    }
}

fn hostile<T>(text: impl Into<String>) -> std::result::Result<T, Why> {
    Err(Why::Hostile(text.into()))
}

type Step<T = ()> = std::result::Result<T, Why>;

struct Unpacker {
    tree: Tree,
    limits: Limits,
    report: Report,
    /// Times of folders: set last, for every entry put into a folder changes them.
    folders: Vec<(EntryPath, (i64, u32))>,
}

impl Unpacker {
    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Step {
        self.count()?;
        let path = EntryPath::parse(&entry.name).map_err(|text| Why::Hostile(text.into()))?;
        let Some((parent, base)) = path.split() else {
            return self.root(entry, path);
        };
        if let Some(inner) = parent.iter().find(|p| p.to_bytes().starts_with(WHITEOUT)) {
            return hostile(format!("is inside {}, and a whiteout holds nothing", display(inner.to_bytes())));
        }
        if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            self.report.devices_left_out += 1;
            return Ok(());
        }
        let limits = self.limits;
        let report = &mut self.report;
        let dir = self.tree.dir_or_make(parent, &mut || count(report, limits))?;
        if let Some(hidden) = base.to_bytes().strip_prefix(WHITEOUT) {
            return self.whiteout(dir.as_fd(), parent, hidden);
        }
        let opaque = self.make_way(dir.as_fd(), base, entry.kind)?;
        match entry.kind {
            Kind::File => self.file(dir.as_fd(), base, entry, data)?,
            Kind::Directory => {
                self.folder(dir.as_fd(), base, entry, opaque)?;
                self.folders.push((path.clone(), entry.mtime));
            }
            Kind::Symlink => self.symlink(dir.as_fd(), base, entry)?,
            Kind::HardLink => self.hard_link(dir.as_fd(), base, entry)?,
            Kind::Fifo => {
                rustix::fs::mknodat(&dir, base, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
                let fifo =
                    rustix::fs::openat(&dir, base, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
                self.own(fifo.as_fd(), entry)?;
                rustix::fs::chmodat(&dir, base, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
                set_time(dir.as_fd(), base, entry.mtime)?;
            }
            Kind::CharDevice | Kind::BlockDevice => {}
        }
        Ok(())
    }

    fn count(&mut self) -> Step {
        Ok(count(&mut self.report, self.limits)?)
    }

    /// The entry `./`: the root folder itself.
    fn root(&mut self, entry: &Entry, path: EntryPath) -> Step {
        if entry.kind != Kind::Directory {
            return hostile("is the root of the image and not a folder");
        }
        let root = reopen(self.tree.root())?;
        self.describe(root.as_fd(), entry)?;
        self.folders.push((path, entry.mtime));
        Ok(())
    }

    /// `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` hides everything in its folder. Neither touches what this
    /// layer itself brings, in whatever order the entries come.
    fn whiteout(&mut self, dir: BorrowedFd<'_>, parent: &[CString], hidden: &[u8]) -> Step {
        if hidden == b".wh..opq" {
            if rustix::fs::fstat(dir)?.st_ino == rustix::fs::fstat(self.tree.root())?.st_ino && parent.is_empty() {
                // overlayfs does not look for the attribute on the root of a layer.
                self.report.opaque_root = true;
            }
            return Ok(set_opaque(dir)?);
        }
        if hidden.starts_with(WHITEOUT) {
            // Book-keeping of aufs (.wh..wh.plnk, .wh..wh.aufs), from engines of long ago.
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return hostile("is a whiteout of no file");
        }
        let name = CString::new(hidden).expect("an entry's name has no NUL");
        match tree::lstat(dir, &name)? {
            None => {
                // Anyone may make a character device 0:0 (Linux 5.8); it is no device but overlayfs's mark.
                rustix::fs::mknodat(dir, name.as_c_str(), FileType::CharacterDevice, Mode::empty(), 0)?;
            }
            // The layer brings a folder of that name: it replaces the one below.
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                set_opaque(tree_dir(dir, &name)?.as_fd())?;
            }
            // Any other file of that name hides what is below by being there.
            Some(_) => {}
        }
        Ok(())
    }

    /// The last entry of a name counts: remove what an earlier one left there. A folder over a folder stays, with its
    /// content. True where there was a whiteout, so that a folder now made there hides the one below.
    fn make_way(&self, dir: BorrowedFd<'_>, base: &CStr, kind: Kind) -> Step<bool> {
        let Some(stat) = tree::lstat(dir, base)? else {
            return Ok(false);
        };
        let there = FileType::from_raw_mode(stat.st_mode);
        if there == FileType::Directory && kind == Kind::Directory {
            return Ok(false);
        }
        tree::remove(dir, base)?;
        Ok(there == FileType::CharacterDevice)
    }

    fn file(&mut self, dir: BorrowedFd<'_>, base: &CStr, entry: &Entry, data: &mut impl Read) -> Step {
        let left = self.limits.bytes - self.report.size;
        if entry.size > left {
            return hostile(format!("is {} bytes long, and {left} are left on the disk for this layer", entry.size));
        }
        self.report.size += entry.size;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(dir, base, flags, Mode::from_raw_mode(0o600))?);
        match &entry.extents {
            None => copy_exact(data, &mut file, entry.size)?,
            Some(extents) => {
                for (offset, length) in extents {
                    file.seek(SeekFrom::Start(*offset))?;
                    copy_exact(data, &mut file, *length)?;
                }
            }
        }
        file.set_len(entry.size)?;
        self.describe(file.as_fd(), entry)?;
        Ok(rustix::fs::futimens(&file, &stamps(entry.mtime))?)
    }

    fn folder(&mut self, dir: BorrowedFd<'_>, base: &CStr, entry: &Entry, opaque: bool) -> Step {
        match rustix::fs::mkdirat(dir, base, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let fd = reopen(tree_dir(dir, base)?.as_fd())?;
        if opaque {
            set_opaque(fd.as_fd())?;
        }
        self.describe(fd.as_fd(), entry)
    }

    fn symlink(&mut self, dir: BorrowedFd<'_>, base: &CStr, entry: &Entry) -> Step {
        // Where it points is the container's affair: it is resolved inside only.
        let Ok(target) = CString::new(entry.link.as_slice()) else {
            return hostile("is a symlink with a NUL character in its target");
        };
        if target.is_empty() {
            return hostile("is a symlink to nothing");
        }
        rustix::fs::symlinkat(&target, dir, base)?;
        let link = rustix::fs::openat(dir, base, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        self.own(link.as_fd(), entry)?;
        Ok(set_time(dir, base, entry.mtime)?)
    }

    fn hard_link(&mut self, dir: BorrowedFd<'_>, base: &CStr, entry: &Entry) -> Step {
        let target = match EntryPath::parse(&entry.link) {
            Ok(target) => target,
            Err(text) => return hostile(format!("is a hard link to {}, which {text}", display(&entry.link))),
        };
        let missing = |e: &io::Error| matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
        let not_there = || hostile(format!("is a hard link to {}, which is not in this layer", display(&entry.link)));
        let Some((parent, name)) = target.split() else {
            return hostile("is a hard link to the root of the image");
        };
        let from = match self.tree.dir(parent).map_err(io::Error::from) {
            Ok(from) => from,
            Err(e) if missing(&e) => return not_there(),
            Err(e) => return Err(e.into()),
        };
        match tree::lstat(from.as_fd(), name)?.map(|s| FileType::from_raw_mode(s.st_mode)) {
            None => not_there(),
            // A link to a symlink is a second name of the symlink: linkat does not follow.
            Some(FileType::RegularFile | FileType::Symlink | FileType::Fifo) => {
                Ok(rustix::fs::linkat(&from, name, dir, base, AtFlags::empty())?)
            }
            Some(_) => hostile(format!("is a hard link to {}, which is not a file", display(&entry.link))),
        }
    }

    /// Owner, attributes and mode of an open file or folder. The mode comes last: chown takes setuid bits away.
    fn describe(&mut self, fd: BorrowedFd<'_>, entry: &Entry) -> Step {
        self.own(fd, entry)?;
        for (name, value) in &entry.xattrs {
            if !xattr_kept(name) {
                self.report.xattrs_left_out += 1;
                continue;
            }
            let Ok(name) = CString::new(name.as_slice()) else {
                return hostile("has an extended attribute with a NUL character in its name");
            };
            match rustix::fs::fsetxattr(fd, &name, value, XattrFlags::empty()) {
                Ok(()) => {}
                // The file system has none, or it is malformed: data that nothing depends on.
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL) => self.report.xattrs_left_out += 1,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))?)
    }

    fn own(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Step {
        let id = |value: u64, what: &str| match u32::try_from(value) {
            Ok(id) if id != u32::MAX => Ok(id),
            _ => hostile(format!("has {what} {value}; ids end at 4294967294")),
        };
        let (uid, gid) = (id(entry.uid, "uid")?, id(entry.gid, "gid")?);
        let (uid, gid) = crate::rootless::owner_on_disk(uid, gid);
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(fd, c"", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)?)
    }

    fn finish(self) -> Result<Report> {
        for (path, mtime) in &self.folders {
            // A later entry may have put something else in its place.
            let Ok(dir) = self.tree.dir_nofollow(path.components()) else { continue };
            set_time(dir.as_fd(), c".", *mtime)
                .map_err(|e| Error::verb(format!("setting the time of folder {:?}", path.components())).because(e))?;
        }
        Ok(self.report)
    }
}

fn count(report: &mut Report, limits: Limits) -> io::Result<()> {
    report.entries += 1;
    if report.entries > limits.entries {
        return Err(io::Error::other(format!("the layer has more than {} entries", limits.entries)));
    }
    Ok(())
}

/// `trusted.*` and `security.*` steer the kernel (overlayfs redirects, labels, IMA): a stranger has no say in them.
fn xattr_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

fn set_opaque(dir: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(reopen(dir)?, crate::storage::opaque(), b"y", XattrFlags::empty())?)
}

/// A folder by name, itself and not what it points to.
fn tree_dir(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// The same folder through a descriptor that can be read and described.
fn reopen(dir: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn stamps((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn set_time(dir: BorrowedFd<'_>, name: &CStr, mtime: (i64, u32)) -> io::Result<()> {
    Ok(rustix::fs::utimensat(dir, name, &stamps(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Copy `length` bytes; runs of zeroes become holes, for sparse logs of hundreds of gigabytes (lastlog) arrive as such.
fn copy_exact(from: &mut impl Read, to: &mut File, length: u64) -> io::Result<()> {
    const ZEROES: [u8; 4096] = [0; 4096];
    let mut buf = [0u8; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let want = left.min(buf.len() as u64) as usize;
        from.read_exact(&mut buf[..want])?;
        if buf[..want].chunks(ZEROES.len()).all(|c| *c == ZEROES[..c.len()]) {
            to.seek(SeekFrom::Current(want as i64))?;
        } else {
            to.write_all(&buf[..want])?;
        }
        left -= want as u64;
    }
    Ok(())
}

/// Ends with an error instead of filling the disk.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::StorageFull, "the uncompressed layer is larger than what is free on the disk")
        })?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
