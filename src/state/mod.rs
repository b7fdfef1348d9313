//! Where things are kept on disk, and what is known about containers.

mod compiled;
pub mod folder;
pub mod lookup;
pub mod names;
mod record;
mod stamp;
mod status;
#[cfg(test)]
pub mod testkit;

pub use compiled::Compiled;
pub use folder::Folder;
pub use lookup::Container;
pub use record::{Record, Words};
pub use stamp::Stamp;
pub use status::{BoundPort, Check, Endpoint, Health, Network, State, Status};

use std::path::{Path, PathBuf};

/// The two roots. Both are owned by root with mode 0700, made when first needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Survives a reboot: images, layers, volumes, containers, the audit log.
    pub root: PathBuf,
    /// Does not: locks and what belongs to running containers.
    pub run: PathBuf,
}

impl Paths {
    /// Root's.
    pub const ROOT: &'static str = "/var/lib/hardrun";
    pub const RUN: &'static str = "/run/hardrun";

    /// With `--root DIR` the run root is `DIR/run` unless it is the default: root's, or the caller's own.
    pub fn new(root: Option<&Path>) -> Self {
        let (usual, run) = Self::usual();
        match root {
            Some(root) if root != usual => {
                // The launch changes its working folder. Only an empty name has no absolute form; it fails where it is used.
                let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
                Paths { run: root.join("run"), root }
            }
            _ => Paths { root: usual, run },
        }
    }

    /// The store where none is named, and the run folder of the host: for an ordinary user, of all that is the user's.
    fn usual() -> (PathBuf, PathBuf) {
        match crate::rootless::current() {
            Some(rootless) => (rootless.root.clone(), rootless.run.clone()),
            None if crate::rootless::is_needed() => {
                // Where the caller has no place for them, the verbs that need one say so on their way in.
                crate::rootless::folders::mine().unwrap_or_else(|_| (Self::ROOT.into(), Self::RUN.into()))
            }
            None => (Self::ROOT.into(), Self::RUN.into()),
        }
    }

    /// Whether this is the store that is used where none is named: by `--root`, or by an ordinary user's environment.
    pub fn is_usual(&self) -> bool {
        match crate::rootless::current() {
            Some(rootless) => crate::rootless::folders::store_of(rootless.uid).is_some_and(|usual| usual == self.root),
            None => self.root == Self::usual().0,
        }
    }

    /// What belongs to the host whatever `--root` says: locks on ids, the stage, profiles.
    pub fn host_run() -> PathBuf {
        Self::usual().1
    }
    /// The OCI image layout.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }
    /// Unpacked layers, one folder per diff id.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }
    /// One folder per container.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }
    /// Links from names to ids of containers.
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }
    /// Compiled seccomp filters and the like; can be deleted at any time.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("audit.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_root_is_taken_from_here() {
        let paths = Paths::new(Some(Path::new("store/../here")));
        assert!(paths.layers().is_absolute() && paths.layers().starts_with(std::env::current_dir().unwrap()));
    }
}
