//! The store: an OCI image layout (`index.json`, `blobs/`) and one folder per unpacked layer.
//!
//! `find` and `lookup` stand on the path of every `hardrun run`: they read three small files and look at one marker per
//! layer. Nothing is hashed and no folder is listed there; digests were checked when the files came in.

use super::digest::Digest;
use super::layout::{self, Descriptor, Index, Manifest, Wanted};
use super::reference::Reference;
use super::{fsutil, layers};
use crate::error::{Context, Error, Result};
use crate::state::Paths;
use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

/// An image that is ready to run.
#[derive(Debug, Clone)]
pub struct Image {
    /// Familiar name.
    pub name: String,
    pub manifest_digest: String,
    pub config_digest: String,
    pub config: ImageConfiguration,
    /// Docker's extension of the config, which the OCI type leaves out.
    pub healthcheck: Option<Healthcheck>,
    /// Unpacked layer folders, lowest first; never empty.
    pub layers: Vec<PathBuf>,
    /// Of the index that it was chosen from.
    pub index_digest: Option<String>,
    /// Canonical repositories that gave it, or were given it by a push.
    pub repositories: Vec<String>,
    /// Filled by who needs them: see [`crate::site::signature::of`].
    pub signatures: Vec<crate::site::signature::Signature>,
}

/// `HEALTHCHECK` of an image; durations in nanoseconds, 0 where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    pub test: Vec<String>,
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: i64,
}

/// What of the config's text the OCI type does not know.
#[derive(Debug, Default, Deserialize)]
struct Extension {
    #[serde(default)]
    config: Option<ConfigExtension>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigExtension {
    healthcheck: Option<Healthcheck>,
}

fn healthcheck(config: &[u8]) -> Result<Option<Healthcheck>> {
    // Most images have none, and then nothing is parsed a second time on the way to a start.
    if !config.windows(11).any(|w| w == b"Healthcheck") {
        return Ok(None);
    }
    let extension: Extension =
        serde_json::from_slice(config).verb_context(|| "reading the image's health check".into())?;
    Ok(extension.config.and_then(|c| c.healthcheck))
}

#[derive(Debug, Clone)]
pub struct Store {
    pub paths: Paths,
}

impl Store {
    /// Open the store, making its folders if they are missing.
    pub fn open(paths: &Paths) -> Result<Store> {
        let store = Store { paths: paths.clone() };
        let marker = paths.images().join("oci-layout");
        if marker.exists() {
            for folder in [&paths.root, &paths.images(), &paths.layers()] {
                fsutil::check_private(folder)?;
            }
        } else {
            fsutil::private_dir(&paths.root)?;
            for folder in [store.blobs(), paths.layers(), store.tmp(), store.partial()] {
                fsutil::private_dir(&folder)?;
            }
            let _lock = store.lock_index()?;
            if !store.index_path().exists() {
                store.write_index(&Index::default())?;
            }
            fsutil::write_atomic(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(store)
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.paths.images().join("blobs/sha256")
    }
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }
    /// Work in progress; on the file system of blobs and layers, for things move from here to there.
    pub(super) fn tmp(&self) -> PathBuf {
        self.paths.root.join("tmp")
    }
    /// Downloads that were cut.
    pub(super) fn partial(&self) -> PathBuf {
        self.paths.root.join("partial")
    }
    fn index_path(&self) -> PathBuf {
        self.paths.images().join("index.json")
    }

    /// Held while the index is changed.
    pub(super) fn lock_index(&self) -> Result<File> {
        let file = fsutil::lock_file(&self.paths.root.join("images.lock"))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .verb_context(|| "locking the image store".into())?;
        Ok(file)
    }

    /// Held shared by who adds to the store, exclusively by who collects.
    pub(super) fn gc_lock(&self) -> Result<File> {
        fsutil::lock_file(&self.paths.root.join("gc.lock"))
    }

    /// The images that are there. Readers need no lock: the file is replaced as a whole.
    pub fn index(&self) -> Result<Index> {
        let path = self.index_path();
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Index::default()),
            other => other.verb_context(|| format!("reading {}", path.display()))?,
        };
        Index::parse(&bytes).map_err(|e| Error::verb(format!("reading {}", path.display())).because(e))
    }

    pub(super) fn write_index(&self, index: &Index) -> Result<()> {
        let bytes = serde_json::to_vec(index).expect("an index is plain data");
        fsutil::write_atomic(&self.index_path(), &bytes)
    }

