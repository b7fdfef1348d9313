//! Appending.

use super::{Event, file, older};
use crate::error::{Context as _, Error, Result};
use crate::state::Paths;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes after which a new file is begun: some ten thousand events.
const FULL: u64 = 4 << 20;
/// How often, and how long, to wait for others that write.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

static SAID: AtomicBool = AtomicBool::new(false);

/// Append an event. A failure is said once.
pub fn note(paths: &Paths, event: Event) {
    note_in(&paths.root, event);
}

/// The same for whoever knows only the root.
pub fn note_in(root: &Path, event: Event) {
    if let Err(e) = append(root, event, FULL)
        && !SAID.swap(true, Ordering::Relaxed)
    {
        crate::ui::error(&e);
    }
}

pub(super) fn append(root: &Path, mut event: Event, full: u64) -> Result<()> {
    let path = file(root);
    let attempt = || format!("append to {}", path.display());
    let mut log = open_locked(&path).context(attempt)?;
    // Under the lock, so that the lines are in the order of their times.
    event.stamp(jiff::Timestamp::now());
    let mut line = Vec::new();
    if cut_short(&log).context(attempt)? {
        line.push(b'\n');
    }
    serde_json::to_writer(&mut line, &event).context(attempt)?;
    line.push(b'\n');
    let written = log.write(&line).context(attempt)?;
    if written < line.len() {
        return Err(Error::runner(attempt()).because("the disk is full"));
    }
    if log.metadata().context(attempt)?.len() >= full {
        std::fs::rename(&path, older(root)).context(attempt)?;
    }
    Ok(())
}

/// Whether a full disk or a crash has left a part of a line: what follows must not become one with it.
fn cut_short(log: &File) -> std::io::Result<bool> {
    let length = log.metadata()?.len();
    let mut last = [b'\n'];
    Ok(length > 0 && log.read_at(&mut last, length - 1)? == 1 && last != *b"\n")
}

/// The file that has the name once it is locked. Whoever holds the lock for long was stopped in the middle of it; then it
/// is done without: a line is one write at the end of the file, whatever others do.
fn open_locked(path: &Path) -> std::io::Result<File> {
    let mut tries = 0;
    loop {
        let log = open(path)?;
        tries += 1;
        match flock(&log, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_current(&log, path) || tries > TRIES => return Ok(log),
            Ok(()) => {}
            Err(_) if tries > TRIES => return Ok(log),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    match options.open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            options.open(path)
        }
        other => other,
    }
}

fn is_current(log: &File, path: &Path) -> bool {
    let inode = |meta: std::io::Result<std::fs::Metadata>| meta.ok().map(|m| (m.dev(), m.ino()));
    inode(log.metadata()) == inode(std::fs::symlink_metadata(path))
}
