//! What happened to containers, images, networks and volumes: `ROOT/events.log`, a line of docker's JSON for each event.
//!
//! Whoever does something appends its event: one write, no fsync, nothing is read. A full file becomes `events.log.1`, of
//! which there is one. What cannot be written is said once, and never stands in the way of what happened.

mod message;
mod read;
mod write;

pub use message::{Actor, Event};
pub use read::{Query, follow, show, terms};
pub use write::{note, note_in};

use std::path::{Path, PathBuf};

/// The file that is written to; the one before it has `.1` behind its name.
fn file(root: &Path) -> PathBuf {
    root.join("events.log")
}

fn older(root: &Path) -> PathBuf {
    root.join("events.log.1")
}
