//! The name server of one container: it answers on 127.0.0.11 inside the container's network, and asks others from the
//! host's. Names of containers on the same networks are answered from their leases, everything else is passed on.
//!
//! It is driven by the supervisor's own loop: it has no thread, wakes for nothing while nobody asks, and its memory is
//! bounded whatever a container sends.

pub mod message;
mod upstream;
mod zone;

pub use zone::Zone;

use super::egress::Ways;
use super::elements::Tables;
use super::redirect;
use crate::error::{Context as _, Result};
use crate::state::Paths;
use message::{Code, Question, bare};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use upstream::{Client, Fate, Passed, framed};

/// docker's address for it.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// Questions of one container that are on their way at a time; more are answered with a failure.
const MOST_PASSED: usize = 64;
/// Connections of one container at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 8;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(10);
/// Datagrams that are looked at before the rest of the supervisor's work has its turn.
const AT_A_TIME: usize = 32;

/// Its sockets inside the container's network.
#[derive(Debug)]
pub struct Sockets {
    udp: OwnedFd,
    tcp: OwnedFd,
}

impl Sockets {
    /// Open them in the network namespace that the calling thread is in; loopback is up.
    pub fn open() -> Result<Sockets> {
        let attempt = || format!("make the name server of the container on {ADDRESS}");
        let pair = |port| {
            let sockets = Sockets { udp: bound(SocketType::DGRAM, port)?, tcp: bound(SocketType::STREAM, port)? };
            rustix::net::listen(&sockets.tcp, 16)?;
            Ok::<_, std::io::Error>(sockets)
        };
        let port =
            |socket: &OwnedFd| Ok::<_, std::io::Error>(SocketAddr::try_from(rustix::net::getsockname(socket)?)?.port());
        let led = pair(0).and_then(|s| {
            redirect::names(ADDRESS, port(&s.udp)?, port(&s.tcp)?)?;
            Ok(s)
        });
        // A kernel that cannot lead port 53 elsewhere in a namespace: the port itself then.
        led.or_else(|_| pair(PORT)).context(attempt)
    }
}

fn bound(kind: SocketType, port: u16) -> std::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(ADDRESS.into(), port))?;
    Ok(socket)
}

#[derive(Debug)]
struct Connection {
    number: u64,
    socket: OwnedFd,
    got: Vec<u8>,
    /// What is still to be sent.
    due: Vec<u8>,
    /// One question at a time: the next is read when this one is answered.
    waiting: bool,
    deadline: Instant,
}

impl Connection {
    /// Its next question may be taken.
    fn is_free(&self) -> bool {
        !self.waiting && self.due.is_empty()
    }
}

/// The name server.
#[derive(Debug)]
pub struct Dns {
    sockets: Sockets,
    servers: Vec<IpAddr>,
    zones: Vec<Zone>,
    paths: Paths,
    passed: Vec<Passed>,
    connections: Vec<Connection>,
    numbers: u64,
    random: File,
    buffer: Vec<u8>,
}

impl Dns {
    /// `servers` are asked from the calling thread's own network.
    pub fn new(sockets: Sockets, servers: Vec<IpAddr>, zones: Vec<Zone>, paths: &Paths) -> Result<Dns> {
        let random = File::open("/dev/urandom").context(|| "open /dev/urandom".into())?;
        Ok(Dns {
            sockets,
            servers,
            zones,
            paths: paths.clone(),
            passed: Vec::new(),
            connections: Vec::new(),
            numbers: 0,
            random,
            buffer: Vec::new(),
        })
    }

    pub fn set_zones(&mut self, zones: Vec<Zone>) {
        self.zones = zones;
    }

