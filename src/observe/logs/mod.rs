//! The output that containers leave, in the form of docker's json-file driver: a line of JSON for each line that was written,
//! `{"log":"…\n","stream":"stdout","time":"…"}`.
//!
//! [`FILE`] in the container's folder is written to; when it is full it becomes `json.log.1`, the one before it `json.log.2`,
//! and so on. Only the supervisor writes. Readers follow it through renames, and wait without polling.

mod files;
mod follow;
mod read;
#[cfg(test)]
mod tests;
mod writer;

pub use follow::follow;
pub use read::{Query, Sink, show};
pub use writer::{LogWriter, attributes};

use crate::state::Stamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the file that is written to; older ones have a number behind it, the youngest 1.
pub const FILE: &str = "json.log";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// With its line break, but for a part of a line longer than 16 KiB, and the last one of a program that ended without.
    pub log: String,
    pub stream: Stream,
    /// Labels and variables asked for with `--log-opt`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
    /// RFC 3339 with nanoseconds, UTC.
    pub time: Stamp,
}
