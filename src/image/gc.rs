//! What no image refers to any more is removed: blobs, and unpacked layers that no container uses.

use super::digest::Digest;
use super::layout::{self, Descriptor, Index};
use super::reference::Reference;
use super::store::Store;
use super::work::Workdir;
use super::{fsutil, layers, usage};
use crate::error::{Context, Error, Result};
use crate::observe::events::{self, Event};
use crate::ui;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Blobs that nobody refers to are left alone for a day: skopeo writes blobs first and the index last, and an interrupted
/// pull wants to go on with what it has.
const BLOB_AGE: Duration = Duration::from_secs(24 * 3600);
/// A download that was cut a week ago is not going to be resumed.
const PARTIAL_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
const TMP_PREFIX: &str = ".hardrun-tmp-";

/// What an index needs.
#[derive(Debug, Default)]
struct Needed {
    /// Hexadecimal digits of blobs and diff ids.
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
}

/// What a removal did, for `rmi` to print.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names and `name@digest` that are gone.
    pub untagged: Vec<String>,
    /// The image's ID and its layers' diff ids, if nobody needs them any more.
    pub deleted: Vec<Digest>,
}

/// A container that no record names.
const UNKNOWN: &str = "container";

/// One container of each kind, as it is named in a message.
#[derive(Debug, Default)]
struct Users {
    running: Option<String>,
    stopped: Option<String>,
}

impl Users {
    fn any(&self) -> Option<&String> {
        self.running.as_ref().or(self.stopped.as_ref())
    }
}

