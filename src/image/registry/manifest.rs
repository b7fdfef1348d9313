//! Manifests and indexes as they come from a registry: told apart, bounded, and refused clearly where they are
//! something else than an image.

use super::platform::Platform;
use crate::error::{Context, Error, Result};
use crate::image::reference::check_digest;
use serde::Deserialize;
use sha2::Digest;

/// Most bytes of a manifest or index, as containerd and docker have it.
pub const MANIFEST_MAX: u64 = 4 << 20;
/// Most bytes of an image config.
pub const CONFIG_MAX: u64 = 4 << 20;
/// Most layers: the kernel's overlay takes no more than 500 lower folders.
const LAYERS_MAX: usize = 500;

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is asked for, and all that is understood.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// One blob that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    /// Bytes.
    pub size: u64,
    #[serde(default)]
    platform: Option<WirePlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct WirePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Index(Vec<Descriptor>),
    Image { config: Descriptor, layers: Vec<Descriptor> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    fs_layers: Option<serde_json::Value>,
}

/// `algorithm:hex` of the bytes, by the algorithm of `like` (`sha256` where there is none to follow).
pub fn digest_of(bytes: &[u8], like: Option<&str>) -> String {
    match like.and_then(|d| d.split_once(':')).map(|(a, _)| a) {
        Some("sha512") => format!("sha512:{}", hex::encode(sha2::Sha512::digest(bytes))),
        Some("sha384") => format!("sha384:{}", hex::encode(sha2::Sha384::digest(bytes))),
        _ => format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes))),
    }
}

/// Read a manifest or index. `content_type` is what the server said, which must not contradict the document
/// (CVE-2021-41190: one text, two readings).
pub fn parse(bytes: &[u8], content_type: &str) -> Result<(String, Document)> {
    let wire: Wire = serde_json::from_slice(bytes).verb_context(|| "cannot read the manifest".into())?;
    let said = content_type.split(';').next().unwrap_or_default().trim();
    if wire.schema_version == Some(1)
        || wire.fs_layers.is_some()
        || said.starts_with("application/vnd.docker.distribution.manifest.v1+")
    {
        return Err(Error::verb("the image is in docker's schema 1 format, which cannot be verified and is not supported")
            .hint("push it again with a current client, or copy it: skopeo copy --format v2s2 docker://SOURCE docker://TARGET"));
    }
    let known = |t: &str| matches!(t, DOCKER_LIST | DOCKER_MANIFEST | OCI_INDEX | OCI_MANIFEST);
    if let Some(inside) = wire.media_type.as_deref()
        && known(said)
        && inside != said
    {
        return Err(Error::verb(format!("the registry calls the manifest {said} but it calls itself {inside}")));
    }
    let media_type = wire.media_type.clone().or_else(|| known(said).then(|| said.to_owned()));
    match (wire.manifests, wire.config, wire.layers) {
        (Some(manifests), None, None) => {
            expect_type(media_type.as_deref(), &[DOCKER_LIST, OCI_INDEX])?;
            for d in &manifests {
                d.check()?;
            }
            Ok((media_type.unwrap_or_else(|| OCI_INDEX.into()), Document::Index(manifests)))
        }
        (None, Some(config), Some(layers)) => {
            expect_type(media_type.as_deref(), &[DOCKER_MANIFEST, OCI_MANIFEST])?;
            check_image(&config, &layers)?;
            Ok((media_type.unwrap_or_else(|| OCI_MANIFEST.into()), Document::Image { config, layers }))
        }
        _ => Err(Error::verb(format!(
            "what the registry sent is neither an image manifest nor an index{}",
            media_type.map(|t| format!(" but {t}")).unwrap_or_default()
        ))),
    }
}

fn expect_type(media_type: Option<&str>, wanted: &[&str]) -> Result<()> {
    match media_type {
        Some(t) if !wanted.contains(&t) => {
            Err(Error::verb(format!("the manifest calls itself {t}, which its content contradicts")))
        }
        _ => Ok(()),
    }
}

fn check_image(config: &Descriptor, layers: &[Descriptor]) -> Result<()> {
    let image_config = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
    if !image_config.contains(&config.media_type.as_str()) {
        return Err(Error::verb(format!("this is not a container image: its config is {:?}", config.media_type)));
    }
    config.check()?;
    if config.size > CONFIG_MAX {
        return Err(Error::verb(format!(
            "the image config is {} bytes long, more than the {CONFIG_MAX} that are accepted",
            config.size
        )));
    }
    if layers.len() > LAYERS_MAX {
        return Err(Error::verb(format!("the image has {} layers, more than {LAYERS_MAX}", layers.len())));
    }
    for layer in layers {
        layer.check()?;
        check_layer_type(layer)?;
    }
    Ok(())
}

