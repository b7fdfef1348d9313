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

/// Give the container's terminal this size.
pub fn resize(master: Option<&OwnedFd>, rows: u16, columns: u16) -> Result<()> {
    let Some(master) = master else { return Ok(()) };
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).context(|| "resize the container's terminal".into())
}

/// The size of the terminal that the caller sits at.
pub fn size() -> Option<(u16, u16)> {
    [rustix::stdio::stdout(), rustix::stdio::stdin(), rustix::stdio::stderr()]
        .into_iter()
        .find_map(|fd| tcgetwinsize(fd).ok())
        .map(|size| (size.ws_row, size.ws_col))
}

/// Receive the master of the container's terminal from libcontainer's console socket.
pub fn receive_master(listener: &UnixListener) -> Result<OwnedFd> {
    let (connection, _) = listener.accept().context(|| "receive the container's terminal".into())?;
    receive_descriptor(&connection)
}

/// Receive one descriptor over a socket.
pub fn receive_descriptor(connection: impl AsFd) -> Result<OwnedFd> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let attempt = || "receive the container's terminal".to_string();
    let mut name = [0u8; 64];
    let mut slices = [IoSliceMut::new(&mut name)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let socket = connection.as_fd().as_raw_fd();
    let message = recvmsg::<()>(socket, &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC).context(attempt)?;
    for control in message.cmsgs().context(attempt)? {
        if let ControlMessageOwned::ScmRights(fds) = control
            && let Some(fd) = fds.first()
        {
            return crate::sys::process::inherit(*fd).context(attempt);
        }
    }
    Err(Error::runner(attempt()).hint("no descriptor came with the message"))
}

/// Make a terminal inside a container that this process has entered, connect the standard streams to it and send its master
/// over `channel`. `user` owns it.
///
/// /dev belongs to the container, which may have put anything there: the folder is entered without following links, and has to
/// be a devpts whose ptmx is the kernel's (CVE-2025-52565).
pub fn make_inside(channel: &OwnedFd, user: u32) -> std::io::Result<()> {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, fstatfs, major, minor, openat, openat2};
    const DEVPTS: i64 = 0x1cd1;
    const PTMX: (u32, u32) = (5, 2);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder =
        openat2(CWD, "/dev/pts", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)?;
    if fstatfs(&folder)?.f_type != DEVPTS {
        return Err(std::io::Error::other("/dev/pts is no devpts"));
    }
    let master =
        openat(&folder, "ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let number = fstat(&master)?.st_rdev;
    if (major(number), minor(number)) != PTMX {
        return Err(std::io::Error::other("/dev/pts/ptmx is not the kernel's"));
    }
    rustix::pty::unlockpt(&master)?;
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(user)), None)?;
    rustix::process::ioctl_tiocsctty(&slave)?;
    for n in 0..3 {
        crate::sys::spawn::dup_to(&slave, n)?;
    }
    let numbers = [master.as_raw_fd()];
    let slices = [std::io::IoSlice::new(b"pty")];
    sendmsg::<()>(channel.as_raw_fd(), &slices, &[ControlMessage::ScmRights(&numbers)], MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}
