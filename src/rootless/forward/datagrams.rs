//! Datagrams: each client has a socket of its own inside, so that answers find back.

use super::Target;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a client that says nothing, and is told nothing, keeps its socket: as the kernel's own translation does.
const PATIENCE: Duration = Duration::from_secs(120);
/// The one that was silent longest makes room for one more.
const CLIENTS: usize = 512;
const LONGEST: usize = 65_536;

pub struct Datagrams {
    ports: Vec<(OwnedFd, Target)>,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    patience: Duration,
}

struct Client {
    port: usize,
    address: SocketAddr,
    inside: OwnedFd,
    last: Instant,
}

impl Datagrams {
    pub fn new(ports: Vec<(OwnedFd, Target)>) -> Datagrams {
        let buffer = if ports.is_empty() { Vec::new() } else { vec![0; LONGEST] };
        Datagrams { ports, clients: Vec::new(), buffer, patience: PATIENCE }
    }

    pub fn poll<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.extend(self.ports.iter().map(|(fd, _)| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.clients.iter().map(|c| PollFd::new(&c.inside, PollFlags::IN)));
    }

    /// When the next client is forgotten.
    pub fn patience(&self) -> Option<Duration> {
        let first = self.clients.iter().map(|c| c.last).min()?;
        Some((first + self.patience).saturating_duration_since(Instant::now()))
    }

    pub fn step(&mut self, ready: &[PollFlags]) {
        let (ports, clients) = ready.split_at(self.ports.len());
        for n in (0..clients.len()).filter(|n| !clients[*n].is_empty()) {
            self.answer(n);
        }
        for n in (0..ports.len()).filter(|n| !ports[*n].is_empty()) {
            self.question(n);
        }
        let patience = self.patience;
        self.clients.retain(|c| c.last.elapsed() < patience);
    }

    /// From inside, back to whoever asked.
    fn answer(&mut self, n: usize) {
        let client = &mut self.clients[n];
        for _ in 0..64 {
            // An error is the kernel's word that nobody listens inside: the client is told nothing, as with a lost datagram.
            let Ok((_, length)) = rustix::net::recv(&client.inside, &mut self.buffer[..], RecvFlags::empty()) else {
                return;
            };
            client.last = Instant::now();
            let (socket, _) = &self.ports[client.port];
            let _ = rustix::net::sendto(socket, &self.buffer[..length], SendFlags::empty(), &client.address);
        }
    }

    fn question(&mut self, port: usize) {
        for _ in 0..64 {
            let (socket, target) = &self.ports[port];
            let Ok((_, length, Some(from))) = rustix::net::recvfrom(socket, &mut self.buffer[..], RecvFlags::empty())
            else {
                return;
            };
            let Ok(address) = SocketAddr::try_from(from) else { continue };
            let known = self.clients.iter().position(|c| c.port == port && c.address == address);
            let Some(at) = known.or_else(|| {
                let inside = connect(target)?;
                if self.clients.len() == CLIENTS
                    && let Some((oldest, _)) = self.clients.iter().enumerate().min_by_key(|(_, c)| c.last)
                {
                    self.clients.swap_remove(oldest);
                }
                self.clients.push(Client { port, address, inside, last: Instant::now() });
                Some(self.clients.len() - 1)
            }) else {
                continue;
            };
            self.clients[at].last = Instant::now();
            let _ = rustix::net::send(&self.clients[at].inside, &self.buffer[..length], SendFlags::NOSIGNAL);
        }
    }
}

fn connect(target: &Target) -> Option<OwnedFd> {
    let family = if target.to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None).ok()?;
    rustix::net::connect(&socket, &target.to).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// How many rounds it takes is the kernel's affair: one without anything to do ends by itself.
    fn step(datagrams: &mut Datagrams) {
        let mut fds = Vec::new();
        datagrams.poll(&mut fds);
        let soon = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        rustix::event::poll(&mut fds, Some(&soon)).unwrap();
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        datagrams.step(&ready);
    }

    #[test]
    fn who_was_silent_for_long_is_forgotten_and_served_again() {
        let [behind, front, client] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        front.set_nonblocking(true).unwrap();
        let limit = Some(Duration::from_secs(10));
        for socket in [&behind, &client] {
            socket.set_read_timeout(limit).unwrap();
        }
        let (to, address) = (behind.local_addr().unwrap(), front.local_addr().unwrap());
        let mut datagrams = Datagrams::new(vec![(front.into(), Target { to, stream: false })]);
        let mut buffer = [0; 16];
        for _ in 0..2 {
            client.send_to(b"question", address).unwrap();
            step(&mut datagrams);
            let (n, from) = behind.recv_from(&mut buffer).unwrap();
            behind.send_to(&buffer[..n], from).unwrap();
            step(&mut datagrams);
            assert_eq!(client.recv_from(&mut buffer).unwrap(), (8, address));
            assert_eq!(datagrams.clients.len(), 1);
            datagrams.patience = Duration::ZERO;
            step(&mut datagrams);
            assert!(datagrams.clients.is_empty() && datagrams.patience().is_none());
            datagrams.patience = PATIENCE;
        }
    }

    #[test]
    fn answers_find_back_to_the_client_that_asked() {
        let behind = UdpSocket::bind("127.0.0.1:0").unwrap();
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_nonblocking(true).unwrap();
        let (to, address) = (behind.local_addr().unwrap(), front.local_addr().unwrap());
        let mut datagrams = Datagrams::new(vec![(front.into(), Target { to, stream: false })]);
        let clients = ["one", "two"].map(|word| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket.send_to(word.as_bytes(), address).unwrap();
            (word, socket)
        });
        let mut buffer = [0; 16];
        for _ in 0..3 {
            step(&mut datagrams);
            behind.set_nonblocking(true).unwrap();
            while let Ok((n, from)) = behind.recv_from(&mut buffer) {
                behind.send_to(&buffer[..n], from).unwrap();
            }
        }
        step(&mut datagrams);
        for (word, socket) in clients {
            let (n, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..n], from), (word.as_bytes(), address));
        }
        assert!(datagrams.patience().unwrap() <= PATIENCE);
    }
}