    /// What to poll for. Call [`Dns::step`] when any of it is ready, or when [`Dns::next_timeout`] is over.
    pub fn fds(&self) -> Vec<PollFd<'_>> {
        let mut fds = vec![PollFd::new(&self.sockets.udp, PollFlags::IN)];
        if self.connections.len() < MOST_CONNECTIONS {
            fds.push(PollFd::new(&self.sockets.tcp, PollFlags::IN));
        }
        for passed in &self.passed {
            fds.push(PollFd::new(passed.socket(), if passed.is_sending() { PollFlags::OUT } else { PollFlags::IN }));
        }
        for c in &self.connections {
            // A client that waits for its answer is not read from: what it sends meanwhile waits in the kernel.
            let flags = match (c.due.is_empty(), c.waiting) {
                (false, _) => PollFlags::OUT,
                (true, false) => PollFlags::IN,
                (true, true) => continue,
            };
            fds.push(PollFd::new(&c.socket, flags));
        }
        fds
    }

    /// None while nobody asks.
    pub fn next_timeout(&self) -> Option<Duration> {
        // The next question of a connection came together with the one before: nothing more has to come for it.
        if self.connections.iter().any(|c| c.is_free() && framed(&c.got).is_some()) {
            return Some(Duration::ZERO);
        }
        let deadlines = self.passed.iter().map(|p| p.deadline).chain(self.connections.iter().map(|c| c.deadline));
        deadlines.min().map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Do what can be done without waiting. `ways` is where the container may go, if that is limited.
    pub fn step(&mut self, mut ways: Option<(&mut Ways, &Tables)>) {
        self.buffer.resize(usize::from(u16::MAX), 0);
        self.read_datagrams(&mut ways);
        self.accept();
        self.read_connections(&mut ways);
        self.read_answers(&mut ways);
        self.give_up();
        self.write_connections();
        if self.passed.is_empty() && self.connections.is_empty() {
            // Idle again: give back what the rush took.
            self.buffer = Vec::new();
            self.passed = Vec::new();
            self.connections = Vec::new();
        }
    }

    fn read_datagrams(&mut self, ways: &mut Option<(&mut Ways, &Tables)>) {
        for _ in 0..AT_A_TIME {
            let (length, from) =
                match rustix::net::recvfrom(&self.sockets.udp, &mut self.buffer[..], RecvFlags::empty()) {
                    Ok((_, length, Some(from))) => (length, from),
                    Ok(_) => continue,
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => return,
                };
            let Ok(from) = SocketAddr::try_from(from) else { continue };
            let message = self.buffer[..length.min(self.buffer.len())].to_vec();
            self.question(&message, Client::Udp(from), ways);
        }
    }

    fn question(&mut self, message: &[u8], client: Client, ways: &mut Option<(&mut Ways, &Tables)>) {
        let question = match Question::parse(message) {
            Ok(question) => question,
            Err(Some((id, code))) => return self.reply(client, &bare(id, code)),
            Err(None) => return self.hang_up(client),
        };
        if let Some((ways, _)) = ways
            && !ways.allows(&question.name)
        {
            return self.reply(client, &question.answer(Code::Refused, &[], 0));
        }
        if let Some(answer) = zone::answer(&mut self.zones, &self.paths, &question) {
            if let Some((ways, tables)) = ways {
                ways.learn(tables, &question.name, &question.addresses(&answer));
            }
            return self.reply(client, &answer);
        }
        // The same question again, from the same client: it is on its way.
        if self.passed.iter().any(|p| p.client == client && p.question == question) {
            return;
        }
        let passed = match self.passed.len() < MOST_PASSED {
            true => {
                let id = self.random_id();
                Passed::send(message, question.clone(), client, id, &self.servers)
            }
            false => None,
        };
        match passed {
            Some(passed) => self.passed.push(passed),
            None => self.reply(client, &question.answer(Code::Failed, &[], 0)),
        }
    }

    fn random_id(&mut self) -> u16 {
        let mut bytes = [0u8; 2];
        match self.random.read_exact(&mut bytes) {
            Ok(()) => u16::from_be_bytes(bytes),
            // It does not fail; and the port is random besides.
            Err(_) => 0,
        }
    }

    fn reply(&mut self, client: Client, answer: &[u8]) {
        match client {
            Client::Udp(to) => {
                // Whoever asked and does not read its answers loses them.
                let _ = rustix::net::sendto(&self.sockets.udp, answer, SendFlags::empty(), &to);
            }
            Client::Tcp(number) => {
                if let Some(c) = self.connections.iter_mut().find(|c| c.number == number) {
                    c.due.extend_from_slice(&(answer.len() as u16).to_be_bytes());
                    c.due.extend_from_slice(answer);
                    c.waiting = false;
                    c.deadline = Instant::now() + IDLE;
                }
            }
        }
    }

    /// What came is not a question: nothing is said, and a connection ends.
    fn hang_up(&mut self, client: Client) {
        if let Client::Tcp(number) = client {
            self.connections.retain(|c| c.number != number);
        }
    }

    fn accept(&mut self) {
        while self.connections.len() < MOST_CONNECTIONS {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let Ok(socket) = rustix::net::accept_with(&self.sockets.tcp, flags) else { return };
            self.numbers += 1;
            self.connections.push(Connection {
                number: self.numbers,
                socket,
                got: Vec::new(),
                due: Vec::new(),
                waiting: false,
                deadline: Instant::now() + IDLE,
            });
        }
    }

    fn read_connections(&mut self, ways: &mut Option<(&mut Ways, &Tables)>) {
        let numbers: Vec<u64> = self.connections.iter().filter(|c| c.is_free()).map(|c| c.number).collect();
        for number in numbers {
            let Some(c) = self.connections.iter_mut().find(|c| c.number == number) else { continue };
            // One question a turn; what came with the last one is not read for again.
            if framed(&c.got).is_none() {
                match rustix::net::recv(&c.socket, &mut self.buffer[..4096], RecvFlags::empty()) {
                    Ok((0, _)) => {
                        self.hang_up(Client::Tcp(number));
                        continue;
                    }
                    Ok((n, _)) => c.got.extend_from_slice(&self.buffer[..n]),
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(_) => {
                        self.hang_up(Client::Tcp(number));
                        continue;
                    }
                }
            }
            let Some(message) = framed(&c.got).map(<[u8]>::to_vec) else { continue };
            c.got.drain(..2 + message.len());
            c.waiting = true;
            c.deadline = Instant::now() + IDLE;
            self.question(&message, Client::Tcp(number), ways);
        }
    }

    fn read_answers(&mut self, ways: &mut Option<(&mut Ways, &Tables)>) {
        let mut at = 0;
        while at < self.passed.len() {
            match self.passed[at].look(&mut self.buffer) {
                Fate::Waiting => at += 1,
                Fate::Answered(answer) => {
                    let passed = self.passed.swap_remove(at);
                    if let Some((ways, tables)) = ways {
                        // The way is open before the container knows where it leads.
                        ways.learn(tables, &passed.question.name, &passed.question.addresses(&answer));
                    }
                    self.reply(passed.client, &answer);
                }
                Fate::Failed => {
                    // The next server has its turn at once.
                    self.passed[at].deadline = Instant::now();
                    at += 1;
                }
            }
        }
    }

    /// Ask the next server where one did not answer; say so where none did.
    fn give_up(&mut self) {
        let now = Instant::now();
        let mut at = 0;
        while at < self.passed.len() {
            if self.passed[at].deadline > now || self.passed[at].retry(&self.servers) {
                at += 1;
                continue;
            }
            let passed = self.passed.swap_remove(at);
            self.reply(passed.client, &passed.question.answer(Code::Failed, &[], 0));
        }
        self.connections.retain(|c| c.deadline > now);
    }

    fn write_connections(&mut self) {
        self.connections.retain_mut(|c| {
            while !c.due.is_empty() {
                match rustix::net::send(&c.socket, &c.due, SendFlags::NOSIGNAL) {
                    Ok(n) => drop(c.due.drain(..n)),
                    Err(rustix::io::Errno::AGAIN) => return true,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return false,
                }
            }
            true
        });
    }
}

/// Whom to ask: those that the plan names, or the ones that the host uses now.
pub fn servers(asked: &[String]) -> Vec<IpAddr> {
    if !asked.is_empty() {
        return asked.iter().filter_map(|s| s.parse().ok()).collect();
    }
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let words = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver"));
    // Of an address with a zone (fe80::1%eth0) the host's own resolver knows what to make; it is left out here.
    words.filter_map(|w| w.trim().parse().ok()).collect()
}
