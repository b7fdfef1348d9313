//! The last thing the command-line process does: become the launcher.

use super::handoff::Handoff;
use super::launcher::{HANDOFF_FD, LAUNCH_ARGUMENT};
use crate::error::Context;
use crate::error::{Error, Result};
use rustix::fd::AsRawFd;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// Replace this process by the launcher, which carries the plan out and exits as the container does. Returns only when
/// that failed.
///
/// `held` are locks on the image's layers; they are inherited and let go when the launcher ends.
pub fn run(mut handoff: Handoff, held: Vec<OwnedFd>) -> Result<std::convert::Infallible> {
    let (exe, _form) = crate::sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    // The locks move to fixed numbers above the hand-off, everything else closes at exec.
    let mut kept = Vec::new();
    for lock in &held {
        let copy =
            rustix::io::fcntl_dupfd_cloexec(lock, HANDOFF_FD + 1).context(|| "hold the image's layers".into())?;
        kept.push(copy);
    }
    handoff.held = kept.iter().map(|f| f.as_raw_fd()).collect();
    let memory = handoff.seal()?;
    crate::sys::process::cloexec_from(3).context(|| "mark descriptors close-on-exec".into())?;
    for lock in &kept {
        rustix::io::fcntl_setfd(lock, rustix::io::FdFlags::empty()).context(|| "hold the image's layers".into())?;
    }
    let memory = place(memory)?;
    let argument = CString::new(LAUNCH_ARGUMENT).context(|| "name the launcher".into())?;
    let error = crate::sys::exe::exec(&exe, &[c"hardrun", &argument]);
    drop((memory, kept, held));
    Err(Error::runner("start the launcher").because(error))
}

/// Put the hand-off at its fixed number, open across exec.
fn place(memory: OwnedFd) -> Result<OwnedFd> {
    let attempt = || "hand the plan to the launcher".to_string();
    if memory.as_raw_fd() == HANDOFF_FD {
        rustix::io::fcntl_setfd(&memory, rustix::io::FdFlags::empty()).context(attempt)?;
        return Ok(memory);
    }
    nix::unistd::dup2(memory.as_raw_fd(), HANDOFF_FD).context(attempt)?;
    Ok(memory)
}
