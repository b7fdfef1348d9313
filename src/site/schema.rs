//! What the policy file says. Every key may be left out: then nothing is decided by it.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A site's policy: /etc/hardrun/policy.toml
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyFile {
    /// Whether a rule that no `[[allow]]` names may be overridden with `--allow`; `allow` where it is left out
    pub unlisted_overrides: Unlisted,
    /// Rules that nobody may override
    pub deny: Vec<String>,
    /// Who may override a rule, for what and how long. A rule that is named here may be overridden in these ways only
    pub allow: Vec<GrantFile>,
    /// Folders besides /var/lib/hardrun that `--root` may name: the store in it says where its images are from, so whoever can
    /// write there decides what this policy is told. None where it is left out
    pub roots: Vec<String>,
    /// Where images may come from
    pub images: ImagesFile,
    /// Which images must be signed. All entries that fit an image must be met
    pub signature: Vec<SignatureFile>,
    /// Most that a container may have
    pub limits: CeilingsFile,
    /// Host paths that are not ordinary here
    pub path: Vec<PathFile>,
    /// Preset of a container for which none is asked: one of the program's or of /etc/hardrun/presets
    pub preset: Option<String>,
    /// Host address of a published port for which none is given; 127.0.0.1 where it is left out
    pub publish_address: Option<String>,
    /// Text below a refusal, by rule
    pub messages: BTreeMap<String, String>,
}

/// Whether a rule that no entry names may be overridden
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unlisted {
    #[default]
    Allow,
    Deny,
}

/// One override that is permitted
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GrantFile {
    /// Id of the rule, as `hardrun rules` lists it
    pub rule: String,
    /// Names or ids of users; with `groups`, one of either will do. Everybody where both are left out
    #[serde(default)]
    pub users: Vec<Name>,
    /// Names or ids of groups
    #[serde(default)]
    pub groups: Vec<Name>,
    /// `sha256:…` of a manifest, an index or a config; `HOST/PATH/` for all below; `HOST/PATH[@DIGEST]` for one. Any
    /// image where it is left out. No tags: who may run `hardrun tag` gives them
    #[serde(default)]
    pub images: Vec<String>,
    /// Why; shown by `explain` and written to the audit log
    pub reason: String,
    /// Last day, `2027-01-31` (UTC)
    pub expires: String,
}

/// A name or an id
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Name {
    Id(u32),
    Name(String),
}

/// Where images may come from
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ImagesFile {
    /// `HOST/PATH/` for all below, `HOST/PATH` for one repository. Any where it is left out
    pub registries: Option<Vec<String>>,
    /// With `registries`: also images that no registry gave: loaded, imported, committed, and `--rootfs`
    pub local: bool,
    /// Only images that are named by digest, or that a lock file names (`--locked`)
    pub require_digest: bool,
}

/// Images that must be signed
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignatureFile {
    /// `HOST/PATH/` for all below, `HOST/PATH` for one repository; every image where it is left out
    #[serde(default)]
    pub images: Vec<String>,
    /// Public keys as `cosign generate-key-pair` writes them (ECDSA P-256, PEM), or names of files beside the policy that hold
    /// one. One of them must have signed
    pub keys: Vec<String>,
    /// Repository that the signature must name; that which the image was pulled from where it is left out
    pub identity: Option<String>,
}

/// Most that a container may have. A default above is lowered; a flag above is refused
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CeilingsFile {
    /// Size: `512m`, `2g`
    pub memory: Option<String>,
    /// Memory and swap together; as much as `memory` where it is left out
    pub memory_swap: Option<String>,
    /// Processes and threads
    #[schemars(range(min = 1))]
    pub pids: Option<i64>,
    /// Number of CPUs, as `1.5`
    pub cpus: Option<String>,
    /// Size of /dev/shm
    pub shm_size: Option<String>,
    /// Size of each tmpfs
    pub tmpfs_size: Option<String>,
    /// Seconds after which the container is killed
    #[schemars(range(min = 1))]
    pub timeout: Option<u64>,
    /// Hard limits of a process by docker's names: `nofile`, `nproc`, `core`, …
    pub ulimits: BTreeMap<String, u64>,
}

/// A host path that is not ordinary here
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathFile {
    /// Absolute
    pub path: String,
    pub mode: PathMode,
    /// What it is, in a few words; shown in refusals
    pub reason: String,
}

/// What containers get of it
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathMode {
    /// Read-only, as the sensitive paths that are built in: asking for it writable is refused (`sensitive-mount-rw`)
    ReadOnly,
    /// Not at all (`site-path`); covered where a bound folder holds it
    Never,
}
