//! `hardrun load`: docker archives, OCI archives and OCI layout folders.
//!
//! An archive is read once, from its beginning, for it may come from a pipe: each file becomes a blob in the work folder,
//! hashed on the way, and what the archive's table of contents names is then moved into the store.

use super::blob::Written;
use super::compress;
use super::digest::Digest;
use super::import::copy;
use super::ingest::Ingest;
use super::layout::{self, Descriptor, Index, Manifest};
use super::reference::Reference;
use super::store::Store;
use super::tarball::{Kind, Tarball};
use super::tree::EntryPath;
use crate::error::{Context, Error, Result};
use crate::ui;
use oci_spec::image::ImageConfiguration;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read};
use std::path::Path;
use std::str::FromStr;

/// Files in one archive: a docker archive has three for each layer.
const FILES_MAX: usize = 20_000;
/// `manifest.json` and `index.json`.
const TABLE_MAX: u64 = 4 << 20;

/// One image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub name: Option<Reference>,
    /// The image's ID.
    pub id: Digest,
}

/// Load every image of an archive, compressed or not.
pub fn load_archive(store: &Store, archive: impl Read, platform: Option<&str>) -> Result<Vec<Loaded>> {
    let ingest = store.ingest()?;
    let (kind, archive) = compress::sniff(archive)?;
    let mut files = Spool::read(&ingest, compress::decoder(kind, archive)?)?;
    if files.small.contains_key("oci-layout")
        && let Some(index) = files.small.get("index.json")
    {
        // Docker writes both tables since version 25. This one keeps the manifests, and so their digests.
        let index = Index::parse(index)?;
        return load_index(&ingest, &index, platform, &mut files);
    }
    match files.small.remove("manifest.json") {
        Some(table) => load_docker(&ingest, &table, &mut files),
        None => Err(Error::verb("the archive has neither manifest.json (docker) nor oci-layout and index.json (OCI)")
            .hint("a tar of a root filesystem becomes an image with: hardrun import FILE NAME")),
    }
}

/// Load every image of an OCI layout folder.
pub fn load_folder(store: &Store, folder: &Path, platform: Option<&str>) -> Result<Vec<Loaded>> {
    let ingest = store.ingest()?;
    let path = folder.join("index.json");
    let file = std::fs::File::open(&path)
        .verb_context(|| format!("{} is not an OCI layout: opening index.json", folder.display()))?;
    let mut bytes = Vec::new();
    file.take(TABLE_MAX + 1).read_to_end(&mut bytes).verb_context(|| format!("reading {}", path.display()))?;
    let index = Index::parse(&bytes).map_err(|e| Error::verb(format!("reading {}", path.display())).because(e))?;
    load_index(&ingest, &index, platform, &mut Folder { folder })
}

/// Where the blobs of an OCI layout come from.
trait Blobs {
    /// Bring a blob into the store, its digest checked. False if it is not there.
    fn take(&mut self, ingest: &Ingest<'_>, digest: &Digest) -> Result<bool>;
}

struct Folder<'a> {
    folder: &'a Path,
}

impl Blobs for Folder<'_> {
    fn take(&mut self, ingest: &Ingest<'_>, digest: &Digest) -> Result<bool> {
        let path = self.folder.join("blobs/sha256").join(digest.hex());
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e).verb_context(|| format!("opening {}", path.display())),
        };
        if let Some(mut writer) = ingest.blob_writer(digest.as_str(), None)? {
            writer.restart()?;
            if let Err(e) = copy(file, &mut writer, ingest.store()) {
                writer.discard()?;
                return Err(Error::verb(format!("copying {}", path.display())).because(e));
            }
            ingest.made(digest)?;
            writer.commit()?;
        }
        Ok(true)
    }
}

/// The files of an archive.
#[derive(Default)]
struct Spool {
    /// Tables of contents.
    small: HashMap<String, Vec<u8>>,
    files: BTreeMap<String, Written>,
    /// Moved into the store: several images may have the same layer.
    done: HashMap<String, (Digest, u64)>,
    /// Old docker archives have symlinks in place of a layer that is there already.
    links: HashMap<String, String>,
}

