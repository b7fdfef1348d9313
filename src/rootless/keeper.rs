//! The process that keeps a user's namespaces for as long as somebody is connected to it: every command, and every supervisor.
//!
//! It is started by whoever finds none, under a lock, and ends with the last connection, also that of a process that was killed.
//! Where it was killed itself, a new one takes over the namespaces that supervisors are still in.

use super::message::{Answer, Ask, Surroundings};
use super::pasta::Pasta;
use super::{Rootless, ids, trouble};
use crate::control::{self, Received};
use crate::error::{Context, Error, Result};
use crate::launch::handoff;
use crate::sys;
use crate::sys::userns::Network;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// First argument of the keeper. Not a verb: it is of no use by hand.
pub const KEEP_ARGUMENT: &str = "__keep";
/// Its socket in the run folder, and the lock under which it comes and goes.
const SOCKET: &str = "keeper";
const LOCK: &str = "keeper.lock";
/// Which namespaces are kept: their numbers.
const NOTE: &str = "namespaces";
const LISTENER_FD: RawFd = 3;
const REQUEST_FD: RawFd = 4;
const USER_FD: RawFd = 5;
const NETWORK_FD: RawFd = 6;

/// A connection, and what it is to.
pub struct Joined {
    pub connection: OwnedFd,
    pub user: OwnedFd,
    pub network: OwnedFd,
    pub rootless: Rootless,
}

/// Connect to the user's keeper; where there is none, one is started.
pub fn join(wanted: &Rootless) -> Result<Joined> {
    wanted.ids.check()?;
    // Only for a moment each: the keeper takes it to end.
    let _lock = lock(&wanted.run)?;
    match control::connect(&wanted.run, SOCKET) {
        Ok(connection) => greet(connection),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
            start(wanted)
        }
        Err(e) => Err(e).context(|| format!("connect to {}", wanted.run.join(SOCKET).display())),
    }
}

/// Connect again, from inside: the keeper is there while whoever started this process is connected.
pub fn rejoin(rootless: &Rootless) -> Result<Joined> {
    let attempt = || "connect to the process that keeps the user's network".to_string();
    greet(control::connect(&rootless.run, SOCKET).context(attempt)?)
}

fn greet(connection: OwnedFd) -> Result<Joined> {
    let attempt = || "speak with the process that keeps the user's namespaces".to_string();
    control::send(&connection, &Ask::Join, &[])?;
    let (answer, fds) = match control::receive(&connection)? {
        Received::Message(answer, fds) => (answer, fds),
        Received::Nothing | Received::Gone => return Err(Error::runner(attempt()).because("it has ended")),
    };
    match (answer, <[OwnedFd; 2]>::try_from(fds)) {
        (Answer::Joined(rootless), Ok([user, network])) => Ok(Joined { connection, user, network, rootless }),
        (Answer::Unable(why), _) => Err(trouble::explain(std::io::Error::other(why))),
        (other, _) => Err(Error::runner(attempt()).because(format!("it answered {other:?}"))),
    }
}

fn lock(run: &Path) -> Result<File> {
    let path = run.join(LOCK);
    let attempt = || format!("lock {}", path.display());
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&path);
    let file = file.context(attempt)?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.context(attempt)?,
        }
    }
    Ok(file)
}

fn start(wanted: &Rootless) -> Result<Joined> {
    let (user, network) = match left(&wanted.run) {
        Some((user, network)) => (user, Some(network)),
        None => (ids::make(wanted.uid, wanted.gid, &wanted.ids)?, None),
    };
    let listener = control::listen(&wanted.run, SOCKET)?;
    let memory = handoff::seal(wanted)?;
    // It never enters a container, so that nothing there can reach its file: no protected copy is needed.
    let exe: OwnedFd = File::open("/proc/self/exe").context(|| "open hardrun's own executable".into())?.into();
    let mut fds = vec![(listener.as_fd(), LISTENER_FD), (memory.as_fd(), REQUEST_FD), (user.as_fd(), USER_FD)];
    fds.extend(network.as_ref().map(|n| (n.as_fd(), NETWORK_FD)));
    sys::spawn::detached(&exe, &[c"hardrun", c"__keep"], &fds, None)
        .context(|| "start the process that keeps the user's namespaces".into())?;
    greet(control::connect(&wanted.run, SOCKET).context(|| "connect to it".into())?)
}

