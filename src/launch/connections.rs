//! The commands that are connected to the supervisor.

use crate::control::{self, Answer, Ask, Received};
use crate::error::{Context, Error, Result};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::poll::{Poller, Token};

/// Most connections at once: with the three streams of each, descriptors stay below the usual limit of 1024. Whoever comes after
/// waits in the listener's queue.
const MOST: usize = 200;

/// One connection.
struct Connection {
    id: u64,
    socket: OwnedFd,
    /// It is told when the container has ended.
    waits: bool,
}

/// The listener and everybody who came.
pub struct Connections {
    listener: OwnedFd,
    open: Vec<Connection>,
    next: u64,
}

impl Connections {
    pub fn new(listener: OwnedFd) -> Connections {
        Connections { listener, open: Vec::new(), next: 1 }
    }

    /// The next start serves who comes.
    pub fn into_listener(self) -> OwnedFd {
        self.listener
    }

    /// Take in a socket that is connected already; `waits`: it is told about the end.
    pub fn adopt(&mut self, socket: OwnedFd, waits: bool) -> Result<u64> {
        // Of a pair that was handed over: the supervisor never waits for anybody's next word.
        rustix::io::ioctl_fionbio(&socket, true).context(|| "listen to a command".into())?;
        let id = self.next;
        self.next += 1;
        self.open.push(Connection { id, socket, waits });
        Ok(id)
    }

    pub fn poll<'a>(&'a self, poller: &mut Poller<'a>) {
        if self.open.len() < MOST {
            poller.add(Token::Listener, PollFd::new(&self.listener, PollFlags::IN));
        }
        for connection in &self.open {
            poller.add(Token::Connection(connection.id), PollFd::new(&connection.socket, PollFlags::IN));
        }
    }

    /// Take in whoever waits at the door.
    pub fn accept(&mut self) -> Result<()> {
        while self.open.len() < MOST {
            let Some(socket) = control::accept(&self.listener)? else { return Ok(()) };
            self.adopt(socket, false)?;
        }
        Ok(())
    }

    /// The next question of a connection. `Err(true)`: it has gone; `Err(false)`: nothing is there.
    pub fn question(&mut self, id: u64) -> Result<Option<(Ask, Vec<OwnedFd>)>, bool> {
        let Some(at) = self.open.iter().position(|c| c.id == id) else { return Err(true) };
        match control::receive::<Ask>(&self.open[at].socket) {
            Ok(Received::Message(ask, fds)) => Ok(Some((ask, fds))),
            Ok(Received::Nothing) => Err(false),
            // What cannot be understood is answered, and the connection given up: a newer command, perhaps.
            Err(e) => {
                self.answer(id, &Answer::Failed((&e).into()), &[]);
                self.open.retain(|c| c.id != id);
                Err(true)
            }
            Ok(Received::Gone) => {
                self.open.retain(|c| c.id != id);
                Err(true)
            }
        }
    }

    /// Answer. Whoever has gone meanwhile misses it.
    pub fn answer(&mut self, id: u64, answer: &Answer, fds: &[BorrowedFd<'_>]) {
        let Some(connection) = self.open.iter().find(|c| c.id == id) else { return };
        if control::send(&connection.socket, answer, fds).is_err() {
            self.open.retain(|c| c.id != id);
        }
    }

    pub fn result(&mut self, id: u64, result: Result<()>) {
        match result {
            Ok(()) => self.answer(id, &Answer::Done, &[]),
            Err(e) => self.fail(id, &e),
        }
    }

    pub fn fail(&mut self, id: u64, error: &Error) {
        self.answer(id, &Answer::Failed(error.into()), &[]);
    }

    /// Tell this connection when the container has ended.
    pub fn wait(&mut self, id: u64) {
        if let Some(connection) = self.open.iter_mut().find(|c| c.id == id) {
            connection.waits = true;
        }
    }

    /// The container has ended: take in what was asked meanwhile. Whether that it be stopped was among it.
    pub fn settle(&mut self) -> bool {
        let mut stop = false;
        // One that cannot be accepted now finds out by itself that nobody listens any more.
        let _ = self.accept();
        for id in self.open.iter().map(|c| c.id).collect::<Vec<_>>() {
            while let Ok(Some((ask, _))) = self.question(id) {
                stop |= matches!(ask, Ask::Stop { .. });
                match ask {
                    Ask::Wait | Ask::Stop { .. } | Ask::Attach { .. } => self.wait(id),
                    _ => self.fail(id, &Error::verb("the container has just ended")),
                }
            }
        }
        stop
    }

    /// Tell whoever waits that the container has ended, also those who have just come to, and let everybody go. Whether
    /// somebody has just asked that it be stopped.
    pub fn ended(&mut self, code: i32, error: &str) -> bool {
        let stop = self.settle();
        let answer = Answer::Ended { code, error: error.to_owned() };
        for connection in self.open.drain(..).filter(|c| c.waits) {
            // Whoever has gone misses it.
            let _ = control::send(&connection.socket, &answer, &[]);
        }
        stop
    }
}
