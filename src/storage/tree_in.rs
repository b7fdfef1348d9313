//! A tar stream as files below a folder, where other things may be already. The archive was made by somebody else (a
//! container, or whoever wrote the caller's stdin), and the folder may be changed by somebody else meanwhile: each parent
//! is opened from the top for each entry, and the last component is never followed.

use crate::error::{Context, Error, Result};
use crate::image::tarball::{Entry, Kind, Tarball};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, openat, openat2,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whose the files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the archive says.
    Archive,
    Fixed(u32, u32),
    /// Of whoever makes them.
    Maker,
}

/// Where to, and with what rights.
pub struct TreeIn<'a> {
    pub root: &'a OwnedFd,
    /// The folder that names in the archive begin in, from `root`.
    pub into: &'a Path,
    /// Where symlinks in the way lead: nowhere (on the host), or somewhere inside the root (in a container).
    pub follow: bool,
    pub owner: Owner,
    /// On the host there are no set-id modes, file capabilities and device nodes out of an archive.
    pub host: bool,
}

/// What the archive had and the files do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Files whose set-id bits were taken away.
    pub set_id: u64,
    pub capabilities: u64,
    pub devices: u64,
}

impl TreeIn<'_> {
    /// # Errors
    /// Docker's for a file in the place of a folder and the other way round; everything that leaves the folder.
    pub fn extract(&self, archive: impl Read) -> Result<Dropped> {
        let mut dropped = Dropped::default();
        let mut tarball = Tarball::new(archive);
        let mut folders: Vec<(PathBuf, (i64, u32))> = Vec::new();
        while let Some(entry) = tarball.next_entry()? {
            let path = parts(&entry.name)?;
            let failed = || format!("unpack {}", entry.display());
            let Some(base) = path.file_name() else {
                // The folder itself: it is there, and stays as it is.
                continue;
            };
            let base = CString::new(base.as_bytes()).verb_context(failed)?;
            let dir = self.parent(path.parent().unwrap_or(Path::new("")))?;
            self.entry(dir.as_fd(), &base, &path, &entry, &mut tarball, &mut dropped)?;
            if entry.kind == Kind::Directory {
                folders.push((path, entry.mtime));
            }
        }
        // Whoever writes the stream pads its end, and must not find it closed.
        std::io::copy(&mut tarball.into_inner(), &mut std::io::sink()).verb_context(|| "read the archive".into())?;
        // Last: every file put into a folder changes its time.
        for (path, mtime) in folders.iter().rev() {
            let (Ok(dir), Some(base)) = (self.parent(path.parent().unwrap_or(Path::new(""))), path.file_name()) else {
                continue;
            };
            if let Ok(base) = CString::new(base.as_bytes()) {
                // A folder that went away meanwhile has no time.
                let _ = set_time(dir.as_fd(), &base, *mtime);
            }
        }
        Ok(dropped)
    }

    fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let mut resolve = ResolveFlags::NO_MAGICLINKS;
        resolve |= if self.follow { ResolveFlags::IN_ROOT } else { ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS };
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        loop {
            match openat2(self.root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// The folder `path` below `into`; missing ones are made, as docker does.
    fn parent(&self, path: &Path) -> Result<OwnedFd> {
        let say = || format!("open the folder {}", path.display());
        let whole = self.into.join(path);
        match self.open(&whole) {
            Err(Errno::NOENT) => {}
            other => return other.verb_context(say),
        }
        let mut at = self.into.to_owned();
        let mut dir = self.open(&at).verb_context(say)?;
        for part in path.iter() {
            at.push(part);
            dir = match self.open(&at) {
                Err(Errno::NOENT) => {
                    // Fails where the name is a dangling symlink: nothing is made through one.
                    rustix::fs::mkdirat(&dir, part, Mode::from_raw_mode(0o755)).verb_context(say)?;
                    let made = self.open(&at).verb_context(say)?;
                    if let Owner::Fixed(uid, gid) = self.owner {
                        own(made.as_fd(), uid, gid).verb_context(say)?;
                    }
                    made
                }
                other => other.verb_context(say)?,
            };
        }
        Ok(dir)
    }

    fn entry(
        &self,
        dir: BorrowedFd<'_>,
        base: &CStr,
        path: &Path,
        entry: &Entry,
        data: &mut impl Read,
        dropped: &mut Dropped,
    ) -> Result<()> {
        let say = || format!("unpack {}", entry.display());
        if self.host && matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            dropped.devices += 1;
            return Ok(());
        }
        let keeps = self.make_way(dir, base, path, entry)?;
        match entry.kind {
            Kind::Directory => {
                if !keeps {
                    rustix::fs::mkdirat(dir, base, Mode::RWXU).verb_context(say)?;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = openat(dir, base, flags, Mode::empty()).verb_context(say)?;
                self.describe(fd.as_fd(), entry, dropped)?;
            }
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                // What is bound over a file cannot be replaced, but it can be written to.
                let how = if keeps { OFlags::TRUNC } else { OFlags::CREATE | OFlags::EXCL };
                let mut file = File::from(openat(dir, base, flags | how, Mode::RUSR | Mode::WUSR).verb_context(say)?);
                fill(&mut file, entry, data).verb_context(say)?;
                self.describe(file.as_fd(), entry, dropped)?;
                set_time(dir, base, entry.mtime).verb_context(say)?;
            }
            Kind::Symlink => {
                self.check_link(path, entry)?;
                let target = CString::new(entry.link.as_slice()).verb_context(say)?;
                rustix::fs::symlinkat(&target, dir, base).verb_context(say)?;
                self.own_link(dir, base, entry).verb_context(say)?;
                set_time(dir, base, entry.mtime).verb_context(say)?;
            }
            Kind::HardLink => {
                let target = parts(&entry.link)?;
                let from = self.open(&self.into.join(target.parent().unwrap_or(Path::new("")))).verb_context(say)?;
                let name = target.file_name().unwrap_or_default();
                rustix::fs::linkat(&from, name, dir, base, AtFlags::empty()).verb_context(say)?;
            }
            Kind::Fifo => {
                rustix::fs::mknodat(dir, base, FileType::Fifo, Mode::from_raw_mode(entry.mode & 0o777), 0)
                    .verb_context(say)?;
                self.own_link(dir, base, entry).verb_context(say)?;
                set_time(dir, base, entry.mtime).verb_context(say)?;
            }
            // A container makes none, whatever an archive says.
            Kind::CharDevice | Kind::BlockDevice => dropped.devices += 1,
        }
        Ok(())
    }

    /// Remove what is there under this name, unless the entry goes into it.
    fn make_way(&self, dir: BorrowedFd<'_>, base: &CStr, path: &Path, entry: &Entry) -> Result<bool> {
        let stat = match rustix::fs::statat(dir, base, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other.verb_context(|| format!("look at {}", path.display()))?,
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let shown = Path::new("/").join(self.into).join(path);
        match (is_folder, entry.kind == Kind::Directory) {
            (true, true) => Ok(true),
            (true, false) => Err(Error::verb(format!(
                "cannot overwrite directory {:?} with non-directory {:?}",
                shown.display().to_string(),
                self.into.display().to_string()
            ))),
            (false, true) => Err(Error::verb(format!(
                "cannot overwrite non-directory {:?} with directory {:?}",
                shown.display().to_string(),
                self.into.display().to_string()
            ))),
            (false, false) => match rustix::fs::unlinkat(dir, base, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(false),
                Err(Errno::BUSY) if entry.kind == Kind::File => Ok(true),
                Err(e) => Err(e).verb_context(|| format!("replace {}", shown.display())),
            },
        }
    }

    /// As docker: a relative link on the host does not lead out of the folder. None is followed here in any case.
    fn check_link(&self, path: &Path, entry: &Entry) -> Result<()> {
        let mut depth = path.parent().map_or(0, |p| p.iter().count()) as i64;
        let absolute = entry.link.starts_with(b"/");
        for part in entry.link.split(|b| *b == b'/').filter(|_| self.host && !absolute) {
            depth += match part {
                b"" | b"." => 0,
                b".." => -1,
                _ => 1,
            };
            if depth < 0 {
                let target = String::from_utf8_lossy(&entry.link).into_owned();
                return Err(Error::verb(format!("invalid symlink {:?} -> {target:?}", path.display().to_string())));
            }
        }
        Ok(())
    }

    /// Owner, attributes and mode, in this order: chown takes set-id bits away.
    fn describe(&self, fd: BorrowedFd<'_>, entry: &Entry, dropped: &mut Dropped) -> Result<()> {
        let say = || format!("set the owner and mode of {}", entry.display());
        if let Some((uid, gid)) = self.ids(entry) {
            own(fd, uid, gid).verb_context(say)?;
        }
        for (name, value) in &entry.xattrs {
            let capability = name == b"security.capability";
            if capability && self.host {
                dropped.capabilities += 1;
                continue;
            }
            if !capability && (!name.starts_with(b"user.") || name.starts_with(b"user.overlay.")) {
                continue;
            }
            let Ok(name) = CString::new(name.as_slice()) else { continue };
            match rustix::fs::fsetxattr(fd, &name, value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {}
                Err(e) => return Err(e).verb_context(say),
            }
        }
        let mut mode = entry.mode;
        // The sticky bit stays, and on the host nothing that gives rights away.
        if self.host && mode & 0o6000 != 0 {
            mode &= !0o6000;
            dropped.set_id += u64::from(entry.kind == Kind::File);
        }
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)).verb_context(say)
    }

    fn ids(&self, entry: &Entry) -> Option<(u32, u32)> {
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).unwrap_or(0);
        match self.owner {
            Owner::Archive => Some((id(entry.uid), id(entry.gid))),
            Owner::Fixed(uid, gid) => Some((uid, gid)),
            Owner::Maker => None,
        }
    }

    fn own_link(&self, dir: BorrowedFd<'_>, base: &CStr, entry: &Entry) -> std::io::Result<()> {
        if let Some((uid, gid)) = self.ids(entry) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(dir, base, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }
}

