//! seccomp(2): putting a filter on the calling process.

use std::io;

/// Instructions are eight bytes: `struct sock_filter`.
const INSTRUCTION: usize = 8;

/// Put `filter`, an array of `struct sock_filter`, on the calling thread. It cannot be taken off again.
///
/// Allocates nothing and takes no lock, so it may run between fork and exec. The caller has no_new_privs set or holds
/// CAP_SYS_ADMIN in its user namespace; without either the kernel answers EACCES.
pub fn load(filter: &[u8]) -> io::Result<()> {
    let count = filter.len() / INSTRUCTION;
    let Ok(len) = u16::try_from(count) else { return Err(io::Error::from_raw_os_error(libc::EINVAL)) };
    if len == 0 || !filter.len().is_multiple_of(INSTRUCTION) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which are that many bytes and outlive the call; it
    // writes nothing. The pointer is never read here, so its alignment does not matter.
    let rc = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0usize, std::ptr::from_ref(&program))
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
