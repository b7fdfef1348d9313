//! Netlink messages: written into one buffer, sent in one call, answered synchronously.
//!
//! Written by hand: of rtnetlink and nfnetlink a dozen messages are used, and a supervisor that lives as long as its
//! container should not carry the tables of a general parser.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub const NLM_F_REQUEST: u16 = 1;
pub const NLM_F_ACK: u16 = 4;
pub const NLM_F_DUMP: u16 = 0x300;
pub const NLM_F_EXCL: u16 = 0x200;
pub const NLM_F_CREATE: u16 = 0x400;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
/// How long the kernel may take to answer. It answers before the send returns; this only bounds a kernel that does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Several messages, one after the other.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where the last message starts.
    start: usize,
    messages: u32,
}

/// A nested attribute or message that is being written: where its length goes.
#[must_use]
pub struct Open(usize);

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Start a message with the fixed part that its kind has. The sequence number is its place in the batch.
    pub fn message(&mut self, kind: u16, flags: u16, fixed: &[u8]) -> &mut Self {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&(HEADER as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.messages.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.messages += 1;
        self.raw(fixed)
    }

    /// Bytes as they are, padded to four.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(4 + value.len()).expect("attributes are a few hundred bytes at most");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value)
    }

    /// A string with the NUL at its end that the kernel expects.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    pub fn open(&mut self, kind: u16) -> Open {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        Open(at)
    }

    pub fn close(&mut self, open: Open) -> &mut Self {
        let length = u16::try_from(self.bytes.len() - open.0).expect("a nested attribute stays below 64 KiB");
        self.bytes[open.0..open.0 + 2].copy_from_slice(&length.to_ne_bytes());
        self.finish();
        self
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
        self.finish();
    }

    /// Keep the last message's length right.
    fn finish(&mut self) {
        let length = (self.bytes.len() - self.start) as u32;
        self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// A netlink socket of one kernel subsystem, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// One message of an answer: its kind and what follows the header.
#[derive(Debug)]
pub struct Answer {
    pub kind: u16,
    pub body: Vec<u8>,
}

impl Socket {
    pub fn route() -> io::Result<Socket> {
        // Protocol 0 is NETLINK_ROUTE.
        Self::open(None)
    }

    pub fn netfilter() -> io::Result<Socket> {
        Self::open(Some(rustix::net::netlink::NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Socket> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Socket(socket))
    }

    /// Send all messages at once and wait for the acknowledgement of each that asks for one.
    ///
    /// # Errors
    /// The first error that the kernel gives, with the index of its message.
    pub fn transact(&self, batch: &Batch) -> Result<(), (u32, io::Error)> {
        let wanted = acknowledged(&batch.bytes);
        self.send(batch).map_err(|e| (0, e))?;
        let mut first: Option<(u32, io::Error)> = None;
        let mut seen = 0;
        while seen < wanted {
            for (sequence, answer) in self.receive().map_err(|e| (0, e))? {
                if answer.kind != NLMSG_ERROR {
                    continue;
                }
                seen += 1;
                let code = answer.body.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                if code != 0 && first.as_ref().is_none_or(|(n, _)| sequence < *n) {
                    first = Some((sequence, io::Error::from_raw_os_error(-code)));
                }
                // A batch that fails as a whole is answered once, for its first message.
                if code != 0 && !asks_for_answer(&batch.bytes, sequence) {
                    seen = wanted;
                }
            }
        }
        match first {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Send one request and collect what it is answered with, up to the end of the dump or the acknowledgement.
    pub fn ask(&self, batch: &Batch) -> io::Result<Vec<Answer>> {
        self.send(batch)?;
        let mut answers = Vec::new();
        loop {
            for (_, answer) in self.receive()? {
                match answer.kind {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => {
                        let code = answer.body.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                        return if code == 0 { Ok(answers) } else { Err(io::Error::from_raw_os_error(-code)) };
                    }
                    _ => answers.push(answer),
                }
            }
        }
    }

    fn send(&self, batch: &Batch) -> io::Result<()> {
        // Answers of a request that was given up must not be taken for those of the next.
        let mut rest = [0u8; 64];
        while rustix::net::recv(&self.0, &mut rest, RecvFlags::DONTWAIT).is_ok() {}
        rustix::net::sendto(&self.0, &batch.bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    fn receive(&self) -> io::Result<Vec<(u32, Answer)>> {
        let mut buffer = vec![0u8; 32 * 1024];
        let (length, _) = loop {
            match rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        Ok(split(&buffer[..length]))
    }
}

fn split(mut bytes: &[u8]) -> Vec<(u32, Answer)> {
    let mut answers = Vec::new();
    while bytes.len() >= HEADER {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        if length < HEADER || length > bytes.len() {
            break;
        }
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let sequence = u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        answers.push((sequence, Answer { kind, body: bytes[HEADER..length].to_vec() }));
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    answers
}

/// How many messages of a batch ask to be acknowledged.
fn acknowledged(bytes: &[u8]) -> usize {
    flags(bytes).filter(|flags| flags & NLM_F_ACK != 0).count()
}

fn asks_for_answer(bytes: &[u8], sequence: u32) -> bool {
    flags(bytes).nth(sequence as usize).is_some_and(|flags| flags & NLM_F_ACK != 0)
}

fn flags(mut bytes: &[u8]) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let flags = u16::from_ne_bytes([*bytes.get(6)?, *bytes.get(7)?]);
        bytes = bytes.get(length..)?;
        Some(flags)
    })
}

/// The attributes in a piece of an answer: kind without its flags, and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a kind.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, value)| value)
}

/// A string attribute, up to its NUL.
pub fn string(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_padding_are_right() {
        let mut batch = Batch::new();
        batch.message(16, NLM_F_ACK, &[1, 2, 3, 4]).text(3, "eth0");
        let outer = batch.open(18);
        batch.attribute(1, &[7]);
        batch.close(outer);
        batch.message(17, 0, &[]);
        let parts = split(&batch.bytes);
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].0, parts[0].1.kind, parts[1].0, parts[1].1.kind), (0, 16, 1, 17));
        let body = &parts[0].1.body;
        assert_eq!(&body[..4], [1, 2, 3, 4]);
        assert_eq!(find(&body[4..], 3).map(string).as_deref(), Some("eth0"));
        assert_eq!(find(find(&body[4..], 18).unwrap(), 1), Some(&[7][..]));
        assert_eq!((acknowledged(&batch.bytes), asks_for_answer(&batch.bytes, 1)), (1, false));
    }

    #[test]
    fn torn_answers_end_and_do_not_panic() {
        for n in 0..40 {
            let bytes: Vec<u8> = (0..n).map(|b| b as u8).collect();
            assert!(split(&bytes).len() <= 2);
            assert!(attributes(&bytes).count() <= 10);
        }
    }
}