impl Spool {
    fn read(ingest: &Ingest<'_>, archive: impl Read) -> Result<Spool> {
        let mut spool = Spool::default();
        let mut tarball = Tarball::new(BufReader::with_capacity(128 * 1024, archive));
        let mut count = 0;
        while let Some(entry) = tarball.next_entry()? {
            let bad = |what: &str| Error::verb(format!("entry {} {what}", entry.display()));
            count += 1;
            if count > FILES_MAX {
                return Err(bad("is one too many: the archive has more than 20000 entries"));
            }
            let path = EntryPath::parse(&entry.name)
                .map_err(bad)?
                .to_text()
                .ok_or_else(|| bad("has a name that is not UTF-8"))?;
            match entry.kind {
                Kind::File if entry.extents.is_some() => return Err(bad("is sparse, which image archives are not")),
                Kind::File
                    if matches!(path.as_str(), "manifest.json" | "index.json" | "oci-layout" | "repositories") =>
                {
                    if entry.size > TABLE_MAX {
                        return Err(bad("is longer than a table of contents may be"));
                    }
                    let mut bytes = Vec::new();
                    tarball.read_to_end(&mut bytes).verb_context(|| format!("reading entry {}", entry.display()))?;
                    spool.small.insert(path, bytes);
                }
                Kind::File => {
                    let mut scratch = ingest.scratch()?;
                    copy(&mut tarball, &mut scratch, ingest.store())
                        .map_err(|e| Error::verb(format!("reading entry {}", entry.display())).because(e))?;
                    spool.files.insert(path, scratch.finish()?);
                }
                Kind::Symlink | Kind::HardLink => {
                    let link = String::from_utf8_lossy(&entry.link).into_owned();
                    let from =
                        if entry.kind == Kind::Symlink { path.rsplit_once('/').map_or("", |(dir, _)| dir) } else { "" };
                    spool
                        .links
                        .insert(path.clone(), join(from, &link).ok_or_else(|| bad("is a link out of the archive"))?);
                }
                _ => {}
            }
        }
        Ok(spool)
    }

    /// The path of a file, links followed.
    fn real<'a>(&'a self, mut path: &'a str) -> &'a str {
        for _ in 0..8 {
            match self.links.get(path) {
                Some(next) => path = next,
                None => break,
            }
        }
        path
    }

    /// Bring a file into the store.
    fn commit(&mut self, ingest: &Ingest<'_>, path: &str) -> Result<Option<(Digest, u64)>> {
        let path = self.real(path).to_owned();
        if let Some(done) = self.done.get(&path) {
            return Ok(Some(done.clone()));
        }
        let Some(written) = self.files.remove(&path) else { return Ok(None) };
        // Where a file is named by its digest, the name holds.
        let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        if Digest::from_hex(stem).is_ok() && stem != written.digest.hex() {
            return Err(Error::verb(format!(
                "entry {path:?} has the digest {}: it was damaged or tampered with",
                written.digest
            )));
        }
        let done = ingest.commit(written)?;
        self.done.insert(path, done.clone());
        Ok(Some(done))
    }
}

impl Blobs for Spool {
    fn take(&mut self, ingest: &Ingest<'_>, digest: &Digest) -> Result<bool> {
        let found = self.commit(ingest, &format!("blobs/sha256/{}", digest.hex()))?;
        Ok(found.is_some() || ingest.store().blob_path(digest).exists())
    }
}

/// A link's target seen from the archive's root.
fn join(folder: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    parts.retain(|p| !p.is_empty());
    Some(parts.join("/"))
}

fn load_index(
    ingest: &Ingest<'_>,
    index: &Index,
    platform: Option<&str>,
    blobs: &mut dyn Blobs,
) -> Result<Vec<Loaded>> {
    let mut loaded = Vec::new();
    for entry in &index.manifests {
        let name = entry.name().and_then(without_digest);
        if entry.name().is_none()
            && let Some(text) = entry.annotations.get(layout::REF_NAME)
        {
            ui::warn(&format!("the image's name {text:?} is not a valid reference; it is loaded without a name"));
        }
        let Some(mut manifest) = find_manifest(ingest, entry, platform, blobs, 0)? else { continue };
        manifest.annotations = entry.annotations.clone();
        // Only a pull knows by which digests a registry knows an image. From an archive they would make its image answer
        // for any `name@sha256:…`.
        manifest.annotations.remove(layout::REPO_DIGESTS);
        loaded.push(load_manifest(ingest, &manifest, name.as_ref(), blobs)?);
    }
    if loaded.is_empty() {
        return Err(match platform {
            Some(platform) => Error::verb(format!("the archive has no image for the platform {platform}")),
            None => Error::verb("the archive has no image"),
        });
    }
    Ok(loaded)
}

/// The name if it names no digest: an archive says what it likes, and is no registry that vouches for it. `repo:sha256` with
/// hexadecimal digits behind would be taken for one.
fn without_digest(name: Reference) -> Option<Reference> {
    if name.digest.is_none() && !name.looks_like_digest() {
        return Some(name);
    }
    ui::warn(&format!(
        "{} names a digest, which only a registry can; the image is loaded without that name",
        name.familiar()
    ));
    None
}

/// The manifest that an entry stands for: of an index, the one for the platform.
fn find_manifest(
    ingest: &Ingest<'_>,
    entry: &Descriptor,
    platform: Option<&str>,
    blobs: &mut dyn Blobs,
    depth: u32,
) -> Result<Option<Descriptor>> {
    if entry.is_manifest() {
        return Ok(Some(entry.clone()));
    }
    if !entry.is_index() || depth > 3 {
        ui::warn(&format!("{} is of type {:?} and no image; passed over", entry.digest, entry.media_type));
        return Ok(None);
    }
    if !blobs.take(ingest, &entry.digest)? {
        return Err(Error::verb(format!("the archive lacks the index {}", entry.digest)));
    }
    let index = Index::parse(&ingest.store().read_blob(&entry.digest, layout::MANIFEST_MAX)?)?;
    let wanted = layout::Wanted::parse(platform)?;
    for inner in &index.manifests {
        let fits = inner.platform.as_ref().is_none_or(|p| wanted.fits(&p.os, &p.architecture, p.variant.as_deref()));
        // Archives of one platform carry the index of all.
        if fits && blobs.take(ingest, &inner.digest)? {
            return find_manifest(ingest, inner, platform, blobs, depth + 1);
        }
    }
    Ok(None)
}

