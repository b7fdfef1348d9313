//! The audit log: who launched what, what was refused, and what was overridden and why.
//!
//! A file of JSON lines that is only appended to. Every line carries the hash of the one before it and its own, so a
//! line that is changed, removed or put in between is found; a small head file beside it remembers how many lines there
//! are and the last hash, so a log that is cut at the end is found too. Neither stops someone who is root and rewrites
//! both: `hardrun audit-log verify` prints the last hash, to be kept elsewhere.

mod append;
mod entry;
mod head;
mod line;
mod read;
mod rotate;

pub use append::append_all;
pub use entry::{Entry, Event};
pub use line::{Record, Who};
pub use read::{Line, Problem, Report, records, verify, verify_after};
pub use rotate::rotate;

use crate::error::Result;
use crate::plan::{Draft, Plan};
use crate::policy::Verdict;
use crate::state::Paths;

/// Append one entry. About 30 µs; refusals and overrides are on disk when this returns. An error means that nothing
/// was recorded, and so that nothing may be launched.
pub fn append(paths: &Paths, entry: Entry) -> Result<()> {
    append_all(paths, &[entry])
}

/// Record a launch: a line for every rule that was overridden, then the launch.
pub fn record_launch(paths: &Paths, plan: &Plan, digest: &str) -> Result<()> {
    append_all(paths, &Entry::launch(plan, digest))
}

/// Record a refusal: one line with every rule that refused.
pub fn record_refusal(paths: &Paths, draft: &Draft, verdict: &Verdict) -> Result<()> {
    append_all(paths, &[Entry::refusal(draft, verdict)])
}

#[cfg(test)]
mod tests;
