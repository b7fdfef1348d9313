//! `commit`: an image from a container's changes, its upper folder as one more layer over the layers of its own image.

use super::digest::{Digest, HashWriter};
use super::gc::no_such_image;
use super::import::Change;
use super::layout::{self, Descriptor, Manifest};
use super::reference::Reference;
use super::store::Store;
use crate::error::{Context, Error, Result};
use crate::plan::Source;
use crate::state::{Container, State};
use crate::storage::changes::mount_points;
use crate::storage::idrange;
use crate::storage::tree_out::TreeOut;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What the caller says about the new image.
#[derive(Debug, Default)]
pub struct Options {
    pub author: String,
    pub message: String,
    pub changes: Vec<Change>,
}

/// Make the image; returns its ID.
pub fn commit(store: &Store, container: &Container, name: Option<&Reference>, options: &Options) -> Result<Digest> {
    let draft = &container.record.plan.draft;
    let Ok(base_digest) = Digest::parse(&draft.image.manifest_digest) else {
        return Err(Error::verb("a container that was made from a folder of the host cannot be committed")
            .hint("hardrun export CONTAINER | hardrun import - NAME"));
    };
    let ingest = store.ingest()?;
    let base = store.manifest(&base_digest).map_err(|e| no_such_image(&draft.image.name).because(e))?;
    let mut config: Value = serde_json::from_slice(&store.read_blob(&base.config.digest, layout::CONFIG_MAX)?)
        .verb_context(|| format!("reading the image config {}", base.config.digest))?;

    let mut layers: Vec<Descriptor> = base.layers.iter().map(as_oci).collect();
    let (layer, diff_id) = layer(&ingest, container)?;
    layers.push(layer);

    let created = jiff::Timestamp::now().to_string();
    let mut inner = running_config(&config["config"], container);
    let original = inner.clone();
    for change in &options.changes {
        change.apply(&mut inner);
    }
    config["config"] = inner;
    config["container"] = json!(container.id());
    config["container_config"] = original;
    config["created"] = json!(created);
    config["author"] = json!(options.author);
    let words = container.record.words.cmd.clone().unwrap_or_default();
    let mut step = json!({"created": created, "created_by": words.join(" ")});
    for (key, value) in [("author", &options.author), ("comment", &options.message)] {
        if !value.is_empty() {
            step[key] = json!(value);
        }
    }
    push(&mut config, "history", step);
    config["rootfs"]["type"] = json!("layers");
    match config["rootfs"]["diff_ids"].as_array_mut() {
        Some(ids) => ids.push(json!(diff_id)),
        None => config["rootfs"]["diff_ids"] = json!([diff_id]),
    }
    let bytes = serde_json::to_vec(&config).verb_context(|| "writing the image config".into())?;
    let (id, size) = ingest.put_blob(&bytes)?;
    let manifest = Manifest::new(Descriptor::new(layout::OCI_CONFIG, id.clone(), size), layers);
    let entry = ingest.put_manifest(&manifest.to_bytes(), layout::OCI_MANIFEST)?;
    ingest.unpack_image(&entry.digest)?;
    store.record(name, &entry)?;
    Ok(id)
}

fn push(config: &mut Value, key: &str, value: Value) {
    match config[key].as_array_mut() {
        Some(list) => list.push(value),
        None => config[key] = json!([value]),
    }
}

/// One kind of manifest holds one kind of layers.
fn as_oci(layer: &Descriptor) -> Descriptor {
    let kind = match layer.media_type.strip_prefix("application/vnd.docker.image.rootfs.diff.tar") {
        Some(suffix) => format!("{}{}", layout::OCI_LAYER, suffix.replace('.', "+")),
        None => layer.media_type.clone(),
    };
    Descriptor::new(kind, layer.digest.clone(), layer.size)
}

/// The upper folder as a layer: ids as the container sees them, deletions as whiteouts, what exists only to be mounted
/// upon left out.
fn layer(ingest: &super::ingest::Ingest<'_>, container: &Container) -> Result<(Descriptor, Digest)> {
    let scratch = ingest.scratch()?;
    let mut plain = HashWriter::new(GzEncoder::new(scratch, Compression::default()));
    let upper = container.folder.join("upper");
    let base = container.status.base.unwrap_or(0);
    // An id outside the container's range is what it sees as nobody: root's, as in a volume that is filled.
    let id = move |id: u32| id.checked_sub(base).filter(|id| *id < idrange::SIZE).unwrap_or(0);
    let points = mount_points(&container.record.plan.draft);
    match File::open(&upper) {
        Ok(folder) => {
            let root: OwnedFd = folder.into();
            let mut tree = TreeOut::new(&root, &mut plain);
            (tree.id, tree.layer, tree.mount_points) = (&id, true, &points);
            tree.add(Path::new(""), Path::new(""))?;
            tree.finish()?;
        }
        // Never started: a layer with nothing in it.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && container.status.state == State::Created => {
            plain.write_all(&[0; 1024]).verb_context(|| "writing the layer".into())?;
        }
        Err(e) => return Err(e).verb_context(|| format!("reading {}", upper.display())),
    }
    let (gzip, diff_id, _) = plain.finish();
    let scratch = gzip.finish().verb_context(|| "writing the layer".into())?;
    let (digest, size) = ingest.commit(scratch.finish()?)?;
    Ok((Descriptor::new(format!("{}+gzip", layout::OCI_LAYER), digest, size), diff_id))
}

/// The container's own configuration, which docker gives the new image.
fn running_config(of_image: &Value, container: &Container) -> Value {
    let draft = &container.record.plan.draft;
    let words = &container.record.words;
    let mut config = match of_image {
        Value::Object(config) => Value::Object(config.clone()),
        _ => json!({}),
    };
    let set =
        |paths: &[String]| -> Value { paths.iter().map(|p| (p.clone(), json!({}))).collect::<Map<_, _>>().into() };
    // What every container gets belongs to no image.
    let env: Vec<&str> = draft
        .process
        .env
        .iter()
        .filter(|e| e.source != Source::Default && !e.value.starts_with("HOME="))
        .map(|e| e.value.as_str())
        .collect();
    config["Hostname"] = json!(draft.hostname.value);
    config["Image"] = json!(draft.image.reference);
    config["User"] = json!(words.user);
    config["WorkingDir"] = json!(words.workdir);
    config["Env"] = json!(env);
    config["Cmd"] = json!(words.cmd);
    config["Entrypoint"] = json!(words.entrypoint);
    config["Labels"] = json!(draft.labels);
    if !words.exposed.is_empty() {
        config["ExposedPorts"] = set(&words.exposed);
    }
    if !words.volumes.is_empty() {
        config["Volumes"] = set(&words.volumes);
    }
    if let Some(signal) = &words.stop_signal {
        config["StopSignal"] = json!(signal);
    }
    config
}
