//! The container's standard streams while it runs: what it writes goes to the log and to everybody who is attached, what
//! they type goes to it. Never blocks; the slowest reader sets the pace, as with docker.

use super::poll::{Poller, Token};
use crate::observe::logs::{LogWriter, Stream};
use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How much is read at once, and how far ahead of a slow reader.
const BUFFER: usize = 64 * 1024;
/// A pipe or terminal that polls as writable takes this much without blocking, also where it is in blocking mode: the
/// caller's descriptors are shared with other programs, so their mode is left alone.
const CHUNK: usize = 4096;
/// How often what a container writes for nobody is read, a buffer's worth at most each time. It is thrown away, so that whoever writes it
/// goes on, as with docker; read as fast as it comes it would cost the host a processor's time that no limit of the container's counts.
const PACE: Duration = Duration::from_millis(20);

/// Who is attached: the process that became the supervisor, or a connection to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The caller's own descriptors 0, 1 and 2.
    Caller,
    Connection(u64),
}

/// One end: ours to close, or the caller's.
#[derive(Debug)]
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

/// All of a container's streams.
#[derive(Default)]
pub struct Streams {
    outputs: Vec<Output>,
    input: Option<Input>,
    log: Option<LogWriter>,
}

/// One direction out of the container.
struct Output {
    stream: Stream,
    /// `None`: it has been read to its end.
    from: Option<OwnedFd>,
    sinks: Vec<Sink>,
    /// Read for nobody, and not again before this moment.
    rest: Option<Instant>,
}

impl Output {
    /// Until when it is not read, unless somebody wants it meanwhile. That the moment has come only `step` says: what is not polled is
    /// what is waited for, however late it is between the two.
    fn rests(&self, log: Option<&LogWriter>) -> Option<Instant> {
        self.rest.filter(|_| self.is_unheard(log))
    }

    fn is_unheard(&self, log: Option<&LogWriter>) -> bool {
        log.is_none() && self.sinks.is_empty()
    }
}

struct Sink {
    peer: Peer,
    to: End,
    backlog: VecDeque<u8>,
}

/// The direction into the container.
struct Input {
    /// `None`: closed.
    to: Option<OwnedFd>,
    backlog: VecDeque<u8>,
    sources: Vec<(Peer, End)>,
    /// The container's input ends with the first peer that feeds it (docker's StdinOnce).
    once: bool,
    ending: bool,
    keys: Keys,
}

/// The keys that let go of a terminal, and how many of them have been typed. They are held back until they are not the whole
/// sequence after all.
#[derive(Default)]
struct Keys {
    sequence: Vec<u8>,
    typed: usize,
    pressed: bool,
}

impl Keys {
    /// Pass on what was typed, without the sequence.
    fn filter(&mut self, bytes: &[u8], to: &mut VecDeque<u8>) {
        if self.sequence.is_empty() {
            to.extend(bytes);
            return;
        }
        for byte in bytes {
            if *byte != self.sequence[self.typed] {
                to.extend(&self.sequence[..self.typed]);
                self.typed = 0;
            }
            if *byte == self.sequence[self.typed] {
                self.typed += 1;
                if self.typed == self.sequence.len() {
                    self.pressed = true;
                    return;
                }
            } else {
                to.push_back(*byte);
            }
        }
    }
}

impl Streams {
    pub fn new(log: Option<LogWriter>) -> Streams {
        Streams { outputs: Vec::new(), input: None, log }
    }

    /// Read `from`, a descriptor that does not block.
    pub fn add_output(&mut self, stream: Stream, from: OwnedFd) {
        self.outputs.push(Output { stream, from: Some(from), sinks: Vec::new(), rest: None });
    }

    /// Write what peers type to `to`, a descriptor that does not block.
    pub fn set_input(&mut self, to: OwnedFd, once: bool) {
        self.input = Some(Input {
            to: Some(to),
            backlog: VecDeque::new(),
            sources: Vec::new(),
            once,
            ending: false,
            keys: Keys::default(),
        });
    }

