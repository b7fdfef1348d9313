//! The standard streams of a process that `exec` starts.

use super::exec::ExecRequest;
use super::handshake::sockets;
use super::pipes::pipe_for;
use super::streams::{End, Peer, Streams};
use super::terminal;
use crate::error::Result;
use crate::observe::logs::Stream;
use crate::plan::SeLinux;
use crate::sys;
use std::os::fd::{OwnedFd, RawFd};

/// The standard streams of the process: pipes, or a terminal of the container's own.
pub(super) struct Ends {
    inside: [Option<OwnedFd>; 3],
    outside: [Option<OwnedFd>; 3],
    /// Those that are the container's own /dev/null.
    null: [bool; 3],
    /// The master of a terminal that is made inside comes back over this.
    master: Option<(OwnedFd, OwnedFd)>,
    /// Inside.
    user: u32,
}

impl Ends {
    pub(super) fn make(request: &ExecRequest, base: Option<u32>, labels: &SeLinux) -> Result<Ends> {
        let user = request.user.uid;
        let mut ends =
            Ends { inside: [None, None, None], outside: [None, None, None], null: [false; 3], master: None, user };
        let base = base.unwrap_or(0);
        let owner = (base + user, base + request.user.gid);
        if request.tty {
            ends.master = Some(sockets()?);
            return Ok(ends);
        }
        for n in 0..3 {
            if (n == 0 && !request.stdin) || request.detached {
                ends.null[n] = true;
                continue;
            }
            let (inside, outside) = pipe_for(n, owner, labels)?;
            ends.inside[n] = Some(inside);
            ends.outside[n] = Some(outside);
        }
        Ok(ends)
    }

    /// In the child, inside the container's mount namespace.
    pub(super) fn inside(&self) -> Result<(), String> {
        if let Some((_, theirs)) = &self.master {
            return terminal::make_inside(theirs, self.user)
                .map_err(|e| format!("make a terminal in the container: {e}"));
        }
        for (n, fd) in self.inside.iter().enumerate() {
            if let Some(fd) = fd {
                sys::spawn::dup_to(fd, n as RawFd).map_err(|e| format!("connect stream {n}: {e}"))?;
            }
        }
        for n in (0..3).filter(|n| self.null[*n]) {
            // Not the host's: who is root inside could change the mode of that, where ids are the host's.
            let null = null(n == 0).map_err(|e| format!("open the container's /dev/null: {e}"))?;
            sys::spawn::dup_to(&null, n as RawFd).map_err(|e| format!("connect stream {n}: {e}"))?;
        }
        Ok(())
    }

    pub(super) fn close_inside(&mut self) {
        self.inside = [None, None, None];
    }

    pub(super) fn receive_master(&mut self) -> Result<Option<OwnedFd>> {
        match self.master.take() {
            Some((ours, theirs)) => {
                drop(theirs);
                terminal::receive_descriptor(&ours).map(Some)
            }
            None => Ok(None),
        }
    }

    pub(super) fn wire(&mut self, streams: &mut Streams, request: &ExecRequest) {
        for (n, stream, to) in [(1, Stream::Stdout, End::Stdout), (2, Stream::Stderr, End::Stderr)] {
            if let Some(fd) = self.outside[n].take() {
                streams.add_output(stream, fd);
                streams.attach_output(Peer::Caller, stream, to);
            }
        }
        if let Some(fd) = self.outside[0].take().filter(|_| request.stdin) {
            streams.set_input(fd, true);
            streams.attach_input(Peer::Caller, End::Stdin);
        }
    }
}

/// The container's /dev/null, if it is one.
fn null(read: bool) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = std::fs::File::options().read(read).write(!read).custom_flags(flags.bits() as i32).open("/dev/null")?;
    let meta = file.metadata()?;
    match meta.file_type().is_char_device() && meta.rdev() == rustix::fs::makedev(1, 3) {
        true => Ok(file),
        false => Err(std::io::Error::other("it is another file")),
    }
}
