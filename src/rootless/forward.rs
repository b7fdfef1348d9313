//! Published ports of an ordinary user's container: a process that takes connections in the host's network and passes them on in
//! that of the containers. It was given the listening sockets; it has no right, and ends with the supervisor that started it.
//!
//! pasta could lead ports in as well, but only those that are known when it starts; one for each container would make its own
//! device and its own way out beside the others'. So what the container sees as the other side of a connection is the bridge's
//! address, as it is with root for connections over loopback.

mod datagrams;
mod streams;

use crate::error::{Context, Error, Kind, Result};
use crate::launch::handoff;
use crate::sys;
use datagrams::Datagrams;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;
use streams::Streams;

/// First argument of the process. Not a verb: it is of no use by hand.
pub const FORWARD_ARGUMENT: &str = "__forward";
const REQUEST_FD: RawFd = 3;
/// Its other end is the supervisor's.
const LIFE_FD: RawFd = 4;
const SOCKETS_FD: RawFd = 5;
/// As many as there are agreed numbers for (see [`sys::spawn`]).
const MOST: usize = 24;

/// Where one socket's connections lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub to: SocketAddr,
    pub stream: bool,
}

/// Processes that pass connections on, as long as this value lives.
#[derive(Debug)]
pub struct Forwarder {
    _life: Vec<OwnedFd>,
}

/// Start passing on what comes to these sockets, from the network that the caller is in.
pub fn start(ports: &[(BorrowedFd<'_>, Target)]) -> Result<Forwarder> {
    let life = ports.chunks(MOST).map(start_one).collect::<Result<_>>()?;
    Ok(Forwarder { _life: life })
}

fn start_one(ports: &[(BorrowedFd<'_>, Target)]) -> Result<OwnedFd> {
    let attempt = || "start the process that passes published ports on".to_string();
    let (ours, theirs) = crate::control::pair()?;
    let targets: Vec<Target> = ports.iter().map(|(_, target)| *target).collect();
    let memory = handoff::seal(&targets)?;
    let mut fds = vec![(memory.as_fd(), REQUEST_FD), (theirs.as_fd(), LIFE_FD)];
    fds.extend(ports.iter().zip(SOCKETS_FD..).map(|((socket, _), to)| (*socket, to)));
    let (exe, _form) = sys::exe::protected().context(attempt)?;
    sys::spawn::detached(&exe, &[c"hardrun", c"__forward"], &fds, None).context(attempt)?;
    Ok(ours)
}

/// Entry point of the process; the return value is its exit status.
pub fn main() -> u8 {
    sys::process::set_name(c"hardrun-port");
    match serve() {
        Ok(()) => 0,
        Err(_) => Kind::Runner.exit_code(),
    }
}

fn serve() -> Result<()> {
    let inherit = |fd| sys::process::inherit(fd).context(|| "take over the ports".into());
    let targets: Vec<Target> = handoff::open(&inherit(REQUEST_FD)?)?;
    let life = inherit(LIFE_FD)?;
    let mut ports = Vec::new();
    for (target, fd) in targets.into_iter().zip(SOCKETS_FD..) {
        ports.push((inherit(fd)?, target));
    }
    confine()?;
    let (streams, datagrams): (Vec<_>, Vec<_>) = ports.into_iter().partition(|(_, target)| target.stream);
    let (mut streams, mut datagrams) = (Streams::new(streams), Datagrams::new(datagrams));
    loop {
        let mut fds = vec![PollFd::new(&life, PollFlags::IN)];
        let split = {
            streams.poll(&mut fds);
            let split = fds.len();
            datagrams.poll(&mut fds);
            split
        };
        let limit = datagrams.patience().map(timespec);
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).context(|| "wait for connections".into()),
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        if !ready[0].is_empty() {
            return Ok(());
        }
        streams.step(&ready[1..split]);
        datagrams.step(&ready[split..]);
    }
}

fn timespec(left: Duration) -> Timespec {
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}

/// Sockets are all that it needs.
fn confine() -> Result<()> {
    let attempt = || "give every right away".to_string();
    sys::process::all_descriptors();
    rustix::thread::set_no_new_privs(true).context(attempt)?;
    for set in [caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable] {
        caps::clear(None, set).map_err(|e| Error::runner(attempt()).because(e.to_string()))?;
    }
    Ok(())
}
