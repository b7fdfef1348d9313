//! The process that keeps a user's namespaces for as long as somebody is connected to it: every command, and every supervisor.
//!
//! It is started by whoever finds none, under a lock, and ends with the last connection, also that of a process that was killed.
//! Where it was killed itself, a new one takes over the namespaces that supervisors are still in.

use super::message::{Answer, Ask, Surroundings};
use super::pasta::Pasta;
use super::{Rootless, ids, trouble, wait};
use crate::control::{self, Received};
use crate::error::{Context, Error, Result};
use crate::launch::handoff;
use crate::sys;
use crate::sys::userns::Network;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

/// First argument of the keeper. Not a verb: it is of no use by hand.
pub const KEEP_ARGUMENT: &str = "__keep";
/// Its socket in the run folder, and the lock under which it comes and goes.
const SOCKET: &str = "keeper";
const LOCK: &str = "keeper.lock";
/// Which namespaces are kept, and by whom.
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
    // One that is killed at this moment may have let somebody in: the next attempt finds nobody, and starts another.
    for _ in 0..2 {
        // The lock is not held while the keeper is waited for: it takes it to end.
        let connection = connected(wanted)?;
        if let Some(joined) = greet(connection, &wanted.run)? {
            return Ok(joined);
        }
    }
    Err(gone())
}

fn gone() -> Error {
    Error::runner("speak with the process that keeps the user's namespaces")
        .because("it has ended")
        .hint("run the command again: another one is started")
}

/// A connection that the keeper cannot leave unseen: it looks for connections under the same lock before it ends.
fn connected(wanted: &Rootless) -> Result<OwnedFd> {
    let run = &wanted.run;
    let _lock = wait::lock(&run.join(LOCK), Some(wait::LOCK))?;
    match control::connect_within(run, SOCKET, wait::KEEPER) {
        Ok(connection) => Ok(connection),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => start(wanted),
        // So many wait before it that there is no room for one more.
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(hangs(run)),
        Err(e) => Err(e).context(|| format!("connect to {}", run.join(SOCKET).display())),
    }
}

/// Connect again, from inside: the keeper is there while whoever started this process is connected.
pub fn rejoin(rootless: &Rootless) -> Result<Joined> {
    let attempt = || "connect to the process that keeps the user's network".to_string();
    let connection = control::connect_within(&rootless.run, SOCKET, wait::KEEPER).context(attempt)?;
    greet(connection, &rootless.run)?.ok_or_else(gone)
}

/// `None`: it has ended.
fn greet(connection: OwnedFd, run: &Path) -> Result<Option<Joined>> {
    let attempt = || "speak with the process that keeps the user's namespaces".to_string();
    // One that is not heard is told so, and the connection closed: before this came, perhaps.
    if control::send(&connection, &Ask::Join, &[]).is_err_and(|e| !control::is_gone(&e)) {
        return Ok(None);
    }
    let Some((answer, fds)) = answer(&connection, run)? else { return Ok(None) };
    match (answer, <[OwnedFd; 2]>::try_from(fds)) {
        (Answer::Joined(rootless), Ok([user, network])) => Ok(Some(Joined { connection, user, network, rootless })),
        (Answer::Unable(why), _) => Err(trouble::explain(std::io::Error::other(why))),
        (Answer::Unheard, _) => Err(Error::runner(attempt())
            .because("it does not hear who is in another user namespace")
            .hint("run hardrun outside of containers, sandboxes and unshare")),
        (other, _) => Err(Error::runner(attempt()).because(format!("it answered {other:?}"))),
    }
}

/// What the keeper answers; `None` where it has gone.
///
/// # Errors
/// It says nothing. The connection is of no use any more then: the answer may come later, to another question.
pub fn answer(connection: &OwnedFd, run: &Path) -> Result<Option<(Answer, Vec<OwnedFd>)>> {
    let attempt = || "wait for the process that keeps the user's namespaces".to_string();
    if !wait::readable(connection, wait::KEEPER).context(attempt)? {
        return Err(hangs(run));
    }
    match control::receive(connection)? {
        Received::Message(answer, fds) => Ok(Some((answer, fds))),
        Received::Nothing | Received::Gone => Ok(None),
    }
}

