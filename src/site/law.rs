//! A policy that was read and found sound: values instead of words.

use super::pattern::Pattern;
use super::schema::{Name, PathMode, Unlisted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the site has laid down. The default lays down nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Law {
    pub unlisted_overrides: Unlisted,
    pub deny: Vec<String>,
    pub allow: Vec<Grant>,
    /// Absolute, normalised: what `--root` may name.
    pub roots: Vec<PathBuf>,
    /// `None`: from anywhere.
    pub registries: Option<Vec<Pattern>>,
    pub local_images: bool,
    pub require_digest: bool,
    pub signatures: Vec<Signed>,
    pub limits: Ceilings,
    pub paths: Vec<SitePath>,
    pub preset: Option<String>,
    pub publish_address: Option<String>,
    pub messages: BTreeMap<String, String>,
}

/// One override that is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Grant {
    pub rule: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Name>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
    /// Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Pattern>,
    pub reason: String,
    /// `YYYY-MM-DD`: the last day.
    pub expires: String,
}

/// Images that must be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signed {
    /// Empty: every image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Pattern>,
    /// PEM.
    pub keys: Vec<String>,
    /// Canonical repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// Most that a container may have. Bytes unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Ceilings {
    pub memory: Option<u64>,
    /// Memory and swap together.
    pub memory_swap: Option<u64>,
    pub pids: Option<i64>,
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    pub shm_size: Option<u64>,
    pub tmpfs_size: Option<u64>,
    /// Seconds.
    pub timeout: Option<u64>,
    /// By docker's names.
    pub ulimits: BTreeMap<String, u64>,
}

/// A host path that is not ordinary here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SitePath {
    /// Absolute, normalised.
    pub path: PathBuf,
    pub mode: PathMode,
    pub reason: String,
}
