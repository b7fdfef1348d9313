//! What the launching process and the one that confines itself say to each other before the command starts.

use super::executor::{EXEC_FAILED, FAILED, READY};
use super::process::Init;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Draft;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long the container's process may take to confine itself.
const CONFINE_TIMEOUT: Duration = Duration::from_secs(30);

/// One end of the hand-shake.
pub(super) struct End {
    pub hear: OwnedFd,
    pub tell: OwnedFd,
}

const ATTEMPT: &str = "make the hand-shake channel";

/// A pair of connected sockets that keep message boundaries.
pub(super) fn sockets() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    pair.context(|| ATTEMPT.to_owned())
}

/// Ours and the container's. Two pipes: a preset that denies unix sockets has AppArmor refuse what goes over one that was there before the
/// profile, too. Under SELinux (`label`) a pair of sockets with the label of who is to use it, which no pipe can be given.
pub(super) fn channel(label: Option<&str>) -> Result<(End, End)> {
    let attempt = || ATTEMPT.to_owned();
    if let Some(label) = label {
        let (ours, theirs) = crate::selinux::with_socket_label(label, sockets)?;
        let end = |tell: OwnedFd| Result::Ok(End { hear: tell.try_clone().context(attempt)?, tell });
        return Ok((end(ours)?, end(theirs)?));
    }
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context(attempt);
    let ((from_them, to_us), (from_us, to_them)) = (pipe()?, pipe()?);
    Ok((End { hear: from_them, tell: to_them }, End { hear: from_us, tell: to_us }))
}

fn receive(end: &End, buffer: &mut [u8]) -> Result<usize> {
    let attempt = || "wait for the container to confine itself".to_string();
    let mut fds = [PollFd::new(&end.hear, PollFlags::IN)];
    let limit = Timespec { tv_sec: CONFINE_TIMEOUT.as_secs() as i64, tv_nsec: 0 };
    if poll(&mut fds, Some(&limit)).context(attempt)? == 0 {
        return Err(Error::runner(attempt()).hint(format!("it did not answer within {} s", CONFINE_TIMEOUT.as_secs())));
    }
    rustix::io::read(&end.hear, buffer).context(attempt)
}

pub(super) fn await_ready(end: &End, init: &Init) -> Result<()> {
    let mut buffer = [0u8; 4096];
    match receive(end, &mut buffer)? {
        n if n >= 1 && buffer[0] == READY => Ok(()),
        n if n >= 1 && buffer[0] == FAILED => {
            Err(Error::runner(format!("confine the container: {}", String::from_utf8_lossy(&buffer[1..n]))))
        }
        _ => {
            let end = init.ended(true)?;
            Err(Error::runner(format!("the container's process ended before it was confined ({end:?})")))
        }
    }
}

/// The channel closes when execve succeeds.
pub(super) fn await_exec(end: &End, draft: &Draft) -> Result<()> {
    let mut buffer = [0u8; 64];
    match receive(end, &mut buffer)? {
        0 => Ok(()),
        5 if buffer[0] == EXEC_FAILED => {
            let errno = i32::from_le_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]);
            Err(exec_error(draft, errno))
        }
        _ => Err(Error::runner("the container's process said something unexpected before its command started")),
    }
}

/// Docker's statuses: 127 for a command that is not there, 126 for one that cannot be started.
fn exec_error(draft: &Draft, errno: i32) -> Error {
    let name = draft.process.args.value.first().map_or("", String::as_str);
    let cause = std::io::Error::from_raw_os_error(errno);
    let missing = errno == libc::ENOENT || errno == libc::ENOTDIR;
    let kind = if missing { Kind::NotFound } else { Kind::CannotInvoke };
    let text = if missing && !name.contains('/') {
        format!("exec: {name:?}: executable file not found in $PATH")
    } else {
        // As Go says it: scripts look for these words in docker's message.
        format!("exec: {name:?}: {}", crate::request::golang::io_error(&cause))
    };
    let error = Error::new(kind, text);
    match errno {
        libc::ENOENT if name.contains('/') => {
            error.hint("the file, or the interpreter or loader that it names, is not in the image")
        }
        libc::ENOEXEC => error.hint("not a program of this machine's kind, or a script without a #! line"),
        libc::EPERM => error.hint(
            "a file capability outside the granted set makes exec fail, and so does a rule of an AppArmor profile of one's own that leads \
             to another profile; see hardrun explain",
        ),
        _ => error,
    }
}
