//! One image, from its name to the store: manifest, platform, config, layers.

use super::client::{Ask, Client, header, read_bounded};
use super::download::fetch_all;
use super::fault::{Fault, Refused};
use super::manifest::{self, ACCEPT, CONFIG_MAX, Descriptor, Document, MANIFEST_MAX};
use super::platform::Platform;
use super::progress::{Progress, Stage};
use super::signed::{self, Demands};
use super::sink::{Pulled, Sink};
use super::url::Url;
use crate::error::{Context, Error, Result};
use crate::image::reference::Reference;
use serde::Deserialize;
use std::sync::atomic::Ordering;

/// An index that leads to an index that leads to …
const DEPTH_MAX: u32 = 3;
/// Pages of a list of tags.
const PAGES_MAX: u32 = 1000;

/// What a pull came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As docker prints it: the digest of the index where there is one.
    pub digest: String,
    /// Whether anything changed.
    pub newer: bool,
}

/// A manifest whose bytes have the digest.
struct Fetched {
    bytes: Vec<u8>,
    digest: String,
    media_type: String,
    document: Document,
}

/// Pull one name.
pub fn pull_one(
    client: &Client,
    sink: &dyn Sink,
    reference: &Reference,
    platform: Option<&Platform>,
    progress: &Progress,
    at_once: usize,
    demands: &Demands,
) -> Result<Outcome> {
    let wanted = reference.digest.as_deref();
    let name = wanted.or(reference.tag.as_deref()).unwrap_or("latest");
    let top = fetch_manifest(client, reference, name, wanted)?;
    // Before anything else is fetched, and where nothing is: it may have been signed since.
    signed::require(client, sink, reference, &top.digest, demands)?;
    let shown = wanted.map_or_else(|| name.to_owned(), |digest| format!("{}@{digest}", reference.name()));
    // Docker shows the path only, on its own hub in full (`library/busybox`).
    progress.line(&format!("{shown}: Pulling from {}", reference.path));
    if sink.is_current(reference, &top.digest, platform)? {
        progress.line(&format!("Digest: {}", top.digest));
        return Ok(Outcome { digest: top.digest, newer: false });
    }
    let repo_digest = top.digest.clone();
    let (index, image) = choose(client, reference, top, platform)?;
    let Document::Image { config, layers } = &image.document else {
        return Err(Error::verb("an index was left where an image was chosen"));
    };

    // First the config: it says whether the rest is worth fetching.
    let quiet = Progress::new(true, super::progress::Channel::Stderr);
    fetch_all(client, sink, std::slice::from_ref(config), &quiet, 1)?;
    check_config(&sink.read(&config.digest, CONFIG_MAX)?, layers.len(), platform, progress)?;
    let fetched = fetch_all(client, sink, layers, progress, at_once)?;

    let pulled = Pulled {
        reference,
        index: index.as_ref().map(|i| (i.media_type.as_str(), i.bytes.as_slice())),
        media_type: &image.media_type,
        manifest_digest: &image.digest,
        manifest: &image.bytes,
        repo_digest: &repo_digest,
        layers,
    };
    sink.publish(&pulled, &mut |i| {
        if fetched.contains(&layers[i].digest) {
            progress.stage(layers[i].short(), layers[i].size, Stage::Complete);
        }
    })?;
    progress.line(&format!("Digest: {repo_digest}"));
    Ok(Outcome { digest: repo_digest, newer: true })
}