fn check_layer_type(layer: &Descriptor) -> Result<()> {
    let t = layer.media_type.as_str();
    if t.contains("foreign") || t.contains("nondistributable") {
        return Err(Error::verb(format!("layer {} is not distributable ({t})", layer.digest))
            .hint("the registry does not hold it, only addresses elsewhere; such layers are not fetched"));
    }
    if t.contains("encrypted") {
        return Err(Error::verb(format!("layer {} is encrypted ({t}), which is not supported", layer.digest)));
    }
    let known = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ];
    if !known.contains(&t) {
        return Err(Error::verb(format!("layer {} is of the unknown type {t:?}", layer.digest)));
    }
    Ok(())
}

impl Descriptor {
    fn check(&self) -> Result<()> {
        check_digest(&self.digest).map_err(|e| Error::verb(format!("the manifest names {:?}", self.digest)).because(e))
    }
    /// The platform that an index entry is for.
    pub fn platform(&self) -> Option<Platform> {
        self.platform.as_ref().map(|p| Platform::new(&p.os, &p.architecture, &p.variant))
    }
    /// The first 12 hexadecimal digits, as docker shows layers.
    pub fn short(&self) -> &str {
        short(&self.digest)
    }
}

/// The first 12 hexadecimal digits of a digest.
pub fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sha(n: u8) -> String {
        digest_of(&[n], None)
    }
    fn layer(media_type: &str) -> serde_json::Value {
        json!({"mediaType": media_type, "digest": sha(2), "size": 10})
    }
    fn image(layers: serde_json::Value) -> serde_json::Value {
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(1), "size": 5},
            "layers": layers})
    }
    fn read(value: &serde_json::Value, content_type: &str) -> Result<(String, Document)> {
        parse(value.to_string().as_bytes(), content_type)
    }
    fn message(value: &serde_json::Value, content_type: &str) -> String {
        read(value, content_type).unwrap_err().to_string()
    }

    #[test]
    fn images_and_indexes() {
        let (kind, document) = read(&image(json!([layer("application/vnd.oci.image.layer.v1.tar+zstd")])), "").unwrap();
        assert_eq!(kind, OCI_MANIFEST);
        let Document::Image { config, layers } = document else { panic!() };
        assert_eq!((config.digest, layers.len(), layers[0].size), (sha(1), 1, 10));

        let index = json!({"schemaVersion": 2, "manifests": [
            {"mediaType": OCI_MANIFEST, "digest": sha(3), "size": 1, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"mediaType": OCI_MANIFEST, "digest": sha(4), "size": 1}]});
        let (kind, document) =
            read(&index, "application/vnd.docker.distribution.manifest.list.v2+json; charset=utf-8").unwrap();
        assert_eq!(kind, DOCKER_LIST);
        let Document::Index(entries) = document else { panic!() };
        assert_eq!(entries[0].platform().unwrap().to_string(), "linux/arm64");
        assert_eq!(entries[1].platform(), None);
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        for v in [json!({"schemaVersion": 1}), json!({"fsLayers": []})] {
            assert!(message(&v, "").contains("schema 1"), "{v}");
        }
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(message(&json!({}), signed).contains("schema 1"));
    }

    #[test]
    fn one_text_has_one_reading() {
        let m = image(json!([]));
        assert!(message(&m, DOCKER_MANIFEST).contains("calls itself"));
        assert!(message(&m, OCI_INDEX).contains("calls itself"));
        let mut both = image(json!([]));
        both["manifests"] = json!([]);
        assert!(message(&both, "").contains("neither an image manifest nor an index"));
        assert!(
            message(&json!({"mediaType": OCI_INDEX, "config": layer(""), "layers": []}), "").contains("contradicts")
        );
    }

    #[test]
    fn what_is_no_image_layer_is_refused() {
        for (t, text) in [
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "not distributable"),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "not distributable"),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted"),
            ("application/wasm", "unknown type"),
        ] {
            assert!(message(&image(json!([layer(t)])), "").contains(text), "{t}");
        }
        let mut chart = image(json!([]));
        chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        assert!(message(&chart, "").contains("not a container image"));
        let mut big = image(json!([]));
        big["config"]["size"] = json!(CONFIG_MAX + 1);
        assert!(message(&big, "").contains("image config"));
    }

    #[test]
    fn digests_in_manifests_are_checked_before_they_become_paths() {
        let l = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:../../etc/passwd", "size": 1});
        assert!(message(&image(json!([l])), "").contains("../../etc/passwd"));
        let index = json!({"manifests": [{"digest": "md5:0123456789abcdef0123456789abcdef", "size": 1}]});
        assert!(message(&index, "").contains("md5"));
    }

    #[test]
    fn digest_follows_the_algorithm() {
        assert_eq!(digest_of(b"", None), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(digest_of(b"", Some("sha512:00")).starts_with("sha512:cf83e1357eefb8bd"));
    }
}
