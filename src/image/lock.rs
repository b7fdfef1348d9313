//! Lock files: which digest a name stands for, so that a script runs tomorrow what it ran when it was tried.
//!
//! ```toml
//! version = 1
//!
//! [images]
//! "docker.io/library/busybox:latest" = "sha256:…"
//! ```
//!
//! The digest is that by which the registry knows the image (of the index where there is one), so that one lock file serves
//! hosts of several architectures.

use super::fsutil;
use super::reference::{Reference, check_digest};
use crate::error::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The file that `hardrun lock` writes and `--locked` reads where none is named.
pub const DEFAULT_NAME: &str = "hardrun.lock";
const VERSION: u32 = 1;
/// More than any lock file needs.
const SIZE_MAX: u64 = 1 << 20;

/// Names and digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// Canonical name with its tag, and `sha256:…`.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock { version: VERSION, images: BTreeMap::new() }
    }
}

impl Lock {
    /// # Errors
    /// The file is not there, not a lock file, of a newer version, or names what is no image (exit code 125).
    pub fn read(path: &Path) -> Result<Lock> {
        let say = || format!("cannot read the lock file {}", path.display());
        let meta = std::fs::metadata(path).context(say).map_err(|e| e.hint("`hardrun lock IMAGE…` writes one"))?;
        if meta.len() > SIZE_MAX {
            return Err(Error::runner(say()).because(format!("it is longer than {SIZE_MAX} bytes")));
        }
        Lock::parse(&std::fs::read_to_string(path).context(say)?).map_err(|e| Error::runner(say()).because(e))
    }

    fn parse(text: &str) -> Result<Lock> {
        let lock: Lock = toml::from_str(text).context(|| "it is no lock file".into())?;
        if lock.version != VERSION {
            return Err(Error::runner(format!("it is of version {}, and {VERSION} is known", lock.version)));
        }
        for (name, digest) in &lock.images {
            let reference: Reference = name.parse()?;
            if reference.to_string() != *name || reference.digest.is_some() {
                return Err(Error::runner(format!("{name:?} is not the whole name of an image, {reference}")));
            }
            check_digest(digest).context(|| format!("the digest of {name}"))?;
        }
        Ok(lock)
    }

    /// Replace the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text =
            format!("# Written by `hardrun lock`; `--locked` runs exactly these.\nversion = {VERSION}\n\n[images]\n");
        for (name, digest) in &self.images {
            // Neither a reference nor a digest has anything that TOML would want escaped.
            let _ = writeln!(text, "\"{name}\" = \"{digest}\"");
        }
        // The folder is synced, and a bare name has none.
        let path = std::path::absolute(path).context(|| format!("find the folder of {}", path.display()))?;
        fsutil::write_atomic(&path, text.as_bytes())
    }

    /// What `typed` stands for by this lock file: its name with the digest.
    ///
    /// # Errors
    /// It is not in the file, is no name, or was typed with another digest (exit code 125).
    pub fn pin(&self, typed: &str, path: &Path) -> Result<Reference> {
        let mut reference: Reference = typed.parse()?;
        let hint = format!("hardrun lock -f {} {typed}", path.display());
        let asked = reference.digest.take();
        if asked.is_some() && reference.tag.is_none() {
            // Named by digest alone: any tag of that repository with that digest will do.
            let name = reference.name();
            let known = self.images.iter().any(|(known, digest)| {
                Some(digest) == asked.as_ref() && known.parse::<Reference>().is_ok_and(|k| k.name() == name)
            });
            return match known {
                true => Ok(Reference { digest: asked, ..reference }),
                false => Err(Error::runner(format!("--locked: {typed} is not in {}", path.display())).hint(hint)),
            };
        }
        let Some(digest) = self.images.get(&reference.to_string()) else {
            return Err(Error::runner(format!("--locked: {reference} is not in {}", path.display())).hint(hint));
        };
        if let Some(asked) = asked.filter(|asked| asked != digest) {
            return Err(
                Error::runner(format!("--locked: {typed} is {digest} in {}, not {asked}", path.display())).hint(hint)
            );
        }
        Ok(Reference { digest: Some(digest.clone()), ..reference })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn lock() -> Lock {
        let images = BTreeMap::from([("docker.io/library/busybox:latest".to_owned(), digest("a"))]);
        Lock { images, ..Lock::default() }
    }

    #[test]
    fn written_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hardrun.lock");
        lock().write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), lock());
        assert!(Lock::read(&folder.path().join("none")).unwrap_err().hint.unwrap().contains("hardrun lock"));
    }

    #[test]
    fn names_are_pinned_and_strangers_refused() {
        let path = Path::new("hardrun.lock");
        let pin = |typed: &str| lock().pin(typed, path).map(|r| r.to_string()).map_err(|e| e.message);
        let want = Ok(format!("docker.io/library/busybox:latest@{}", digest("a")));
        assert_eq!(pin("busybox"), want);
        assert_eq!(pin(&format!("busybox:latest@{}", digest("a"))), want);
        assert_eq!(pin(&format!("busybox@{}", digest("a"))), Ok(format!("docker.io/library/busybox@{}", digest("a"))));
        for (typed, why) in [
            ("busybox:1".to_owned(), "is not in hardrun.lock"),
            ("alpine".to_owned(), "is not in hardrun.lock"),
            (format!("busybox@{}", digest("b")), "is not in hardrun.lock"),
            (format!("busybox:latest@{}", digest("b")), "not sha256:bbbb"),
        ] {
            assert!(pin(&typed).unwrap_err().contains(why), "{typed}");
        }
    }

    #[test]
    fn what_is_no_lock_file_is_refused() {
        for bad in [
            "",
            "version = 2",
            "version = 1\nmore = 1",
            "version = 1\n[images]\nbusybox = \"sha256:1\"",
            "version = 1\n[images]\n\"docker.io/library/busybox:latest\" = \"sha256:12\"",
        ] {
            assert!(Lock::parse(bad).is_err(), "{bad}");
        }
    }
}
