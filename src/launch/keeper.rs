//! Two processes where `exec` has a caller who waits: the caller's own, which only waits, and a child of it that starts the process and
//! keeps its streams. When the caller lets go, is ended by a signal, or killed, the child stays, as docker's engine would: it reads what
//! the process writes, so that no pipe breaks, and keeps the master of its terminal, for with that closed the kernel would send SIGHUP.

use super::process::{Init, Signals};
use crate::error::{Context, Error, Result};
use crate::sys;
use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Which of the two this process is.
pub enum Part {
    /// The caller's own.
    Watcher(Watcher),
    Keeper(Watched),
}

/// The caller's own process, which waits for the keeper.
pub struct Watcher {
    keeper: Init,
    line: OwnedFd,
}

/// The keeper's line to the process that watches it.
pub struct Watched {
    line: OwnedFd,
}

/// The word that the watcher may go.
const GO: u8 = b'g';

/// Part in two. The caller has one thread, and its signals blocked.
pub fn part() -> Result<Part> {
    let attempt = || "start the process that keeps the streams".to_string();
    let (ours, theirs) = super::handshake::sockets()?;
    match sys::process::fork().context(attempt)? {
        0 => Ok(Part::Keeper(Watched { line: theirs })),
        keeper => {
            drop(theirs);
            Ok(Part::Watcher(Watcher { keeper: Init::new(keeper)?, line: ours }))
        }
    }
}

impl Watcher {
    /// Wait until there is nothing left to wait for: the exit status.
    pub fn watch(self, signals: &mut Signals) -> Result<u8> {
        watch(&self.keeper, &self.line, signals)
    }
}

/// Wait until the keeper has ended or says that nobody needs to watch. A signal that ends a program ends this one, as it does docker's
/// client, and not the process inside; the keeper gives the caller's terminal back first.
fn watch(keeper: &Init, line: &OwnedFd, signals: &mut Signals) -> Result<u8> {
    sys::memory::forget_text();
    let mut told = None;
    loop {
        let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::new(line, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Error::runner("wait for the process that keeps the streams").because(e)),
        }
        let spoke = fds[1].revents() != PollFlags::empty();
        while let Some(number) = signals.take()? {
            match number {
                libc::SIGTSTP => drop(sys::process::kill(std::process::id() as i32, libc::SIGSTOP)),
                number if told.is_none() && ends(number) => {
                    told = Some((128 + number) as u8);
                    // As the line's closing, but the answer is waited for. No word: unread it would break the answer off.
                    let _ = rustix::net::shutdown(line, rustix::net::Shutdown::Write);
                }
                _ => {}
            }
        }
        if spoke {
            let mut word = [0u8; 1];
            let length = rustix::io::read(line, &mut word).context(|| "hear of the process's end".into())?;
            if length == 1 && word[0] == GO {
                return Ok(told.unwrap_or(0));
            }
            let ended = keeper.ended(true)?;
            return ended.map(|e| e.exit_code()).ok_or_else(|| Error::runner("the process's end was lost"));
        }
    }
}

/// Whether a signal ends a program that does nothing about it.
fn ends(number: i32) -> bool {
    match number {
        libc::SIGCHLD | libc::SIGWINCH | libc::SIGURG | libc::SIGCONT | libc::SIGTTIN | libc::SIGTTOU => false,
        // The write that it is about fails, and says so.
        libc::SIGPIPE => false,
        // `nohup`: blocked, it comes although it is ignored.
        number => !sys::process::ignores(number),
    }
}

impl Watched {
    /// Leave the caller's streams, terminal and session, and let the caller go.
    pub fn let_go(self) -> Result<()> {
        let attempt = || "let the caller go".to_string();
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").context(attempt)?;
        for n in 0..3 {
            sys::spawn::dup_to(&null, n).context(attempt)?;
        }
        // Not the leader of its group, for that is the caller: this cannot fail for another reason. With the session the terminal's
        // signals are left behind.
        rustix::process::setsid().context(attempt)?;
        // A caller that was killed is not told.
        let _ = rustix::io::write(&self.line, &[GO]);
        Ok(())
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}
