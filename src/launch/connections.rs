//! The commands that are connected to the supervisor.

use crate::control::{self, Answer, Ask, Received};
use crate::error::{Context, Error, Result};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::poll::{Poller, Token};
use std::time::{Duration, Instant};

/// Most connections at once. Whoever comes after waits in the listener's queue.
const MOST: usize = ATTACHED + LASTING + 64;
/// Most of those with streams: four descriptors each, which stay below the usual limit of 1024 together with the others. The rest
/// of the room is for short questions, so that a container with many readers can still be asked, entered and stopped.
const ATTACHED: usize = 128;
/// Most of those that last for another reason: `wait`, and commands that were started by `exec`.
const LASTING: usize = 128;
/// How long nobody is taken in after that failed, if no connection closes before.
const REST: Duration = Duration::from_secs(1);
/// Longest text of an error in an answer, in bytes of JSON.
const LONGEST: usize = 32 * 1024;

/// One connection.
struct Connection {
    id: u64,
    socket: OwnedFd,
    /// It is told when the container has ended.
    waits: bool,
    stays: Stays,
}

/// Why a connection stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// It does not: it asks, and goes.
    Not,
    Attached,
    /// It waits, or is that of a command inside.
    Lasting,
}

/// The listener and everybody who came.
pub struct Connections {
    listener: OwnedFd,
    open: Vec<Connection>,
    next: u64,
    /// Nobody could be taken in, with so many connections: there are no descriptors left. Not before this moment again.
    full: Option<(usize, Instant)>,
}

impl Connections {
    pub fn new(listener: OwnedFd) -> Connections {
        Connections { listener, open: Vec::new(), next: 1, full: None }
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
        let stays = if waits { Stays::Attached } else { Stays::Not };
        self.open.push(Connection { id, socket, waits, stays });
        Ok(id)
    }

    /// Note why a connection stays.
    ///
    /// # Errors
    /// So many do already that another one would leave no room for those who only ask.
    pub fn stay(&mut self, id: u64, why: Stays) -> Result<()> {
        let (most, what) = match why {
            Stays::Not => return Ok(()),
            Stays::Attached => (ATTACHED, "clients are attached to it"),
            Stays::Lasting => (LASTING, "commands run in it or wait for it"),
        };
        if self.open.iter().filter(|c| c.stays == why && c.id != id).count() >= most {
            return Err(Error::verb(format!("the container takes no more: {most} {what}"))
                .hint("close some of them; `hardrun logs -f` reads along without being attached"));
        }
        if let Some(connection) = self.open.iter_mut().find(|c| c.id == id) {
            connection.stays = why;
        }
        Ok(())
    }

