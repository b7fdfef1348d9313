//! From the store to a registry: blobs first, the manifest last, so that a name there is never without its content. What
//! goes out are the bytes of the store: the digest is the same here and there.

use super::client::{Ask, Client, Method, Payload, Scopes, header};
use super::fault::Fault;
use super::guard::{self, Guard};
use super::progress::{Channel, Progress};
use super::signed::Demands;
use super::timing::Timeouts;
use super::upload::{Blob, denied, upload_all};
use super::{Options, World, check_listed, check_trust, credentials, env};
use crate::error::{Context, Error, Result};
use crate::image::digest::Digest;
use crate::image::layout::{self, Descriptor, Index, Manifest};
use crate::image::reference::Reference;
use crate::image::store::{Store, named};
use crate::observe::events::{self, Event};
use std::collections::HashSet;

/// Repositories of the registry that a blob may be taken from: each is one more right to ask for.
const ELSEWHERE_MAX: usize = 3;

/// An image under one name.
struct Chosen {
    name: Reference,
    /// As in the index of the store.
    entry: Digest,
    manifest: Descriptor,
    bytes: Vec<u8>,
    parsed: Manifest,
    diff_ids: Vec<String>,
}

/// `hardrun push`: one name, or with `all_tags` every tag of its repository that is here.
pub fn push(store: &Store, reference: &Reference, options: &Options, all_tags: bool, channel: Channel) -> Result<()> {
    let site = crate::site::load()?;
    check_listed(&store.paths, "push", reference, &site)?;
    let progress = Progress::new(options.quiet, channel);
    let reason = options.allow_reason.as_deref();
    let record = |event, asked: &str| guard::record(&store.paths, "push", reference, reason, event, asked);
    let world =
        World { timeouts: Timeouts::default(), env: &env, record: &record, demands: Demands::NONE, site: &site };
    push_with(store, reference, options, all_tags, &progress, &world)
}

pub(super) fn push_with(
    store: &Store,
    reference: &Reference,
    options: &Options,
    all_tags: bool,
    progress: &Progress,
    world: &World,
) -> Result<()> {
    progress.line(&format!("The push refers to repository [{}]", reference.name()));
    let index = store.index()?;
    let images = choose(store, &index, reference, options, all_tags)?;
    let mut work = Vec::new();
    for image in &images {
        work.push(blobs(store, &index, image)?);
    }
    let note = |text: &str| progress.note(text);
    let guard = Guard::new(options.allow_insecure, world.site, reference, world.record, &note);
    check_trust(reference, options, &guard, progress, world)?;
    let credential = credentials::find(&options.sources, reference, world.env, &mut |text| progress.warn(&text))?;
    let settings = options.settings(world.timeouts, scopes(reference, &work), world.site);
    let client = Client::connect(reference, settings, credential, guard, world.env, &note)?;
    for (image, blobs) in images.iter().zip(&work) {
        upload_all(&client, store, blobs, progress)?;
        put_manifest(&client, image)?;
        let tag = image.name.tag.as_deref().unwrap_or_default();
        progress.line(&format!("{tag}: digest: {} size: {}", image.manifest.digest, image.bytes.len()));
        store.note_repo_digest(&image.name, &image.entry, &image.manifest.digest)?;
    }
    events::note(&store.paths, Event::image("push", &reference.familiar(), &reference.familiar_name()));
    Ok(())
}

fn choose(
    store: &Store,
    index: &Index,
    reference: &Reference,
    options: &Options,
    all_tags: bool,
) -> Result<Vec<Chosen>> {
    let missing =
        || Error::verb(format!("An image does not exist locally with the tag: {}", reference.familiar_name()));
    let mut names: Vec<Reference> = if all_tags {
        let all = index.manifests.iter().filter_map(Descriptor::name);
        all.filter(|name| name.name() == reference.name() && name.tag.is_some()).collect()
    } else {
        vec![reference.clone()]
    };
    names.sort();
    names.dedup();
    let platform = options.platform.as_ref().map(ToString::to_string);
    let mut chosen = Vec::new();
    for name in names {
        let entry = named(index, &name).ok_or_else(missing)?;
        let digest = store.choose(entry, platform.as_deref())?.ok_or_else(|| {
            let wanted = platform.as_deref().unwrap_or("of this host");
            Error::verb(format!("image {} is not there for the platform {wanted}", name.familiar()))
        })?;
        let bytes = store.read_blob(&digest, layout::MANIFEST_MAX)?;
        let parsed = store.manifest(&digest)?;
        let stated = parsed.media_type.clone().or_else(|| entry.is_manifest().then(|| entry.media_type.clone()));
        let media_type = stated.unwrap_or_else(|| layout::OCI_MANIFEST.into());
        let diff_ids = store.config(&parsed.config.digest)?.rootfs().diff_ids().clone();
        let manifest = Descriptor::new(media_type, digest, bytes.len() as u64);
        chosen.push(Chosen { name, entry: entry.digest.clone(), manifest, bytes, parsed, diff_ids });
    }
    if chosen.is_empty() { Err(missing()) } else { Ok(chosen) }
}

