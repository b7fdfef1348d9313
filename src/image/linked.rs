//! Which files of a layer have several names (hard links). A layer does not change once it is in its place, so it is looked
//! through once, and what was found lies beside it.

use super::fsutil::write_atomic;
use crate::error::{Context, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Beside `root` in a layer's folder.
const NAME: &str = "linked";

#[derive(Debug, Serialize, Deserialize)]
struct Found {
    version: u32,
    /// `None`: a name is no text, or there are more than [`MOST`].
    names: Option<Vec<Same>>,
}

/// The names of one file.
pub type Same = Vec<PathBuf>;

const VERSION: u32 = 2;

/// No link that was put in a folder's place leads elsewhere.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// More than this is nothing to compare with at every start.
const MOST: usize = 4_096;

/// The names in a layer of which each is not its file's only one, file by file, as absolute paths in the container; `None`: not known. `root` is the
/// layer's tree, `layers/<hex>/root`.
///
/// # Errors
/// The tree cannot be read.
pub fn linked(root: &Path) -> Result<Option<Vec<Same>>> {
    let file = root.with_file_name(NAME);
    if let Ok(bytes) = std::fs::read(&file)
        && let Ok(Found { version: VERSION, names }) = serde_json::from_slice(&bytes)
    {
        return Ok(names);
    }
    let names = in_tree(root, usize::MAX)?;
    if let Ok(json) = serde_json::to_vec(&Found { version: VERSION, names: names.clone() }) {
        // Next time it is looked through again where there is no room to say so.
        let _ = write_atomic(&file, &json);
    }
    Ok(names)
}

/// The same for any folder, looked through now. `None` also where it has more than `most` entries. Nothing above `root` is looked at,
/// whatever is moved about in it meanwhile: the container whose it is may run.
///
/// # Errors
/// A folder in it cannot be read, or has become something else.
pub fn in_tree(root: &Path, most: usize) -> Result<Option<Vec<Same>>> {
    let attempt = |folder: &Path| format!("look for hard links in {}", root.join(folder).display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(CWD, root, flags | OFlags::NOFOLLOW, Mode::empty()).context(|| attempt(Path::new("")))?;
    let (mut files, mut names, mut looks) = (BTreeMap::<(u64, u64), Same>::new(), 0, 0);
    // Below the top.
    let mut todo = vec![PathBuf::from(".")];
    while let Some(folder) = todo.pop() {
        let say = || attempt(&folder);
        let held = openat2(&top, &folder, flags, Mode::empty(), BENEATH).context(say)?;
        for entry in Dir::read_from(&held).context(say)? {
            let entry = entry.context(say)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            looks += 1;
            if looks > most || names > MOST {
                return Ok(None);
            }
            let inside = folder.join(OsStr::from_bytes(name.to_bytes()));
            let (kind, meta) = match entry.file_type() {
                // Removed meanwhile: an error, for it may be elsewhere now.
                FileType::RegularFile | FileType::Unknown => {
                    let meta = statat(&held, name, AtFlags::SYMLINK_NOFOLLOW).context(say)?;
                    (FileType::from_raw_mode(meta.st_mode), Some(meta))
                }
                kind => (kind, None),
            };
            match (kind, meta) {
                (FileType::Directory, _) => todo.push(inside),
                (FileType::RegularFile, Some(meta)) if meta.st_nlink >= 2 => {
                    if inside.to_str().is_none() {
                        return Ok(None);
                    }
                    names += 1;
                    // Without the dot that it begins with.
                    let inside: PathBuf = Path::new("/").join(inside.strip_prefix(".").unwrap_or(&inside));
                    files.entry((meta.st_dev, meta.st_ino)).or_default().push(inside);
                }
                _ => {}
            }
        }
    }
    let mut files: Vec<Same> = files.into_values().collect();
    files.iter_mut().for_each(|names| names.sort());
    files.sort();
    Ok(Some(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_looked_through_once() {
        let layer = tempfile::tempdir().unwrap();
        let root = layer.path().join("root");
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        for name in ["usr/bin/perl", "usr/bin/dash"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        std::fs::hard_link(root.join("usr/bin/perl"), root.join("usr/perl5")).unwrap();
        std::os::unix::fs::symlink("/", root.join("usr/loop")).unwrap();
        let both = Some(vec![vec![PathBuf::from("/usr/bin/perl"), PathBuf::from("/usr/perl5")]]);
        assert_eq!(linked(&root).unwrap(), both);
        std::fs::remove_file(root.join("usr/perl5")).unwrap();
        assert_eq!(linked(&root).unwrap(), both, "what was found is kept");
        // What is not whole counts for nothing.
        std::fs::write(layer.path().join(NAME), "{\"version\":2,\"na").unwrap();
        assert_eq!(linked(&root).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn what_cannot_be_told_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..4 {
            std::fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        assert_eq!(in_tree(dir.path(), 3).unwrap(), None);
        assert_eq!(in_tree(dir.path(), 4).unwrap(), Some(Vec::new()));
        std::fs::hard_link(dir.path().join("0"), dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
        assert_eq!(in_tree(dir.path(), 9).unwrap(), None);
    }

    #[test]
    fn no_link_leads_out_of_a_tree_that_changes_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        for folder in [&inside, &outside] {
            std::fs::create_dir_all(folder.join("a")).unwrap();
        }
        for n in 0..200 {
            std::fs::create_dir(inside.join(format!("a/{n}"))).unwrap();
        }
        // A note of any of these would be one of a file outside.
        std::fs::write(outside.join("secret"), "").unwrap();
        for n in 0..200 {
            std::fs::create_dir(outside.join(format!("a/{n}"))).unwrap();
            std::fs::hard_link(outside.join("secret"), outside.join(format!("a/{n}/secret"))).unwrap();
        }
        std::os::unix::fs::symlink(outside.join("a"), inside.join("link")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let exchange = |from: &str, to: &str| {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(CWD, inside.join(from), CWD, inside.join(to), flags).unwrap();
                };
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    exchange("a", "link");
                }
            });
            for _ in 0..200 {
                match in_tree(&inside, usize::MAX) {
                    Ok(found) => assert_eq!(found, Some(Vec::new())),
                    Err(e) => assert!(e.message.contains("look for hard links"), "{e}"),
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
