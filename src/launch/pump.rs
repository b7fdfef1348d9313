//! Moving bytes between the caller and the container, one direction each, without ever blocking the supervisor.

use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much is read ahead of a slow reader.
const BUFFER: usize = 64 * 1024;
/// A pipe or terminal that polls as writable takes this much without blocking, also where it is in blocking mode: the
/// caller's descriptors are shared with other programs, so their mode is left alone.
const CHUNK: usize = 4096;

/// One end of a direction: ours to close, or the caller's.
pub enum End {
    Owned(OwnedFd),
    Stdin,
    Stdout,
    Stderr,
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Owned(fd) => fd.as_fd(),
            End::Stdin => rustix::stdio::stdin(),
            End::Stdout => rustix::stdio::stdout(),
            End::Stderr => rustix::stdio::stderr(),
        }
    }
}

/// What one direction is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Read,
    Write,
    Nothing,
}

/// One direction. `from` at its end closes `to`; a `to` that nobody reads closes `from`, so that the writer is told.
pub struct Pump {
    from: Option<End>,
    to: Option<End>,
    buffer: VecDeque<u8>,
}

impl Pump {
    pub fn new(from: End, to: End) -> Pump {
        Pump { from: Some(from), to: Some(to), buffer: VecDeque::new() }
    }

    /// Nothing more will be moved.
    pub fn done(&self) -> bool {
        self.to.is_none() || (self.from.is_none() && self.buffer.is_empty())
    }

    fn wait(&self) -> Wait {
        match (&self.from, &self.to) {
            (_, None) => Wait::Nothing,
            (_, Some(_)) if !self.buffer.is_empty() => Wait::Write,
            (Some(_), Some(_)) => Wait::Read,
            (None, Some(_)) => Wait::Nothing,
        }
    }

    /// The descriptor to poll, if any.
    pub fn poll(&self) -> Option<PollFd<'_>> {
        match self.wait() {
            Wait::Read => self.from.as_ref().map(|f| PollFd::from_borrowed_fd(f.as_fd(), PollFlags::IN)),
            Wait::Write => self.to.as_ref().map(|t| PollFd::from_borrowed_fd(t.as_fd(), PollFlags::OUT)),
            Wait::Nothing => None,
        }
    }

    /// Move what can be moved now that the polled descriptor is ready.
    pub fn step(&mut self) {
        match self.wait() {
            Wait::Read => self.fill(),
            Wait::Write => {}
            Wait::Nothing => return,
        }
        self.drain();
        self.finish();
    }

    fn fill(&mut self) {
        let Some(from) = &self.from else { return };
        let mut bytes = [0u8; BUFFER];
        match rustix::io::read(from, &mut bytes) {
            Ok(0) => self.from = None,
            Ok(n) => self.buffer.extend(&bytes[..n]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // A terminal whose last user has gone answers EIO: the end of its output.
            Err(_) => self.from = None,
        }
    }

    fn drain(&mut self) {
        while !self.buffer.is_empty() {
            let Some(to) = &self.to else { return };
            if !writable(to) {
                return;
            }
            let (head, _) = self.buffer.as_slices();
            let head = &head[..head.len().min(CHUNK)];
            match rustix::io::write(to, head) {
                Ok(n) => drop(self.buffer.drain(..n)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                Err(_) => {
                    // Nobody reads any more: the writer shall see that too.
                    self.buffer.clear();
                    self.to = None;
                    self.from = None;
                }
            }
        }
    }

    fn finish(&mut self) {
        if self.from.is_none() && self.buffer.is_empty() {
            self.to = None;
        }
    }
}

fn writable(fd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::OUT)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(n) if n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn pipe() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe().unwrap()
    }

    #[test]
    fn every_byte_arrives_and_the_end_is_passed_on() {
        let (source_read, source_write) = pipe();
        let (sink_read, sink_write) = pipe();
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || std::fs::File::from(source_write).write_all(&copy).unwrap());
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            std::fs::File::from(sink_read).read_to_end(&mut got).unwrap();
            got
        });
        let mut pump = Pump::new(End::Owned(source_read), End::Owned(sink_write));
        while !pump.done() {
            if let Some(fd) = pump.poll() {
                rustix::event::poll(&mut [fd], None).unwrap();
            }
            pump.step();
        }
        drop(pump);
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), sent);
    }

    #[test]
    fn a_reader_that_left_closes_the_source() {
        let (source_read, source_write) = pipe();
        let (sink_read, sink_write) = pipe();
        drop(sink_read);
        let mut pump = Pump::new(End::Owned(source_read), End::Owned(sink_write));
        rustix::io::write(&source_write, b"x").unwrap();
        pump.step();
        assert!(pump.done());
        assert_eq!(rustix::io::write(&source_write, b"y"), Err(rustix::io::Errno::PIPE));
    }
}