    /// Let a peer see a stream from now on.
    pub fn attach_output(&mut self, peer: Peer, stream: Stream, to: End) {
        if let Some(output) = self.outputs.iter_mut().find(|o| o.stream == stream) {
            output.sinks.push(Sink { peer, to, backlog: VecDeque::new() });
        }
    }

    /// Let a peer type. A container whose input is closed takes nothing: the peer's end is closed.
    pub fn attach_input(&mut self, peer: Peer, from: End) {
        if let Some(input) = self.input.as_mut().filter(|i| i.to.is_some()) {
            input.sources.push((peer, from));
        }
    }

    /// Keys after which [`detached`](Self::detached) is true.
    pub fn set_detach_keys(&mut self, sequence: Vec<u8>) {
        if let Some(input) = &mut self.input {
            input.keys = Keys { sequence, ..Keys::default() };
        }
    }

    /// The detach keys were typed.
    pub fn detached(&self) -> bool {
        self.input.as_ref().is_some_and(|i| i.keys.pressed)
    }

    /// A peer has gone.
    pub fn detach(&mut self, peer: Peer) {
        for output in &mut self.outputs {
            output.sinks.retain(|s| s.peer != peer);
        }
        if let Some(input) = &mut self.input {
            let before = input.sources.len();
            input.sources.retain(|(p, _)| *p != peer);
            input.ended_some(before);
        }
    }

    /// The container has ended: nobody reads what is typed any more. What it wrote still comes out.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// The process has ended, and others may hold its pipes open for as long as they like: read what is there, and no more.
    pub fn end_when_empty(&mut self) {
        for n in 0..self.outputs.len() {
            // What others go on writing is not waited for: it may never end, and nobody may be reading it.
            // Of a terminal the kernel names a part only: a buffer's worth is looked for in any case.
            let mut left = self.outputs[n].from.as_ref().map_or(0, waiting).max(BUFFER as u64);
            while left > 0 && self.outputs[n].from.as_ref().is_some_and(readable) {
                let (length, broken) = self.fill(n);
                for (n, peer) in broken {
                    self.drop_sink(n, peer);
                }
                // At its end there is nothing more; a read that was interrupted counts as little.
                left = left.saturating_sub(length.max(1) as u64);
            }
            self.outputs[n].from = None;
        }
    }

    /// Everything that the container wrote has been delivered.
    pub fn done(&self) -> bool {
        self.outputs.iter().all(|o| o.from.is_none() && o.sinks.iter().all(|s| s.backlog.is_empty()))
    }

    /// Only peers over connections are behind: whoever does not read must not keep a container that has ended.
    pub fn only_connections_pending(&self) -> bool {
        let pending = |s: &Sink| !s.backlog.is_empty();
        self.outputs.iter().all(|o| o.from.is_none() && !o.sinks.iter().any(|s| pending(s) && s.peer == Peer::Caller))
    }

    /// The log's own error, once, if it could not be written.
    pub fn log_error(&mut self) -> Option<std::io::Error> {
        self.log.as_mut().and_then(LogWriter::take_error)
    }

