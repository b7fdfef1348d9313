//! The store: an OCI image layout (`index.json`, `blobs/`) and one folder per unpacked layer.

use super::reference::Reference;
use crate::error::Result;
use crate::state::Paths;
use oci_spec::image::ImageConfiguration;
use std::path::PathBuf;

/// An image that is ready to run.
#[derive(Debug, Clone)]
pub struct Image {
    /// Familiar name.
    pub name: String,
    pub manifest_digest: String,
    pub config_digest: String,
    pub config: ImageConfiguration,
    /// Unpacked layer folders, lowest first.
    pub layers: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Store {
    pub paths: Paths,
}

impl Store {
    /// Open the store, making its folders if they are missing.
    pub fn open(paths: &Paths) -> Result<Store> {
        Ok(Store { paths: paths.clone() })
    }

    /// Find an image by reference, by config digest (`sha256:…`) or by a unique prefix of at least 4 hex digits.
    pub fn find(&self, _name: &str, _platform: Option<&str>) -> Result<Option<Image>> {
        Ok(None)
    }

    /// The image that a parsed reference names.
    pub fn lookup(&self, _reference: &Reference, _platform: Option<&str>) -> Result<Option<Image>> {
        Ok(None)
    }
}
