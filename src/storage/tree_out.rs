//! A tree of files as a tar stream. Every folder is opened from the top, no link in it is followed, and only regular files
//! are opened for reading: who else changes the tree meanwhile gets nothing but an odd archive.

use crate::error::{Context, Error, Result};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags, openat, openat2,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// What goes into the archive, and how.
pub struct TreeOut<'a, W: Write> {
    pub tar: Builder<W>,
    /// The folder that paths begin in.
    pub root: &'a OwnedFd,
    /// What is mounted below the root is left out but for its mount points.
    pub one_mount: bool,
    /// What an id on disk is in the archive.
    pub id: &'a dyn Fn(u32) -> u32,
    /// How overlayfs marks what is deleted becomes how layers mark it.
    pub layer: bool,
    /// Paths (from the root) that are left out if they are an empty file, or a folder with nothing else in it.
    pub mount_points: &'a [PathBuf],
    links: HashMap<(u64, u64), PathBuf>,
    /// Sockets and device nodes, which no archive holds.
    pub left_out: u64,
}

fn say(path: &Path) -> String {
    format!("read {}", path.display())
}

impl<'a, W: Write> TreeOut<'a, W> {
    pub fn new(root: &'a OwnedFd, out: W) -> TreeOut<'a, W> {
        TreeOut {
            tar: Builder::new(out),
            root,
            one_mount: false,
            id: &|id| id,
            layer: false,
            mount_points: &[],
            links: HashMap::new(),
            left_out: 0,
        }
    }

    /// Add what is at `path` (from the root; empty: the root itself), under `name`; an empty one is `./`.
    pub fn add(&mut self, path: &Path, name: &Path) -> Result<()> {
        let (dir, base) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(base)) => (self.folder(parent)?, CString::new(base.as_bytes()).context(|| say(path))?),
            _ => (self.folder(Path::new(""))?, c".".to_owned()),
        };
        self.entry(dir.as_fd(), &base, path, name, true)?;
        Ok(())
    }

    /// End the archive.
    pub fn finish(self) -> Result<W> {
        let mut out = self.tar.into_inner().verb_context(|| "write the archive".into())?;
        out.flush().verb_context(|| "write the archive".into())?;
        Ok(out)
    }

    fn folder(&self, path: &Path) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.verb_context(|| say(path)),
            }
        }
    }

    /// Says whether anything was written.
    fn entry(&mut self, dir: BorrowedFd<'_>, base: &CStr, path: &Path, name: &Path, top: bool) -> Result<bool> {
        let stat = match rustix::fs::statat(dir, base, AtFlags::SYMLINK_NOFOLLOW) {
            // Removed meanwhile.
            Err(Errno::NOENT) if !top => return Ok(false),
            other => other.verb_context(|| say(path))?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut header = self.header(&stat);
        match kind {
            FileType::Directory => return self.directory(dir, base, &stat, path, name, top),
            FileType::RegularFile => {
                if stat.st_size == 0 && self.mount_points.iter().any(|m| m == path) {
                    return Ok(false);
                }
                if stat.st_nlink > 1 {
                    if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)).cloned() {
                        header.set_entry_type(EntryType::Link);
                        header.set_size(0);
                        self.tar.append_link(&mut header, name, first).verb_context(|| say(path))?;
                        return Ok(true);
                    }
                    self.links.insert((stat.st_dev, stat.st_ino), name.to_owned());
                }
                self.file(dir, base, header, path, name)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, base, Vec::new()).verb_context(|| say(path))?;
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
                self.tar.append_link(&mut header, name, target).verb_context(|| say(path))?;
            }
            FileType::Fifo => {
                header.set_entry_type(EntryType::Fifo);
                header.set_size(0);
                self.tar.append_data(&mut header, name, std::io::empty()).verb_context(|| say(path))?;
            }
            FileType::CharacterDevice if self.layer && stat.st_rdev == 0 => self.whiteout(name)?,
            _ => {
                self.left_out += 1;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn directory(
        &mut self,
        dir: BorrowedFd<'_>,
        base: &CStr,
        stat: &Stat,
        path: &Path,
        name: &Path,
        top: bool,
    ) -> Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(dir, base, flags, Mode::empty()).verb_context(|| say(path))?;
        let other_mount = self.one_mount && !top && is_mount_root(&fd);
        let mut names: Vec<CString> = Vec::new();
        if !other_mount {
            for entry in Dir::read_from(&fd).verb_context(|| say(path))? {
                let entry = entry.verb_context(|| say(path))?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    names.push(entry.file_name().to_owned());
                }
            }
            names.sort();
        }
        if names.is_empty() && self.mount_points.iter().any(|m| m == path) {
            return Ok(false);
        }
        let mut header = self.header(stat);
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        self.attributes(&fd, path)?;
        let shown = if name.as_os_str().is_empty() { PathBuf::from("./") } else { name.join("") };
        self.tar.append_data(&mut header, &shown, std::io::empty()).verb_context(|| say(path))?;
        if self.layer && has_attribute(&fd, crate::storage::opaque()) {
            self.whiteout(&name.join(".wh..opq"))?;
        }
        if self.layer && has_attribute(&fd, crate::storage::redirect()) {
            return Err(Error::verb(format!("{} was renamed by overlayfs, which no layer can say", path.display()))
                .hint("copy it inside the container and remove the first one, then commit again"));
        }
        // Closed before what is in it: a deep tree must not run out of descriptors.
        drop(fd);
        for child in names {
            let os = std::ffi::OsStr::from_bytes(child.to_bytes());
            let dir = self.folder(path)?;
            self.entry(dir.as_fd(), &child, &path.join(os), &name.join(os), false)?;
        }
        Ok(true)
    }

    fn file(&mut self, dir: BorrowedFd<'_>, base: &CStr, mut header: Header, path: &Path, name: &Path) -> Result<()> {
        // What became a pipe since it was looked at must not make us wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(dir, base, flags, Mode::empty()).verb_context(|| say(path))?);
        let meta = file.metadata().verb_context(|| say(path))?;
        if !meta.is_file() {
            self.left_out += 1;
            return Ok(());
        }
        header.set_size(meta.len());
        self.attributes(file.as_fd(), path)?;
        let mut exact = Exact { from: file, left: meta.len() };
        self.tar.append_data(&mut header, name, &mut exact).verb_context(|| say(path))
    }

    fn header(&self, stat: &Stat) -> Header {
        let mut header = Header::new_gnu();
        header.set_mode(stat.st_mode & 0o7777);
        header.set_uid((self.id)(stat.st_uid).into());
        header.set_gid((self.id)(stat.st_gid).into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        header
    }

    /// `.wh.NAME` beside it.
    fn whiteout(&mut self, name: &Path) -> Result<()> {
        let mut hidden = std::ffi::OsString::from(".wh.");
        hidden.push(name.file_name().unwrap_or_default());
        let name = name.with_file_name(hidden);
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(0);
        self.tar.append_data(&mut header, &name, std::io::empty()).verb_context(|| say(&name))
    }

    /// File capabilities and `user.*`, the ones that are unpacked from layers too.
    fn attributes(&mut self, file: impl AsFd, path: &Path) -> Result<()> {
        let mut list = vec![0u8; 64 << 10];
        let length = match rustix::fs::flistxattr(file.as_fd(), &mut list[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(e) => return Err(e).verb_context(|| say(path)),
        };
        let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
        for name in list[..length].split(|b| *b == 0) {
            let capability = name == b"security.capability";
            if !capability && (!name.starts_with(b"user.") || name.starts_with(b"user.overlay.")) {
                continue;
            }
            let (Ok(text), Ok(c)) = (std::str::from_utf8(name), CString::new(name)) else { continue };
            let mut value = vec![0u8; 64 << 10];
            if let Ok(n) = rustix::fs::fgetxattr(file.as_fd(), &c, &mut value[..]) {
                value.truncate(n);
                let value = if capability { plain_capability(&value) } else { value };
                kept.push((format!("SCHILY.xattr.{text}"), value));
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let pairs = kept.iter().map(|(k, v)| (k.as_str(), v.as_slice()));
        self.tar.append_pax_extensions(pairs).verb_context(|| say(path))
    }
}

/// A file capability set inside a user namespace names the host's id of that namespace's root (revision 3); in an archive
/// it is root's (revision 2).
fn plain_capability(value: &[u8]) -> Vec<u8> {
    const REVISION_2: u8 = 2;
    const REVISION_3: u8 = 3;
    match value {
        [a, b, c, REVISION_3, rest @ ..] if rest.len() == 20 => [&[*a, *b, *c, REVISION_2][..], &rest[..16]].concat(),
        other => other.to_vec(),
    }
}

fn is_mount_root(fd: &OwnedFd) -> bool {
    // Linux 5.8 says so.
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
        .is_ok_and(|s| s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

pub(super) fn has_attribute(fd: impl AsFd, name: &CStr) -> bool {
    let mut value = [0u8; 256];
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    rustix::fs::getxattr(path, name, &mut value[..]).is_ok_and(|n| n > 0)
}

/// As many bytes as the header says, whatever becomes of the file meanwhile.
struct Exact {
    from: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let want = self.left.min(buf.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        let mut n = self.from.read(&mut buf[..want])?;
        if n == 0 {
            // It became shorter.
            buf[..want].fill(0);
            n = want;
        }
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap();
        entries.map(|e| String::from_utf8_lossy(&e.unwrap().path_bytes()).into_owned()).collect()
    }

    #[test]
    fn a_tree_becomes_an_archive_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("top/d/sub")).unwrap();
        std::fs::write(dir.path().join("top/d/f"), "x").unwrap();
        std::fs::hard_link(dir.path().join("top/d/f"), dir.path().join("top/d/g")).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        symlink("../../secret", dir.path().join("top/d/link")).unwrap();
        std::fs::write(dir.path().join("top/d").join("n".repeat(200)), "long").unwrap();
        let root: OwnedFd = File::open(dir.path().join("top")).unwrap().into();
        let mut out = TreeOut::new(&root, Vec::new());
        out.add(Path::new("d"), Path::new("renamed")).unwrap();
        let bytes = out.finish().unwrap();
        let long = format!("renamed/{}", "n".repeat(200));
        assert_eq!(names(&bytes), ["renamed/", "renamed/f", "renamed/g", "renamed/link", &long, "renamed/sub/"]);
        let mut out = TreeOut::new(&root, Vec::new());
        out.add(Path::new("d/sub"), Path::new("")).unwrap();
        assert_eq!(names(&out.finish().unwrap()), ["./"]);
        assert!(TreeOut::new(&root, Vec::new()).add(Path::new("d/link/x"), Path::new("x")).is_err());
    }

    #[test]
    fn capabilities_of_a_namespace_become_roots() {
        let three = [&[1u8, 0, 0, 3][..], &[7; 16], &[0, 0, 0, 0x70]].concat();
        assert_eq!(plain_capability(&three), [&[1u8, 0, 0, 2][..], &[7; 16]].concat());
        assert_eq!(plain_capability(b"other"), b"other");
    }
}
