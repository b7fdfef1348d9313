//! `cp`: what is asked of a container's files, by the child that has entered it.

use super::access::{Flow, Visit, visit};
use super::tree_in::{Dropped, Owner, TreeIn};
use super::tree_out::TreeOut;
use crate::error::{Context, Error, Result};
use crate::state::{Container, Paths};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What a path in a container is, as `lstat` sees it; with a slash or `/.` at its end, as `stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `st_mode`.
    pub mode: u32,
    /// Where a symlink points, as it stands in it.
    pub link: Option<String>,
}

impl Seen {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
    pub fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }
}

/// A path that says by its end that it is a folder.
pub fn says_folder(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

/// The path from the container's root without dots, as docker cleans it: `..` above the root is the root.
pub fn clean(path: &str) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(out.pop()),
            _ => out.push(part),
        }
    }
    out
}

fn open(root: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    loop {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

fn not_found(path: &str, name: &str) -> Error {
    let path = Path::new("/").join(clean(path));
    Error::verb(format!("Could not find the file {} in container {name}", path.display()))
}

fn said(e: Errno, path: &str, name: &str) -> Error {
    match e {
        Errno::NOENT => not_found(path, name),
        e => Error::verb(format!("{path}: {e}")).because(e),
    }
}

/// Look at a path; `None` where there is nothing. `name` is the container's, as typed.
pub fn look(paths: &Paths, container: &Container, name: &str, path: &str) -> Result<Option<Seen>> {
    let mut at = visit(paths, container, Flow::Out, |root, mut out| {
        let nofollow = if says_folder(path) { OFlags::empty() } else { OFlags::NOFOLLOW };
        let seen = match open(root, &clean(path), OFlags::PATH | nofollow) {
            Err(Errno::NOENT) => None,
            Err(e) => return Err(said(e, path, name)),
            Ok(fd) => {
                let mode = fstat(&fd).verb_context(|| format!("look at {path}"))?.st_mode;
                if says_folder(path) && FileType::from_raw_mode(mode) != FileType::Directory {
                    return Err(Error::verb(format!("{path}: not a directory")));
                }
                let link = rustix::fs::readlinkat(&fd, c"", Vec::new()).ok();
                Some(Seen { mode, link: link.map(|l| l.to_string_lossy().into_owned()) })
            }
        };
        serde_json::to_writer(&mut out, &seen).verb_context(|| "answer".into())?;
        out.flush().verb_context(|| "answer".into())
    })?;
    let mut text = Vec::new();
    let read = at.stream.read_to_end(&mut text);
    at.finish()?;
    read.verb_context(|| format!("looking at {path} in container {name}"))?;
    serde_json::from_slice(&text).verb_context(|| format!("looking at {path} in container {name}"))
}

/// A tar of what is at `path`, whose top is called `top` (empty: `./`). `root`: of everything on the container's own
/// root, without what is mounted on it.
pub fn read(paths: &Paths, container: &Container, name: &str, path: &str, top: &str, one_mount: bool) -> Result<Visit> {
    visit(paths, container, Flow::Out, |root, out| {
        let cleaned = clean(path);
        let folder = OFlags::RDONLY | OFlags::DIRECTORY;
        let whole = says_folder(path) || cleaned.file_name().is_none();
        let (from, base) = match (whole, cleaned.file_name()) {
            (false, Some(base)) => {
                let parent = cleaned.parent().unwrap_or(Path::new(""));
                (open(root, parent, folder).map_err(|e| said(e, path, name))?, PathBuf::from(base))
            }
            _ => (open(root, &cleaned, folder).map_err(|e| said(e, path, name))?, PathBuf::new()),
        };
        let mut tree = TreeOut::new(&from, std::io::BufWriter::with_capacity(1 << 16, out));
        tree.one_mount = one_mount;
        tree.add(&base, Path::new(top)).map_err(|e| {
            match e.source.as_deref().and_then(|s| s.downcast_ref::<Errno>()) {
                Some(&Errno::NOENT) => not_found(path, name),
                _ => e,
            }
        })?;
        let left_out = tree.left_out;
        tree.finish()?;
        if left_out > 0 {
            crate::ui::note(&format!("{path}: left out {left_out} sockets and device nodes"));
        }
        Ok(())
    })
}

/// Unpack a tar into the folder `path`.
pub fn write(paths: &Paths, container: &Container, name: &str, path: &str, keep_owners: bool) -> Result<Visit> {
    let readonly = container.record.plan.draft.root.readonly.value;
    visit(paths, container, Flow::In, |root, stream| {
        let into = clean(path);
        let folder = match open(root, &into, OFlags::PATH) {
            Err(e) => return Err(said(e, path, name)),
            Ok(fd) => fstat(&fd).verb_context(|| format!("look at {path}"))?,
        };
        if FileType::from_raw_mode(folder.st_mode) != FileType::Directory {
            return Err(Error::verb("extraction point is not a directory"));
        }
        let owner = if keep_owners { Owner::Archive } else { Owner::Fixed(0, 0) };
        let tree = TreeIn { root, into: &into, follow: true, owner, host: false };
        let dropped = tree.extract(stream).map_err(|e| {
            let read_only =
                std::iter::successors(e.source.as_deref().map(|s| s as &dyn std::error::Error), |s| s.source())
                    .any(|s| s.downcast_ref::<Errno>() == Some(&Errno::ROFS));
            match (read_only, readonly) {
                (true, true) => Error::verb("container rootfs is marked read-only"),
                (true, false) => Error::verb("mounted volume is marked read-only"),
                _ => e,
            }
        })?;
        if dropped.devices > 0 {
            crate::ui::note(&format!("left out {} device nodes: a container has none but its own", dropped.devices));
        }
        Ok(())
    })
}

/// Unpack a container's tar into a folder of the host, for the caller or with the archive's owners.
pub fn unpack_on_host(archive: impl Read, folder: &Path, keep_owners: bool) -> Result<Dropped> {
    let root: OwnedFd = File::open(folder).verb_context(|| format!("opening {}", folder.display()))?.into();
    let owner = if keep_owners { Owner::Archive } else { Owner::Maker };
    TreeIn { root: &root, into: Path::new(""), follow: false, owner, host: true }.extract(archive)
}

/// Write a tar of a path of the host to a container. `follow`: what a symlink at its end points to.
pub fn pack_on_host(path: &Path, top: &str, out: impl Write) -> Result<()> {
    let say = || format!("reading {}", path.display());
    let (parent, base) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(base)) => {
            (if parent.as_os_str().is_empty() { Path::new(".") } else { parent }, base.into())
        }
        _ => (path, PathBuf::new()),
    };
    let root: OwnedFd = File::open(parent).verb_context(say)?.into();
    let mut tree = TreeOut::new(&root, out);
    tree.add(&base, Path::new(top))?;
    let left_out = tree.left_out;
    tree.finish()?;
    if left_out > 0 {
        crate::ui::note(&format!("{}: left out {left_out} sockets and device nodes", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_below_the_root() {
        for (path, cleaned) in [("/a/./b//c/", "a/b/c"), ("../../x", "x"), ("/", ""), ("a/../..", "")] {
            assert_eq!(clean(path), Path::new(cleaned), "{path}");
        }
        assert!(says_folder("/a/") && says_folder("/a/.") && says_folder(".") && !says_folder("/a"));
    }
}