    pub fn poll<'a>(&'a self, poller: &mut Poller<'a>) {
        if self.open.len() < MOST && self.rests().is_none() {
            poller.add(Token::Listener, PollFd::new(&self.listener, PollFlags::IN));
        }
        for connection in &self.open {
            poller.add(Token::Connection(connection.id), PollFd::new(&connection.socket, PollFlags::IN));
        }
    }

    /// Until when nobody is taken in. That the moment has come only `wake` says: what is not polled is what is waited for, however late
    /// it is between the two.
    fn rests(&self) -> Option<Instant> {
        self.full.filter(|(open, _)| self.open.len() >= *open).map(|(_, until)| until)
    }

    /// When to look again though nothing is ready.
    pub fn next(&self) -> Option<Instant> {
        self.rests()
    }

    /// Listen again, where the rest is over: before each wait.
    pub fn wake(&mut self) {
        self.full = self.full.filter(|(_, until)| Instant::now() < *until);
    }

    /// Take in whoever waits at the door. Where that fails, for want of descriptors, they wait on: it is no reason to end what runs.
    pub fn accept(&mut self) {
        self.full = None;
        let unheard =
            Error::verb("the container's supervisor does not hear who is in another user namespace than it is");
        let unheard = Answer::Failed((&unheard.hint("run hardrun outside of containers and of unshare")).into());
        while self.open.len() < MOST {
            match control::accept(&self.listener, &unheard).and_then(|s| s.map(|s| self.adopt(s, false)).transpose()) {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => {
                    self.full = Some((self.open.len(), Instant::now() + REST));
                    return;
                }
            }
        }
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

    /// Answer. Whoever has gone meanwhile misses it; what he said before he went is still to be read.
    pub fn answer(&mut self, id: u64, answer: &Answer, fds: &[BorrowedFd<'_>]) {
        let Some(connection) = self.open.iter().find(|c| c.id == id) else { return };
        if control::send(&connection.socket, answer, fds).is_err_and(|e| !control::is_gone(&e)) {
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

    /// The container has ended: take in what was asked meanwhile; what it can no longer do is answered by `refusal`. Whether that it be
    /// stopped was among it.
    pub fn settle(&mut self, refusal: &str) -> bool {
        let mut stop = false;
        // One that cannot be accepted now finds out by itself that nobody listens any more.
        self.accept();
        for id in self.open.iter().map(|c| c.id).collect::<Vec<_>>() {
            while let Ok(Some((ask, _))) = self.question(id) {
                match ask {
                    Ask::Stop { .. } => {
                        stop = true;
                        self.wait(id);
                    }
                    // Meant to end it for good: a restart policy is not to make nothing of it.
                    Ask::Signal { number } if ends(number) => {
                        stop = true;
                        self.result(id, Ok(()));
                    }
                    Ask::Wait | Ask::Attach { .. } => self.wait(id),
                    // Possible again in a moment, by whoever has the container in hands then: it is asked once more.
                    Ask::Rename { .. } => {
                        self.open.retain(|c| c.id != id);
                        break;
                    }
                    _ => self.fail(id, &Error::verb(refusal)),
                }
            }
        }
        stop
    }

    /// Tell whoever waits that the container has ended, also those who have just come to, and let everybody go. Nobody is told before what
    /// it came to is on the disk: who has heard of it looks there.
    pub fn ended(&mut self, code: i32, error: &str, refusal: &str) {
        self.settle(refusal);
        self.let_go(code, error);
    }

    /// A run has ended and another is to follow: tell whoever waits for this one's end, and let everybody go; who has not asked yet comes
    /// again. True where somebody has just asked that the container be stopped: then nobody has been told anything, for it has not come to
    /// its end yet.
    pub fn next_run(&mut self, code: i32, refusal: &str) -> bool {
        let stop = self.settle(refusal);
        if !stop {
            self.let_go(code, "");
        }
        stop
    }

    fn let_go(&mut self, code: i32, error: &str) {
        let answer = Answer::Ended { code, error: control::shorten(error.to_owned(), LONGEST) };
        for connection in self.open.drain(..).filter(|c| c.waits) {
            // Whoever has gone misses it.
            let _ = control::send(&connection.socket, &answer, &[]);
        }
    }
}

/// Signals that end a container which does not run: its next start is called off.
pub fn ends(signal: i32) -> bool {
    signal == libc::SIGKILL || signal == libc::SIGTERM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Client;

    /// Connections, and clients that have each asked something and were not read yet.
    fn asked(asks: &[Ask]) -> (tempfile::TempDir, Connections, Vec<Client>) {
        let folder = tempfile::tempdir().unwrap();
        let mut connections = Connections::new(control::listen(folder.path(), "control").unwrap());
        let clients = asks.iter().map(|ask| {
            let (ours, theirs) = control::pair().unwrap();
            connections.adopt(theirs, false).unwrap();
            rustix::io::ioctl_fionbio(&ours, true).unwrap();
            let client = Client::from_socket(ours);
            client.send(ask).unwrap();
            client
        });
        let clients = clients.collect();
        (folder, connections, clients)
    }

    #[test]
    fn a_stop_between_two_runs_is_answered_when_its_end_is_on_the_disk() {
        let stop = Ask::Stop { signal: None, seconds: None };
        let (_folder, mut connections, clients) = asked(&[Ask::Wait, stop]);
        assert!(connections.next_run(7, "between"));
        assert!(clients.iter().all(|c| c.answer().unwrap().is_none()), "somebody was told too early");
        connections.ended(7, "", "over");
        for client in &clients {
            assert_eq!(client.ended().unwrap(), Some(7));
        }
    }

    #[test]
    fn what_was_said_before_leaving_is_heard() {
        let (_folder, mut connections, clients) = asked(&[Ask::Resize { rows: 1, columns: 1 }]);
        clients[0].send(&Ask::Wait).unwrap();
        assert!(matches!(connections.question(1), Ok(Some((Ask::Resize { .. }, _)))));
        // It is answered, and leaves without having read the answer.
        connections.result(1, Ok(()));
        clients[0].send(&Ask::Detach).unwrap();
        drop(clients);
        assert!(matches!(connections.question(1), Ok(Some((Ask::Wait, _)))));
        connections.result(1, Ok(()));
        assert!(matches!(connections.question(1), Ok(Some((Ask::Detach, _)))));
        assert_eq!(connections.question(1).err(), Some(true));
    }

    #[test]
    fn a_rest_that_is_over_is_seen_once_and_not_waited_for_without_end() {
        let (_folder, mut connections, _) = asked(&[]);
        let polled = |connections: &Connections| {
            let mut poller = Poller::default();
            connections.poll(&mut poller);
            poller.wait(Some(Instant::now())).unwrap().contains(&Token::Listener)
        };
        let _client = control::connect(_folder.path(), "control").unwrap();
        // Its moment passes between the two looks: either it is polled, or there is a moment to wait for.
        connections.full = Some((0, Instant::now()));
        assert!(!polled(&connections));
        assert!(connections.next().is_some());
        connections.wake();
        assert_eq!(connections.next(), None);
        assert!(polled(&connections));
    }

    #[test]
    fn who_waits_for_a_run_hears_of_its_end_though_another_follows() {
        let (_folder, mut connections, clients) = asked(&[Ask::Wait]);
        assert!(!connections.next_run(3, "between"));
        assert_eq!(clients[0].ended().unwrap(), Some(3));
    }
}
