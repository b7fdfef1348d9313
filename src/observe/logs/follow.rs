//! `logs --follow`

use super::files;
use super::read::{Query, Shown, Sink, drain, from_start};
use crate::error::{Context, Result};
use crate::observe::watch::Watch;
use jiff::Timestamp;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// How long to wait for the status of a supervisor that has just taken over.
const TAKING_OVER: Duration = Duration::from_millis(20);

/// Show what there is and what comes, until the container is at its end, or `--until` is reached.
///
/// `supervisor` tells who runs the container at the moment: its pid, or `None` where it does not run.
pub fn follow(
    folder: &Path,
    query: &Query,
    sink: &mut Sink<'_>,
    mut supervisor: impl FnMut() -> Result<Option<i32>>,
) -> Result<()> {
    let attempt = || format!("read the log in {}", folder.display());
    // Watched before anything is read: what comes in between is seen afterwards.
    let watch = Watch::folder(folder)?;
    let mut running = supervisor()?;
    let mut all = files::open_all(folder).verb_context(attempt)?;
    if from_start(&mut all, query, sink).verb_context(attempt)? == Shown::Past {
        return Ok(());
    }
    let mut current = all.pop();
    while let Some(pid) = running {
        let Some(at_most) = left(query.until) else { return Ok(()) };
        // A supervisor that is killed changes no file; its end is seen on its pid.
        let process = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Another supervisor is on its way to say that it is here.
        let at_most = if process.is_none() { Some(at_most.unwrap_or(TAKING_OVER).min(TAKING_OVER)) } else { at_most };
        watch.wait(process.as_ref().map(|p| p.as_fd()), at_most)?;
        // Asked before reading: what is written last is written before the end is told.
        running = supervisor()?;
        if catch_up(folder, &mut current, query, sink).verb_context(attempt)? == Shown::Past {
            return Ok(());
        }
    }
    Ok(())
}

/// How long there is to wait: `Some(None)` for ever, `None` no longer.
fn left(until: Option<Timestamp>) -> Option<Option<Duration>> {
    let Some(until) = until else { return Some(None) };
    let left = until.duration_since(Timestamp::now());
    Duration::try_from(left).ok().filter(|left| !left.is_zero()).map(Some)
}

/// Read on, into files that were begun since.
fn catch_up(folder: &Path, current: &mut Option<File>, query: &Query, sink: &mut Sink<'_>) -> io::Result<Shown> {
    if let Some(file) = current {
        if drain(file, query, sink)? == Shown::Past {
            return Ok(Shown::Past);
        }
        if files::inode_at(&files::path(folder, 0))? == Some(files::inode(file)?) {
            return Ok(Shown::More);
        }
    }
    // Turned: the rest of the old file may have come before that.
    let mut old = None;
    if let Some(file) = current {
        if drain(file, query, sink)? == Shown::Past {
            return Ok(Shown::Past);
        }
        old = Some(files::inode(file)?);
    }
    let mut all = files::open_all(folder)?;
    let inodes = all.iter().map(files::inode).collect::<io::Result<Vec<_>>>()?;
    // Dropped already: all that there is is new.
    let next = inodes.iter().position(|inode| Some(*inode) == old).map_or(0, |at| at + 1);
    for file in &mut all[next..] {
        if drain(file, query, sink)? == Shown::Past {
            return Ok(Shown::Past);
        }
    }
    if next < all.len() {
        *current = all.pop();
    }
    Ok(Shown::More)
}
