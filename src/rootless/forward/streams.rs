//! Connections that are passed on byte by byte.

use super::Target;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, socket_with};
use std::os::fd::OwnedFd;

/// Bytes on their way in one direction.
const ROOM: usize = 64 * 1024;

pub struct Streams {
    listeners: Vec<(OwnedFd, Target)>,
    pairs: Vec<Pair>,
    /// There are no descriptors left: nobody is accepted until somebody has gone.
    full: bool,
}

impl Streams {
    pub fn new(listeners: Vec<(OwnedFd, Target)>) -> Streams {
        Streams { listeners, pairs: Vec::new(), full: false }
    }

    /// Add what to wait for: the listeners first, then two descriptors a connection.
    pub fn poll<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let wanted = if self.full { PollFlags::empty() } else { PollFlags::IN };
        fds.extend(self.listeners.iter().map(|(fd, _)| PollFd::new(fd, wanted)));
        for pair in &self.pairs {
            let [outside, inside] = pair.wants();
            fds.push(PollFd::new(&pair.outside, outside));
            fds.push(PollFd::new(&pair.inside, inside));
        }
    }

    /// What became of the descriptors, in the order of [`poll`](Self::poll).
    pub fn step(&mut self, ready: &[PollFlags]) {
        let (listeners, pairs) = ready.split_at(self.listeners.len());
        let mut n = 0;
        let before = self.pairs.len();
        self.pairs.retain_mut(|pair| {
            let [outside, inside] = [pairs[n], pairs[n + 1]];
            n += 2;
            (outside.is_empty() && inside.is_empty()) || pair.step(outside, inside).is_ok_and(|open| open)
        });
        self.full &= self.pairs.len() == before;
        for (at, _) in listeners.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
            self.accept(at);
        }
    }

    fn accept(&mut self, at: usize) {
        let (listener, target) = &self.listeners[at];
        // One burst of a port does not keep the others waiting.
        for _ in 0..16 {
            let outside = match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(outside) => outside,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.full = !self.pairs.is_empty();
                    return;
                }
                Err(_) => return,
            };
            // A client that nobody inside answers sees its connection end.
            if let Ok(pair) = Pair::connect(outside, target) {
                self.pairs.push(pair);
            }
        }
    }
}

struct Pair {
    outside: OwnedFd,
    inside: OwnedFd,
    connected: bool,
    /// From outside, and from inside.
    flows: [Flow; 2],
}

#[derive(Default)]
struct Flow {
    bytes: Vec<u8>,
    sent: usize,
    /// The reading side has said all.
    over: bool,
    /// So it was told to the writing side.
    told: bool,
}

impl Flow {
    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Read when there is nothing to write, and write as much as goes.
    fn pump(&mut self, from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
        if self.is_empty() && !self.over {
            self.bytes.resize(ROOM, 0);
            self.sent = 0;
            match rustix::net::recv(from, &mut self.bytes[..], rustix::net::RecvFlags::empty()) {
                Ok((_, 0)) => {
                    self.bytes.clear();
                    self.over = true;
                }
                Ok((_, n)) => self.bytes.truncate(n),
                Err(Errno::AGAIN | Errno::INTR) => self.bytes.clear(),
                Err(e) => return Err(e),
            }
        }
        while !self.is_empty() {
            match rustix::net::send(to, &self.bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(n) => self.sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        if self.over && !self.told {
            self.told = true;
            // A side that has gone already needs no word.
            let _ = rustix::net::shutdown(to, Shutdown::Write);
        }
        Ok(())
    }
}

impl Pair {
    fn connect(outside: OwnedFd, target: &Target) -> Result<Pair, Errno> {
        let family = if target.to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let inside = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        // What is small is not held back: it was not by whoever sent it.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&outside, true);
        let _ = rustix::net::sockopt::set_tcp_nodelay(&inside, true);
        let connected = match rustix::net::connect(&inside, &target.to) {
            Ok(()) => true,
            Err(Errno::INPROGRESS) => false,
            Err(e) => return Err(e),
        };
        Ok(Pair { outside, inside, connected, flows: Default::default() })
    }

    fn wants(&self) -> [PollFlags; 2] {
        if !self.connected {
            return [PollFlags::empty(), PollFlags::OUT];
        }
        let mut wants = [PollFlags::empty(); 2];
        for (n, flow) in self.flows.iter().enumerate() {
            if !flow.is_empty() {
                wants[1 - n] |= PollFlags::OUT;
            } else if !flow.over {
                wants[n] |= PollFlags::IN;
            }
        }
        wants
    }

    /// Whether the connection goes on.
    fn step(&mut self, outside: PollFlags, inside: PollFlags) -> Result<bool, Errno> {
        if !self.connected {
            if !outside.is_empty() {
                // Gone before it was connected; an error is all that is waited for there.
                return Ok(false);
            }
            rustix::net::sockopt::socket_error(&self.inside)??;
            self.connected = true;
        }
        self.flows[0].pump(&self.outside, &self.inside)?;
        self.flows[1].pump(&self.inside, &self.outside)?;
        let broken = (outside | inside).contains(PollFlags::ERR);
        let done = self.flows.iter().all(|f| f.over && f.is_empty());
        Ok(!done && !broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Serve until `client` has its answer.
    fn serve(mut streams: Streams, client: impl FnOnce() -> Vec<u8> + Send + 'static) -> Vec<u8> {
        let client = std::thread::spawn(client);
        while !client.is_finished() {
            let mut fds = Vec::new();
            streams.poll(&mut fds);
            let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            rustix::event::poll(&mut fds, Some(&limit)).unwrap();
            let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            drop(fds);
            streams.step(&ready);
        }
        client.join().unwrap()
    }

    fn listener() -> (OwnedFd, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (listener.into(), address)
    }

    #[test]
    fn bytes_go_both_ways_and_each_side_hears_the_others_end() {
        let behind = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = behind.local_addr().unwrap();
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = behind.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all.reverse();
            stream.write_all(&all).unwrap();
        });
        let (fd, address) = listener();
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut wanted = sent.clone();
        wanted.reverse();
        let got = serve(Streams::new(vec![(fd, Target { to, stream: true })]), move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        echo.join().unwrap();
        assert!(got == wanted, "{} bytes", got.len());
    }

    #[test]
    fn a_client_that_nobody_answers_sees_its_connection_end() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (fd, address) = listener();
        let got = serve(Streams::new(vec![(fd, Target { to: nobody, stream: true })]), move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut got = Vec::new();
            // Reset or at its end, but over.
            let _ = stream.read_to_end(&mut got);
            got
        });
        assert!(got.is_empty());
    }
}
