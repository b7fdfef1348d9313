//! Signatures in cosign's key-pair format: ECDSA P-256 over SHA-256 of a "simple signing" payload, which names the digest
//! of the manifest and the repository. They are kept as they came, and checked against today's keys whenever something starts:
//! a key that is taken out of the policy counts no longer.

use super::law::Signed;
use crate::error::{Context as _, Error, Result};
use crate::image::digest::Digest;
use crate::image::reference::Reference;
use crate::state::Paths;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A signature that a registry gave for a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Of the manifest or index that it was found for.
    pub digest: String,
    /// Base64 of the signed text.
    pub payload: String,
    /// Base64 of the DER signature, as cosign annotates it.
    pub signature: String,
}

/// Most bytes of a payload, and most signatures of one image that are looked at.
pub const PAYLOAD_MAX: u64 = 64 << 10;
pub const MOST: usize = 32;
const FILE_MAX: u64 = 8 << 20;

/// What cosign signs.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

const COSIGN: &str = "cosign container image signature";

impl Signature {
    pub fn new(digest: &str, payload: &[u8], signature: &str) -> Signature {
        Signature {
            digest: digest.to_owned(),
            payload: STANDARD.encode(payload),
            signature: signature.trim().to_owned(),
        }
    }

    /// Whether one of the keys signed that the image of this digest is one of `names`.
    fn verify(&self, keys: &[String], names: &[&str]) -> Result<(), String> {
        let payload = STANDARD.decode(&self.payload).map_err(|_| "its payload is no base64")?;
        let signature = STANDARD.decode(&self.signature).map_err(|_| "it is no base64")?;
        // The key first: nothing of a text is believed, or even parsed, that nobody vouches for.
        if !keys.iter().any(|pem| signed_by(pem, &payload, &signature)) {
            return Err("none of the policy's keys made it".into());
        }
        let said: Payload =
            serde_json::from_slice(&payload).map_err(|_| "what is signed is no simple-signing payload")?;
        let critical = said.critical;
        if critical.r#type != COSIGN {
            return Err(format!("what is signed is of type {:?}", critical.r#type));
        }
        if critical.image.docker_manifest_digest != self.digest {
            return Err(format!("it is for {}", critical.image.docker_manifest_digest));
        }
        let named =
            Reference::parse_bare(&critical.identity.docker_reference).map(|r| r.canonical_name()).unwrap_or_default();
        if !names.iter().any(|name| Reference::parse_bare(name).is_ok_and(|r| r.canonical_name() == named)) {
            return Err(format!("it is for {:?}, not for {}", critical.identity.docker_reference, names.join(" or ")));
        }
        Ok(())
    }
}

fn public_key(pem: &str) -> Result<SubjectPublicKeyInfoDer<'static>, String> {
    SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| "it is no PEM of a public key".to_owned())
}

/// What stands before the point in the DER of a P-256 key: algorithm id-ecPublicKey, curve prime256v1, 65 bytes uncompressed.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Whether this is a key that signatures can be checked with.
pub fn check_key(pem: &str) -> Result<(), String> {
    let der = public_key(pem)?;
    if der.len() == P256.len() + 64 && der.starts_with(P256) {
        return Ok(());
    }
    Err("it is no ECDSA P-256 key, the kind that `cosign generate-key-pair` makes".into())
}

fn signed_by(pem: &str, message: &[u8], signature: &[u8]) -> bool {
    public_key(pem).is_ok_and(|der| {
        webpki::RawPublicKeyEntity::try_from(&der)
            .is_ok_and(|key| key.verify_signature(webpki::ring::ECDSA_P256_SHA256, message, signature).is_ok())
    })
}

/// Whether the image with these digests (manifest, index), which these repositories gave, is signed as `wanted` says.
///
/// # Errors
/// Why not, in words.
pub fn check(wanted: &Signed, have: &[Signature], digests: &[&str], repositories: &[String]) -> Result<(), String> {
    let names: Vec<&str> = match &wanted.identity {
        Some(one) => vec![one],
        None => repositories.iter().map(String::as_str).collect(),
    };
    let of_it: Vec<&Signature> = have.iter().filter(|s| digests.contains(&s.digest.as_str())).collect();
    if of_it.is_empty() {
        return Err("no signature of it is here".into());
    }
    let mut why = String::new();
    for signature in of_it {
        match signature.verify(&wanted.keys, &names) {
            Ok(()) => return Ok(()),
            Err(e) => why = e,
        }
    }
    Err(format!("its signature does not count: {why}"))
}

/// One file a digest.
fn path(paths: &Paths, digest: &str) -> Result<PathBuf> {
    Ok(folder(paths).join(Digest::parse(digest)?.hex()))
}

/// Where signatures are kept.
pub fn folder(paths: &Paths) -> PathBuf {
    paths.root.join("signatures")
}

/// Keep what a registry gave beside the image, so that a start needs no network.
pub fn keep(paths: &Paths, digest: &str, signatures: &[Signature]) -> Result<()> {
    crate::image::private_dir(&folder(paths))?;
    let bytes = serde_json::to_vec(signatures).expect("signatures are plain data");
    crate::image::write_atomic(&path(paths, digest)?, &bytes)
}

/// What is kept of these digests.
pub fn of(paths: &Paths, digests: &[&str]) -> Result<Vec<Signature>> {
    let mut all: Vec<Signature> = Vec::new();
    for digest in digests {
        let path = path(paths, digest)?;
        match std::fs::metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Ok(meta) if meta.len() > FILE_MAX => return Err(Error::runner(format!("{} is too long", path.display()))),
            _ => {}
        }
        let say = || format!("cannot read the signatures of {digest}");
        let bytes = std::fs::read(&path).context(say)?;
        all.extend(serde_json::from_slice::<Vec<Signature>>(&bytes).context(say)?);
    }
    Ok(all)
}
