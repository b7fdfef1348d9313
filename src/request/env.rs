//! Environment variables, and the caller's environment they may come from.

use std::path::PathBuf;

/// What resolving a request reads of its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// The caller's environment, in order.
    pub vars: Vec<(String, String)>,
    /// The caller's working directory, absolute.
    pub cwd: PathBuf,
}

/// One variable to set, or (`value: None`) one of the image's to take away: docker's `-e NAME` where the caller has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSetting {
    pub name: String,
    pub value: Option<String>,
    /// `--env` or `--env-file`.
    pub flag: &'static str,
}
