//! Whether containers can be confined here, tried: what a start does, short of loading a profile.

use super::load;
use crate::error::{Context, Result};
use std::fs::{self, OpenOptions};
use std::path::Path;

/// The least that the parser takes, with the ABI that every profile names.
const EMPTY: &str = "abi <abi/3.0>,\n\nprofile hardrun-doctor {}\n";

/// Who may list and load profiles, and look at their mode.
pub const PRIVILEGED: &str =
    "start hardrun as the host's root with CAP_MAC_ADMIN, where /sys can be written: not in a container";

/// Whether the kernel's profiles can be listed, and one compiled and loaded.
///
/// # Errors
/// What would keep every container from being started, with the remedy as a hint.
pub fn trial() -> Result<()> {
    let interface = || match Path::new(load::LOADED).exists() {
        true => PRIVILEGED,
        false => "mount -t securityfs securityfs /sys/kernel/security",
    };
    let listed = fs::read(load::LOADED).context(|| format!("list the profiles in {}", load::LOADED));
    listed.map_err(|e| e.hint(interface()))?;
    let loading = OpenOptions::new().write(true).open(load::REPLACE);
    loading.context(|| format!("load profiles by {}", load::REPLACE)).map_err(|e| e.hint(interface()))?;
    load::compile(EMPTY).map_err(|e| e.hint(package(load::parser().as_deref(), Path::new(load::ABI)))).map(drop)
}

/// What brings a parser that compiles.
fn package(parser: Option<&Path>, abi: &Path) -> &'static str {
    match (parser, abi.exists()) {
        (None, _) => "apt-get install apparmor",
        // A file of settings that was removed does not come back by itself.
        (_, false) => {
            "apt-get install --reinstall -o Dpkg::Options::=--force-confmiss apparmor (it brings /etc/apparmor.d/abi/3.0)"
        }
        _ => "apt-get install --reinstall apparmor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_profile_compiles() {
        if load::parser().is_none() || !Path::new(load::ABI).exists() {
            eprintln!("skipped: apparmor_parser or its ABI is not installed");
            return;
        }
        assert!(!load::compile(EMPTY).unwrap().is_empty());
    }

    #[test]
    fn the_remedy_brings_what_is_missing() {
        let (there, gone) = (Path::new("/"), Path::new("/nonexistent"));
        assert_eq!(package(None, gone), "apt-get install apparmor");
        assert!(package(Some(there), gone).contains("--force-confmiss apparmor (it brings /etc/apparmor.d/abi/3.0)"));
        assert_eq!(package(Some(there), there), "apt-get install --reinstall apparmor");
    }
}