/// The components of a name in an archive: a leading slash or dot means the folder.
fn parts(name: &[u8]) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let shown = crate::image::tarball::display(name);
                return Err(Error::verb(format!("the archive's {shown} leads out of the folder that it goes to")));
            }
            _ => path.push(std::ffi::OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

fn own(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> std::io::Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::chownat(fd, c"", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)?)
}

fn fill(file: &mut File, entry: &Entry, data: &mut impl Read) -> std::io::Result<()> {
    match &entry.extents {
        None => drop(std::io::copy(&mut data.by_ref().take(entry.size), file)?),
        Some(extents) => {
            for (offset, length) in extents {
                file.seek(SeekFrom::Start(*offset))?;
                std::io::copy(&mut data.by_ref().take(*length), file)?;
            }
        }
    }
    match file.metadata()?.is_file() {
        true => file.set_len(entry.size),
        false => Ok(()),
    }
}

fn set_time(dir: BorrowedFd<'_>, name: &CStr, (seconds, nanos): (i64, u32)) -> std::io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    let stamps = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(dir, name, &stamps, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn archive(entries: &[(&str, tar::EntryType, u32, &str)]) -> Vec<u8> {
        let mut out = tar::Builder::new(Vec::new());
        for (name, kind, mode, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1_000_000_000);
            let bytes = name.as_bytes();
            header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
            let link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
            let data = if link { "" } else { content };
            if link {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            header.set_size(data.len() as u64);
            header.set_cksum();
            out.append(&header, data.as_bytes()).unwrap();
        }
        out.into_inner().unwrap()
    }

    fn extract(top: &Path, follow: bool, host: bool, bytes: &[u8]) -> Result<Dropped> {
        let root: OwnedFd = File::open(top).unwrap().into();
        TreeIn { root: &root, into: Path::new("in"), follow, owner: Owner::Maker, host }.extract(bytes)
    }

    use tar::EntryType::{Directory, Link, Regular, Symlink};

    #[test]
    fn files_replace_files_and_nothing_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("in/folder")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("in/f"), "old").unwrap();
        symlink("../outside", dir.path().join("in/out")).unwrap();
        symlink("f", dir.path().join("in/l")).unwrap();
        let bytes = archive(&[
            ("f", Regular, 0o4755, "new"),
            ("l", Regular, 0o600, "mine"),
            ("new/deep/x", Regular, 0o644, "x"),
        ]);
        let dropped = extract(dir.path(), false, true, &bytes).unwrap();
        assert_eq!(dropped, Dropped { set_id: 1, ..Dropped::default() });
        let read = |name: &str| std::fs::read_to_string(dir.path().join("in").join(name)).unwrap();
        assert_eq!((read("f"), read("l"), read("new/deep/x")), ("new".into(), "mine".into(), "x".into()));
        assert_eq!(std::fs::metadata(dir.path().join("in/f")).unwrap().permissions().mode() & 0o7777, 0o755);
        for bad in [
            archive(&[("out/x", Regular, 0o644, "x")]),
            archive(&[("../x", Regular, 0o644, "x")]),
            archive(&[("new/../../x", Regular, 0o644, "x")]),
            archive(&[("up", Symlink, 0o777, "../../x")]),
            archive(&[("evil", Symlink, 0o777, "/etc"), ("evil/x", Regular, 0o644, "x")]),
            archive(&[("h", Link, 0o644, "../outside/x")]),
            archive(&[("folder", Regular, 0o644, "x")]),
            archive(&[("f", Directory, 0o755, "")]),
        ] {
            assert!(extract(dir.path(), false, true, &bad).is_err());
        }
        assert!(std::fs::read_dir(dir.path().join("outside")).unwrap().next().is_none());
    }

    #[test]
    fn in_a_container_links_lead_somewhere_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("in")).unwrap();
        std::fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
        symlink("/usr/lib", dir.path().join("in/lib")).unwrap();
        symlink("../../../../../usr", dir.path().join("in/up")).unwrap();
        extract(dir.path(), true, false, &archive(&[("lib/a", Regular, 0o2755, "a"), ("up/b", Regular, 0o644, "b")]))
            .unwrap();
        assert_eq!(std::fs::read(dir.path().join("usr/lib/a")).unwrap(), b"a");
        assert_eq!(std::fs::read(dir.path().join("usr/b")).unwrap(), b"b");
    }
}
