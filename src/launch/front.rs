//! From the process that parsed the command line to the launcher: become it, or start it in the background.

use super::handoff::{Handoff, Starter, seal};
use super::launcher::{HANDOFF_FD, LAUNCH_ARGUMENT};
use crate::control::{self, Answer, Client, Streams};
use crate::error::{Context, Error, Result};
use crate::sys;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// Descriptors above the hand-off, in the order: the channel, the streams, the layers' locks.
const CHANNEL_FD: RawFd = HANDOFF_FD + 1;
const STREAMS_FD: RawFd = CHANNEL_FD + 1;
const HELD_FD: RawFd = STREAMS_FD + 3;

fn hold(held: &[OwnedFd]) -> Vec<(BorrowedFd<'_>, RawFd)> {
    held.iter().zip(HELD_FD..).map(|(fd, to)| (fd.as_fd(), to)).collect()
}

fn argument() -> Result<CString> {
    CString::new(LAUNCH_ARGUMENT).context(|| "name the launcher".into())
}

/// Replace this process by the launcher, which carries the plan out and exits as the container does. Returns only when
/// that failed.
///
/// `held` are locks on the image's layers; they are inherited and let go when the launcher ends.
pub fn run(mut handoff: Handoff, held: Vec<OwnedFd>) -> Result<std::convert::Infallible> {
    let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    let mut fds = hold(&held);
    handoff.held = fds.iter().map(|(_, to)| *to).collect();
    handoff.starter = Starter::Foreground;
    let memory = seal(&handoff)?;
    fds.push((memory.as_fd(), HANDOFF_FD));
    let argument = argument()?;
    // The executable's own descriptor closes at exec, like everything that is not named.
    let exe = sys::spawn::place(exe, &fds).context(|| "hand the plan to the launcher".into())?;
    let error = sys::exe::exec(&exe, &[c"hardrun", &argument]);
    Err(Error::runner("start the launcher").because(error))
}

/// Start the launcher in a session of its own and wait until the container runs. With `streams`, those see what it does from
/// its first moment on, and the client that is returned hears of its end.
///
/// # Errors
/// What kept the container from starting.
pub fn start(mut handoff: Handoff, held: Vec<OwnedFd>, streams: Streams) -> Result<Client> {
    let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    let (ours, theirs) = control::pair()?;
    let mut fds = hold(&held);
    handoff.held = fds.iter().map(|(_, to)| *to).collect();
    let ends = [&streams.stdin, &streams.stdout, &streams.stderr];
    let mut numbers = [None; 3];
    for ((number, end), to) in numbers.iter_mut().zip(ends).zip(STREAMS_FD..) {
        if let Some(end) = end {
            fds.push((end.as_fd(), to));
            *number = Some(to);
        }
    }
    fds.push((theirs.as_fd(), CHANNEL_FD));
    handoff.size = super::terminal::size();
    handoff.starter = Starter::Background { channel: CHANNEL_FD, streams: numbers };
    let memory = seal(&handoff)?;
    fds.push((memory.as_fd(), HANDOFF_FD));
    let argument = argument()?;
    sys::spawn::detached(&exe, &[c"hardrun", &argument], &fds, None).context(|| "start the supervisor".into())?;
    drop(fds);
    drop((theirs, streams));
    let client = Client::from_socket(ours);
    loop {
        match client.answer()? {
            Some((Answer::Started { notes }, _)) => {
                notes.iter().for_each(|line| crate::ui::note(line));
                return Ok(client);
            }
            Some((Answer::Failed(error), _)) => return Err(error.into_error()),
            Some(_) => {}
            None => return Err(Error::runner("the supervisor ended before the container was started")),
        }
    }
}