impl Store {
    /// Remove what is not referred to, if nobody is adding to the store: the blobs in `now` whatever their age. Returns
    /// the diff ids of layers that went.
    pub(super) fn collect(&self, now: &[Digest]) -> Result<Vec<Digest>> {
        let lock = self.gc_lock()?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Somebody loads or pulls. The last of them collects, but knows nothing of these blobs, which are too young to
            // go by themselves: they are left in a journal.
            if !now.is_empty() {
                let work = Workdir::new(&self.tmp())?;
                now.iter().try_for_each(|digest| work.note(digest))?;
                work.leave();
            }
            return Ok(Vec::new());
        }
        let _index_lock = self.lock_index()?;
        let needed = self.needed(&self.index()?)?;
        for digest in now.iter().filter(|d| !needed.blobs.contains(d.hex())) {
            remove_file(&self.blob_path(digest))?;
        }
        for name in fsutil::list(&self.blobs())? {
            if !needed.blobs.contains(&name) && older(&self.blobs().join(&name), BLOB_AGE) {
                remove_file(&self.blobs().join(&name))?;
            }
        }
        for name in fsutil::list(&self.partial())? {
            let path = self.partial().join(&name);
            if older(&path, PARTIAL_AGE) && !layers::in_use(&path) {
                remove_file(&path)?;
            }
        }
        let signatures = crate::site::signature::folder(&self.paths);
        for name in fsutil::list(&signatures)? {
            if !needed.blobs.contains(&name) && older(&signatures.join(&name), BLOB_AGE) {
                remove_file(&signatures.join(&name))?;
            }
        }
        for name in fsutil::list(&self.paths.images())? {
            // The index is written under the lock that is held here: this one's writer was killed.
            if name.starts_with(TMP_PREFIX) {
                remove_file(&self.paths.images().join(&name))?;
            }
        }
        let unneeded: Vec<String> =
            fsutil::list(&self.paths.layers())?.into_iter().filter(|name| !needed.layers.contains(name)).collect();
        let mut removed = Vec::new();
        if !unneeded.is_empty() {
            let work = Workdir::new(&self.tmp())?;
            for name in unneeded {
                if layers::remove(&self.paths.layers(), &name, &work)? {
                    removed.extend(Digest::from_hex(&name));
                }
            }
        }
        Ok(removed)
    }

    fn needed(&self, index: &Index) -> Result<Needed> {
        let mut needed = Needed::default();
        for entry in &index.manifests {
            self.need(entry, &mut needed, 0)?;
        }
        for user in usage::containers(&self.paths)? {
            // Whole, so that `commit` can build on it, also where nothing names the image any more.
            if let Some(manifest) = user.manifest {
                self.need(&Descriptor::new(layout::OCI_MANIFEST, manifest, 0), &mut needed, 0)?;
            }
            let folders = user.layers.iter().filter_map(|root| root.parent()?.file_name()?.to_str());
            needed.layers.extend(folders.map(str::to_owned));
        }
        Ok(needed)
    }

    /// An image that cannot be read stops the collection: what it needs is not known.
    fn need(&self, entry: &Descriptor, needed: &mut Needed, depth: u32) -> Result<()> {
        needed.blobs.insert(entry.digest.hex().to_owned());
        if !self.blob_path(&entry.digest).exists() {
            // The platforms of an index that were not fetched.
            return Ok(());
        }
        let damaged = |e: Error| {
            Error::verb(format!("image {} cannot be read", entry.digest))
                .because(e)
                .hint(format!("remove it: hardrun rmi -f {}", entry.digest))
        };
        if entry.is_index() {
            if depth > 3 {
                return Err(damaged(Error::verb("indexes are nested too deeply")));
            }
            let bytes = self.read_blob(&entry.digest, layout::MANIFEST_MAX)?;
            for inner in Index::parse(&bytes).map_err(damaged)?.manifests {
                self.need(&inner, needed, depth + 1)?;
            }
            return Ok(());
        }
        if !entry.is_manifest() {
            return Ok(());
        }
        let manifest = self.manifest(&entry.digest).map_err(damaged)?;
        let blobs = manifest.layers.iter().chain([&manifest.config]).map(|d| d.digest.hex().to_owned());
        needed.blobs.extend(blobs);
        if self.blob_path(&manifest.config.digest).exists()
            // Of an artifact that is no image the config may be anything.
            && let Ok(config) = self.config(&manifest.config.digest)
        {
            let diff_ids = config.rootfs().diff_ids();
            needed.layers.extend(diff_ids.iter().filter_map(|d| d.strip_prefix("sha256:").map(Into::into)));
            if diff_ids.is_empty() {
                needed.layers.insert(layers::empty().hex().to_owned());
            }
        }
        Ok(())
    }

    /// `rmi`: take a name away, or every name of an image named by ID; remove what nobody needs after that. What a stopped
    /// container needs stays on the disk until that is removed, though the image is no longer listed.
    ///
    /// # Errors
    /// Docker's: no such image, several names without `force`, used by a container.
    pub fn remove(&self, name: &str, force: bool) -> Result<Removed> {
        let (entry, by_name) = self.find_removable(name)?;
        let mut removed = Removed::default();
        let closure: Vec<Digest>;
        let ids = self.ids(&entry).ok().flatten();
        let id = ids.as_ref().map_or(&entry.digest, |(_, config)| config).clone();
        {
            let _lock = self.lock_index()?;
            let mut index = self.index()?;
            // An image is its config, as for docker: it may be there under several manifests, compressed differently.
            let is_it = |e: &Descriptor| {
                e.digest == entry.digest || self.ids(e).ok().flatten().is_some_and(|(_, config)| config == id)
            };
            let (same, rest): (Vec<Descriptor>, Vec<Descriptor>) = std::mem::take(&mut index.manifests)
                .into_iter()
                .partition(|e| is_it(e) && by_name.as_ref().is_none_or(|n| e.name().as_ref() == Some(n)));
            // Whoever was faster.
            if same.is_empty() {
                return Err(no_such_image(name));
            }
            let last = !rest.iter().any(is_it);
            index.manifests = rest;
            let users = if last { self.users(&id, &same)? } else { Users::default() };
            if !last {
                // The image stays under its other names.
            } else if by_name.is_some() {
                if !force && let Some(who) = users.any() {
                    let who = if who == UNKNOWN { "a running container" } else { who };
                    return Err(Error::verb(format!(
                        "conflict: unable to remove repository reference {name:?} (must force) - {who} is using its \
                         referenced image {}",
                        id.short()
                    )));
                }
                if users.running.is_some() {
                    let mut nameless = same[0].clone();
                    nameless.set_name(None);
                    index.manifests.push(nameless);
                } else {
                    removed.deleted.push(id.clone());
                }
            } else {
                let conflict = |how: &str, why: String| {
                    Error::verb(format!("conflict: unable to delete {} ({how}) - {why}", id.short()))
                };
                if let Some(who) = &users.running {
                    return Err(conflict("cannot be forced", format!("image is being used by running {who}")));
                }
                if !force && same.iter().filter(|e| e.name().is_some()).count() > 1 {
                    let why = "image is referenced in multiple repositories";
                    return Err(conflict("must be forced", why.into()));
                }
                if let Some(who) = users.stopped.as_ref().filter(|_| !force) {
                    return Err(conflict("must be forced", format!("image is being used by stopped {who}")));
                }
                removed.deleted.push(id.clone());
            }
            closure = same.iter().flat_map(|e| self.closure(e)).collect();
            for entry in &same {
                removed.untagged.extend(entry.name().map(|n| n.familiar()));
            }
            if last {
                removed.untagged.extend(same.iter().flat_map(|e| e.repo_digests()).collect::<BTreeSet<_>>());
            }
            self.write_shorter_index(&index)?;
        }
        for _ in &removed.untagged {
            self.note(Event::image("untag", id.as_str(), id.as_str()), &id);
        }
        if !removed.deleted.is_empty() {
            events::note(&self.paths, Event::image("delete", id.as_str(), id.as_str()));
        }
        if !removed.deleted.is_empty() {
            match self.collect(&closure) {
                Ok(layers) => removed.deleted.extend(layers),
                // The image is gone from the index; its space comes back with the next collection that succeeds.
                Err(e) => ui::warn(&format!("the space of {} is not freed yet: {}", id.short(), e.chain().join(": "))),
            }
        }
        Ok(removed)
    }

    /// Who uses an image, of which these are all entries.
    fn users(&self, id: &Digest, entries: &[Descriptor]) -> Result<Users> {
        let mut users = Users::default();
        for user in usage::containers(&self.paths)?.into_iter().filter(|u| u.config.as_ref() == Some(id)) {
            let who = format!("container {}", user.short_id());
            let slot = if user.running { &mut users.running } else { &mut users.stopped };
            slot.get_or_insert(who);
        }
        let held = |e: &Descriptor| {
            let manifest = self.ids(e).ok().flatten().map_or(e.digest.clone(), |(manifest, _)| manifest);
            layers::in_use(&self.blob_path(&manifest))
        };
        if users.running.is_none() && entries.iter().any(held) {
            // One that is not on record yet, or leaves none.
            users.running = Some(UNKNOWN.into());
        }
        Ok(users)
    }

    /// A container that used this image is gone: if nothing names the image any more, its space comes back.
    pub fn release(&self, manifest: &str) -> Result<()> {
        let Ok(manifest) = Digest::parse(manifest) else { return Ok(()) };
        let index = self.index()?;
        // Most images are an entry of their own; only where that is not so more than the index is read.
        if index.manifests.iter().any(|e| e.digest == manifest)
            || index.manifests.iter().any(|e| self.ids(e).ok().flatten().is_some_and(|(known, _)| known == manifest))
        {
            return Ok(());
        }
        let entry = Descriptor::new(layout::OCI_MANIFEST, manifest, 0);
        self.collect(&self.closure(&entry))?;
        Ok(())
    }

    /// The entry, and the name that is to go; no name where it was given by ID.
    fn find_removable(&self, name: &str) -> Result<(Descriptor, Option<Reference>)> {
        let missing = || no_such_image(name);
        let index = self.index()?;
        if let Ok(reference) = name.parse::<Reference>()
            && reference.digest.is_none()
            && let Some(entry) = super::store::named(&index, &reference)
        {
            return Ok((entry.clone(), Some(reference)));
        }
        let found = self.find_entry(name).map_err(|e| e.of_kind(crate::error::Kind::Verb))?;
        // A damaged image has no ID; it can be named by the digest in the index.
        let by_digest = || index.manifests.iter().find(|e| e.digest.as_str() == name).cloned();
        let entry = found.map(|(entry, _)| entry).or_else(by_digest).ok_or_else(missing)?;
        Ok((entry, None))
    }

    /// Every blob of an image, as far as it can be read.
    fn closure(&self, entry: &Descriptor) -> Vec<Digest> {
        let mut needed = Needed::default();
        // Damaged: what is left of it goes when it is a day old.
        if self.need(entry, &mut needed, 0).is_err() {
            needed.blobs.insert(entry.digest.hex().to_owned());
        }
        needed.blobs.iter().filter_map(|hex| Digest::from_hex(hex).ok()).collect()
    }
}

/// Docker's words.
pub fn no_such_image(name: &str) -> Error {
    let shown = name.parse::<Reference>().map_or_else(|_| name.to_owned(), |r| r.familiar());
    Error::verb(format!("No such image: {shown}"))
}

fn older(path: &Path, age: Duration) -> bool {
    let modified = std::fs::symlink_metadata(path).and_then(|m| m.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|passed| passed > age))
}

fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).verb_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
