//! A folder that a layer is unpacked into. Every path is resolved by the kernel with the folder as its root (openat2,
//! Linux 5.6), so that a symlink planted by an earlier entry, absolute or full of `..`, stays inside; the last
//! component is never followed.

use super::fsutil;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Deeper than any real image, and below what makes tools on the host stumble.
pub const DEPTH_MAX: usize = 256;
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4095;

/// A name as it stands in an archive, taken apart: no empty components, no `.`, no `..`, nothing too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPath(Vec<CString>);

impl EntryPath {
    /// A leading `/` means the root of the image, as for docker. `..` has no business in a layer even where it would
    /// stay inside: it is refused, not resolved.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse(name: &[u8]) -> Result<EntryPath, &'static str> {
        if name.is_empty() {
            return Err("has no name");
        }
        if name.contains(&0) {
            return Err("has a NUL character in its name");
        }
        if name.len() > PATH_MAX {
            return Err("has a name of more than 4095 bytes");
        }
        let mut parts = Vec::new();
        for part in name.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err("has '..' in its name, which would leave the image's root"),
                _ if part.len() > NAME_MAX => return Err("has a name component of more than 255 bytes"),
                _ => parts.push(CString::new(part).expect("NUL was looked for")),
            }
        }
        if parts.len() > DEPTH_MAX {
            return Err("is more than 256 folders deep");
        }
        Ok(EntryPath(parts))
    }

    /// With slashes, if it is UTF-8.
    pub fn to_text(&self) -> Option<String> {
        let parts: Option<Vec<&str>> = self.0.iter().map(|p| p.to_str().ok()).collect();
        parts.map(|p| p.join("/"))
    }

    /// Parent components and the last one; `None` for the root.
    pub fn split(&self) -> Option<(&[CString], &CStr)> {
        let (last, parent) = self.0.split_last()?;
        Some((parent, last))
    }

    pub fn components(&self) -> &[CString] {
        &self.0
    }
}

fn join(parts: &[CString]) -> CString {
    if parts.is_empty() {
        return c".".to_owned();
    }
    CString::new(parts.iter().map(|p| p.to_bytes()).collect::<Vec<_>>().join(&b'/')).expect("no NUL in components")
}

pub struct Tree {
    root: OwnedFd,
}

impl Tree {
    pub fn open(path: &Path) -> io::Result<Tree> {
        Ok(Tree { root: File::open(path)?.into() })
    }

    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// A folder inside, symlinks followed within the root. Not readable through the descriptor: for `*at` calls.
    pub fn dir(&self, parts: &[CString]) -> rustix::io::Result<OwnedFd> {
        self.open_in_root(&join(parts), OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::IN_ROOT)
    }

    /// The folder itself; fails where a component is a symlink.
    pub fn dir_nofollow(&self, parts: &[CString]) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        self.open_in_root(&join(parts), OFlags::PATH | OFlags::DIRECTORY, resolve)
    }

    fn open_in_root(&self, path: &CStr, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = resolve | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // A rename somewhere on the host while `..` was resolved.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// A folder inside; missing ones are made root's with mode 0755, as docker does for folders that no entry describes.
    /// `made` is told how many.
    pub fn dir_or_make(&self, parts: &[CString], made: &mut dyn FnMut() -> io::Result<()>) -> io::Result<OwnedFd> {
        match self.dir(parts) {
            Err(Errno::NOENT) => {}
            other => return Ok(other?),
        }
        let mut dir = self.dir(&[])?;
        for end in 1..=parts.len() {
            dir = match self.dir(&parts[..end]) {
                Err(Errno::NOENT) => {
                    made()?;
                    // Fails where the name is a dangling symlink: nothing is made through one.
                    rustix::fs::mkdirat(&dir, parts[end - 1].as_c_str(), Mode::from_raw_mode(0o755))?;
                    let fd = self.dir(&parts[..end])?;
                    rustix::fs::chmodat(&dir, parts[end - 1].as_c_str(), Mode::from_raw_mode(0o755), AtFlags::empty())?;
                    fd
                }
                other => other?,
            };
        }
        Ok(dir)
    }
}

/// What is there under this name, itself and not what it points to.
pub fn lstat(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Remove whatever is there under this name.
pub fn remove(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    fsutil::remove_tree(dir, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &[u8]) -> Result<Vec<String>, &'static str> {
        EntryPath::parse(name).map(|p| p.0.iter().map(|c| c.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn names_are_cleaned_or_refused() {
        assert_eq!(parse(b"./usr//bin/./sh").unwrap(), ["usr", "bin", "sh"]);
        assert_eq!(parse(b"/etc/passwd").unwrap(), ["etc", "passwd"]);
        assert_eq!(parse(b"./").unwrap(), [""; 0]);
        assert_eq!(parse(b"a/...").unwrap(), ["a", "..."]);
        for bad in
            [&b""[..], b"..", b"a/../b", b"/../x", b"a\0b", &[b'a'; 256], &b"a/".repeat(300), &b"ab/".repeat(1500)]
        {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn symlinks_lead_nowhere_but_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        for (target, name) in
            [("/etc", "abs"), ("../../../etc", "up"), ("/proc/self/root", "magic"), ("../outside", "out")]
        {
            std::os::unix::fs::symlink(target, dir.path().join("root").join(name)).unwrap();
        }
        let tree = Tree::open(&dir.path().join("root")).unwrap();
        let inside = rustix::fs::fstat(tree.dir(&[c"etc".into()]).unwrap()).unwrap().st_ino;
        for name in [c"abs", c"up"] {
            assert_eq!(rustix::fs::fstat(tree.dir(&[name.into()]).unwrap()).unwrap().st_ino, inside);
        }
        assert_eq!(tree.dir(&[c"out".into()]).unwrap_err(), Errno::NOENT);
        assert_eq!(tree.dir(&[c"magic".into()]).unwrap_err(), Errno::NOENT);
        assert!(tree.dir_or_make(&[c"out".into(), c"x".into()], &mut || Ok(())).is_err());
        assert!(std::fs::read_dir(dir.path().join("outside")).unwrap().next().is_none());
    }
}
