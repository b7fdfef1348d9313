//! Where things are kept on disk.

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
    pub const ROOT: &'static str = "/var/lib/hardrun";
    pub const RUN: &'static str = "/run/hardrun";

    /// With `--root DIR` the run root is `DIR/run` unless it is the default.
    pub fn new(root: Option<&Path>) -> Self {
        match root {
            Some(root) if root != Path::new(Self::ROOT) => Paths { root: root.to_owned(), run: root.join("run") },
            _ => Paths { root: Self::ROOT.into(), run: Self::RUN.into() },
        }
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
