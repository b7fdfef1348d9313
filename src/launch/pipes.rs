//! The container's standard streams: ends for inside and for its supervisor.

use super::streams::Streams;
use crate::error::{Context, Result};
use crate::observe::logs::{LogWriter, Stream, attributes};
use crate::plan::{Draft, LogDriverPlan, SeLinux};
use crate::state::Folder;
use crate::storage::Stage;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// The container's standard streams: ends for inside and for us.
pub(super) struct Pipes {
    pub(super) inside: [Option<OwnedFd>; 3],
    outside: [Option<OwnedFd>; 3],
    pub(super) listener: Option<UnixListener>,
    pub(super) socket: Option<PathBuf>,
}

impl Pipes {
    /// Pipes, never the caller's own descriptors: a terminal or file of the caller's inside the container could be read,
    /// truncated or reconfigured from there. The pipes belong to the container's user, so that /dev/stdout can be reopened.
    pub(super) fn open(draft: &Draft, stage: &Stage, base: Option<u32>) -> Result<Pipes> {
        let mut pipes = Pipes { inside: [None, None, None], outside: [None, None, None], listener: None, socket: None };
        if draft.stdio.tty {
            let path = stage.path("console.sock");
            let attempt = || "make the console socket".to_string();
            pipes.listener = Some(UnixListener::bind(&path).context(attempt)?);
            pipes.socket = Some(path);
            return Ok(pipes);
        }
        let user = &draft.process.user.value;
        let owner = (base.unwrap_or(0) + user.uid, base.unwrap_or(0) + user.gid);
        for n in 0..3 {
            if n == 0 && !draft.stdio.interactive {
                let attempt = || "make the container's standard streams".to_string();
                // Inside it is replaced by the container's own, opened for reading.
                pipes.inside[n] = Some(std::fs::File::open("/dev/null").context(attempt)?.into());
                continue;
            }
            let (inside, outside) = pipe_for(n, owner, &draft.selinux.value)?;
            pipes.inside[n] = Some(inside);
            pipes.outside[n] = Some(outside);
        }
        Ok(pipes)
    }

    /// Our ends, as the supervisor serves them.
    pub(super) fn streams(
        &mut self,
        draft: &Draft,
        master: Option<&OwnedFd>,
        log: Option<LogWriter>,
    ) -> Result<Streams> {
        let mut streams = Streams::new(log);
        // Docker's StdinOnce: with -d nobody's leaving closes the input.
        let once = draft.stdio.attach_stdin;
        if let Some(master) = master {
            let copy = || master.try_clone().context(|| "hold the container's terminal".into());
            rustix::io::ioctl_fionbio(master, true).context(|| "hold the container's terminal".into())?;
            streams.add_output(Stream::Stdout, copy()?);
            if draft.stdio.interactive {
                // A terminal has no end that could be closed.
                streams.set_input(copy()?, false);
            }
            return Ok(streams);
        }
        for (n, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
            if let Some(fd) = self.outside[n].take() {
                streams.add_output(stream, fd);
            }
        }
        if let Some(fd) = self.outside[0].take() {
            streams.set_input(fd, once);
        }
        Ok(streams)
    }
}

/// A pipe for standard stream `n`, the end for inside first. It belongs to `owner` of the host, so that it can be opened again by name
/// inside; our end does not block.
pub(super) fn pipe_for(n: usize, owner: (u32, u32), labels: &SeLinux) -> Result<(OwnedFd, OwnedFd)> {
    let attempt = || "make the standard streams".to_string();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context(attempt)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(owner.1));
    rustix::fs::fchown(&read, Some(uid), Some(gid)).context(attempt)?;
    if let SeLinux::Labels { mount, .. } = labels {
        // An administrator's own has every category, and no container has.
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(&read, crate::selinux::ATTRIBUTE, mount.as_bytes(), flags).context(attempt)?;
    }
    let (inside, outside) = if n == 0 { (read, write) } else { (write, read) };
    rustix::io::ioctl_fionbio(&outside, true).context(attempt)?;
    Ok((inside, outside))
}

/// Give the container's terminal to its user, as runc does, so that a program may open it again by name.
pub(super) fn own_terminal(pid: i32, base: Option<u32>, draft: &Draft) -> Result<()> {
    let user = &draft.process.user.value;
    let path = format!("/proc/{pid}/fd/0");
    std::os::unix::fs::chown(&path, Some(base.unwrap_or(0) + user.uid), None)
        .context(|| "give the terminal to the container's user".into())
}

pub(super) fn open_log(folder: &Folder, draft: &Draft) -> Result<Option<LogWriter>> {
    let log = &draft.log.value;
    let short = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect::<String>();
    let tag = [
        ("ID", short(&draft.id)),
        ("FullID", draft.id.clone()),
        ("Name", draft.name.clone()),
        ("ImageID", short(&draft.image.config_digest)),
        ("ImageFullID", draft.image.config_digest.clone()),
        ("ImageName", draft.image.reference.clone()),
        ("DaemonName", "docker".to_owned()),
    ];
    let tag = tag.map(|(key, value)| (key.to_owned(), value.into())).into();
    let env: Vec<&str> = draft.process.env.iter().map(|e| e.value.as_str()).collect();
    let attributes = attributes(&log.options, &draft.labels, &env, tag)?;
    match log.driver {
        LogDriverPlan::None => Ok(None),
        LogDriverPlan::JsonFile | LogDriverPlan::Local => {
            Ok(Some(LogWriter::new(&folder.path, log.max_size, log.max_file).with_attributes(attributes)))
        }
    }
}
