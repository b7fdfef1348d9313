//! The files of an OCI image layout: `oci-layout`, `index.json`, manifests. Fields that hardrun does not know are kept, for
//! skopeo and umoci write into the same layout.

use super::digest::Digest;
use super::reference::Reference;
use crate::error::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Where an image's name stands. The value is the canonical reference, `docker.io/library/busybox:latest`: nothing is lost,
/// and `skopeo copy oci:DIR:docker.io/library/busybox:latest …` names it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where docker and containerd put the full name in the archives they write; `ref.name` is only the tag there.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Space-separated `repository@sha256:…` by which registries know the image: docker's RepoDigests.
pub const REPO_DIGESTS: &str = "io.hardrun.repo-digests";

/// A manifest or index is refused above this size, as by registries.
pub const MANIFEST_MAX: u64 = 4 << 20;
/// Configs hold a history and labels.
pub const CONFIG_MAX: u64 = 8 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

impl Descriptor {
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        }
    }

    pub fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_INDEX | DOCKER_LIST)
    }

    pub fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_MANIFEST | DOCKER_MANIFEST)
    }

    /// The image's name, if it has one that can be parsed. `containerd` names count where an archive is read.
    pub fn name(&self) -> Option<Reference> {
        let text = self.annotations.get(CONTAINERD_NAME).or_else(|| self.annotations.get(REF_NAME))?;
        Reference::from_str(text).ok()
    }

    /// `repository@sha256:…` by which registries know the image, as docker shows them.
    pub fn repo_digests(&self) -> Vec<String> {
        let all = self.annotations.get(REPO_DIGESTS).map(String::as_str).unwrap_or_default();
        all.split(' ').filter_map(|one| Reference::from_str(one).ok()).map(|r| r.familiar()).collect()
    }

    /// Name it, or take its name away.
    pub fn set_name(&mut self, name: Option<&Reference>) {
        self.annotations.remove(CONTAINERD_NAME);
        match name {
            Some(name) => self.annotations.insert(REF_NAME.into(), name.to_string()),
            None => self.annotations.remove(REF_NAME),
        };
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// `os[/arch[/variant]]`, or a bare architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    os: String,
    architecture: Option<String>,
    variant: Option<String>,
}

/// Go's name of this machine's architecture.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

impl Wanted {
    /// # Errors
    /// Empty parts, more than three parts, or an operating system other than Linux.
    pub fn parse(platform: Option<&str>) -> Result<Wanted> {
        let Some(text) = platform else {
            return Ok(Wanted { os: "linux".into(), architecture: Some(host_architecture().into()), variant: None });
        };
        let bad = || {
            Error::runner(format!("invalid platform {text:?}"))
                .hint("write it as linux/amd64, linux/arm64 or linux/arm/v7")
        };
        let text = text.to_lowercase();
        let mut parts: Vec<&str> = text.split('/').collect();
        if parts
            .iter()
            .any(|p| p.is_empty() || p.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_'))
        {
            return Err(bad());
        }
        if parts.len() == 1 && parts[0] != "linux" {
            parts.insert(0, "linux");
        }
        if parts.len() > 3 || parts[0] != "linux" {
            return Err(bad());
        }
        let (architecture, implied) = match parts.get(1).copied() {
            Some("x86_64" | "x86-64" | "amd64") => (Some("amd64"), None),
            Some("aarch64" | "arm64") => (Some("arm64"), None),
            Some("i386" | "386") => (Some("386"), None),
            Some("armhf") => (Some("arm"), Some("v7")),
            Some("armel") => (Some("arm"), Some("v6")),
            other => (other, None),
        };
        let variant = parts.get(2).copied().or(implied).filter(|v| (architecture, *v) != (Some("arm64"), "v8"));
        Ok(Wanted { os: parts[0].into(), architecture: architecture.map(Into::into), variant: variant.map(Into::into) })
    }

    /// Operating system, architecture (this machine's where none was given) and variant.
    pub fn parts(&self) -> (&str, &str, Option<&str>) {
        (&self.os, self.architecture.as_deref().unwrap_or(host_architecture()), self.variant.as_deref())
    }

    /// Whether an image for this platform is what is wanted. An image that does not say passes.
    pub fn fits(&self, os: &str, architecture: &str, variant: Option<&str>) -> bool {
        let variant = variant.filter(|v| !v.is_empty() && (architecture, *v) != ("arm64", "v8"));
        (os.is_empty() || self.os == os)
            && (architecture.is_empty() || self.architecture.as_deref().is_none_or(|a| a == architecture))
            && self.variant.as_deref().is_none_or(|v| variant.is_none_or(|has| has == v))
    }
}

/// `index.json`, and image indexes (manifest lists).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub manifests: Vec<Descriptor>,
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Default for Index {
    fn default() -> Self {
        Index { schema_version: 2, media_type: Some(OCI_INDEX.into()), manifests: Vec::new(), other: BTreeMap::new() }
    }
}

impl Index {
    pub fn parse(bytes: &[u8]) -> Result<Index> {
        let index: Index = serde_json::from_slice(bytes).verb_context(|| "reading an image index".into())?;
        if index.schema_version != 2 {
            return Err(Error::verb(format!("an image index of version {}; 2 is the only one", index.schema_version)));
        }
        Ok(index)
    }
}

/// An image manifest, OCI's or docker's schema 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    pub fn parse(bytes: &[u8]) -> Result<Manifest> {
        let manifest: Manifest = serde_json::from_slice(bytes).verb_context(|| "reading an image manifest".into())?;
        if manifest.schema_version != 2 {
            return Err(Error::verb(format!("a manifest of version {}; 2 is the only one", manifest.schema_version))
                .hint(
                    "docker's schema 1 has had no digests worth the name; push the image again with a current tool",
                ));
        }
        Ok(manifest)
    }

    /// The OCI manifest of an image that came without one.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest { schema_version: 2, media_type: Some(OCI_MANIFEST.into()), config, layers }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_of_an_index_survive() {
        let text = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":3,"annotations":{"org.opencontainers.image.ref.name":"app:1"},"artifactType":"x/y"}],"annotations":{"a":"b"}}"#;
        let index = Index::parse(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&index).unwrap(), text);
        assert_eq!(index.manifests[0].name().unwrap().to_string(), "docker.io/library/app:1");
    }

    #[test]
    fn the_name_that_docker_wrote_comes_before_the_bare_tag() {
        let mut d = Descriptor::new(OCI_MANIFEST, Digest::of(b""), 0);
        d.annotations.insert(REF_NAME.into(), "latest".into());
        d.annotations.insert(CONTAINERD_NAME.into(), "docker.io/library/app:latest".into());
        assert_eq!(d.name().unwrap().to_string(), "docker.io/library/app:latest");
        d.set_name(None);
        assert_eq!(d.name(), None);
    }

    #[test]
    fn platforms_are_compared_as_docker_does() {
        let wanted = |text: &str| Wanted::parse(Some(text)).unwrap();
        assert!(wanted("linux/x86_64").fits("linux", "amd64", None));
        assert!(wanted("arm64").fits("linux", "arm64", Some("v8")));
        assert!(wanted("linux/arm64/v8").fits("linux", "arm64", None));
        assert!(!wanted("linux/arm/v6").fits("linux", "arm", Some("v7")));
        assert!(!wanted("linux/amd64").fits("linux", "arm64", None));
        assert!(wanted("linux").fits("linux", "riscv64", None));
        for bad in ["", "linux/", "windows/amd64", "linux/arm/v7/x", "linux/../x"] {
            assert!(Wanted::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
