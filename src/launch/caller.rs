//! Who asked for the start: their streams, and the files that they want written.

use super::connections::Connections;
use super::streams::{End, Peer, Streams};
use crate::error::{Context, Error, Result};
use crate::observe::logs::Stream;
use crate::plan::{Draft, StdioPlan};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Who waits for the start to succeed, and what of theirs the container is connected to.
pub(super) enum Caller {
    Foreground,
    Background { channel: OwnedFd, streams: [Option<OwnedFd>; 3] },
    Nobody,
}

impl Caller {
    /// Whether the container's streams are connected to somebody from the first moment on.
    pub(super) fn watches(&self, stdio: &StdioPlan) -> bool {
        match self {
            Caller::Foreground => stdio.attach_stdout || stdio.attach_stderr || stdio.attach_stdin,
            Caller::Background { streams, .. } => streams.iter().any(Option::is_some),
            Caller::Nobody => false,
        }
    }
}

/// Connect whoever started the container to its streams. Whether that is this process's own caller.
pub(super) fn connect(
    caller: &mut Caller,
    stdio: &StdioPlan,
    connections: &mut Connections,
    streams: &mut Streams,
) -> Result<bool> {
    match caller {
        Caller::Nobody => Ok(false),
        Caller::Foreground => {
            if stdio.attach_stdout {
                streams.attach_output(Peer::Caller, Stream::Stdout, End::Stdout);
            }
            if stdio.attach_stderr {
                streams.attach_output(Peer::Caller, Stream::Stderr, End::Stderr);
            }
            if stdio.interactive && stdio.attach_stdin {
                streams.attach_input(Peer::Caller, End::Stdin);
            }
            Ok(true)
        }
        Caller::Background { channel, streams: ends } => {
            let copy = channel.try_clone().context(|| "listen to the caller".into())?;
            let any = ends.iter().any(Option::is_some);
            let peer = Peer::Connection(connections.adopt(copy, any)?);
            if let Some(fd) = ends[0].take() {
                streams.attach_input(peer, End::Owned(fd));
            }
            for (n, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
                if let Some(fd) = ends[n].take() {
                    streams.attach_output(peer, stream, End::Owned(fd));
                }
            }
            Ok(false)
        }
    }
}

/// `--pidfile`: written over what is there, but never through a link that somebody put there.
pub(super) fn write_pidfile(path: &Path, pid: i32) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
    let attempt = || format!("write --pidfile {}", path.display());
    options.open(path).context(attempt)?.write_all(pid.to_string().as_bytes()).context(attempt)
}

/// `--cidfile`: made before anything starts, and only if it is not there.
pub(super) struct CidFile(pub(super) Option<PathBuf>);

impl CidFile {
    pub(super) fn create(draft: &Draft) -> Result<CidFile> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let Some(path) = &draft.cidfile else { return Ok(CidFile(None)) };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
        match options.open(path) {
            Ok(mut file) => {
                file.write_all(draft.id.as_bytes()).context(|| format!("write --cidfile {}", path.display()))?;
                Ok(CidFile(Some(path.clone())))
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::runner(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ))),
            Err(e) => Err(e).context(|| format!("make --cidfile {}", path.display())),
        }
    }

    /// Nothing was started: the file would name a container that never was.
    pub(super) fn discard(&self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
