//! The way into the store: blobs, manifests, names, unpacked layers. While an [`Ingest`] lives, nothing is collected.

use super::blob::{BlobWriter, Scratch, Written};
use super::digest::Digest;
use super::layers::{self, Hold, Source};
use super::layout::{self, Descriptor, Index};
use super::reference::Reference;
use super::store::{Image, Store};
use super::work::{self, Workdir};
use super::{fsutil, store};
use crate::error::{Context, Error, Result};
use crate::observe::events::{self, Event};
use crate::ui;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Work in progress on one store. It may be shared between threads; drop it when the image is recorded.
#[derive(Debug)]
pub struct Ingest<'a> {
    store: &'a Store,
    work: Workdir,
    serial: AtomicU32,
    /// Blobs that this command made. Those that no image refers to in the end are removed.
    made: Mutex<Vec<Digest>>,
    /// Shared lock that keeps gc away.
    no_gc: File,
}

impl Drop for Ingest<'_> {
    /// A failed command leaves no trace: what it brought in and did not record goes. Whatever else is not referred to and
    /// was left by a killed process goes with it.
    fn drop(&mut self) {
        let unlocked = flock(&self.no_gc, FlockOperation::Unlock).verb_context(|| "unlocking the image store".into());
        let made = std::mem::take(self.made.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Err(e) = unlocked.and_then(|()| self.store.collect(&made)) {
            let hint = e.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            ui::warn(&format!("the image store was not cleaned: {}{hint}", e.chain().join(": ")));
        }
    }
}

impl Store {
    /// Begin to add to the store. Removes what killed processes left behind.
    pub fn ingest(&self) -> Result<Ingest<'_>> {
        let noted = work::clean(&self.tmp())?;
        let no_gc = self.gc_lock()?;
        flock(&no_gc, FlockOperation::LockShared).verb_context(|| "locking the image store".into())?;
        let work = Workdir::new(&self.tmp())?;
        Ok(Ingest { store: self, work, serial: AtomicU32::new(0), made: Mutex::new(noted), no_gc })
    }

    /// Clean up after a process that was killed, if there was one: a look into one folder where there was none.
    pub fn recover(&self) -> Result<()> {
        if !fsutil::list(&self.tmp())?.is_empty() {
            drop(self.ingest()?);
        }
        Ok(())
    }

    /// Keep an image and its layers from being removed while the returned descriptors are open, in any process.
    pub fn hold_layers(&self, image: &Image) -> Result<Hold> {
        self.hold(&image.manifest_digest, &image.layers)
    }

    /// The same for an image that a container was made from.
    pub fn hold(&self, manifest_digest: &str, folders: &[PathBuf]) -> Result<Hold> {
        layers::hold(&self.blob_path(&Digest::parse(manifest_digest)?), folders)
    }

    /// Put an image's manifest (or index) into the index, under a name or without one. The image that had the name before
    /// loses it and stays, as `<none>`. A reference by digest gives no name, and says nothing of where the image is from: only who
    /// has spoken with the registry knows, and notes it in the entry.
    ///
    /// Returns the digest of the entry that lost the name.
    pub fn record(&self, reference: Option<&Reference>, entry: &Descriptor) -> Result<Option<Digest>> {
        let _lock = self.lock_index()?;
        let mut index = self.index()?;
        let mut replaced = put(&mut index, reference, entry);
        if let Some(old) = &replaced {
            let id = |digest: &Digest| self.manifest(digest).ok().map(|m| m.config.digest);
            // An image is its config: this is the same one, compressed differently.
            if id(old).is_some() && id(old) == id(&entry.digest) {
                index.manifests.retain(|e| e.digest != *old || e.name().is_some() || !e.repo_digests().is_empty());
                replaced = None;
            }
        }
        self.write_index(&index)?;
        Ok(replaced)
    }
}

impl Store {
    /// `tag`: another name for an image, given by name or ID.
    pub fn tag(&self, source: &str, name: &Reference) -> Result<()> {
        let (entry, _) = self.find_entry(source)?.ok_or_else(|| super::gc::no_such_image(source))?;
        self.record(Some(name), &entry)?;
        let id = self.ids(&entry)?.map_or(entry.digest, |(_, id)| id);
        self.note(Event::image("tag", id.as_str(), &name.familiar()), &id);
        Ok(())
    }