    /// For removals, which are what a full disk needs: without room for a new file the old one is overwritten.
    pub(super) fn write_shorter_index(&self, index: &Index) -> Result<()> {
        match self.write_index(index) {
            Err(e) if fsutil::is_disk_full(&e) => {
                let bytes = serde_json::to_vec(index).expect("an index is plain data");
                fsutil::write_in_place(&self.index_path(), &bytes)
            }
            other => other,
        }
    }

    /// Whether the content with this digest is in the store.
    pub fn has_blob(&self, digest: &str) -> Result<bool> {
        Ok(self.blob_path(&Digest::parse(digest)?).exists())
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.blob_path(digest)).map_err(|e| {
            let missing = e.kind() == std::io::ErrorKind::NotFound;
            let error = Error::verb(format!("blob {digest} cannot be read")).because(e);
            match missing {
                true => error.hint("the image is incomplete; load or pull it again"),
                false => error,
            }
        })
    }

    /// A small blob as a whole.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut file = self.open_blob(digest)?;
        let mut bytes = Vec::with_capacity(file.metadata().map_or(0, |m| m.len().min(limit) as usize + 1));
        let read = file.by_ref().take(limit + 1).read_to_end(&mut bytes);
        read.verb_context(|| format!("reading blob {digest}"))?;
        if bytes.len() as u64 > limit {
            return Err(Error::verb(format!(
                "blob {digest} has more than the {limit} bytes that a manifest or config may have"
            )));
        }
        Ok(bytes)
    }

    pub fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        Manifest::parse(&self.read_blob(digest, layout::MANIFEST_MAX)?)
            .map_err(|e| Error::verb(format!("manifest {digest} cannot be used")).because(e))
    }

    pub fn config(&self, digest: &Digest) -> Result<ImageConfiguration> {
        serde_json::from_slice(&self.read_blob(digest, layout::CONFIG_MAX)?)
            .verb_context(|| format!("reading the image config {digest}"))
    }

    /// The config as it was written, with what the OCI type leaves out (health checks, ONBUILD, SHELL).
    pub fn config_json(&self, image: &Image) -> Result<serde_json::Value> {
        let digest = Digest::parse(&image.config_digest)?;
        serde_json::from_slice(&self.read_blob(&digest, layout::CONFIG_MAX)?)
            .verb_context(|| format!("reading the image config {digest}"))
    }

    /// Find an image by reference, by config digest (`sha256:…`) or by a unique prefix of at least 4 hex digits.
    pub fn find(&self, name: &str, platform: Option<&str>) -> Result<Option<Image>> {
        match self.find_entry(name)? {
            Some((entry, shown)) => self.image(&entry, shown, platform),
            None => Ok(None),
        }
    }

    /// The image that a parsed reference names.
    pub fn lookup(&self, reference: &Reference, platform: Option<&str>) -> Result<Option<Image>> {
        let index = self.index()?;
        match named(&index, reference) {
            Some(entry) => self.image(entry, reference.familiar(), platform),
            None => Ok(None),
        }
    }

    /// The index entry for what a user typed, and its familiar name: a name before an ID, as docker does.
    pub(super) fn find_entry(&self, name: &str) -> Result<Option<(Descriptor, String)>> {
        let index = self.index()?;
        let parsed = Reference::from_str(name);
        if let Ok(reference) = &parsed
            && let Some(entry) = named(&index, reference)
        {
            return Ok(Some((entry.clone(), reference.familiar())));
        }
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex =
            prefix.len() >= 4 && prefix.len() <= 64 && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex {
            return parsed.map(|_| None);
        }
        let mut found: Option<(Digest, &Descriptor)> = None;
        for entry in &index.manifests {
            // An image that cannot be read must not hide the others.
            let Ok(Some((manifest, config))) = self.ids(entry) else { continue };
            if config.hex().starts_with(prefix) || manifest.hex() == prefix || entry.digest.hex() == prefix {
                match &found {
                    Some((known, _)) if *known != config => {
                        return Err(Error::verb(format!("multiple IDs found with provided prefix: {name}")));
                    }
                    // Prefer an entry with a name, for messages.
                    Some((_, known)) if known.name().is_some() => {}
                    _ => found = Some((config, entry)),
                }
            }
        }
        Ok(found.map(|(id, entry)| {
            let shown = entry.name().map_or_else(|| id.short().to_owned(), |n| n.familiar());
            (entry.clone(), shown)
        }))
    }

    /// Manifest and config digest of an entry, for this machine's platform where it is an index.
    pub(super) fn ids(&self, entry: &Descriptor) -> Result<Option<(Digest, Digest)>> {
        let Some(digest) = self.choose(entry, None)? else { return Ok(None) };
        let config = self.manifest(&digest)?.config.digest;
        Ok(Some((digest, config)))
    }

    /// The manifest of an entry: itself, or the one of an index that fits the platform and whose manifest is in the store.
    pub(super) fn choose(&self, entry: &Descriptor, platform: Option<&str>) -> Result<Option<Digest>> {
        if !entry.is_index() {
            return Ok(Some(entry.digest.clone()));
        }
        let wanted = Wanted::parse(platform)?;
        let index = Index::parse(&self.read_blob(&entry.digest, layout::MANIFEST_MAX)?)?;
        let there: Vec<&Descriptor> =
            index.manifests.iter().filter(|m| m.is_manifest() && self.blob_path(&m.digest).exists()).collect();
        let fits = |m: &&&Descriptor| {
            m.platform.as_ref().is_none_or(|p| wanted.fits(&p.os, &p.architecture, p.variant.as_deref()))
        };
        // Without a wish, an image that was fetched for another platform is what there is; the caller warns.
        let chosen = there.iter().find(fits).or(if platform.is_none() { there.first() } else { None });
        Ok(chosen.map(|m| m.digest.clone()))
    }

    fn image(&self, entry: &Descriptor, name: String, platform: Option<&str>) -> Result<Option<Image>> {
        let Some(digest) = self.choose(entry, platform)? else { return Ok(None) };
        let manifest = self.manifest(&digest)?;
        let bytes = self.read_blob(&manifest.config.digest, layout::CONFIG_MAX)?;
        let config: ImageConfiguration = serde_json::from_slice(&bytes)
            .verb_context(|| format!("reading the image config {}", manifest.config.digest))?;
        if platform.is_some() {
            let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
            if !Wanted::parse(platform)?.fits(&os, &architecture, config.variant().as_deref()) {
                return Ok(None);
            }
        }
        let folders = match layers::unpacked(&self.paths.layers(), config.rootfs().diff_ids())? {
            Some(folders) => folders,
            // Written by skopeo, or a layer folder was removed by hand: unpacked now, once.
            None => self.ingest()?.unpack_image(&digest)?,
        };
        Ok(Some(Image {
            name,
            manifest_digest: digest.to_string(),
            config_digest: manifest.config.digest.to_string(),
            config,
            healthcheck: healthcheck(&bytes)?,
            layers: folders,
            index_digest: entry.is_index().then(|| entry.digest.to_string()),
            repositories: repositories(entry, &digest),
            signatures: Vec::new(),
        }))
    }

    /// Unpack what is not unpacked yet and return the image. `manifest_digest` is that of a manifest in the store.
    pub fn ensure_unpacked(&self, manifest_digest: &str, name: &str) -> Result<Image> {
        let digest = Digest::parse(manifest_digest)?;
        self.ingest()?.unpack_image(&digest)?;
        let entry = Descriptor::new(layout::OCI_MANIFEST, digest, 0);
        let image = self.image(&entry, name.to_owned(), None)?;
        image.ok_or_else(|| Error::verb(format!("image {manifest_digest} vanished while it was unpacked")))
    }
}