/// Layers, the topmost first as docker lists them, and the config.
fn blobs(store: &Store, index: &Index, image: &Chosen) -> Result<Vec<Blob>> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    let layers = image.parsed.layers.iter().zip(&image.diff_ids).rev().map(|(layer, id)| (layer, Some(id)));
    for (descriptor, diff_id) in layers.chain([(&image.parsed.config, None)]) {
        if !seen.insert(&descriptor.digest) {
            continue;
        }
        // Before anything is sent: a registry would keep what comes before the first one that is missing.
        let file = store.open_blob(&descriptor.digest)?;
        let size = file.metadata().verb_context(|| format!("looking at blob {}", descriptor.digest))?.len();
        let shown = diff_id.and_then(|id| Digest::parse(id).ok()).map(|id| id.short().to_owned());
        let elsewhere = if diff_id.is_some() { elsewhere(store, index, image, &descriptor.digest) } else { vec![] };
        out.push(Blob { digest: descriptor.digest.clone(), size, shown, elsewhere });
    }
    Ok(out)
}

/// Other repositories of the same registry that an image with this blob was pulled from or pushed to.
fn elsewhere(store: &Store, index: &Index, image: &Chosen, blob: &Digest) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for entry in &index.manifests {
        let known = entry.annotations.get(layout::REPO_DIGESTS).map(String::as_str).unwrap_or_default();
        let repositories: Vec<Reference> = known
            .split(' ')
            .filter_map(|one| Reference::parse_bare(one).ok())
            .filter(|r| r.domain == image.name.domain && r.path != image.name.path && !out.contains(&r.path))
            .collect();
        let holds = || {
            let digest = store.choose(entry, None).ok().flatten()?;
            let manifest = store.manifest(&digest).ok()?;
            Some(manifest.layers.iter().any(|layer| layer.digest == *blob))
        };
        if !repositories.is_empty() && holds() == Some(true) {
            out.extend(repositories.into_iter().map(|r| r.path));
        }
        if out.len() >= ELSEWHERE_MAX {
            break;
        }
    }
    out.dedup();
    out.truncate(ELSEWHERE_MAX);
    out
}

fn scopes(reference: &Reference, work: &[Vec<Blob>]) -> Scopes {
    let mut scopes = vec![format!("repository:{}:pull,push", reference.path)];
    for repository in work.iter().flatten().flat_map(|blob| &blob.elsewhere) {
        let scope = format!("repository:{repository}:pull");
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Scopes::These(scopes)
}

fn put_manifest(client: &Client, image: &Chosen) -> Result<()> {
    let name = image.name.tag.as_deref().unwrap_or("latest");
    let ask = Ask {
        method: Method::Put,
        payload: Payload::Bytes(&image.bytes),
        content_type: Some(&image.manifest.media_type),
        within: Some(client.settings.timeouts.small),
        ..Ask::default()
    };
    let response = client.ask(&format!("manifests/{name}"), &ask).map_err(|fault| match fault {
        Fault::Status(refused) if matches!(refused.status, 401 | 403) => denied(&refused),
        Fault::Status(refused) => {
            Error::verb(format!("the registry does not take the manifest of {}", image.name.familiar()))
                .because(refused.text)
        }
        Fault::Final(error) | Fault::Passing { error, .. } => error,
    })?;
    match header(&response, "docker-content-digest") {
        Some(said) if said != image.manifest.digest.as_str() => {
            Err(Error::verb(format!("the registry stored the manifest {} as {said}", image.manifest.digest)))
        }
        _ => Ok(()),
    }
}
