//! What was compiled before: filters in `<root>/cache/seccomp`, profiles in the host's run folder.
//!
//! An entry is named by a digest of everything that decides about its content and starts with a digest of what is in it. What does not
//! match is compiled again: an entry is never trusted for being there.

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::SystemTime;

/// Bytes of SHA-256.
const DIGEST: usize = 32;

/// Most entries of a kind: those that were made first go.
const MOST: usize = 64;

/// What whoever compiles holds.
const LOCK: &str = "lock";

/// The entries of one kind.
pub struct Compiled {
    folder: PathBuf,
    /// Longest content in bytes.
    longest: usize,
}

impl Compiled {
    pub fn new(folder: PathBuf, longest: usize) -> Compiled {
        Compiled { folder, longest }
    }

    fn entry(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    /// The content of an entry that is whole and nobody else's.
    pub fn read(&self, key: &str) -> Option<Vec<u8>> {
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.entry(key)).ok()?;
        let meta = file.metadata().ok()?;
        if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return None;
        }
        let mut content = Vec::with_capacity(meta.len().min((DIGEST + self.longest) as u64) as usize);
        file.take((DIGEST + self.longest + 1) as u64).read_to_end(&mut content).ok()?;
        let (digest, code) = content.split_at_checked(DIGEST)?;
        let whole = !code.is_empty() && code.len() <= self.longest;
        (whole && Sha256::digest(code).as_slice() == digest).then(|| code.to_vec())
    }

    /// Keep what was compiled. One that cannot be kept is compiled once more the next time: that is said to whoever looks for it only.
    pub fn keep(&self, key: &str, code: &[u8]) {
        if code.len() > self.longest {
            return;
        }
        if let Err(e) = self.write(key, code) {
            tracing::debug!("cannot keep what was compiled in {}: {e}", self.entry(key).display());
        }
    }

    fn write(&self, key: &str, code: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let entry = self.entry(key);
        let fresh = entry.with_extension(std::process::id().to_string());
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&fresh)?;
        let written = file.write_all(&Sha256::digest(code)).and_then(|()| file.write_all(code));
        // Not flushed to disk: after a crash the digest tells a torn entry.
        written.and_then(|()| fs::rename(&fresh, &entry)).inspect_err(|_| {
            let _ = fs::remove_file(&fresh);
        })?;
        self.make_room()
    }

    fn make_room(&self) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another one made room meanwhile.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_file() && entry.file_name() != LOCK {
                entries.push((meta.modified()?, entry.path()));
            }
        }
        entries.sort();
        let over = entries.len().saturating_sub(MOST);
        // One that cannot be removed keeps no other.
        entries.into_iter().take(over).for_each(|(_, path)| drop(fs::remove_file(path)));
        Ok(())
    }

    /// Held by who compiles, for others to wait and find it done. Where there can be none, each compiles.
    pub fn lock(&self) -> Option<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).ok()?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(self.folder.join(LOCK)).ok()?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).ok()?;
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_bad_entry_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let compiled = Compiled::new(dir.path().join("cache/kind"), 100);
        compiled.keep("key", b"content!");
        let entry = compiled.entry("key");
        assert_eq!(fs::metadata(&compiled.folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
        assert_eq!(compiled.read("key").as_deref(), Some(&b"content!"[..]));
        assert_eq!(compiled.read("other"), None);

        // One bit, a cut file, nothing behind the digest, an empty one.
        let whole = fs::read(&entry).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [&flipped[..], &whole[..whole.len() - 8], &whole[..DIGEST], &[]] {
            fs::write(&entry, bad).unwrap();
            assert_eq!(compiled.read("key"), None);
        }
        compiled.keep("key", b"content!");
        assert_eq!(fs::read(&entry).unwrap(), whole);
        compiled.keep("long", &[7; 101]);
        assert!(!compiled.entry("long").exists());
        // Somebody else could have written it.
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(compiled.read("key"), None);
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o600)).unwrap();
        // A symlink in its place.
        fs::rename(&entry, compiled.folder.join("moved")).unwrap();
        std::os::unix::fs::symlink("moved", &entry).unwrap();
        assert_eq!(compiled.read("key"), None);
        assert_eq!(compiled.read("moved").as_deref(), Some(&b"content!"[..]));
        assert_eq!(fs::read_dir(&compiled.folder).unwrap().count(), 2, "no temporary file is left");
        let held = compiled.lock().unwrap();
        let other = File::open(compiled.folder.join(LOCK)).unwrap();
        let try_lock = || rustix::fs::flock(&other, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        assert!(try_lock().is_err());
        drop(held);
        try_lock().unwrap();
    }

    #[test]
    fn the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let compiled = Compiled::new(dir.path().to_owned(), 100);
        // Older than all, and none of them.
        fs::create_dir(dir.path().join("a folder")).unwrap();
        drop(compiled.lock());
        for n in 0..MOST + 3 {
            compiled.keep(&format!("{n}"), b"x");
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n as u64);
            File::options().write(true).open(compiled.entry(&n.to_string())).unwrap().set_modified(time).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MOST + 2);
        assert_eq!(compiled.read("2"), None);
        assert!(compiled.read("3").is_some() && compiled.read(&format!("{}", MOST + 2)).is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_written_does_no_harm() {
        let compiled = Compiled::new("/proc/nowhere/kind".into(), 100);
        compiled.keep("key", b"x");
        assert_eq!(compiled.read("key"), None);
    }
}
