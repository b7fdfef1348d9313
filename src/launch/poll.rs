//! What the supervisor waits for: descriptors, each with a token that says whose it is.

use crate::error::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};

/// Whose descriptor is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Signals,
    /// The container's first process has ended.
    Exit,
    Listener,
    Connection(u64),
    /// Something to read from the container's stream `n`.
    Output(usize),
    /// Reader `k` of stream `n` takes more.
    Sink(usize, usize),
    /// The container takes more input.
    Input,
    /// Peer `k` has typed something.
    Source(usize),
    /// Whoever watches a process that `exec` started has gone.
    Watcher,
    /// A health check has written something, or ended.
    Health,
    /// Descriptor `n` of the network's (its DNS server).
    Network(usize),
}

/// One round of waiting.
#[derive(Default)]
pub struct Poller<'a> {
    tokens: Vec<Token>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> Poller<'a> {
    pub fn add(&mut self, token: Token, fd: PollFd<'a>) {
        self.tokens.push(token);
        self.fds.push(fd);
    }

    /// Wait until something is ready or the moment has come; without a moment for as long as it takes.
    pub fn wait(mut self, until: Option<Instant>) -> Result<Vec<Token>> {
        let left = until.map(|u| u.saturating_duration_since(Instant::now())).map(round_up);
        match poll(&mut self.fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).context(|| "wait for the container".into()),
        }
        let happened = |fd: &PollFd<'_>| fd.revents() != PollFlags::empty();
        Ok(self.tokens.into_iter().zip(&self.fds).filter(|(_, fd)| happened(fd)).map(|(t, _)| t).collect())
    }
}

fn round_up(left: Duration) -> Timespec {
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_is_named_and_time_runs_out() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let round = || {
            let mut poller = Poller::default();
            poller.add(Token::Output(3), PollFd::new(&read, PollFlags::IN));
            poller.wait(Some(Instant::now() + Duration::from_millis(10))).unwrap()
        };
        assert_eq!(round(), []);
        rustix::io::write(&write, b"x").unwrap();
        assert_eq!(round(), [Token::Output(3)]);
    }
}
