//! A value together with where it came from, so that `explain` can say why.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who decided a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A flag on the command line, spelled as its long name (`--memory`).
    Flag(String),
    /// A preset, by name.
    Preset(String),
    /// The image's own config.
    Image,
    /// The site's policy file.
    Site,
    /// What this host or kernel offers.
    Host,
    /// hardrun's own default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(name) => write!(f, "flag {name}"),
            Source::Preset(name) => write!(f, "preset {name}"),
            Source::Image => f.write_str("image"),
            Source::Site => f.write_str("site policy"),
            Source::Host => f.write_str("host"),
            Source::Default => f.write_str("default"),
        }
    }
}

/// A value and its [`Source`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Source,
}

impl<T> Sourced<T> {
    pub fn new(value: T, source: Source) -> Self {
        Sourced { value, source }
    }
    pub fn default(value: T) -> Self {
        Sourced { value, source: Source::Default }
    }
    pub fn flag(value: T, flag: &str) -> Self {
        Sourced { value, source: Source::Flag(flag.to_owned()) }
    }
}
