//! A read-only look into the merged root of some layers without mounting them: whiteouts, opaque folders and symlinks
//! are followed inside the root, never outside.

use crate::error::Result;
use std::path::{Path, PathBuf};

pub struct View {
    layers: Vec<PathBuf>,
}

impl View {
    /// Layers lowest first.
    pub fn new(layers: &[PathBuf]) -> View {
        View { layers: layers.to_vec() }
    }
    /// The host path of the file or folder that `path` is in the merged root, symlinks followed; `None` if there is none.
    pub fn resolve(&self, _path: &Path) -> Result<Option<PathBuf>> {
        let _ = &self.layers;
        Ok(None)
    }
    /// Type of the last component itself, not followed.
    pub fn symlink_metadata(&self, _path: &Path) -> Result<Option<std::fs::Metadata>> {
        Ok(None)
    }
    /// At most `limit` bytes of a regular file.
    pub fn read(&self, _path: &Path, _limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