    /// Note what happened to an image, with its labels as docker has them.
    pub fn note(&self, event: Event, id: &Digest) {
        let labels = self.config(id).ok().and_then(|config| config.config().as_ref()?.labels().clone());
        events::note(&self.paths, event.labelled(labels.unwrap_or_default()));
    }
}

impl Store {
    /// The registry knows what stands under this name as `repository@digest` from now on. Nothing happens where the name
    /// means something else by now.
    pub fn note_repo_digest(&self, name: &Reference, entry: &Digest, digest: &Digest) -> Result<()> {
        let _lock = self.lock_index()?;
        let mut index = self.index()?;
        let known = index.manifests.iter().find(|e| e.digest == *entry && e.name().as_ref() == Some(name));
        if let Some(known) = known {
            let mut known = known.clone();
            let one = format!("{}@{digest}", name.name());
            let all = known.annotations.entry(layout::REPO_DIGESTS.into()).or_default();
            if !all.split(' ').any(|had| had == one) {
                *all = format!("{all} {one}").trim().to_owned();
                put(&mut index, Some(name), &known);
                self.write_index(&index)?;
            }
        }
        Ok(())
    }
}

/// `record` on the index itself.
fn put(index: &mut Index, reference: Option<&Reference>, entry: &Descriptor) -> Option<Digest> {
    let name = reference.filter(|r| r.digest.is_none());
    let mut new = entry.clone();
    new.set_name(name);
    let mut repo_digests: Vec<String> = Vec::new();
    let mut note = |entry: &Descriptor| {
        let all = entry.annotations.get(layout::REPO_DIGESTS);
        for one in all.iter().flat_map(|all| all.split(' ')).filter(|one| !one.is_empty()) {
            if !repo_digests.iter().any(|known| known == one) {
                repo_digests.push(one.to_owned());
            }
        }
    };
    note(entry);
    index.manifests.iter().filter(|e| e.digest == new.digest).for_each(&mut note);
    if !repo_digests.is_empty() {
        new.annotations.insert(layout::REPO_DIGESTS.into(), repo_digests.join(" "));
    }
    let mut replaced = None;
    if let Some(name) = name {
        // `while`: other programs may have given one name to several entries.
        while let Some(at) = index.manifests.iter().position(|e| e.name().as_ref() == Some(name)) {
            let mut old = index.manifests.remove(at);
            if old.digest != new.digest {
                replaced = Some(old.digest.clone());
                if !index.manifests.iter().any(|e| e.digest == old.digest) {
                    old.set_name(None);
                    index.manifests.push(old);
                }
            }
        }
        index.manifests.retain(|e| e.digest != new.digest || e.name().is_some());
    } else if let Some(known) = index.manifests.iter_mut().find(|e| e.digest == new.digest) {
        // It has a name or is there without one: another nameless entry says nothing more.
        if let Some(all) = new.annotations.get(layout::REPO_DIGESTS) {
            known.annotations.insert(layout::REPO_DIGESTS.into(), all.clone());
        }
        return None;
    }
    index.manifests.push(new);
    replaced
}

