//! Messages with descriptors over a SEQPACKET socket.

use crate::error::{Context, Error, Result};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

/// Longest message in bytes.
const LIMIT: usize = 64 * 1024;
/// Most descriptors in a message.
const DESCRIPTORS: usize = 4;
/// Connections that wait to be accepted: a burst of commands is answered late, not refused.
const BACKLOG: i32 = 128;

/// A pair of connected sockets.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .context(|| "make a channel to the supervisor".into())
}

fn socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags | SocketFlags::CLOEXEC, None)
}

/// The address of `name` in `folder`. A socket's address holds 108 bytes, and a folder may be deeper than that, so it goes by a
/// descriptor of the folder, which the caller keeps until the address has been used.
fn address(folder: &Path, name: &str) -> std::io::Result<(OwnedFd, SocketAddrUnix)> {
    let held = openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", held.as_raw_fd()))?;
    Ok((held, address))
}

/// Listen on `name` in `folder`; what a killed supervisor left there is replaced.
pub fn listen(folder: &Path, name: &str) -> Result<OwnedFd> {
    let attempt = || format!("listen on {}", folder.join(name).display());
    match std::fs::remove_file(folder.join(name)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context(attempt),
        _ => {}
    }
    let (_held, address) = address(folder, name).context(attempt)?;
    let fd = socket(SocketFlags::NONBLOCK).context(attempt)?;
    rustix::net::bind(&fd, &address).context(attempt)?;
    // Whatever the caller's umask is, and before anybody can connect.
    std::fs::set_permissions(folder.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .context(attempt)?;
    rustix::net::listen(&fd, BACKLOG).context(attempt)?;
    Ok(fd)
}

/// Connect to `name` in `folder`.
pub fn connect(folder: &Path, name: &str) -> std::io::Result<OwnedFd> {
    reach(folder, name, None)
}

/// As [`connect`], where the other side may not come to accept anybody: with this limit for a place among those that wait, and for
/// every message that is sent.
///
/// # Errors
/// `WouldBlock`: the time is over.
pub fn connect_within(folder: &Path, name: &str, limit: Duration) -> std::io::Result<OwnedFd> {
    reach(folder, name, Some(limit))
}

fn reach(folder: &Path, name: &str, limit: Option<Duration>) -> std::io::Result<OwnedFd> {
    let (_held, address) = address(folder, name)?;
    let fd = socket(SocketFlags::empty())?;
    if limit.is_some() {
        rustix::net::sockopt::set_socket_timeout(&fd, rustix::net::sockopt::Timeout::Send, limit)?;
    }
    rustix::net::connect(&fd, &address)?;
    Ok(fd)
}

/// The next connection, if there is one. Whoever connects from inside a container, to which the socket's folder came as a part of something
/// else that was bound, is not heard: this is all that it is told.
pub fn accept(listener: impl AsFd, refusal: &impl Serialize) -> Result<Option<OwnedFd>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(fd) if is_inside(&fd) => {
            // Whoever has gone already misses it.
            let _ = send(&fd, refusal, &[]);
            Ok(None)
        }
        Ok(fd) => Ok(Some(fd)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => Ok(None),
        Err(e) => Err(e).context(|| "accept a connection".into()),
    }
}

/// What of a process can be read without rights over it: in how many pid namespaces it has a number, and which ids its user namespace
/// has (first id inside and count of each range: the ids outside are shown as the reader's).
#[derive(Debug, PartialEq, Eq)]
struct Place {
    pids: usize,
    ids: Vec<(String, String)>,
}

impl Place {
    fn of(process: &str) -> std::io::Result<Place> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}"));
        let status = read("status")?;
        let pids = status.lines().find_map(|l| l.strip_prefix("NSpid:")).map_or(0, |l| l.split_whitespace().count());
        let mut ids = Vec::new();
        for line in [read("uid_map")?, read("gid_map")?].iter().flat_map(|text| text.lines()) {
            let mut numbers = line.split_whitespace().map(str::to_owned);
            if let (Some(first), Some(count)) = (numbers.next(), numbers.nth(1)) {
                ids.push((first, count));
            }
        }
        Ok(Place { pids, ids })
    }
}

/// Where this process was before it moved into a user namespace that it keeps.
static ABOVE: std::sync::OnceLock<Place> = std::sync::OnceLock::new();

