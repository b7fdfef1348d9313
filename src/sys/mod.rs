//! The only place with `unsafe`: system calls that no safe wrapper offers. Each function does one thing and checks it.

pub mod bpf;
pub mod exe;
pub mod flock;
pub mod landlock;
pub mod memory;
pub mod mounts;
pub mod net;
pub mod process;
pub mod quota;
pub mod seccomp;
pub mod spawn;
pub mod userns;

use std::io;

/// Turn the result of a raw system call into an [`io::Result`].
pub(crate) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
