//! The asking side.

use super::message::{Answer, Ask};
use super::wire::{self, Received};
use crate::error::{Context, Error, Result};
use crate::state::{Container, folder};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a supervisor that lives may take until it listens (its first moments, or between two starts).
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a container's supervisor.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

/// Ends of the streams for [`Client::attach`].
#[derive(Debug, Default)]
pub struct Streams {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

impl Client {
    /// Connect to the supervisor of the container in `folder`. `None` where none lives.
    pub fn connect(folder: &Path) -> Result<Option<Client>> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match wire::connect(folder, folder::CONTROL) {
                Ok(socket) => return Ok(Some(Client { socket })),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    if !folder::is_alive(folder)? {
                        return Ok(None);
                    }
                    if Instant::now() > give_up {
                        return Err(Error::verb("the container's supervisor does not answer").because(e));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(e).verb_context(|| "connect to the container's supervisor".into()),
            }
        }
    }

    /// Connect to a container that must be running.
    ///
    /// # Errors
    /// Docker's `Container ID is not running`.
    pub fn to(container: &Container) -> Result<Client> {
        let gone = || Error::verb(format!("Container {} is not running", container.id()));
        if !container.alive {
            return Err(gone());
        }
        Self::connect(&container.folder)?.ok_or_else(gone)
    }

    /// One side of a pair that was handed to a supervisor at its start.
    pub fn from_socket(socket: OwnedFd) -> Client {
        Client { socket }
    }

    /// The connection itself.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// # Errors
    /// What the supervisor said before it closed the connection, if it said something.
    pub fn send(&self, ask: &Ask) -> Result<()> {
        self.send_with(ask, &[])
    }

    fn send_with(&self, ask: &Ask, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        wire::send(&self.socket, ask, descriptors).map_err(|e| match wire::is_gone(&e).then(|| self.answer()) {
            Some(Ok(Some((Answer::Failed(why), _)))) => why.into_error(),
            _ => e,
        })
    }

    /// Send to one that may end just now, or replace itself. False: it takes no message any more.
    ///
    /// # Errors
    /// It will not hear this command, and says why.
    pub fn sent(&self, ask: &Ask) -> Result<bool> {
        match self.send(ask) {
            Ok(()) => Ok(true),
            Err(e) if wire::is_gone(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Connect streams. The answer comes with [`answer`](Self::answer).
    pub fn attach(&self, streams: &Streams) -> Result<()> {
        let ask = Ask::Attach {
            stdin: streams.stdin.is_some(),
            stdout: streams.stdout.is_some(),
            stderr: streams.stderr.is_some(),
        };
        let fds: Vec<BorrowedFd<'_>> =
            [&streams.stdin, &streams.stdout, &streams.stderr].into_iter().flatten().map(AsFd::as_fd).collect();
        self.send_with(&ask, &fds)
    }

    /// Wait until the container has ended: its exit code. `None`: its supervisor has gone without a word, and has taken the container
    /// with it.
    pub fn ended(&self) -> Result<Option<i32>> {
        loop {
            match self.answer()? {
                Some((Answer::Ended { code, .. }, _)) => return Ok(Some(code)),
                Some((Answer::Failed(error), _)) => return Err(error.into_error()),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Wait for the next answer. `None`: the supervisor has gone.
    pub fn answer(&self) -> Result<Option<(Answer, Vec<OwnedFd>)>> {
        match wire::receive(&self.socket)? {
            Received::Message(answer, fds) => Ok(Some((answer, fds))),
            Received::Nothing | Received::Gone => Ok(None),
        }
    }

    /// Ask and wait for the answer; a failure comes back as the error that the supervisor met.
    pub fn ask(&self, ask: &Ask) -> Result<(Answer, Vec<OwnedFd>)> {
        self.send(ask)?;
        match self.answer()? {
            Some((Answer::Failed(error), _)) => Err(error.into_error()),
            Some(answered) => Ok(answered),
            None => Err(Error::verb("the container's supervisor ended before it answered")),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
