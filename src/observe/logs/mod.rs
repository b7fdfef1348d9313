//! The output that containers leave, in the form of docker's json-file driver: a line of JSON for each line that was written,
//! `{"log":"…\n","stream":"stdout","time":"…"}`.

mod writer;

pub use writer::LogWriter;

use serde::{Deserialize, Serialize};

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
    /// RFC 3339 with nanoseconds, UTC.
    pub time: String,
}
