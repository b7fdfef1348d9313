//! Folders for unfinished work. Each is locked by the process that made it; one that nobody holds a lock on was left by a
//! process that was killed, and the next command that writes to the store removes it.

use super::digest::Digest;
use super::fsutil;
use crate::error::{Context, Result};
use crate::ui;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const JOURNAL: &str = "journal";

/// A folder that is gone when this is dropped.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
    _lock: File,
}

impl Workdir {
    /// A new folder in `tmp`.
    pub fn new(tmp: &Path) -> Result<Workdir> {
        fsutil::private_dir(tmp)?;
        for serial in 0u32.. {
            let path = tmp.join(format!("{}-{serial}", std::process::id()));
            let say = || format!("making the folder {}", path.display());
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e).verb_context(say),
            }
            // A cleaner may have taken the folder between the two calls: then the name is gone or is another folder.
            let Ok(lock) = File::open(&path) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_still(&lock, &path) {
                return Ok(Workdir { path, _lock: lock });
            }
        }
        unreachable!("four thousand million folders")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leave the folder with its journal to whoever cleans up next, as a killed process would: the lock ends with this one.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    /// Note a blob before it gets its name in the store: whoever cleans up after a killed process looks at it again.
    pub fn note(&self, digest: &Digest) -> Result<()> {
        let path = self.path.join(JOURNAL);
        let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(format!("{digest}\n").as_bytes()))
            .verb_context(|| format!("writing {}", path.display()))
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        // Removed while the lock is held, so that no cleaner works on it at the same time.
        if let Err(e) = fsutil::remove_path(&self.path) {
            ui::warn(&format!("left behind: {}", e.chain().join(": ")));
        }
    }
}

/// Whether the path still names what was opened.
pub fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

/// Remove what killed processes left in `tmp`. Returns the digests that they had noted in their journals.
pub fn clean(tmp: &Path) -> Result<Vec<Digest>> {
    let mut noted = Vec::new();
    for name in fsutil::list(tmp)? {
        let path = tmp.join(&name);
        let Ok(lock) = File::open(&path) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() || !is_still(&lock, &path) {
            continue;
        }
        // A line that was cut off is no digest and says nothing.
        let journal = std::fs::read_to_string(path.join(JOURNAL)).unwrap_or_default();
        noted.extend(journal.lines().filter_map(|line| Digest::parse(line).ok()));
        fsutil::remove_path(&path)?;
    }
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_stays_and_one_that_was_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mine = Workdir::new(dir.path()).unwrap();
        std::fs::create_dir_all(dir.path().join("99999999-0/deep")).unwrap();
        let noted = Digest::of(b"x");
        std::fs::write(dir.path().join("99999999-0").join(JOURNAL), format!("{noted}\nsha256:cut")).unwrap();
        assert_eq!(clean(dir.path()).unwrap(), [noted]);
        assert_eq!(fsutil::list(dir.path()).unwrap().len(), 1);
        assert!(mine.path().exists());
        let path = mine.path().to_owned();
        drop(mine);
        assert!(!path.exists());
    }
}
