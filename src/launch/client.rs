//! The caller's side of a container that runs under a supervisor of its own: streams, signals, the size of the terminal, and
//! the keys that let go of it.

use super::poll::{Poller, Token};
use super::process::Signals;
use super::streams::{End, Peer, Streams};
use super::terminal;
use crate::control::{self, Answer, Ask, Client};
use crate::error::{Context, Result};
use crate::observe::logs::Stream;
use crate::ui;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::OwnedFd;

/// What the caller wants of the container.
#[derive(Debug, Clone)]
pub struct Wish {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
    /// Pass signals on; docker does not with a terminal.
    pub sig_proxy: bool,
    /// Keys that detach; empty: none.
    pub detach_keys: Vec<u8>,
}

/// How it ended for the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    Ended {
        code: i32,
        error: String,
    },
    /// The keys were pressed: the container goes on.
    Detached,
    /// A signal ended the client: the container goes on.
    Signaled(i32),
    /// The supervisor was killed, and the container with it.
    Lost,
}

/// Our ends of pipes to the container.
pub struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Pipes: ours, and those for the supervisor.
pub fn pipes(wish: &Wish) -> Result<(Ends, control::Streams)> {
    let pipe = |wanted: bool| -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        if !wanted {
            return Ok((None, None));
        }
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .context(|| "make pipes to the container".into())?;
        Ok((Some(read), Some(write)))
    };
    let ((in_read, in_write), (out_read, out_write)) = (pipe(wish.stdin)?, pipe(wish.stdout)?);
    // With a terminal there is one stream.
    let (err_read, err_write) = pipe(wish.stderr && !wish.tty)?;
    for ours in [&in_write, &out_read, &err_read].into_iter().flatten() {
        rustix::io::ioctl_fionbio(ours, true).context(|| "make pipes to the container".into())?;
    }
    let theirs = control::Streams { stdin: in_read, stdout: out_write, stderr: err_write };
    for fd in [&theirs.stdout, &theirs.stderr].into_iter().flatten() {
        rustix::io::ioctl_fionbio(fd, true).context(|| "make pipes to the container".into())?;
    }
    Ok((Ends { stdin: in_write, stdout: out_read, stderr: err_read }, theirs))
}

/// Stay with the container until it ends, or is let go of.
pub fn follow(client: &Client, ends: Ends, wish: &Wish) -> Result<Left> {
    let mut signals = Signals::block()?;
    let _raw = if wish.tty && wish.stdin { terminal::Raw::enter()? } else { None };
    if wish.tty {
        send_size(client)?;
    }
    let mut streams = Streams::default();
    if let Some(fd) = ends.stdout {
        streams.add_output(Stream::Stdout, fd);
        streams.attach_output(Peer::Caller, Stream::Stdout, End::Stdout);
    }
    if let Some(fd) = ends.stderr {
        streams.add_output(Stream::Stderr, fd);
        streams.attach_output(Peer::Caller, Stream::Stderr, End::Stderr);
    }
    if let Some(fd) = ends.stdin {
        streams.set_input(fd, true);
        let keys = if wish.tty { wish.detach_keys.clone() } else { Vec::new() };
        streams.set_detach_keys(keys);
        streams.attach_input(Peer::Caller, End::Stdin);
    }
    let mut left = None;
    loop {
        if let Some(left) = left.take_if(|_| streams.done()) {
            return Ok(left);
        }
        let mut poller = Poller::default();
        poller.add(Token::Signals, PollFd::new(&signals, PollFlags::IN));
        if left.is_none() {
            poller.add(Token::Listener, PollFd::new(client, PollFlags::IN));
        }
        streams.poll(&mut poller);
        let ready = poller.wait(None)?;
        if ready.contains(&Token::Signals)
            && let Some(number) = pass_signals(client, &mut signals, wish)?
        {
            return Ok(Left::Signaled(number));
        }
        streams.step(&ready);
        if streams.detached() {
            // Whoever leaves says so; where the supervisor ends just now nobody needs to know.
            let _ = client.send(&Ask::Detach);
            return Ok(Left::Detached);
        }
        if ready.contains(&Token::Listener) {
            left = hear(client)?;
            if left.is_some() {
                streams.close_input();
            }
        }
    }
}

fn hear(client: &Client) -> Result<Option<Left>> {
    match client.answer()? {
        Some((Answer::Ended { code, error }, _)) => Ok(Some(Left::Ended { code, error })),
        // A signal or a new size for a container that has just ended.
        Some(_) => Ok(None),
        None => Ok(Some(Left::Lost)),
    }
}

/// The number of a signal that ends the client itself.
fn pass_signals(client: &Client, signals: &mut Signals, wish: &Wish) -> Result<Option<i32>> {
    while let Some(number) = signals.take()? {
        match number {
            libc::SIGWINCH if wish.tty => send_size(client)?,
            libc::SIGCHLD | libc::SIGPIPE | libc::SIGURG | libc::SIGWINCH | libc::SIGTTIN | libc::SIGTTOU => {}
            _ if wish.sig_proxy => drop(client.send(&Ask::Signal { number })),
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT => return Ok(Some(number)),
            _ => {}
        }
    }
    Ok(None)
}

fn send_size(client: &Client) -> Result<()> {
    match terminal::size() {
        Some((rows, columns)) => client.send(&Ask::Resize { rows, columns }),
        None => Ok(()),
    }
}

impl Left {
    /// The exit status of the command that followed, and what it says.
    pub fn status(self) -> u8 {
        match self {
            Left::Ended { code, .. } => u8::try_from(code).unwrap_or(125),
            Left::Detached => {
                ui::note("read escape sequence: the container goes on");
                0
            }
            Left::Signaled(number) => (128 + number) as u8,
            Left::Lost => {
                ui::warn("the container's supervisor was killed, and the container with it");
                137
            }
        }
    }
}
