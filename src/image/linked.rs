//! Which files of a layer have several names (hard links). A layer does not change once it is in its place, so it is looked
//! through once, and what was found lies beside it.

use super::fsutil::write_atomic;
use crate::error::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
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

/// The same for any folder, looked through now. `None` also where it has more than `most` entries.
///
/// # Errors
/// A folder in it cannot be read.
pub fn in_tree(root: &Path, most: usize) -> Result<Option<Vec<Same>>> {
    let attempt = |folder: &Path| format!("look for hard links in {}", folder.display());
    let (mut files, mut names, mut looks) = (BTreeMap::<(u64, u64), Same>::new(), 0, 0);
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).context(|| attempt(&folder))? {
            let entry = entry.context(|| attempt(&folder))?;
            looks += 1;
            if looks > most || names > MOST {
                return Ok(None);
            }
            let kind = entry.file_type().context(|| attempt(&folder))?;
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                let meta = entry.metadata().context(|| attempt(&folder))?;
                if meta.nlink() < 2 {
                    continue;
                }
                let path = entry.path();
                let Ok(inside) = path.strip_prefix(root) else { return Ok(None) };
                if inside.to_str().is_none() {
                    return Ok(None);
                }
                names += 1;
                files.entry((meta.dev(), meta.ino())).or_default().push(Path::new("/").join(inside));
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
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for n in 0..4 {
            std::fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        assert_eq!(in_tree(dir.path(), 3).unwrap(), None);
        assert_eq!(in_tree(dir.path(), 4).unwrap(), Some(Vec::new()));
        std::fs::hard_link(dir.path().join("0"), dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
        assert_eq!(in_tree(dir.path(), 9).unwrap(), None);
    }
}