    /// Write out what the log holds of an unfinished line.
    pub fn finish_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.finish();
        }
    }

    pub fn poll<'a>(&'a self, poller: &mut Poller<'a>) {
        for (n, output) in self.outputs.iter().enumerate() {
            let wanted =
                output.sinks.iter().all(|s| s.backlog.len() < BUFFER) && output.rests(self.log.as_ref()).is_none();
            if let Some(from) = output.from.as_ref().filter(|_| wanted) {
                poller.add(Token::Output(n), PollFd::new(from, PollFlags::IN));
            }
            for (k, sink) in output.sinks.iter().enumerate().filter(|(_, s)| !s.backlog.is_empty()) {
                poller.add(Token::Sink(n, k), PollFd::from_borrowed_fd(sink.to.as_fd(), PollFlags::OUT));
            }
        }
        let Some(input) = &self.input else { return };
        let Some(to) = &input.to else { return };
        if !input.backlog.is_empty() {
            poller.add(Token::Input, PollFd::new(to, PollFlags::OUT));
            return;
        }
        for (k, (_, from)) in input.sources.iter().enumerate() {
            poller.add(Token::Source(k), PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN));
        }
    }

    /// When to look again though nothing is ready.
    pub fn next(&self) -> Option<Instant> {
        let reading = self.outputs.iter().filter(|o| o.from.is_some());
        reading.filter_map(|o| o.rests(self.log.as_ref())).min()
    }

    /// Move what can be moved for everything that is ready.
    pub fn step(&mut self, ready: &[Token]) {
        let now = Instant::now();
        for output in &mut self.outputs {
            output.rest = output.rest.filter(|until| now < *until);
        }
        // Sinks first: reading adds to them, and their indexes hold only until one is dropped.
        let mut broken = Vec::new();
        for token in ready {
            if let Token::Sink(n, k) = token
                && let Some(sink) = self.outputs.get_mut(*n).and_then(|o| o.sinks.get_mut(*k))
                && !sink.drain()
            {
                broken.push((*n, sink.peer));
            }
        }
        for token in ready {
            match token {
                Token::Output(n) if self.outputs.get(*n).is_some_and(|o| o.is_unheard(self.log.as_ref())) => {
                    self.throw_away(*n);
                }
                Token::Output(n) => broken.extend(self.fill(*n).1),
                Token::Input => self.feed(),
                Token::Source(_) => {}
                _ => {}
            }
        }
        self.take(ready);
        for (n, peer) in broken {
            self.drop_sink(n, peer);
        }
    }

    /// Read from the container, write to the log, pass on. How many bytes it was, and who has gone.
    fn fill(&mut self, n: usize) -> (usize, Vec<(usize, Peer)>) {
        let nothing = (0, Vec::new());
        let Some(output) = self.outputs.get_mut(n) else { return nothing };
        let Some(from) = &output.from else { return nothing };
        let mut bytes = [0u8; BUFFER];
        let length = match rustix::io::read(from, &mut bytes) {
            Ok(0) => 0,
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return nothing,
            // A terminal whose last user has gone answers EIO: the end of its output.
            Err(_) => 0,
        };
        if length == 0 {
            output.from = None;
            return nothing;
        }
        if let Some(log) = &mut self.log {
            log.write(output.stream, &bytes[..length]);
        }
        let mut broken = Vec::new();
        for sink in &mut output.sinks {
            sink.backlog.extend(&bytes[..length]);
            if !sink.drain() {
                broken.push((n, sink.peer));
            }
        }
        (length, broken)
    }

    /// Read for nobody, and rest. Of a terminal a read brings a part only.
    fn throw_away(&mut self, n: usize) {
        let mut left = BUFFER;
        while left > 0 {
            let (length, _) = self.fill(n);
            if length == 0 {
                break;
            }
            left = left.saturating_sub(length);
        }
        if let Some(output) = self.outputs.get_mut(n) {
            output.rest = Some(Instant::now() + PACE);
        }
    }

    /// A reader has gone. The caller's own closes the container's end too, so that the writer is told (`… | head`).
    fn drop_sink(&mut self, n: usize, peer: Peer) {
        let Some(output) = self.outputs.get_mut(n) else { return };
        output.sinks.retain(|s| s.peer != peer);
        if peer == Peer::Caller && output.sinks.is_empty() {
            output.from = None;
        }
    }

    /// Read from the peers that have something.
    fn take(&mut self, ready: &[Token]) {
        let Some(input) = &mut self.input else { return };
        let mut ended = Vec::new();
        for token in ready {
            let Token::Source(k) = token else { continue };
            let Some((_, from)) = input.sources.get(*k) else { continue };
            let mut bytes = [0u8; BUFFER];
            match rustix::io::read(from, &mut bytes) {
                Ok(0) => ended.push(*k),
                Ok(length) => input.keys.filter(&bytes[..length], &mut input.backlog),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                // A terminal that went away, or one that this process may not read in the background.
                Err(_) => ended.push(*k),
            }
        }
        let before = input.sources.len();
        for k in ended.into_iter().rev() {
            input.sources.remove(k);
        }
        input.ended_some(before);
        self.feed();
    }

    fn feed(&mut self) {
        let Some(input) = &mut self.input else { return };
        while !input.backlog.is_empty() {
            let Some(to) = &input.to else { return };
            let (head, _) = input.backlog.as_slices();
            match rustix::io::write(to, head) {
                Ok(length) => drop(input.backlog.drain(..length)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                // Nobody reads any more: the peers are told by their ends being closed.
                Err(_) => {
                    input.close();
                    return;
                }
            }
        }
        if input.ending {
            input.close();
        }
    }
}

