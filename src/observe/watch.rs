//! Waiting for a folder to change, without looking again and again.

use crate::error::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Watches one folder: files made, renamed and written in it, and the folder itself going away.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    pub fn folder(path: &Path) -> Result<Watch> {
        let attempt = || format!("watch {}", path.display());
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).verb_context(attempt)?;
        let what = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, path, what).verb_context(attempt)?;
        Ok(Watch { inotify })
    }

    /// Return when something changed since the last call, when `process` (a pidfd) has ended, when `until` is readable
    /// or after `at_most`.
    pub fn wait(&self, process: Option<BorrowedFd<'_>>, at_most: Option<Duration>) -> Result<()> {
        let mut fds = vec![PollFd::new(&self.inotify, PollFlags::IN)];
        if let Some(process) = &process {
            fds.push(PollFd::new(process, PollFlags::IN));
        }
        let timeout = at_most
            .map(|d| Timespec { tv_sec: d.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: d.subsec_nanos().into() });
        match poll(&mut fds, timeout.as_ref()) {
            // A signal: whoever waits looks again.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).verb_context(|| "wait for a change".into()),
        }
        self.forget();
        Ok(())
    }

    /// What changed is looked at anew in any case: only that something did is of interest.
    fn forget(&self) {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let mut events = inotify::Reader::new(self.inotify.as_fd(), &mut buffer);
        while events.next().is_ok() {}
    }
}