/// The namespaces of a keeper that was killed, where a process of ours is still in them.
fn left(run: &Path) -> Option<(OwnedFd, OwnedFd)> {
    let note = std::fs::read_to_string(run.join(NOTE)).ok()?;
    let (user, network) = note.trim().split_once(' ')?;
    let link = |pid: &str, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = entry.file_name().into_string().ok().filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let Some(pid) = pid else { continue };
        let is = |kind: &str, number: &str| link(&pid, kind).is_some_and(|l| l.as_os_str() == number);
        let ours = || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.starts_with("hardrun"));
        // Numbers of namespaces are given anew: both have to be right.
        if is("user", user) && is("net", network) && ours() {
            let open = |kind: &str| File::open(format!("/proc/{pid}/ns/{kind}")).ok().map(OwnedFd::from);
            return open("user").zip(open("net"));
        }
    }
    None
}

/// Entry point of the keeper; the return value is its exit status.
pub fn main() -> u8 {
    sys::process::set_name(c"hardrun-keeper");
    // One for every command and supervisor of the user's.
    sys::process::all_descriptors();
    match take_over() {
        Ok((listener, made)) => match made {
            Ok(keeper) => keeper.serve(&listener).map_or(1, |()| 0),
            Err(e) => {
                say(&listener, &e);
                1
            }
        },
        // Whoever waits hears the connection end.
        Err(_) => 1,
    }
}

