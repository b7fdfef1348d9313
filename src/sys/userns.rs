//! A user namespace held by a descriptor, for idmapped mounts and for the container to join.

use super::check;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// One line of an id map: `inside outside count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdMap {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

fn render(maps: &[IdMap]) -> String {
    maps.iter().map(|m| format!("{} {} {}\n", m.inside, m.outside, m.count)).collect()
}

/// Make a user namespace with these maps and return a descriptor of it. The child that it is made in never runs
/// anything: it waits in the kernel until it is killed.
///
/// # Errors
/// `EPERM`/`ENOSPC` where user namespaces are switched off (`user.max_user_namespaces`), `EINVAL` for overlapping maps.
pub fn create(uids: &[IdMap], gids: &[IdMap]) -> io::Result<OwnedFd> {
    let flags = (libc::CLONE_NEWUSER | libc::SIGCHLD) as libc::c_long;
    // SAFETY: without CLONE_VM and with a null stack this is fork(2) with a namespace flag; the child below only makes
    // async-signal-safe system calls and never returns into Rust code.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    if pid == 0 {
        // SAFETY: plain system calls. PDEATHSIG makes sure that the child does not outlive a killed parent.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            loop {
                libc::pause();
            }
        }
    }
    let pid = pid as libc::pid_t;
    let made = write_maps(pid, uids, gids);
    // SAFETY: `pid` is our own child and has not been waited for, so the number cannot have been reused.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
    made
}

fn write_maps(pid: libc::pid_t, uids: &[IdMap], gids: &[IdMap]) -> io::Result<OwnedFd> {
    let ns = File::open(format!("/proc/{pid}/ns/user"))?;
    for (file, maps) in [("uid_map", uids), ("gid_map", gids)] {
        // One write: the kernel takes the whole map or nothing.
        let mut map = File::options().write(true).open(format!("/proc/{pid}/{file}"))?;
        map.write_all(render(maps).as_bytes())?;
    }
    Ok(ns.into())
}

/// A path under which another process of ours can open the namespace while this one lives.
pub fn path(ns: &OwnedFd) -> std::path::PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), ns.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_lines_of_three_numbers() {
        let maps = [IdMap { inside: 0, outside: 5, count: 1 }, IdMap { inside: 1, outside: 9, count: 65535 }];
        assert_eq!(render(&maps), "0 5 1\n1 9 65535\n");
    }
}