/// The error for a keeper that is there and says nothing.
fn hangs(run: &Path) -> Error {
    let said = Note::read(run).and_then(|note| note.keeper());
    let end = match said {
        Some(pid) => format!("kill -9 {pid}"),
        None => "kill -9 $(pgrep -u $(id -u) -x hardrun-keeper)".to_owned(),
    };
    Error::runner("speak with the process that keeps the user's namespaces")
        .because(format!("it has not answered for {} s", wait::KEEPER.as_secs()))
        .hint(format!(
            "end it: {end}; the next command starts another one, and containers go on, without a way out until then"
        ))
}

/// Start a keeper, and connect to it.
fn start(wanted: &Rootless) -> Result<OwnedFd> {
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
    control::connect_within(&wanted.run, SOCKET, wait::KEEPER).context(|| "connect to it".into())
}

/// What a keeper leaves to the next one, and says of itself: numbers of the two namespaces as links in /proc have them, and its process's.
struct Note {
    user: String,
    network: String,
    pid: i32,
}

impl Note {
    fn read(run: &Path) -> Option<Note> {
        let text = std::fs::read_to_string(run.join(NOTE)).ok()?;
        let mut words = text.split_whitespace().map(str::to_owned);
        let (user, network) = (words.next()?, words.next()?);
        Some(Note { user, network, pid: words.next().and_then(|pid| pid.parse().ok()).unwrap_or(0) })
    }

    /// The process, if it is one of ours still.
    fn keeper(&self) -> Option<i32> {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.pid)).ok()?;
        (name.trim_end() == "hardrun-keeper").then_some(self.pid)
    }
}

/// The namespaces of a keeper that was killed, where a process of ours is still in them.
fn left(run: &Path) -> Option<(OwnedFd, OwnedFd)> {
    let note = Note::read(run)?;
    let link = |pid: &str, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = entry.file_name().into_string().ok().filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let Some(pid) = pid else { continue };
        let is = |kind: &str, number: &str| link(&pid, kind).is_some_and(|l| l.as_os_str() == number);
        let ours = || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.starts_with("hardrun"));
        // Numbers of namespaces are given anew: both have to be right.
        if is("user", &note.user) && is("net", &note.network) && ours() {
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
    control::hear_those_above();
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

/// Tell whoever started this process, and who came after, why it ends.
fn say(listener: &OwnedFd, error: &Error) {
    let answer = Answer::Unable(error.chain().join(": "));
    let mut limit = Duration::from_secs(5);
    while wait::readable(listener, limit).unwrap_or(false) {
        if let Ok(Some(connection)) = control::accept(listener, &Answer::Unheard) {
            let _ = control::send(&connection, &answer, &[]);
        }
        limit = Duration::ZERO;
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
        let note = format!("{} {} {}\n", numbers.0.display(), numbers.1.display(), std::process::id());
        std::fs::write(rootless.run.join(NOTE), note).context(attempt)?;
        Ok(Keeper { rootless, user, network, pasta: None, connections: Vec::new() })
    }

    fn serve(mut self, listener: &OwnedFd) -> Result<()> {
        loop {
            if self.connections.is_empty() {
                // Whoever starts this process or connects to it holds the lock until then, and no longer.
                let _lock = wait::lock(&self.rootless.run.join(LOCK), None)?;
                self.accept(listener)?;
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

    /// Everybody who waits: one that is not heard stands in nobody's way.
    fn accept(&mut self, listener: &OwnedFd) -> Result<()> {
        while wait::readable(listener, Duration::ZERO).context(|| "wait".into())? {
            self.connections.extend(control::accept(listener, &Answer::Unheard)?);
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
        self.accept(listener)
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
        self.pasta = Some(Pasta::start(&self.network.network)?);
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