/// Tell whoever started this process why it ends.
fn say(listener: &OwnedFd, error: &Error) {
    let mut ready = [PollFd::new(listener, PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    if poll(&mut ready, Some(&limit)).is_ok_and(|n| n > 0)
        && let Ok(Some(connection)) = control::accept(listener)
    {
        let _ = control::send(&connection, &Answer::Unable(error.chain().join(": ")), &[]);
    }
}

fn take_over() -> Result<(OwnedFd, Result<Keeper>)> {
    let inherit = |fd| sys::process::inherit(fd).context(|| "take over what is to be kept".into());
    let (listener, memory, user) = (inherit(LISTENER_FD)?, inherit(REQUEST_FD)?, inherit(USER_FD)?);
    let network = inherit(NETWORK_FD).ok();
    let keeper = handoff::open(&memory).and_then(|rootless| Keeper::new(rootless, user, network));
    Ok((listener, keeper))
}

struct Keeper {
    rootless: Rootless,
    user: OwnedFd,
    network: Network,
    pasta: Option<Pasta>,
    connections: Vec<OwnedFd>,
}

impl Keeper {
    fn new(rootless: Rootless, user: OwnedFd, network: Option<OwnedFd>) -> Result<Keeper> {
        let attempt = || "make a network of the user's own".to_string();
        nix::sched::setns(&user, nix::sched::CloneFlags::CLONE_NEWUSER)
            .context(|| "enter the user namespace".into())?;
        if !rootless.ids.is_single() {
            sys::process::clear_groups().context(|| "leave the caller's groups".into())?;
        }
        let network = match network {
            Some(network) => Network::in_namespace(network),
            None => Network::new(),
        };
        let network = network.context(attempt)?;
        let link = |kind: &str, pid: String| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).context(attempt);
        let numbers = (link("user", "self".into())?, link("net", network.pid().to_string())?);
        std::fs::write(rootless.run.join(NOTE), format!("{} {}\n", numbers.0.display(), numbers.1.display()))
            .context(attempt)?;
        Ok(Keeper { rootless, user, network, pasta: None, connections: Vec::new() })
    }

    fn serve(mut self, listener: &OwnedFd) -> Result<()> {
        // Before the first has come nobody can have gone.
        self.accept(listener, true)?;
        loop {
            if self.connections.is_empty() {
                // Nobody connects while the lock is held by somebody else.
                let _lock = lock(&self.rootless.run)?;
                self.accept(listener, false)?;
                if self.connections.is_empty() {
                    drop(self.pasta.take());
                    // The note stays: supervisors that the keeper before this one knew may be in these namespaces.
                    let _ = std::fs::remove_file(self.rootless.run.join(SOCKET));
                    return Ok(());
                }
            }
            self.round(listener)?;
        }
    }

    fn accept(&mut self, listener: &OwnedFd, wait: bool) -> Result<()> {
        if wait {
            poll(&mut [PollFd::new(listener, PollFlags::IN)], None).context(|| "wait".into())?;
        }
        while let Some(connection) = control::accept(listener)? {
            self.connections.push(connection);
        }
        Ok(())
    }

    fn round(&mut self, listener: &OwnedFd) -> Result<()> {
        let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
        fds.extend(self.connections.iter().map(|c| PollFd::new(c, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).context(|| "wait".into()),
        }
        let ready: Vec<usize> = (1..fds.len()).filter(|n| !fds[*n].revents().is_empty()).map(|n| n - 1).collect();
        drop(fds);
        // From the end on, so that those that are left keep their places.
        for n in ready.into_iter().rev() {
            let asked = match control::receive::<Ask>(&self.connections[n]) {
                Ok(Received::Message(ask, _)) => Some(ask),
                Ok(Received::Nothing) => continue,
                Ok(Received::Gone) | Err(_) => None,
            };
            let kept = asked.is_some_and(|ask| self.answer(n, &ask).is_ok());
            if !kept {
                self.connections.swap_remove(n);
            }
        }
        self.accept(listener, false)
    }

    fn answer(&mut self, n: usize, ask: &Ask) -> Result<()> {
        let socket = match ask {
            Ask::Join => {
                let fds = [self.user.as_fd(), self.network.network.as_fd()];
                return self.send(n, &Answer::Joined(self.rootless.clone()), &fds);
            }
            Ask::WayOut => {
                let answer = match self.way_out() {
                    Ok(()) => Answer::Done,
                    Err(e) => Answer::Unable(e.chain().join(": ")),
                };
                return self.send(n, &answer, &[]);
            }
            Ask::Surroundings => {
                let answer = match surroundings() {
                    Ok(surroundings) => Answer::Surroundings(surroundings),
                    Err(e) => Answer::Unable(format!("look at the host's addresses: {e}")),
                };
                return self.send(n, &answer, &[]);
            }
            Ask::Bind { address, stream } => bind(*address, kind(*stream)),
            Ask::Socket { ipv6, stream } => {
                let family = if *ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
                socket_with(family, kind(*stream), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
            }
        };
        match socket {
            Ok(socket) => self.send(n, &Answer::Done, &[socket.as_fd()]),
            Err(e) => self.send(n, &Answer::Errno(e.raw_os_error()), &[]),
        }
    }

    fn send(&self, n: usize, answer: &Answer, fds: &[BorrowedFd<'_>]) -> Result<()> {
        control::send(&self.connections[n], answer, fds)
    }

    fn way_out(&mut self) -> Result<()> {
        if self.pasta.as_mut().is_some_and(Pasta::is_alive) {
            return Ok(());
        }
        self.pasta = None;
        self.pasta = Some(Pasta::start(&self.rootless.run, self.network.pid())?);
        Ok(())
    }
}

fn surroundings() -> std::io::Result<Surroundings> {
    let links = crate::net::link::Links::open()?;
    let text = |prefixes: Vec<crate::net::prefix::Prefix>| prefixes.iter().map(ToString::to_string).collect();
    Ok(Surroundings { own: text(links.own()?), used: text(links.occupied(None)?) })
}

fn kind(stream: bool) -> SocketType {
    if stream { SocketType::STREAM } else { SocketType::DGRAM }
}

fn bind(address: SocketAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if kind == SocketType::STREAM {
        // A port that was just let go of: what is left of its connections is in nobody's way.
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, 128)?;
    }
    Ok(socket)
}
