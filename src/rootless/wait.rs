//! Waiting for others, never without an end: what was waited for, how long, and what to do about it is said in the error.

use crate::error::{Context, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// The keeper answers at once; while it starts pasta, after that.
pub const KEEPER: Duration = Duration::from_secs(30);
/// It makes an interface and says so.
pub const PASTA: Duration = Duration::from_secs(20);
/// newuidmap and newgidmap write a file each; who has which ids may be asked of a directory elsewhere.
pub const IDMAP: Duration = Duration::from_secs(15);
/// Longer than whoever holds it for as long as it may: while both of these programs run.
pub const LOCK: Duration = Duration::from_secs(40);

/// Wait until there is something to read, or the other side has gone. `false`: the time is over.
pub fn readable(fd: impl AsFd, limit: Duration) -> io::Result<bool> {
    let until = Instant::now() + limit;
    loop {
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left(until))) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

/// What is left until then, for `poll`.
pub fn left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}

/// How a program ended; `None`: the time is over, and it was killed.
pub fn ended(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    if readable(&pidfd, limit)? {
        return child.wait().map(Some);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// The lock in the run folder, held as long as the file is open. Without a limit it is waited for by whom nobody waits for.
///
/// # Errors
/// Somebody has held it for longer than anybody should.
pub fn lock(path: &Path, limit: Option<Duration>) -> Result<File> {
    let attempt = || format!("lock {}", path.display());
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path);
    let file = file.context(attempt)?;
    if crate::sys::flock::exclusive(&file, limit).context(attempt)? {
        return Ok(file);
    }
    let waited = limit.unwrap_or_default().as_secs();
    Err(Error::runner(attempt())
        .because(format!("another command of yours has held it for {waited} s"))
        .hint(format!("see which one hangs (`fuser -v {}`), and end it", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_ends_is_not_waited_for() {
        let mut hangs = Command::new("sleep").arg("100").spawn().unwrap();
        assert_eq!(ended(&mut hangs, Duration::from_millis(50)).unwrap(), None);
        assert!(hangs.try_wait().unwrap().is_some());
        let mut fails = Command::new("false").spawn().unwrap();
        assert_eq!(ended(&mut fails, Duration::from_secs(60)).unwrap().and_then(|s| s.code()), Some(1));
    }

    #[test]
    fn a_lock_that_is_held_is_named_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keeper.lock");
        let held = lock(&path, Some(LOCK)).unwrap();
        let error = lock(&path, Some(Duration::from_millis(20))).unwrap_err();
        assert!(error.chain().join(": ").contains("has held it for"), "{error:?}");
        assert!(error.hint.unwrap().contains("fuser -v"));
        drop(held);
        lock(&path, Some(Duration::ZERO)).unwrap();
    }
}