impl Input {
    /// Some of `before` sources are gone: the first that ends a container's only input ends it.
    fn ended_some(&mut self, before: usize) {
        if self.once && self.sources.len() < before {
            self.ending = true;
            if self.backlog.is_empty() {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.to = None;
        self.backlog.clear();
        self.sources.clear();
    }
}

impl Sink {
    /// Write what the reader takes now; false where it has gone.
    fn drain(&mut self) -> bool {
        while !self.backlog.is_empty() {
            if !writable(&self.to) {
                return true;
            }
            let (head, _) = self.backlog.as_slices();
            match rustix::io::write(&self.to, &head[..head.len().min(CHUNK)]) {
                Ok(length) => drop(self.backlog.drain(..length)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return true,
                Err(_) => {
                    self.backlog.clear();
                    return false;
                }
            }
        }
        true
    }
}

/// Bytes that can be read now; where the kernel does not say, what fits into a pipe.
fn waiting(fd: &OwnedFd) -> u64 {
    rustix::io::ioctl_fionread(fd).unwrap_or(BUFFER as u64)
}

fn readable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(n) if n > 0)
}

fn writable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    // Anything but "can be written now" leads to a write, which says what is the matter.
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(n) if n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        (read, write)
    }

    fn turn(streams: &mut Streams) {
        let mut poller = Poller::default();
        streams.poll(&mut poller);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let ready = poller.wait(Some(until)).unwrap();
        streams.step(&ready);
    }

    fn read_all(fd: OwnedFd) -> std::thread::JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::fs::File::from(fd), &mut bytes).unwrap();
            bytes
        })
    }

    #[test]
    fn a_writer_without_end_is_not_read_for_ever() {
        let (from, write) = pipe();
        rustix::io::ioctl_fionbio(&from, true).unwrap();
        let (mut streams, (read, to)) = (Streams::default(), pipe());
        streams.add_output(Stream::Stdout, from);
        streams.attach_output(Peer::Connection(1), Stream::Stdout, End::Owned(to));
        let writer = std::thread::spawn(move || {
            let mut bytes = 0;
            while let Ok(n) = rustix::io::write(&write, &[b'y'; 4096]) {
                bytes += n;
            }
            bytes
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        streams.end_when_empty();
        // The pipe's end is closed, which ends the writer.
        assert!(writer.join().unwrap() > 0);
        let behind = streams.outputs[0].sinks[0].backlog.len();
        assert!(behind <= 2 * BUFFER, "{behind} bytes are kept for a reader that does not read");
        drop(read);
    }

    #[test]
    fn what_is_written_for_nobody_is_thrown_away_at_a_pace() {
        let (from, write) = pipe();
        rustix::io::ioctl_fionbio(&from, true).unwrap();
        let mut streams = Streams::default();
        streams.add_output(Stream::Stdout, from);
        let (read, to) = pipe();
        streams.attach_output(Peer::Caller, Stream::Stdout, End::Owned(to));
        streams.detach(Peer::Caller);
        drop(read);
        let writer = std::thread::spawn(move || {
            let mut bytes = 0;
            while rustix::io::write(&write, &[b'y'; 4096]).is_ok() {
                bytes += 4096;
            }
            bytes
        });
        let (begun, mut turns) = (Instant::now(), 0);
        while begun.elapsed() < 10 * PACE {
            let mut poller = Poller::default();
            streams.poll(&mut poller);
            let ready = poller.wait(streams.next()).unwrap();
            streams.step(&ready);
            turns += 1;
        }
        // Somebody who comes meanwhile does not wait.
        let (_read, to) = pipe();
        streams.attach_output(Peer::Connection(1), Stream::Stdout, End::Owned(to));
        assert_eq!(streams.next(), None);
        drop(streams);
        let bytes: usize = writer.join().unwrap();
        assert!(turns < 50, "{turns} turns");
        assert!((BUFFER..30 * BUFFER).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn a_pipe_that_somebody_else_holds_ends_with_what_was_in_it() {
        let (from, write) = pipe();
        rustix::io::ioctl_fionbio(&from, true).unwrap();
        let (mut streams, (read, to)) = (Streams::default(), pipe());
        streams.add_output(Stream::Stdout, from);
        streams.attach_output(Peer::Connection(1), Stream::Stdout, End::Owned(to));
        rustix::io::write(&write, b"last words").unwrap();
        assert!(!streams.done() && !streams.only_connections_pending());
        streams.end_when_empty();
        assert!(streams.done() && streams.only_connections_pending());
        drop(streams);
        assert_eq!(read_all(read).join().unwrap(), b"last words");
        assert!(rustix::io::write(&write, b"more").is_err());
    }

    #[test]
    fn everybody_who_is_attached_gets_every_byte() {
        let (from, write) = pipe();
        rustix::io::ioctl_fionbio(&from, true).unwrap();
        let mut streams = Streams::default();
        streams.add_output(Stream::Stdout, from);
        let readers: Vec<_> = (0..3u64)
            .map(|n| {
                let (read, to) = pipe();
                streams.attach_output(Peer::Connection(n), Stream::Stdout, End::Owned(to));
                read_all(read)
            })
            .collect();
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            std::io::Write::write_all(&mut std::fs::File::from(write), &copy).unwrap();
        });
        while !streams.done() {
            turn(&mut streams);
        }
        drop(streams);
        writer.join().unwrap();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), sent);
        }
    }

    #[test]
    fn a_caller_that_left_closes_the_source_and_a_connection_does_not() {
        for (peer, closed) in [(Peer::Caller, true), (Peer::Connection(1), false)] {
            let (from, write) = pipe();
            let (read, to) = pipe();
            drop(read);
            let mut streams = Streams::default();
            streams.add_output(Stream::Stdout, from);
            streams.attach_output(peer, Stream::Stdout, End::Owned(to));
            rustix::io::write(&write, b"x").unwrap();
            turn(&mut streams);
            assert_eq!(streams.done(), closed);
            assert_eq!(rustix::io::write(&write, b"y").is_err(), closed);
        }
    }

    #[test]
    fn the_first_that_stops_typing_ends_an_input_that_is_for_one() {
        for once in [true, false] {
            let (read, to) = pipe();
            let (from, write) = pipe();
            let mut streams = Streams::default();
            rustix::io::ioctl_fionbio(&to, true).unwrap();
            streams.set_input(to, once);
            streams.attach_input(Peer::Connection(1), End::Owned(from));
            rustix::io::write(&write, b"hello").unwrap();
            drop(write);
            turn(&mut streams);
            turn(&mut streams);
            let mut bytes = [0u8; 16];
            assert_eq!(rustix::io::read(&read, &mut bytes).unwrap(), 5);
            rustix::io::ioctl_fionbio(&read, true).unwrap();
            let end = rustix::io::read(&read, &mut bytes);
            assert_eq!(end, if once { Ok(0) } else { Err(rustix::io::Errno::AGAIN) });
        }
    }

    #[test]
    fn the_detach_keys_are_kept_back_and_everything_else_passes() {
        let mut keys = Keys { sequence: vec![16, 17], ..Keys::default() };
        let mut passed = VecDeque::new();
        for bytes in [&b"a\x10"[..], b"b\x10\x10", b"c"] {
            keys.filter(bytes, &mut passed);
        }
        assert_eq!((passed.make_contiguous().to_vec(), keys.pressed), (b"a\x10b\x10\x10c".to_vec(), false));
        keys.filter(b"x\x10\x11ignored", &mut passed);
        assert!(keys.pressed && passed.back() == Some(&b'x'));
    }
}
