//! Image references as docker parses them: `name`, `name:tag`, `host:port/name@sha256:…`.

use crate::error::Result;
use std::fmt;
use std::str::FromStr;

/// A normalised reference: `busybox` is docker.io/library/busybox:latest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `docker.io`, `127.0.0.1:5000`
    pub domain: String,
    /// `library/busybox`
    pub path: String,
    /// Present unless only a digest was given.
    pub tag: Option<String>,
    /// `sha256:…`
    pub digest: Option<String>,
}

impl FromStr for Reference {
    type Err = crate::error::Error;
    fn from_str(_text: &str) -> Result<Self> {
        Err(crate::error::Error::runner("not built yet"))
    }
}

impl Reference {
    /// As docker shows it: without `docker.io/library/`.
    pub fn familiar(&self) -> String {
        String::new()
    }
}

impl fmt::Display for Reference {
    /// The canonical form: `docker.io/library/busybox:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)
    }
}
