//! An ordinary user's host.
//!
//! A caller who is not root enters a user namespace first, in which its own id is 0 and its subordinate ids are the
//! others, and a mount namespace of it; from there on hardrun is the same program. These namespaces are one for all of a user's
//! containers, so that they reach each other: a small process, the [`keeper`], holds them with a network namespace, from the
//! first command on until the last one and the last supervisor have gone. It stays in the host's network, and hands out what only
//! exists there: listening sockets, ways to the host's name servers, and pasta, which joins the two networks.

pub mod folders;
pub mod forward;
pub mod ids;
pub mod keeper;
mod message;
mod pasta;
pub mod trouble;
pub mod wait;

pub use ids::Ids;

use crate::control;
use crate::error::{Context, Error, Result};
pub use message::Surroundings;
use message::{Answer, Ask};
use rustix::net::SocketType;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Who the caller is on the host, and what its host is made of. Handed on to the launcher and to `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootless {
    /// On the host.
    pub uid: u32,
    pub gid: u32,
    pub ids: Ids,
    /// The default store, in the caller's home.
    pub root: PathBuf,
    /// What does not outlive a boot, one folder for all of the user's stores.
    pub run: PathBuf,
    /// The bus on which the user's own systemd can be asked for control groups.
    pub bus: Option<PathBuf>,
}

static CURRENT: OnceLock<Rootless> = OnceLock::new();
/// The connection to the keeper, which keeps what it keeps while there is one, and the network namespace.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

#[derive(Clone)]
struct Held {
    connection: Arc<OwnedFd>,
    network: Arc<OwnedFd>,
}

impl Held {
    fn of(joined: keeper::Joined) -> Held {
        Held { connection: Arc::new(joined.connection), network: Arc::new(joined.network) }
    }
}

/// Where this process is, unless it is root's.
pub fn current() -> Option<&'static Rootless> {
    CURRENT.get()
}

/// Take over what the process before this one was.
pub fn adopt(rootless: Option<Rootless>) {
    if let Some(rootless) = rootless {
        // Set once a process: the launcher and `exec` take over before they do anything else.
        let _ = CURRENT.set(rootless);
    }
}

/// Whether the caller is an ordinary user on the host.
pub fn is_needed() -> bool {
    current().is_none() && !rustix::process::geteuid().is_root()
}

/// Enter the user's host, unless the caller is root or there already. The site's policy is read first: whose a file is can be told on
/// the outside alone.
///
/// # Errors
/// What keeps users from having namespaces here, with the remedy.
pub fn enter() -> Result<()> {
    if !is_needed() {
        return Ok(());
    }
    crate::site::remember();
    crate::preset::remember();
    let wanted = describe()?;
    let joined = keeper::join(&wanted)?;
    nix::sched::setns(&joined.user, nix::sched::CloneFlags::CLONE_NEWUSER).map_err(|e| trouble::explain(e.into()))?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).map_err(|e| trouble::explain(e.into()))?;
    // Of two sessions of the user one may have a bus; and where the store is, the environment of each command says.
    let _ = CURRENT.set(Rootless { bus: wanted.bus, root: wanted.root, ..joined.rootless.clone() });
    set_held(Some(Held::of(joined)));
    Ok(())
}

/// What the caller's host would be.
pub fn describe() -> Result<Rootless> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (root, run) = folders::mine()?;
    Ok(Rootless { uid, gid, ids: ids::of_caller(uid, gid)?, root, run, bus: folders::bus() })
}

/// The connection to the keeper and the network namespace; a process that was started by another of ours makes its own.
fn held() -> Result<Held> {
    if let Some(held) = HELD.lock().unwrap_or_else(PoisonError::into_inner).clone() {
        return Ok(held);
    }
    let rootless = current().ok_or_else(|| Error::runner("the caller is root: there is no keeper"))?;
    let held = Held::of(keeper::rejoin(rootless)?);
    set_held(Some(held.clone()));
    Ok(held)
}

fn set_held(held: Option<Held>) {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = held;
}

/// A descriptor that keeps the user's host as long as it is open somewhere: what is started needs it.
pub fn hold() -> Result<Option<OwnedFd>> {
    match current() {
        None => Ok(None),
        Some(_) => held()?.connection.try_clone().map(Some).context(|| "hold the user's host".into()),
    }
}

/// Leave the host's network for that of the user's containers, for good. Nothing for root, whose containers are on the host's.
pub fn enter_network() -> Result<()> {
    if current().is_none() {
        return Ok(());
    }
    let held = held()?;
    rustix::thread::move_into_link_name_space(held.network.as_fd(), Some(rustix::thread::LinkNameSpaceType::Network))
        .context(|| "enter the network of the user's containers".into())
}

/// Do something that may enter the containers' network, without leaving the host's: for an ordinary user in a child, for there is no way
/// back. The caller has one thread.
///
/// # Errors
/// What `work` met; in a child it has said so itself.
pub fn aside(work: impl FnOnce() -> Result<()>) -> Result<()> {
    if current().is_none() {
        return work();
    }
    let attempt = || "look after the containers' network".to_string();
    let child = crate::sys::process::fork().context(attempt)?;
    if child == 0 {
        std::process::exit(match work() {
            Ok(()) => 0,
            Err(e) => {
                crate::ui::error(&e);
                1
            }
        });
    }
    match nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).context(attempt)? {
        nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
        _ => Err(Error::runner(attempt())),
    }
}

/// Make sure that there is a way out of the user's network. What is in the way comes back as a line for the operator.
pub fn way_out() -> Result<Option<String>> {
    if current().is_none() {
        return Ok(None);
    }
    match ask(&Ask::WayOut)? {
        (Answer::Done, _) => Ok(None),
        (Answer::Unable(why), _) => Ok(Some(why)),
        (other, _) => Err(unexpected(&other)),
    }
}

/// What is around the network of the user's containers. Nothing for root, whose containers are on the host's.
pub fn surroundings() -> Result<Surroundings> {
    if current().is_none() {
        return Ok(Surroundings::default());
    }
    match ask(&Ask::Surroundings)? {
        (Answer::Surroundings(found), _) => Ok(found),
        (Answer::Unable(why), _) => Err(Error::runner(why)),
        (other, _) => Err(unexpected(&other)),
    }
}

/// A socket of the host's network that listens on `address` (a stream), or is bound to it (datagrams).
///
/// # Errors
/// The kernel's, as they are: whoever asked knows what it was for.
pub fn bound(address: SocketAddr, kind: SocketType) -> std::io::Result<OwnedFd> {
    socket(&Ask::Bind { address, stream: kind == SocketType::STREAM })
}

/// A socket of the host's network, of this family, that does not block.
pub fn outside(ipv6: bool, kind: SocketType) -> std::io::Result<OwnedFd> {
    socket(&Ask::Socket { ipv6, stream: kind == SocketType::STREAM })
}

fn socket(wanted: &Ask) -> std::io::Result<OwnedFd> {
    match ask(wanted).map_err(std::io::Error::other)? {
        (Answer::Done, fds) => fds.into_iter().next().ok_or_else(|| std::io::Error::other("no socket came along")),
        (Answer::Errno(errno), _) => Err(std::io::Error::from_raw_os_error(errno)),
        (other, _) => Err(std::io::Error::other(unexpected(&other))),
    }
}

/// Where the keeper was killed there may be another one by now.
fn ask(ask: &Ask) -> Result<(Answer, Vec<OwnedFd>)> {
    for _ in 0..2 {
        match ask_once(ask) {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => set_held(None),
            // What it answers later is no answer to the next question.
            Err(e) => {
                set_held(None);
                return Err(e);
            }
        }
    }
    Err(Error::runner("the process that keeps the user's network has ended")
        .hint("the next command makes a new one; containers that run keep their network"))
}

fn ask_once(ask: &Ask) -> Result<Option<(Answer, Vec<OwnedFd>)>> {
    let rootless = current().ok_or_else(|| Error::runner("the caller is root: there is no keeper"))?;
    let connection = held()?.connection;
    if control::send(&connection, ask, &[]).is_err() {
        return Ok(None);
    }
    keeper::answer(&connection, &rootless.run)
}

fn unexpected(answer: &Answer) -> Error {
    Error::runner(format!("the process that keeps the user's network answered {answer:?}"))
}

/// The group in which the systemd of a user keeps its units.
pub fn manager_group(uid: u32) -> String {
    format!("/user.slice/user-{uid}.slice/user@{uid}.service")
}

/// Whether this process has its caller's groups for good: without subordinate ids the kernel lets nobody leave them.
pub fn keeps_groups() -> bool {
    current().is_some_and(|r| r.ids.is_single())
}

/// Leave the caller's supplementary groups, where that is possible.
pub fn leave_groups() -> Result<()> {
    match keeps_groups() {
        true => Ok(()),
        false => crate::sys::process::clear_groups().context(|| "leave the caller's groups".into()),
    }
}

/// Whom a file of an image belongs to on disk: without subordinate ids there is only one owner.
pub fn owner_on_disk(uid: u32, gid: u32) -> (u32, u32) {
    if keeps_groups() { (0, 0) } else { (uid, gid) }
}

/// The id on the host of one that this process sees: what goes into records and is compared with the site's policy.
pub fn host_uid(seen: u32) -> u32 {
    current().map_or(seen, |r| r.ids.host_uid(r.uid, seen))
}