fn load_manifest(
    ingest: &Ingest<'_>,
    entry: &Descriptor,
    name: Option<&Reference>,
    blobs: &mut dyn Blobs,
) -> Result<Loaded> {
    let mut need = |digest: &Digest, what: &str| match blobs.take(ingest, digest)? {
        true => Ok(()),
        false => Err(Error::verb(format!("the archive lacks the {what} {digest}"))),
    };
    need(&entry.digest, "manifest")?;
    let manifest = ingest.store().manifest(&entry.digest)?;
    need(&manifest.config.digest, "image config")?;
    for layer in &manifest.layers {
        need(&layer.digest, "layer")?;
    }
    ingest.unpack_image(&entry.digest)?;
    record(ingest, name, entry)?;
    Ok(Loaded { name: name.cloned(), id: manifest.config.digest })
}

fn record(ingest: &Ingest<'_>, name: Option<&Reference>, entry: &Descriptor) -> Result<()> {
    if let (Some(replaced), Some(name)) = (ingest.store().record(name, entry)?, name) {
        ui::note(&format!(
            "{} was the name of another image, which stays without a name ({replaced})",
            name.familiar()
        ));
    }
    Ok(())
}

/// An image in docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

fn load_docker(ingest: &Ingest<'_>, table: &[u8], files: &mut Spool) -> Result<Vec<Loaded>> {
    let images: Vec<DockerImage> = serde_json::from_slice(table).verb_context(|| "reading manifest.json".into())?;
    let mut loaded = Vec::new();
    for image in images {
        loaded.extend(load_docker_image(ingest, &image, files)?);
    }
    if loaded.is_empty() {
        return Err(Error::verb("the archive has no image"));
    }
    Ok(loaded)
}

fn load_docker_image(ingest: &Ingest<'_>, image: &DockerImage, files: &mut Spool) -> Result<Vec<Loaded>> {
    let lacks = |what: &str, path: &str| Error::verb(format!("the archive lacks the {what} {path:?}"));
    let names = image.repo_tags.iter().flatten().map(|text| {
        Reference::from_str(text).map_err(|e| Error::verb(format!("manifest.json has the name {text:?}")).because(e))
    });
    let names: Vec<Reference> = names.collect::<Result<Vec<_>>>()?.into_iter().filter_map(without_digest).collect();
    let (id, size) = files.commit(ingest, &image.config)?.ok_or_else(|| lacks("image config", &image.config))?;
    let config = ingest.store().read_blob(&id, layout::CONFIG_MAX)?;
    // Read before anything is unpacked, so that an archive of something else fails early.
    serde_json::from_slice::<ImageConfiguration>(&config).verb_context(|| format!("reading {:?}", image.config))?;
    let mut layers = Vec::new();
    for path in image.layers.iter().flatten() {
        let (digest, size) = files.commit(ingest, path)?.ok_or_else(|| lacks("layer", path))?;
        let (kind, _) = compress::sniff(ingest.store().open_blob(&digest)?)?;
        layers.push(Descriptor::new(format!("{}{}", layout::OCI_LAYER, kind.suffix()), digest, size));
    }
    let manifest = Manifest::new(Descriptor::new(layout::OCI_CONFIG, id.clone(), size), layers);
    let entry = ingest.put_manifest(&manifest.to_bytes(), layout::OCI_MANIFEST)?;
    ingest.unpack_image(&entry.digest)?;
    if names.is_empty() {
        record(ingest, None, &entry)?;
        return Ok(vec![Loaded { name: None, id }]);
    }
    let mut loaded = Vec::new();
    for name in names {
        record(ingest, Some(&name), &entry)?;
        loaded.push(Loaded { name: Some(name), id: id.clone() });
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_names_no_digest() {
        let hex = "b".repeat(64);
        let named = |text: &str| without_digest(text.parse().unwrap());
        assert!(named("reg.lan/loaded:1").is_some());
        for bad in [format!("reg.lan/loaded:1@sha256:{hex}"), format!("sha256:{hex}"), format!("reg.lan/sha256:{hex}")]
        {
            assert_eq!(named(&bad), None, "{bad}");
        }
    }

    #[test]
    fn links_stay_in_the_archive() {
        assert_eq!(join("abc", "../def/layer.tar").as_deref(), Some("def/layer.tar"));
        assert_eq!(join("", "/def/./layer.tar").as_deref(), Some("def/layer.tar"));
        assert_eq!(join("abc", "../../etc/passwd"), None);
    }
}
