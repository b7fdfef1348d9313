//! The caller's terminal: raw while the container has one of its own, restored whatever happens.

use crate::error::{Context, Error, Result};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// Puts the terminal on stdin into raw mode until it is dropped.
pub struct Raw {
    saved: Termios,
}

impl Raw {
    /// `None` where stdin is not a terminal.
    pub fn enter() -> Result<Option<Raw>> {
        let stdin = rustix::stdio::stdin();
        if !rustix::termios::isatty(stdin) {
            return Ok(None);
        }
        let saved = tcgetattr(stdin).context(|| "read the terminal's settings".into())?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).context(|| "set the terminal raw".into())?;
        Ok(Some(Raw { saved }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone away cannot be restored, and nobody looks at it.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.saved);
    }
}

/// Give the container's terminal the size of the caller's.
pub fn copy_size(master: impl AsFd) {
    let size = [rustix::stdio::stdout(), rustix::stdio::stdin(), rustix::stdio::stderr()]
        .into_iter()
        .find_map(|fd| tcgetwinsize(fd).ok());
    if let Some(Winsize { ws_row, ws_col, ws_xpixel, ws_ypixel }) = size {
        // A size is a courtesy; a container that has just ended no longer needs it.
        let _ = tcsetwinsize(master, Winsize { ws_row, ws_col, ws_xpixel, ws_ypixel });
    }
}

/// Receive the master of the container's terminal from libcontainer's console socket.
pub fn receive_master(listener: &UnixListener) -> Result<OwnedFd> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let attempt = || "receive the container's terminal".to_string();
    let (connection, _) = listener.accept().context(attempt)?;
    let mut name = [0u8; 64];
    let mut slices = [IoSliceMut::new(&mut name)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let message = recvmsg::<()>(connection.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
        .context(attempt)?;
    for control in message.cmsgs().context(attempt)? {
        if let ControlMessageOwned::ScmRights(fds) = control
            && let Some(fd) = fds.first()
        {
            return crate::sys::process::inherit(*fd).context(attempt);
        }
    }
    Err(Error::runner(attempt()).hint("no descriptor came with the message"))
}
