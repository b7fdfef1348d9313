//! Filters that were compiled before, in `<root>/cache/seccomp`.
//!
//! An entry is named by a digest of everything that decides about its content and starts with a digest of the code
//! behind it. What does not match is compiled again: an entry is never trusted for being there.

use super::{Host, compile, has_filter};
use crate::error::{Context, Result};
use crate::plan::SeccompPlan;
use crate::state::Paths;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Bytes of SHA-256.
const DIGEST: usize = 32;
/// BPF_MAXINSNS instructions of eight bytes: nothing longer can be loaded.
const MAX_CODE: usize = 4096 * 8;

/// The filter of a plan, from the cache or compiled. `None`: the plan has no filter.
///
/// A cache that cannot be written is not an error: the filter does not depend on it.
pub fn cached(paths: &Paths, plan: &SeccompPlan, host: &Host) -> Result<Option<Vec<u8>>> {
    if !has_filter(plan) {
        return Ok(None);
    }
    let folder = paths.cache().join("seccomp");
    let entry = folder.join(key(plan, host)?);
    if let Some(code) = read(&entry) {
        return Ok(Some(code));
    }
    let code = compile(plan, host)?;
    if let Some(code) = &code
        && let Err(e) = write(&folder, &entry, code)
    {
        tracing::debug!("cannot keep the compiled seccomp filter in {}: {e}", entry.display());
    }
    Ok(code)
}

/// Tells one build's table and generator from another's: an entry of an older hardrun is never taken.
const SOURCE: u64 = {
    let sources: [&[u8]; 9] = [
        include_bytes!("mod.rs"),
        include_bytes!("builtin.rs"),
        include_bytes!("sets.rs"),
        include_bytes!("numbers.rs"),
        include_bytes!("checks.rs"),
        include_bytes!("rules.rs"),
        include_bytes!("bpf.rs"),
        include_bytes!("docker.rs"),
        include_bytes!("cache.rs"),
    ];
    // FNV-1a: nobody chooses these bytes but us, so it need not be more.
    let (mut hash, mut file) = (0xcbf2_9ce4_8422_2325u64, 0);
    while file < sources.len() {
        let mut at = 0;
        while at < sources[file].len() {
            hash = (hash ^ sources[file][at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        file += 1;
    }
    hash
};

/// File name of the entry for this plan.
fn key(plan: &SeccompPlan, host: &Host) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(SOURCE.to_le_bytes());
    hash.update(super::bpf::NATIVE_ARCH.to_le_bytes());
    // Taken apart without `..`: what decides and is not in the key would bring another plan's filter.
    let SeccompPlan { profile, only, opened, shut, no_setid } = plan;
    let only = only.as_ref().map(|only| &only.value);
    let json = serde_json::to_vec(&(&profile.value, only, opened, shut, no_setid.value, host))
        .context(|| "cannot describe the seccomp profile".to_owned())?;
    hash.update(json);
    Ok(hex::encode(hash.finalize()))
}

/// The code of an entry that is whole and nobody else's.
fn read(entry: &Path) -> Option<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(entry).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return None;
    }
    let mut content = Vec::with_capacity(4096);
    file.take((DIGEST + MAX_CODE + 1) as u64).read_to_end(&mut content).ok()?;
    let (digest, code) = content.split_at_checked(DIGEST)?;
    let whole = !code.is_empty() && code.len() <= MAX_CODE && code.len() % 8 == 0;
    (whole && Sha256::digest(code).as_slice() == digest).then(|| code.to_vec())
}

fn write(folder: &Path, entry: &Path, code: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let fresh = entry.with_extension(std::process::id().to_string());
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&fresh)?;
    let written = file.write_all(&Sha256::digest(code)).and_then(|()| file.write_all(code));
    // Not flushed to disk: after a crash the digest tells a torn entry.
    written.and_then(|()| fs::rename(&fresh, entry)).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_entry_is_reused_and_a_bad_one_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path()));
        let (plan, host) = (super::super::tests::plan(&[], true), Host::default());
        let good = cached(&paths, &plan, &host).unwrap().unwrap();
        assert_eq!(Some(&good), compile(&plan, &host).unwrap().as_ref());

        let folder = paths.cache().join("seccomp");
        let entry = folder.join(key(&plan, &host).unwrap());
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&entry), Some(good.clone()));

        // One bit in the code, a cut file, an empty one: not taken, and put right.
        let whole = fs::read(&entry).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [&flipped[..], &whole[..whole.len() - 8], &whole[..DIGEST], &[]] {
            fs::write(&entry, bad).unwrap();
            assert_eq!(read(&entry), None);
            assert_eq!(cached(&paths, &plan, &host).unwrap(), Some(good.clone()));
            assert_eq!(fs::read(&entry).unwrap(), whole);
        }
        // Somebody else could have written it.
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(read(&entry), None);
        // A symlink in its place.
        fs::rename(&entry, folder.join("moved")).unwrap();
        std::os::unix::fs::symlink("moved", &entry).unwrap();
        assert_eq!(read(&entry), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn entries_are_told_apart() {
        let host = Host::default();
        let plan = |opened: &[&str], no_setid| key(&super::super::tests::plan(opened, no_setid), &host).unwrap();
        let keys = [plan(&[], false), plan(&[], true), plan(&["bpf"], false), plan(&["perf"], false)];
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    }

    #[test]
    fn a_cache_that_cannot_be_written_does_no_harm() {
        let paths = Paths::new(Some(Path::new("/proc/nowhere")));
        assert!(cached(&paths, &super::super::tests::plan(&[], false), &Host::default()).unwrap().is_some());
    }
}
