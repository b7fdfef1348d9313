//! Filters that were compiled before ([`Compiled`]).

use super::{Host, compile, has_filter};
use crate::error::{Context, Result};
use crate::plan::SeccompPlan;
use crate::state::{Compiled, Paths};
use sha2::{Digest, Sha256};

/// BPF_MAXINSNS instructions of eight bytes: nothing longer can be loaded.
const MAX_CODE: usize = 4096 * 8;

/// The filter of a plan, from the cache or compiled. `None`: the plan has no filter.
///
/// A cache that cannot be written is not an error: the filter does not depend on it.
pub fn cached(paths: &Paths, plan: &SeccompPlan, host: &Host) -> Result<Option<Vec<u8>>> {
    if !has_filter(plan) {
        return Ok(None);
    }
    let kept = kept(paths);
    let key = key(plan, host)?;
    if let Some(code) = kept.read(&key).filter(|code| code.len() % 8 == 0) {
        return Ok(Some(code));
    }
    let code = compile(plan, host)?;
    if let Some(code) = &code {
        kept.keep(&key, code);
    }
    Ok(code)
}

fn kept(paths: &Paths) -> Compiled {
    Compiled::new(paths.cache().join("seccomp"), MAX_CODE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn an_entry_is_reused_and_a_bad_one_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path()));
        let (plan, host) = (super::super::tests::plan(&[], true), Host::default());
        let good = cached(&paths, &plan, &host).unwrap().unwrap();
        assert_eq!(Some(&good), compile(&plan, &host).unwrap().as_ref());
        let key = key(&plan, &host).unwrap();
        assert_eq!(kept(&paths).read(&key), Some(good.clone()));
        for bad in [&b"half an instruction"[..], &[]] {
            kept(&paths).keep(&key, bad);
            assert_eq!(cached(&paths, &plan, &host).unwrap(), Some(good.clone()));
            assert_eq!(kept(&paths).read(&key), Some(good.clone()));
        }
        // What is there is what is taken.
        kept(&paths).keep(&key, &[7; 8]);
        assert_eq!(cached(&paths, &plan, &host).unwrap(), Some(vec![7; 8]));
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
