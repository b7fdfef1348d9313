//! `:z` and `:Z`: files of the host get the label that lets a container use them.

use crate::error::{Context, Result};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, XattrFlags, lsetxattr, openat, openat2};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The attribute that SELinux reads.
pub const ATTRIBUTE: &str = "security.selinux";

/// Label `path` and everything below it on the same file system. No link is followed, in its path or below: whoever owns the
/// folder may be changing it.
pub fn relabel(path: &Path, label: &str) -> Result<()> {
    relabel_as(path, ATTRIBUTE, label)
}

/// The same where the folder itself has another label: of a volume what is below it has its own.
pub fn relabel_if_other(path: &Path, label: &str) -> Result<()> {
    let mut found = [0; 4096];
    let found = match rustix::fs::lgetxattr(path, ATTRIBUTE, &mut found[..]) {
        Ok(n) => &found[..n],
        Err(_) => &[],
    };
    if found.strip_suffix(b"\0").unwrap_or(found) == label.as_bytes() { Ok(()) } else { relabel(path, label) }
}

fn relabel_as(path: &Path, attribute: &str, label: &str) -> Result<()> {
    let plain = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let attempt = || format!("relabel {}", path.display());
    let fd = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), plain).context(attempt)?;
    let stat = rustix::fs::fstat(&fd).context(attempt)?;
    // A name in /proc leads to what the descriptor is, and not further.
    let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::setxattr(&itself, attribute, label.as_bytes(), XattrFlags::empty()).context(attempt)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            let attempt = || format!("relabel {}", folder.display());
            let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let plain = plain | ResolveFlags::NO_XDEV;
            let opened = openat(&fd, ".", how, Mode::empty()).and_then(|root| match folder.strip_prefix(path) {
                Ok(below) if !below.as_os_str().is_empty() => openat2(&root, below, how, Mode::empty(), plain),
                _ => Ok(root),
            });
            match opened {
                Ok(fd) => {
                    folders.extend(entries(&fd, attribute, label).context(attempt)?.into_iter().map(|n| folder.join(n)))
                }
                // Another file system, or gone meanwhile.
                Err(Errno::XDEV | Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                Err(e) => return Err(e).context(attempt),
            }
        }
    }
    Ok(())
}

/// Label the entries of a folder; the names of those that are folders.
fn entries(folder: &OwnedFd, attribute: &str, label: &str) -> std::result::Result<Vec<PathBuf>, Errno> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name: OsString = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        if name == "." || name == ".." {
            continue;
        }
        let at = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(&name);
        match lsetxattr(&at, attribute, label.as_bytes(), XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
        if entry.file_type() == FileType::Directory {
            folders.push(name.into());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn everything_below_is_labelled_and_no_link_followed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/file"), "").unwrap();
        std::fs::write(other.path().join("outside"), "").unwrap();
        symlink(other.path(), dir.path().join("a/link")).unwrap();
        // Like the real one a name that links may carry; no host has a policy for it.
        let name = "trusted.hardrun-test";
        match relabel_as(dir.path(), name, "label") {
            Err(e) if e.chain().join(" ").contains("not supported") => return,
            other => other.unwrap(),
        }
        let value = |path: &Path| {
            let mut buffer = [0u8; 32];
            rustix::fs::lgetxattr(path, name, &mut buffer[..]).ok().map(|n| buffer[..n].to_vec())
        };
        for labelled in ["", "a", "a/b", "a/b/file", "a/link"] {
            assert_eq!(value(&dir.path().join(labelled)).as_deref(), Some(&b"label"[..]), "{labelled}");
        }
        assert_eq!(value(&other.path().join("outside")), None);
        assert!(relabel_as(&dir.path().join("a/link"), name, "x").is_err());
    }
}
