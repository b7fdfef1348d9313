//! `hardrun save`: an archive that docker, podman and skopeo load. As docker's own since version 25 it is two things at
//! once, a docker archive (`manifest.json`) and an OCI layout (`index.json`), over one set of blobs.

use super::digest::Digest;
use super::gc::no_such_image;
use super::layout::{self, Descriptor, Index};
use super::reference::Reference;
use super::store::{Store, named};
use crate::error::{Context, Error, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use tar::{EntryType, Header};

/// One image to save: its manifest and the names it is saved under.
struct Chosen {
    manifest: Descriptor,
    names: Vec<Reference>,
}

impl Store {
    /// Write the images to `out`. A repository without a tag stands for all its tags, as for docker.
    pub fn save(&self, names: &[String], platform: Option<&str>, out: impl Write) -> Result<()> {
        let chosen = self.choose_all(names, platform)?;
        let mut tar = tar::Builder::new(out);
        let mut index = Index::default();
        let mut table: Vec<Value> = Vec::new();
        let mut written = BTreeSet::new();
        folder(&mut tar, "blobs/")?;
        folder(&mut tar, "blobs/sha256/")?;
        for Chosen { manifest, names } in &chosen {
            let parsed = self.manifest(&manifest.digest)?;
            let blobs =
                [&manifest.digest, &parsed.config.digest].into_iter().chain(parsed.layers.iter().map(|l| &l.digest));
            for digest in blobs {
                if written.insert(digest.clone()) {
                    self.append_blob(&mut tar, digest)?;
                }
            }
            table.push(json!({
                "Config": path(&parsed.config.digest),
                "RepoTags": names.iter().map(Reference::familiar).collect::<Vec<_>>(),
                "Layers": parsed.layers.iter().map(|l| path(&l.digest)).collect::<Vec<_>>(),
            }));
            index.manifests.extend(entries(manifest, names));
        }
        let index = serde_json::to_vec(&index).expect("plain data");
        append(&mut tar, "index.json", &index)?;
        append(&mut tar, "manifest.json", &serde_json::to_vec(&table).expect("plain data"))?;
        append(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut out = tar.into_inner().verb_context(|| "writing the archive".into())?;
        out.flush().verb_context(|| "writing the archive".into())
    }

    fn choose_all(&self, names: &[String], platform: Option<&str>) -> Result<Vec<Chosen>> {
        let index = self.index()?;
        let mut chosen: Vec<Chosen> = Vec::new();
        for text in names {
            let bare = Reference::parse_bare(text).ok();
            let mut found: Vec<(Descriptor, Option<Reference>)> = Vec::new();
            if let Some(bare) = bare.filter(|b| b.tag.is_none() && b.digest.is_none()) {
                let tags = index.manifests.iter().filter_map(|e| Some((e.clone(), e.name()?)));
                found.extend(tags.filter(|(_, name)| name.name() == bare.name()).map(|(e, name)| (e, Some(name))));
            }
            if found.is_empty() {
                let (entry, _) = self.find_entry(text)?.ok_or_else(|| no_such_image(text))?;
                let name = text.parse::<Reference>().ok().filter(|r| r.digest.is_none() && named(&index, r).is_some());
                found.push((entry, name));
            }
            for (entry, name) in found {
                let digest = self.choose(&entry, platform)?.ok_or_else(|| {
                    Error::verb(format!(
                        "image {text} is not there for the platform {}",
                        platform.unwrap_or("of this host")
                    ))
                })?;
                let size =
                    self.open_blob(&digest)?.metadata().verb_context(|| format!("looking at blob {digest}"))?.len();
                let media_type = if entry.is_index() { layout::OCI_MANIFEST } else { &entry.media_type };
                let at = chosen.iter().position(|c| c.manifest.digest == digest).unwrap_or_else(|| {
                    chosen.push(Chosen { manifest: Descriptor::new(media_type, digest, size), names: Vec::new() });
                    chosen.len() - 1
                });
                chosen[at].names.extend(name);
            }
        }
        Ok(chosen)
    }

    fn append_blob(&self, tar: &mut tar::Builder<impl Write>, digest: &Digest) -> Result<()> {
        let say = || format!("writing blob {digest} to the archive");
        let file = self.open_blob(digest)?;
        let size = file.metadata().verb_context(say)?.len();
        let header = header(&path(digest), size, EntryType::Regular, 0o644)?;
        tar.append(&header, file).verb_context(say)
    }
}

/// One entry for each name. Docker reads the full name from its own annotation, skopeo the one of OCI.
fn entries(manifest: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let entry = |name: &Reference| {
        let mut entry = manifest.clone();
        entry.annotations.insert(layout::CONTAINERD_NAME.into(), name.to_string());
        entry.annotations.insert(layout::REF_NAME.into(), name.tag.clone().unwrap_or_default());
        entry
    };
    match names {
        [] => vec![manifest.clone()],
        names => names.iter().map(entry).collect(),
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The same image always gives the same archive: no times, no owners.
fn header(path: &str, size: u64, kind: EntryType, mode: u32) -> Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path).verb_context(|| format!("writing {path} to the archive"))?;
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> Result<()> {
    let header = header(path, bytes.len() as u64, EntryType::Regular, 0o644)?;
    tar.append(&header, bytes).verb_context(|| format!("writing {path} to the archive"))
}

fn folder(tar: &mut tar::Builder<impl Write>, path: &str) -> Result<()> {
    let header = header(path, 0, EntryType::Directory, 0o755)?;
    tar.append(&header, std::io::empty()).verb_context(|| format!("writing {path} to the archive"))
}
