//! Which images an entry of the policy means.

use crate::image::reference::{Reference, canonical_host, check_digest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One word of `images` or `registries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    /// `HOST/` or `HOST/PATH/`: every repository below.
    Below(String),
    /// A repository, with a tag or digest where one is given.
    One(Reference),
    /// `sha256:…` of a manifest, an index or a config.
    Digest(String),
}

/// An image under one name, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub reference: Option<&'a Reference>,
    /// Of manifest, index and config.
    pub digests: &'a [&'a str],
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if text.starts_with("sha256:") {
            return check_digest(text).map(|()| Pattern::Digest(text.to_owned())).map_err(|e| e.message);
        }
        let host = text.split('/').next().unwrap_or_default();
        if !text.contains('/') || !(host == "localhost" || host.contains(['.', ':'])) {
            return Err(format!(
                "{text:?} does not begin with a registry's host: write docker.io/library/busybox, or docker.io/ for all of it"
            ));
        }
        if let Some(folder) = text.strip_suffix('/') {
            // A path that cannot be one would never fit, and so forbid what nobody meant to forbid.
            // Two components, for docker.io/x alone would be docker.io/library/x.
            let probe = format!("{folder}/x/x");
            return match Reference::parse_bare(&probe) {
                Ok(r) if r.name() == probe => Ok(Pattern::Below(text.to_owned())),
                Ok(r) => Err(format!("{text:?} is written {:?}", r.name().trim_end_matches("x/x"))),
                Err(e) => Err(format!("{text:?}: {}", e.message)),
            };
        }
        Reference::parse_bare(text).map(Pattern::One).map_err(|e| format!("{text:?}: {}", e.message))
    }

    pub fn fits(&self, image: Named<'_>) -> bool {
        match (self, image.reference) {
            (Pattern::Digest(digest), _) => image.digests.contains(&digest.as_str()),
            // One registry may be spelled in many ways; a demand for its images holds for all of them.
            (Pattern::Below(folder), Some(is)) => format!("{}/", is.canonical_name()).starts_with(&canonical(folder)),
            (Pattern::One(wanted), Some(is)) => {
                wanted.canonical_name() == is.canonical_name()
                    && wanted.tag.as_ref().is_none_or(|tag| is.tag.as_ref() == Some(tag))
                    && wanted.digest.as_deref().is_none_or(|d| image.digests.contains(&d))
            }
            (_, None) => false,
        }
    }

    /// Whether any image of this repository could fit, whatever its tag and digest: what can be told before a pull.
    pub fn may_fit(&self, repository: &Reference) -> bool {
        match self {
            Pattern::Digest(digest) => repository.digest.as_ref() == Some(digest),
            Pattern::Below(_) => self.fits(Named { reference: Some(repository), digests: &[] }),
            Pattern::One(wanted) => wanted.canonical_name() == repository.canonical_name(),
        }
    }
}

/// `HOST/PATH/` with the host as it is compared.
fn canonical(folder: &str) -> String {
    match folder.split_once('/') {
        Some((host, path)) => format!("{}/{path}", canonical_host(host)),
        None => folder.to_owned(),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Below(text) | Pattern::Digest(text) => f.write_str(text),
            Pattern::One(reference) => reference.fmt(f),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Pattern::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, image: &str, digests: &[&str]) -> bool {
        let reference: Reference = image.parse().unwrap();
        Pattern::parse(pattern).unwrap().fits(Named { reference: Some(&reference), digests })
    }

    #[test]
    fn what_fits() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (pattern, image, want) in [
            ("docker.io/library/", "busybox", true),
            ("docker.io/", "someone/app", true),
            ("docker.io/some/", "someone/app", false),
            ("reg.lan:5000/team/", "reg.lan:5000/team/app/web:1", true),
            ("reg.lan:5000/team/", "reg.lan:5000/team2/app", false),
            ("reg.lan/", "reg.lan.evil.example/app", false),
            ("reg.lan/team", "reg.lan/team:3", true),
            ("reg.lan/team", "reg.lan/team/app", false),
            ("reg.lan/app:1", "reg.lan/app:1", true),
            ("reg.lan/app:1", "reg.lan/app:2", false),
            ("reg.lan:5999/", "REG.LAN:5999/app", true),
            ("reg.lan:5999/", "reg.lan:05999/app", true),
            ("reg.lan:5999/", "reg.lan/app", false),
            ("reg.lan/team/", "reg.lan:443/team/app", true),
            ("REG.lan:443/app", "reg.lan/app", true),
            ("reg.lan/", "reg.lan:80/app", false),
            ("docker.io/library/", "registry-1.docker.io/library/busybox", true),
        ] {
            assert_eq!(fits(pattern, image, &[]), want, "{pattern} {image}");
        }
        assert!(fits(&digest, "x", &[&digest]) && !fits(&digest, "x", &[]));
        let pinned = format!("reg.lan/app@{digest}");
        assert!(fits(&pinned, "reg.lan/app", &[&digest]) && !fits(&pinned, "reg.lan/app", &["sha256:b"]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in
            ["busybox", "library/", "*", "reg.lan", "reg.lan/UPPER/", "reg.lan/a b/", "sha256:12", "index.docker.io/"]
        {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