/// Before a keeper moves: those who are where it is now are heard afterwards, though it has no right to look into them.
pub fn hear_those_above() {
    if let Ok(place) = Place::of("self") {
        let _ = ABOVE.set(place);
    }
}

/// Whether who connected is in another user namespace than this process: that of a container. One that cannot be looked into is in a
/// container as well, one of root's or of another keeper's, but for those that are where a keeper was before it moved, and those of the
/// same user's who belong to another keeper: they have the same ids, and no pid namespace of their own. One that has gone is not known, and
/// counts as inside.
fn is_inside(connection: &OwnedFd) -> bool {
    let number = |peer: &OwnedFd| crate::sys::process::number_of(peer.as_fd());
    let (peer, pid) = match crate::sys::net::peer(connection) {
        Ok(Some(peer)) => {
            let pid = number(&peer);
            (Some(peer), pid)
        }
        // Before Linux 6.5 its number is all that is known of it.
        Ok(None) => {
            (None, rustix::net::sockopt::socket_peercred(connection).ok().map(|c| c.pid.as_raw_nonzero().get()))
        }
        Err(_) => return true,
    };
    let Some(pid) = pid else { return true };
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user"));
    let inside = match (of(&pid.to_string()), of("self")) {
        (Ok(theirs), Ok(ours)) => theirs != ours,
        (Err(e), _) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            let here = Place::of("self").ok();
            Place::of(&pid.to_string()).ok().is_none_or(|place| ABOVE.get() != Some(&place) && here != Some(place))
        }
        _ => true,
    };
    // Reaped meanwhile, its number may have been another's when that was looked at.
    inside || peer.is_some_and(|peer| number(&peer) != Some(pid))
}

/// Send one message.
pub fn send<T: Serialize>(socket: impl AsFd, message: &T, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let attempt = || "send a message to the other side".to_string();
    let json = serde_json::to_vec(message).context(attempt)?;
    if json.len() > LIMIT {
        return Err(Error::runner(attempt()).because(format!("it has {} bytes", json.len())));
    }
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control: &[ControlMessage<'_>] = if numbers.is_empty() { &[] } else { &rights };
    let slices = [IoSlice::new(&json)];
    // Without NOSIGNAL a side that has gone would end the other.
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &slices, control, MsgFlags::MSG_NOSIGNAL, None).context(attempt)?;
    Ok(())
}

/// Whether a message could not be sent because the other side has gone.
pub fn is_gone(error: &Error) -> bool {
    use nix::errno::Errno;
    let errno = error.source.as_ref().and_then(|why| why.downcast_ref::<Errno>());
    matches!(errno, Some(Errno::EPIPE | Errno::ECONNRESET))
}

/// Receive one message. `None`: the other side has gone, or (on a socket that does not block) nothing is there yet; the flag tells
/// which.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> Result<Received<T>> {
    let attempt = || "read a message of the other side".to_string();
    let mut buffer = vec![0u8; LIMIT];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS]);
    let number = socket.as_fd().as_raw_fd();
    let mut reset = false;
    let (length, descriptors) = loop {
        let message = match recvmsg::<()>(number, &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(message) => message,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(nix::errno::Errno::EAGAIN) => return Ok(Received::Nothing),
            // The other side has gone without reading all that it was told. The kernel says so once, before what that side had said.
            Err(nix::errno::Errno::ECONNRESET) if !reset => {
                reset = true;
                continue;
            }
            Err(nix::errno::Errno::ECONNRESET) => return Ok(Received::Gone),
            Err(e) => return Err(e).context(attempt),
        };
        let mut owned = Vec::new();
        for control in message.cmsgs().context(attempt)? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                for fd in fds {
                    owned.push(crate::sys::process::inherit(fd).context(attempt)?);
                }
            }
        }
        break (message.bytes, owned);
    };
    if length == 0 {
        return Ok(Received::Gone);
    }
    let message = serde_json::from_slice(&buffer[..length]).context(attempt)?;
    Ok(Received::Message(message, descriptors))
}

/// What was there to receive.
#[derive(Debug)]
pub enum Received<T> {
    Message(T, Vec<OwnedFd>),
    Nothing,
    Gone,
}
