//! `hardrun import`: an image of one layer from a tar of a root filesystem.

mod change;

pub use change::Change;

use super::digest::Digest;
use super::layout::{self, Descriptor, Manifest};
use super::reference::Reference;
use super::store::Store;
use super::{compress, fsutil};
use crate::error::{Context, Error, Result};
use serde_json::{Value, json};
use std::io::{Read, Write};

/// What goes into the new image's config.
#[derive(Debug, Default)]
pub struct Options {
    pub changes: Vec<Change>,
    pub message: Option<String>,
    /// `os/arch/variant`.
    pub platform: Option<String>,
}

/// Read the archive, unpack it, and record the image. Returns the image's ID.
pub fn import(store: &Store, archive: impl Read, name: Option<&Reference>, options: &Options) -> Result<Digest> {
    let platform = layout::Wanted::parse(options.platform.as_deref())?;
    let ingest = store.ingest()?;
    let mut scratch = ingest.scratch()?;
    copy(archive, &mut scratch, store)?;
    let layer = scratch.finish()?;
    if layer.size == 0 {
        return Err(Error::verb("the archive is empty"));
    }
    let (kind, _) = compress::sniff(layer.reader()?)?;
    let diff_id = ingest.unpack_archive(layer.reader()?)?;
    let (digest, size) = ingest.commit(layer)?;
    let layer = Descriptor::new(format!("{}{}", layout::OCI_LAYER, kind.suffix()), digest, size);

    let config = config(&diff_id, &platform, options)?;
    let bytes = serde_json::to_vec(&config).expect("plain data");
    let (id, size) = ingest.put_blob(&bytes)?;
    let manifest = Manifest::new(Descriptor::new(layout::OCI_CONFIG, id.clone(), size), vec![layer]);
    let entry = ingest.put_manifest(&manifest.to_bytes(), layout::OCI_MANIFEST)?;
    store.record(name, &entry)?;
    Ok(id)
}

/// Copy an archive of unknown length, and stop before the host's disk is full.
pub(super) fn copy(mut from: impl Read, to: &mut impl Write, store: &Store) -> Result<u64> {
    let (free, _) = fsutil::free_space(&store.paths.root)?;
    let copied = std::io::copy(&mut from.by_ref().take(free), to).verb_context(|| "reading the archive".into())?;
    if copied == free && from.read(&mut [0]).verb_context(|| "reading the archive".into())? > 0 {
        return Err(Error::verb(format!("the archive is larger than the {free} bytes that are free on the disk")));
    }
    Ok(copied)
}

fn config(diff_id: &Digest, platform: &layout::Wanted, options: &Options) -> Result<Value> {
    let created = jiff::Timestamp::now().to_string();
    let (os, architecture, variant) = platform.parts();
    let mut inner = json!({});
    for change in &options.changes {
        change.apply(&mut inner);
    }
    let mut config = json!({
        "architecture": architecture,
        "os": os,
        "created": created,
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "comment": options.message.as_deref().unwrap_or("Imported from -")}],
    });
    if let Some(variant) = variant {
        config["variant"] = variant.into();
    }
    Ok(config)
}