impl Ingest<'_> {
    pub fn store(&self) -> &Store {
        self.store
    }

    /// This command brought the blob in: unless an image refers to it in the end, it is removed.
    pub(super) fn made(&self, digest: &Digest) -> Result<()> {
        self.work.note(digest)?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(digest.clone());
        Ok(())
    }

    /// A file in this process's work folder.
    fn new_file(&self) -> PathBuf {
        self.work.path().join(format!("file-{}", self.serial.fetch_add(1, Ordering::Relaxed)))
    }

    /// Write a blob whose digest is known: checked while it streams, resumable when it is cut. `None` if it is there.
    /// Waits while another process downloads the same blob.
    pub fn blob_writer(&self, digest: &str, size: Option<u64>) -> Result<Option<BlobWriter>> {
        let digest = Digest::parse(digest)?;
        let target = self.store.blob_path(&digest);
        if target.exists() {
            return Ok(None);
        }
        let partial = self.store.partial().join(digest.hex());
        if let Some(size) = size {
            // Before anything is written: a registry says any size, and what was fetched stays to be taken up.
            let there = std::fs::symlink_metadata(&partial).map_or(0, |m| m.len());
            let (free, _) = fsutil::free_space(&self.store.partial())?;
            if size.saturating_sub(there) > free {
                return Err(Error::verb(format!(
                    "blob {digest} is {size} bytes long, and {free} are free on the disk"
                )));
            }
        }
        BlobWriter::open(partial, target, digest, size)
    }

    /// Write a blob whose digest is not known yet.
    pub fn scratch(&self) -> Result<Scratch> {
        Scratch::create(self.new_file(), self.store.blobs())
    }

    /// Put a finished blob into the store.
    pub fn commit(&self, written: Written) -> Result<(Digest, u64)> {
        if !self.store.blob_path(&written.digest).exists() {
            self.made(&written.digest)?;
        }
        written.commit()
    }

    /// Put a small blob into the store.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<(Digest, u64)> {
        use std::io::Write;
        let digest = Digest::of(bytes);
        if !self.store.blob_path(&digest).exists() {
            let mut scratch = self.scratch()?;
            scratch.write_all(bytes).verb_context(|| format!("writing blob {digest}"))?;
            self.commit(scratch.finish()?)?;
        }
        Ok((digest, bytes.len() as u64))
    }

    /// Put a manifest or an index into the store. Whoever knows which digest it must have compares it with the one returned.
    pub fn put_manifest(&self, bytes: &[u8], media_type: &str) -> Result<Descriptor> {
        let (digest, size) = self.put_blob(bytes)?;
        Ok(Descriptor::new(media_type, digest, size))
    }

    /// Unpack the layers of an image that are not there yet; returns the folders, lowest first.
    pub fn unpack_image(&self, manifest_digest: &Digest) -> Result<Vec<PathBuf>> {
        let folder = self.store.paths.layers();
        let manifest = self.checked(manifest_digest, layout::MANIFEST_MAX)?;
        let manifest = layout::Manifest::parse(&manifest)?;
        self.checked(&manifest.config.digest, layout::CONFIG_MAX)?;
        let config = self.store.config(&manifest.config.digest)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers.len() {
            return Err(Error::verb(format!(
                "image {manifest_digest} has {} layers, and its config describes {}",
                manifest.layers.len(),
                diff_ids.len()
            )));
        }
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let failed = |e| Error::verb(format!("layer {} cannot be unpacked", layer.digest)).because(e);
            if layers::unpacked(&folder, std::slice::from_ref(diff_id))?.is_some() {
                let blob = self.store.open_blob(&layer.digest)?;
                layers::check_known(blob, &layer.digest, &Digest::parse(diff_id)?, &folder).map_err(failed)?;
                continue;
            }
            let source = Source {
                blob: self.store.open_blob(&layer.digest)?,
                stored: Some((layer.digest.clone(), layer.size)),
                diff_id: Some(Digest::parse(diff_id)?),
            };
            layers::unpack(source, &folder, &self.work).map_err(failed)?;
        }
        if diff_ids.is_empty() {
            layers::unpack_empty(&folder, &self.work)?;
        }
        layers::unpacked(&folder, diff_ids)?
            .ok_or_else(|| Error::verb(format!("layers of image {manifest_digest} vanished while it was unpacked")))
    }

    /// Unpack a layer of which only the archive is known; returns its diff id.
    pub(super) fn unpack_archive(&self, archive: File) -> Result<Digest> {
        let source = Source { blob: archive, stored: None, diff_id: None };
        layers::unpack(source, &self.store.paths.layers(), &self.work)
    }

    /// A small blob whose digest is compared: other programs write into the store as well.
    fn checked(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.store.read_blob(digest, limit)?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::verb(format!("blob {digest} has the digest {found}: it was damaged or tampered with")));
        }
        Ok(bytes)
    }
}

/// The entry of the index that a reference names, for those who hold the index.
pub fn entry<'a>(index: &'a Index, reference: &Reference) -> Option<&'a Descriptor> {
    store::named(index, reference)
}
