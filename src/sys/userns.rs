//! A user namespace held by a descriptor, for idmapped mounts and for the container to join.

use super::check;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

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

/// Make a user namespace with these maps and return a descriptor of it. The child that it is made in waits in the kernel
/// until it is killed.
///
/// # Errors
/// `EPERM`/`ENOSPC` where user namespaces are switched off (`user.max_user_namespaces`), `EINVAL` for overlapping maps.
pub fn create(uids: &[IdMap], gids: &[IdMap]) -> io::Result<OwnedFd> {
    Ok(Holder::user_only(uids, gids)?.user)
}

/// As [`create`], where `map` writes the maps of the process whose number it gets: a program that may do what the caller may not.
///
/// The caller must have one thread.
pub fn create_with(map: impl FnOnce(libc::pid_t) -> io::Result<()>) -> io::Result<OwnedFd> {
    let child = Child::new(libc::CLONE_NEWUSER)?;
    let user = File::open(format!("/proc/{}/ns/user", child.pid))?;
    map(child.pid)?;
    Ok(user.into())
}

/// A network namespace with loopback up, and a process without any right that is in it as long as this value lives: what others
/// know it by. It belongs to the caller's user namespace.
///
/// The caller must have one thread.
#[derive(Debug)]
pub struct Network {
    pub network: OwnedFd,
    child: Child,
}

impl Network {
    pub fn new() -> io::Result<Network> {
        let child = Child::new(libc::CLONE_NEWNET)?;
        Network::of(child)
    }

    /// A process in a network namespace that is there.
    pub fn in_namespace(network: OwnedFd) -> io::Result<Network> {
        let child = Child::in_network(&network)?;
        Network::of(child)
    }

    fn of(mut child: Child) -> io::Result<Network> {
        child.channel.write_all(&[UP])?;
        match child.answer()? {
            0 => Ok(Network { network: File::open(format!("/proc/{}/ns/net", child.pid))?.into(), child }),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.pid
    }
}

/// A user namespace and the child that it was made in, which can make a network namespace that belongs to it meanwhile:
/// the kernel takes half a millisecond for one, and the caller has other things to do.
///
/// The caller must have one thread, for the child goes on with Rust code. When this value goes, the child does.
#[derive(Debug)]
pub struct Holder {
    pub user: OwnedFd,
    child: Child,
}

impl Holder {
    /// As [`create`], and set the child to work. [`Holder::network`] waits for it.
    pub fn with_network(uids: &[IdMap], gids: &[IdMap]) -> io::Result<Holder> {
        let mut holder = Holder::user_only(uids, gids)?;
        // Only now: the owner of what sysfs shows of the network is looked up in the map when it is made.
        holder.child.channel.write_all(&[MAKE])?;
        Ok(holder)
    }

    /// As [`create`], for a caller that asks the child for nothing.
    pub fn user_only(uids: &[IdMap], gids: &[IdMap]) -> io::Result<Holder> {
        let child = Child::new(libc::CLONE_NEWUSER)?;
        let user = File::open(format!("/proc/{}/ns/user", child.pid))?.into();
        write_map(child.pid, uids, gids)?;
        Ok(Holder { user, child })
    }

    /// The network namespace, with loopback up.
    pub fn network(&mut self) -> io::Result<OwnedFd> {
        match self.child.answer()? {
            0 => Ok(File::open(format!("/proc/{}/ns/net", self.child.pid))?.into()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Words to the child: make a network namespace; set up loopback and give every right away.
const MAKE: u8 = 0;
const UP: u8 = 1;

/// A process in a new namespace, killed and reaped when the value goes.
#[derive(Debug)]
struct Child {
    pid: libc::pid_t,
    channel: UnixStream,
}

impl Child {
    fn new(namespace: libc::c_int) -> io::Result<Child> {
        Child::start(namespace, None)
    }

    fn in_network(network: &OwnedFd) -> io::Result<Child> {
        Child::start(0, Some(network))
    }

    fn start(namespace: libc::c_int, network: Option<&OwnedFd>) -> io::Result<Child> {
        let (ours, theirs) = UnixStream::pair()?;
        let flags = (namespace | libc::SIGCHLD) as libc::c_long;
        // SAFETY: without CLONE_VM and with a null stack this is fork(2) with a namespace flag; the caller has one thread,
        // and the child never returns.
        let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
        if pid == 0 {
            drop(ours);
            let entered = network.map_or(Ok(()), |n| {
                nix::sched::setns(n, nix::sched::CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
            });
            work(theirs, entered);
        }
        Ok(Child { pid: pid as libc::pid_t, channel: ours })
    }

    /// What came of the work: 0 or the error's number.
    fn answer(&mut self) -> io::Result<i32> {
        let mut errno = [0u8; 4];
        self.channel.read_exact(&mut errno)?;
        Ok(i32::from_le_bytes(errno))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: `pid` is our own child and has not been waited for, so the number cannot have been reused.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// The child's life: wait for the word, carry it out, wait for the end. A parent that dies closes the channel.
fn work(mut channel: UnixStream, entered: io::Result<()>) -> ! {
    let mut word = [0u8];
    if super::process::die_with_parent().is_ok() && channel.read_exact(&mut word).is_ok() {
        let made = entered.and_then(|()| if word == [UP] { settle() } else { make_network() });
        let made = made.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |()| 0);
        if channel.write_all(&made.to_le_bytes()).is_ok() {
            // Nothing more is said: this returns when the parent is gone.
            let _ = channel.read(&mut word);
        }
    }
    // SAFETY: ends the process at once; what the parent would do at its own exit is the parent's.
    unsafe { libc::_exit(0) }
}

fn make_network() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    super::net::loopback_up()
}

/// Loopback, and no right any more: there is nothing else to do.
fn settle() -> io::Result<()> {
    super::net::loopback_up()?;
    for set in [caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Write the id maps of process `pid`.
pub fn write_map(pid: libc::pid_t, uids: &[IdMap], gids: &[IdMap]) -> io::Result<()> {
    for (file, maps) in [("uid_map", uids), ("gid_map", gids)] {
        // One write: the kernel takes the whole map or nothing.
        let mut map = File::options().write(true).open(format!("/proc/{pid}/{file}"))?;
        map.write_all(render(maps).as_bytes())?;
    }
    Ok(())
}

/// A path under which a process that was forked from this one can open what it inherited, whatever its ids and its
/// namespaces are: as long as /proc is this one's.
pub fn inherited_path(ns: &OwnedFd) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", ns.as_raw_fd()).into()
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
