//! Network interfaces, as far as ioctl goes, and who is at the other end of a unix socket.

use super::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Set `lo` up in the calling thread's network namespace: a fresh namespace leaves it down.
pub fn loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: ifreq is plain data for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) } as libc::c_long)?;
    Ok(())
}

/// A descriptor of the process that connected, or made the pair, whose number may be another's by now. `None`: this kernel has no
/// such descriptors (SO_PEERPIDFD, Linux 6.5).
///
/// # Errors
/// It has gone, or is in no pid namespace that this one sees.
pub fn peer(socket: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut number: libc::c_int = -1;
    let mut length = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes one integer, no longer than it is told, and its length; both outlive the call.
    let answer =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERPIDFD, (&raw mut number).cast(), &mut length) };
    match check(answer.into()) {
        // SAFETY: the kernel has just made this descriptor for the caller, closed at exec.
        Ok(_) => Ok(Some(unsafe { OwnedFd::from_raw_fd(number) })),
        Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
        Err(e) => Err(e),
    }
}