/// Follow indexes down to one image; also the index that names it.
fn choose(
    client: &Client,
    reference: &Reference,
    top: Fetched,
    platform: Option<&Platform>,
) -> Result<(Option<Fetched>, Fetched)> {
    let (mut parent, mut current) = (None, top);
    for _ in 0..DEPTH_MAX {
        let Document::Index(entries) = &current.document else { return Ok((parent, current)) };
        let offers: Vec<Option<Platform>> = entries.iter().map(Descriptor::platform).collect();
        let host = Platform::host();
        let chosen = &entries[platform.unwrap_or(&host).choose(&offers)?];
        if chosen.size > MANIFEST_MAX {
            return Err(too_big(&chosen.digest));
        }
        let next = fetch_manifest(client, reference, &chosen.digest, Some(&chosen.digest))?;
        if next.bytes.len() as u64 != chosen.size {
            return Err(Error::verb(format!(
                "manifest {} has {} bytes, the index says {}",
                chosen.digest,
                next.bytes.len(),
                chosen.size
            )));
        }
        parent = Some(std::mem::replace(&mut current, next));
    }
    match current.document {
        Document::Image { .. } => Ok((parent, current)),
        Document::Index(_) => Err(Error::verb(format!("the image is behind more than {DEPTH_MAX} indexes"))),
    }
}

fn too_big(what: &str) -> Error {
    Error::verb(format!("the manifest {what} is longer than {MANIFEST_MAX} bytes"))
}

/// By tag or digest; with a digest the bytes must have it, and in any case the one that the registry says.
fn fetch_manifest(client: &Client, reference: &Reference, name: &str, wanted: Option<&str>) -> Result<Fetched> {
    let text = match fetch_text(client, name, wanted)? {
        Ok(text) => text,
        Err(refused) => return Err(not_given(reference, &refused)),
    };
    let (media_type, document) = manifest::parse(&text.bytes, &text.content_type)
        .map_err(|e| Error { message: format!("{}: {}", reference.familiar(), e.message), ..e })?;
    // The store is addressed by sha256, whatever the registry goes by.
    Ok(Fetched { digest: manifest::digest_of(&text.bytes, None), bytes: text.bytes, media_type, document })
}

/// A manifest as it was sent.
pub(super) struct Text {
    pub bytes: Vec<u8>,
    content_type: String,
}

/// The text of a manifest, whatever it is a manifest of; inside, what the registry said where it refused.
pub(super) fn fetch_text(
    client: &Client,
    name: &str,
    wanted: Option<&str>,
) -> Result<std::result::Result<Text, Refused>> {
    let within = Some(client.settings.timeouts.small);
    let ask = Ask { accept: Some(ACCEPT), within, ..Ask::default() };
    let mut tries = 0;
    loop {
        let mut response = match client.ask(&format!("manifests/{name}"), &ask) {
            Ok(response) => response,
            Err(Fault::Status(refused)) => return Ok(Err(refused)),
            Err(Fault::Final(error) | Fault::Passing { error, .. }) => return Err(error),
        };
        if response.body().content_length().is_some_and(|l| l > MANIFEST_MAX) {
            return Err(too_big(name));
        }
        let content_type = header(&response, "content-type").unwrap_or_default();
        let said = header(&response, "docker-content-digest");
        let length = response.body().content_length();
        let bytes = match read_bounded(response.body_mut().as_reader(), MANIFEST_MAX) {
            Ok(bytes) if length.is_none_or(|l| l == bytes.len() as u64) => bytes,
            Ok(_) | Err(_) if tries < client.settings.retry.times && length.is_some() => {
                tries += 1;
                let wait = client.settings.retry.wait(tries, None).unwrap_or_default();
                client.pause(wait, &format!("the manifest {name} was cut off"));
                continue;
            }
            Ok(_) => return Err(Error::verb(format!("the manifest {name} was cut off"))),
            Err(e) => return Err(Error::verb(format!("cannot read the manifest {name}")).because(e)),
        };
        for expected in wanted.into_iter().chain(said.as_deref()) {
            let is = manifest::digest_of(&bytes, Some(expected));
            if is != expected {
                return Err(Error::verb(format!(
                    "manifest verification failed for digest {expected}: what the registry sent has {is}"
                )));
            }
        }
        return Ok(Ok(Text { bytes, content_type }));
    }
}