/// Repositories that an entry is known to be from: by its own digest, or by that of the manifest that is used of it (a push
/// gives a registry that one alone).
fn repositories(entry: &Descriptor, manifest: &Digest) -> Vec<String> {
    let own = |digest: &str| digest == entry.digest.as_str() || digest == manifest.as_str();
    let all = entry.annotations.get(layout::REPO_DIGESTS).map(String::as_str).unwrap_or_default();
    let mut all: Vec<String> = all
        .split(' ')
        .filter_map(|one| one.rsplit_once('@'))
        .filter(|(_, digest)| own(digest))
        .filter_map(|(name, _)| Some(Reference::parse_bare(name).ok()?.name()))
        .collect();
    all.dedup();
    all
}

/// The entry that a reference names. A digest counts alone: it says more than any tag next to it.
pub(super) fn named<'a>(index: &'a Index, reference: &Reference) -> Option<&'a Descriptor> {
    if let Some(digest) = &reference.digest {
        // What a registry called it is not asked: an annotation can say any digest, the content has one.
        return index.manifests.iter().find(|entry| entry.digest.as_str() == digest);
    }
    let canonical = reference.to_string();
    let exact = |entry: &&Descriptor| {
        entry.annotations.get(layout::REF_NAME) == Some(&canonical)
            && !entry.annotations.contains_key(layout::CONTAINERD_NAME)
    };
    // hardrun writes the canonical form; skopeo writes what its user typed.
    index
        .manifests
        .iter()
        .find(exact)
        .or_else(|| index.manifests.iter().find(|entry| entry.name().as_ref() == Some(reference)))
}
