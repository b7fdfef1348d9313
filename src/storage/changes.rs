//! `diff`: what a container has changed in its image, read from the upper folder of its overlay.

use super::tree_out::has_attribute;
use crate::error::{Context, Result};
use crate::image::view::View;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Docker's letter for what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Changed,
    Added,
    Deleted,
}

impl Kind {
    pub fn letter(self) -> char {
        match self {
            Kind::Changed => 'C',
            Kind::Added => 'A',
            Kind::Deleted => 'D',
        }
    }
}

/// One changed path, from the container's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub path: PathBuf,
}

/// Paths that exist in an upper folder only for something to be mounted on.
pub fn mount_points(draft: &crate::plan::Draft) -> Vec<PathBuf> {
    let planned = draft.mounts.iter().map(|m| m.destination.as_str());
    let own = ["/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
    planned.chain(own).map(super::copy::clean).collect()
}

struct Walk<'a> {
    upper: OwnedFd,
    lower: View,
    mount_points: &'a [PathBuf],
    found: Vec<Change>,
    base: u32,
}

/// Changes in the order of their paths. `base` is the host id of the container's root.
pub fn changes(upper: &Path, layers: &[PathBuf], mount_points: &[PathBuf], base: u32) -> Result<Vec<Change>> {
    let folder = match std::fs::File::open(upper) {
        // Never started.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.verb_context(|| format!("reading {}", upper.display()))?,
    };
    let mut walk = Walk { upper: folder.into(), lower: View::new(layers), mount_points, found: Vec::new(), base };
    walk.folder(Path::new(""))?;
    Ok(walk.found)
}

impl Walk<'_> {
    fn open(&self, path: &Path) -> Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.upper, path, flags, Mode::empty(), resolve)
            .verb_context(|| format!("reading the changes in /{}", path.display()))
    }

    fn folder(&mut self, path: &Path) -> Result<()> {
        let say = || format!("reading the changes in /{}", path.display());
        let dir = self.open(path)?;
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::read_from(&dir).verb_context(say)? {
            let entry = entry.verb_context(say)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort();
        drop(dir);
        for name in names {
            let below = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let stat = match rustix::fs::statat(self.open(path)?, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // Removed meanwhile.
                Err(rustix::io::Errno::NOENT) => continue,
                other => other.verb_context(say)?,
            };
            let before = self.lower.symlink_metadata(&below)?;
            let is_mount_point = self.mount_points.contains(&below);
            let kind = if before.is_some() { Kind::Changed } else { Kind::Added };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice if stat.st_rdev == 0 => {
                    if before.is_some() {
                        self.found.push(Change { kind: Kind::Deleted, path: below });
                    }
                }
                FileType::Directory => {
                    let at = self.found.len();
                    self.found.push(Change { kind, path: below.clone() });
                    self.folder(&below)?;
                    let own = |id: u32| id.wrapping_sub(self.base);
                    let same = before.as_ref().is_some_and(|b| {
                        b.is_dir() && (b.mode(), b.uid(), b.gid()) == (stat.st_mode, own(stat.st_uid), own(stat.st_gid))
                    });
                    // A copy that was made only for a mount point in it, or a mount point itself, is no change.
                    let empty = self.found.len() == at + 1;
                    let opaque = || self.open(&below).is_ok_and(|fd| has_attribute(fd, crate::storage::opaque()));
                    let for_mounts = self.mount_points.iter().any(|m| m.starts_with(&below));
                    if empty && for_mounts && (same || is_mount_point) && !(before.is_some() && opaque()) {
                        self.found.truncate(at);
                    }
                }
                _ if is_mount_point && stat.st_size == 0 && before.is_none() => {}
                _ => self.found.push(Change { kind, path: below }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_the_two_trees() {
        let dir = tempfile::tempdir().unwrap();
        let (lower, upper) = (dir.path().join("lower"), dir.path().join("upper"));
        for folder in
            ["lower/etc", "lower/tmp", "lower/var", "upper/etc", "upper/tmp", "upper/var", "upper/a/b", "upper/dev"]
        {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(lower.join("etc/passwd"), "x").unwrap();
        std::fs::write(lower.join("etc/group"), "x").unwrap();
        std::fs::write(upper.join("etc/passwd"), "y").unwrap();
        std::fs::write(upper.join("etc/hosts"), "").unwrap();
        std::fs::write(upper.join("var/mounted"), "").unwrap();
        std::fs::write(upper.join("tmp/new"), "").unwrap();
        let whiteout = upper.join("etc/group");
        if rustix::fs::mknodat(rustix::fs::CWD, &whiteout, FileType::CharacterDevice, Mode::empty(), 0).is_err() {
            eprintln!("skipped: a whiteout cannot be made here");
            return;
        }
        let points: Vec<PathBuf> = ["dev", "etc/hosts", "var/mounted"].map(PathBuf::from).into();
        let found = changes(&upper, &[lower], &points, 0).unwrap();
        let told: Vec<String> = found.iter().map(|c| format!("{} /{}", c.kind.letter(), c.path.display())).collect();
        assert_eq!(told, ["A /a", "A /a/b", "C /etc", "D /etc/group", "C /etc/passwd", "C /tmp", "A /tmp/new"]);
        assert!(changes(&dir.path().join("none"), &[], &[], 0).unwrap().is_empty());
    }
}
