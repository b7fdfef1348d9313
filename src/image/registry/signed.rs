//! The signatures of an image, as cosign pushes them: under the tag `sha256-HEX.sig` of its repository a manifest whose layers
//! are the signed payloads, each with its signature as an annotation.

use super::client::{Ask, Client, read_bounded};
use super::fault::Fault;
use super::manifest::digest_of;
use super::pull::fetch_text;
use super::sink::Sink;
use crate::error::{Context, Error, Result};
use crate::image::reference::{Reference, check_digest};
use crate::site::Signed;
use crate::site::pattern::Named;
use crate::site::signature::{self, MOST, PAYLOAD_MAX, Signature};
use serde::Deserialize;
use std::collections::BTreeMap;

const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// What the site's policy demands of what is pulled, and the error where it is not met.
#[derive(Clone, Copy)]
pub struct Demands<'a> {
    pub signed: &'a [Signed],
    pub refuse: &'a (dyn Fn(&str) -> Error + Sync),
}

impl Demands<'_> {
    /// For what asks for no image.
    pub const NONE: Demands<'static> = Demands { signed: &[], refuse: &|why| Error::runner(why) };
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Fetch, check and keep the signatures of the manifest or index `digest`; nothing is done where none is demanded.
///
/// # Errors
/// That of the demands, where one of them is not met.
pub fn require(client: &Client, sink: &dyn Sink, reference: &Reference, digest: &str, demands: &Demands) -> Result<()> {
    let image = Named { reference: Some(reference), digests: &[digest] };
    let wanted: Vec<&Signed> =
        demands.signed.iter().filter(|s| s.images.is_empty() || s.images.iter().any(|p| p.fits(image))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let found = fetch(client, digest)?;
    let names = [reference.name()];
    for demand in wanted {
        signature::check(demand, &found, &[digest], &names).map_err(|why| {
            let why = if found.is_empty() { format!("the registry has no signature of {digest}") } else { why };
            (demands.refuse)(&why)
        })?;
    }
    sink.sign(digest, &found)
}

fn fetch(client: &Client, digest: &str) -> Result<Vec<Signature>> {
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let text = match fetch_text(client, &tag, None)? {
        Ok(text) => text,
        Err(refused) if refused.status == 404 => return Ok(Vec::new()),
        Err(refused) => {
            return Err(Error::verb(format!("cannot get the signatures of {digest}")).because(refused.text));
        }
    };
    let say = || format!("cannot read the signatures of {digest}");
    let manifest: Manifest = serde_json::from_slice(&text.bytes).verb_context(say)?;
    let mut found = Vec::new();
    for layer in manifest.layers.iter().filter(|l| l.media_type == SIMPLE_SIGNING).take(MOST) {
        let Some(signature) = layer.annotations.get(ANNOTATION) else { continue };
        check_digest(&layer.digest).verb_context(say)?;
        found.push(Signature::new(digest, &payload(client, &layer.digest)?, signature));
    }
    Ok(found)
}

fn payload(client: &Client, digest: &str) -> Result<Vec<u8>> {
    let say = || format!("cannot get the payload {digest} of a signature");
    let ask = Ask { within: Some(client.settings.timeouts.small), ..Ask::default() };
    let mut response = match client.ask(&format!("blobs/{digest}"), &ask) {
        Ok(response) => response,
        Err(Fault::Status(refused)) => return Err(Error::verb(say()).because(refused.text)),
        Err(Fault::Final(error) | Fault::Passing { error, .. }) => return Err(error),
    };
    let bytes = read_bounded(response.body_mut().as_reader(), PAYLOAD_MAX).verb_context(say)?;
    let is = digest_of(&bytes, Some(digest));
    if is != digest {
        return Err(Error::verb(say()).because(format!("what the registry sent has the digest {is}")));
    }
    Ok(bytes)
}
