//! Questions that were passed on, until they are answered or given up.

use super::message::Question;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Servers that are asked before a question is given up; each is asked twice where there are fewer.
const TRIES: usize = 4;

/// Who gets the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Udp(SocketAddr),
    /// A connection, by its number.
    Tcp(u64),
}

/// One question on its way.
#[derive(Debug)]
pub struct Passed {
    pub question: Question,
    pub client: Client,
    /// The message as it is sent, under an id of our own.
    message: Vec<u8>,
    id: u16,
    socket: OwnedFd,
    /// Of a TCP client: what is still to be sent, and what came so far.
    stream: Option<Stream>,
    tries: usize,
    pub deadline: Instant,
}

#[derive(Debug, Default)]
struct Stream {
    sent: usize,
    got: Vec<u8>,
}

/// What became of a question when its socket was looked at.
#[derive(Debug)]
pub enum Fate {
    Waiting,
    Answered(Vec<u8>),
    Failed,
}

impl Passed {
    /// Send a question on to the first of `servers`, from a port of its own.
    pub fn send(message: &[u8], question: Question, client: Client, id: u16, servers: &[IpAddr]) -> Option<Passed> {
        let mut own = message.to_vec();
        own.get_mut(..2)?.copy_from_slice(&id.to_be_bytes());
        let tcp = matches!(client, Client::Tcp(_));
        if tcp {
            let mut framed = u16::try_from(own.len()).ok()?.to_be_bytes().to_vec();
            framed.append(&mut own);
            own = framed;
        }
        for (tries, server) in servers.iter().take(TRIES).enumerate() {
            if let Ok(socket) = connect(*server, tcp, &own) {
                return Some(Passed {
                    question,
                    client,
                    message: own,
                    id,
                    socket,
                    stream: tcp.then(Stream::default),
                    tries: tries + 1,
                    deadline: Instant::now() + PATIENCE,
                });
            }
        }
        None
    }

    /// The next server; false where all have been asked.
    pub fn retry(&mut self, servers: &[IpAddr]) -> bool {
        let most = servers.len().saturating_mul(2).min(TRIES);
        while self.tries < most {
            let server = servers[self.tries % servers.len()];
            self.tries += 1;
            if let Ok(socket) = connect(server, self.stream.is_some(), &self.message) {
                self.socket = socket;
                self.stream = self.stream.is_some().then(Stream::default);
                self.deadline = Instant::now() + PATIENCE;
                return true;
            }
        }
        false
    }

    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Whether it waits to be able to send.
    pub fn is_sending(&self) -> bool {
        self.stream.as_ref().is_some_and(|s| s.sent < self.message.len())
    }

    /// Look at the socket; the answer has the client's id.
    pub fn look(&mut self, buffer: &mut [u8]) -> Fate {
        match self.receive(buffer) {
            Ok(Some(mut answer)) => {
                answer[..2].copy_from_slice(&self.question.id.to_be_bytes());
                Fate::Answered(answer)
            }
            Ok(None) => Fate::Waiting,
            Err(_) => Fate::Failed,
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(stream) = &mut self.stream else {
            loop {
                // The kernel takes nothing from anybody but the server that the socket is connected to.
                let length = match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                    Err(rustix::io::Errno::AGAIN) => return Ok(None),
                    Err(rustix::io::Errno::INTR) => continue,
                    other => other?.0,
                };
                let answer = &buffer[..length.min(buffer.len())];
                if self.question.is_answered_by(self.id, answer) {
                    return Ok(Some(answer.to_vec()));
                }
            }
        };
        while stream.sent < self.message.len() {
            match rustix::net::send(&self.socket, &self.message[stream.sent..], SendFlags::NOSIGNAL) {
                Ok(n) => stream.sent += n,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOTCONN | rustix::io::Errno::INPROGRESS) => {
                    return Ok(None);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) if framed(&stream.got).is_none() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((0, _)) => break,
                Ok((n, _)) => stream.got.extend_from_slice(&buffer[..n]),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            if stream.got.len() > 2 + usize::from(u16::MAX) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let Some(answer) = framed(&stream.got) else { return Ok(None) };
        if !self.question.is_answered_by(self.id, answer) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some(answer.to_vec()))
    }
}

/// The message behind its length, once it is whole.
pub fn framed(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    bytes.get(2..2 + length)
}

fn connect(server: IpAddr, tcp: bool, message: &[u8]) -> io::Result<OwnedFd> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if tcp { SocketType::STREAM } else { SocketType::DGRAM };
    let socket = match crate::rootless::current() {
        // The host's name servers are reached from the host's network, where this process is not.
        Some(_) => crate::rootless::outside(server.is_ipv6(), kind)?,
        None => socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?,
    };
    match rustix::net::connect(&socket, &SocketAddr::new(server, super::PORT)) {
        Err(rustix::io::Errno::INPROGRESS) if tcp => return Ok(socket),
        other => other?,
    }
    if !tcp {
        rustix::net::send(&socket, message, SendFlags::NOSIGNAL)?;
    }
    Ok(socket)
}