/// A refusal in docker's words, which scripts look for.
fn not_given(reference: &Reference, refused: &Refused) -> Error {
    let name = reference.familiar_name();
    match refused.status {
        401 | 403 => Error::verb(format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login': {}",
            refused.text
        ))
        .hint("credentials come from docker's config.json, --authfile FILE or --creds USER:PASSWORD"),
        404 if refused.has_code("NAME_UNKNOWN") => Error::verb(format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login': {}",
            refused.text
        )),
        404 => Error::verb(format!("manifest for {} not found: {}", reference.familiar(), refused.text)),
        429 => Error::verb(format!("toomanyrequests: {}", refused.text)),
        status => Error::verb(format!("the registry answered {status} for {}", reference.familiar()))
            .because(refused.text.clone()),
    }
}

/// What the config says must fit what was asked for and what the manifest says.
fn check_config(bytes: &[u8], layers: usize, platform: Option<&Platform>, progress: &Progress) -> Result<()> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        os: String,
        #[serde(default)]
        architecture: String,
        #[serde(default)]
        variant: String,
        rootfs: Option<RootFs>,
    }
    #[derive(Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<String>,
    }
    let config: Config = serde_json::from_slice(bytes).verb_context(|| "cannot read the image config".into())?;
    if !matches!(config.os.as_str(), "" | "linux") {
        return Err(Error::verb(format!("image operating system {:?} cannot be used on this platform", config.os)));
    }
    let diff_ids = config.rootfs.map_or(0, |r| r.diff_ids.len());
    if diff_ids != layers {
        return Err(Error::verb(format!("the image config lists {diff_ids} layers, its manifest {layers}")));
    }
    let is = Platform::new("linux", &config.architecture, &config.variant);
    match platform {
        _ if config.architecture.is_empty() => {}
        Some(asked) if !asked.serves(&is) => {
            return Err(Error::verb(format!(
                "the image's platform ({is}) does not match the specified platform ({asked})"
            )));
        }
        None if !Platform::host().serves(&is) => progress.warn(&format!(
            "The requested image's platform ({is}) does not match the detected host platform ({}) and no specific platform was requested",
            Platform::host()
        )),
        _ => {}
    }
    Ok(())
}

/// All tags of a repository, in the registry's order.
pub fn tags(client: &Client, reference: &Reference) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        tags: Option<Vec<String>>,
    }
    let ask = Ask { within: Some(client.settings.timeouts.small), ..Ask::default() };
    let mut url = client.url("tags/list");
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut response = match client.ask_at(url.clone(), &ask) {
            Ok(response) => response,
            Err(Fault::Status(refused)) => return Err(not_given(reference, &refused)),
            Err(Fault::Final(error) | Fault::Passing { error, .. }) => return Err(error),
        };
        let next = header(&response, "link").and_then(|l| next_page(&url, &l));
        let what = || format!("cannot read the list of tags of {}", reference.familiar_name());
        let bytes = read_bounded(response.body_mut().as_reader(), MANIFEST_MAX).verb_context(what)?;
        let page: Page = serde_json::from_slice(&bytes).verb_context(what)?;
        let before = all.len();
        all.extend(page.tags.unwrap_or_default());
        match next {
            Some(next) if all.len() > before => url = next,
            _ => return Ok(all),
        }
    }
    client.stop.store(true, Ordering::Relaxed);
    Err(Error::verb(format!("the list of tags of {} does not end", reference.familiar_name())))
}

/// `Link: </v2/app/tags/list?last=x>; rel="next"`, on the same registry only.
fn next_page(at: &Url, link: &str) -> Option<Url> {
    let (target, params) = link.strip_prefix('<')?.split_once('>')?;
    let next = at.join(target)?;
    (params.replace([' ', '"'], "").contains("rel=next") && next.origin == at.origin).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_on_the_registry() {
        let at = Url::parse("https://reg.lan/v2/app/tags/list").unwrap();
        let next = |l: &str| next_page(&at, l).map(|u| u.full());
        assert_eq!(
            next(r#"</v2/app/tags/list?n=2&last=b>; rel="next""#).unwrap(),
            "https://reg.lan/v2/app/tags/list?n=2&last=b"
        );
        assert_eq!(next(r#"<https://evil.lan/x>; rel="next""#), None);
        assert_eq!(next(r#"</x>; rel="prev""#), None);
        assert_eq!(next("nonsense"), None);
    }
}
