//! A lock of flock(2) that is waited for with a limit, which the call itself has none of.

use super::check;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Take the exclusive lock of an open file, waiting for at most `limit`, or for as long as it takes. `Ok(false)`: somebody else has it still, and the caller should
/// close the file.
///
/// A child waits in the kernel, so that nobody has to ask again and again: such locks belong to what was opened, which both share. When
/// it has gone the lock is the caller's.
pub fn exclusive(file: &File, limit: Option<Duration>) -> io::Result<bool> {
    if at_once(file)? {
        return Ok(true);
    }
    let Some(limit) = limit else {
        return wait(file).map(|()| true);
    };
    let until = Instant::now() + limit;
    // SAFETY: the child makes system calls alone, none of which needs what other threads of the caller may have locked, and ends.
    let child = check(unsafe { libc::fork() } as libc::c_long)? as libc::pid_t;
    if child == 0 {
        close_all_but(file.as_raw_fd());
        let _ = super::process::die_with_parent().and_then(|()| wait(file));
        // SAFETY: ends the process at once; what the parent would do at its own exit is the parent's.
        unsafe { libc::_exit(0) }
    }
    let waited = ended(child, until);
    // SAFETY: `child` is our own and has not been waited for, so the number cannot have been reused.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    waited?;
    at_once(file)
}

/// What else is open may be a lock as well, which is not to be held for as long as the child waits.
fn close_all_but(fd: RawFd) {
    let fd = fd as libc::c_uint;
    for (first, last) in [(0, fd.checked_sub(1)), (fd + 1, Some(libc::c_uint::MAX))] {
        if let Some(last) = last {
            // SAFETY: plain system call with integer arguments, in a child that uses no other descriptor.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

fn wait(file: &File) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

fn at_once(file: &File) -> io::Result<bool> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Wait until the child has ended, or the time is over.
fn ended(child: libc::pid_t, until: Instant) -> io::Result<()> {
    let pid = rustix::process::Pid::from_raw(child).ok_or(io::ErrorKind::NotFound)?;
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
            Err(Errno::INTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_until_it_is_free_or_the_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join("lock")).unwrap();
        let (first, second, third) = (open(), open(), open());
        assert!(exclusive(&first, Some(Duration::ZERO)).unwrap());
        let since = Instant::now();
        assert!(!exclusive(&second, Some(Duration::from_millis(50))).unwrap());
        assert!(since.elapsed() >= Duration::from_millis(50) && since.elapsed() < Duration::from_secs(20));
        std::thread::scope(|s| {
            let waits = s.spawn(|| exclusive(&second, Some(Duration::from_secs(60))).unwrap());
            std::thread::sleep(Duration::from_millis(50));
            drop(first);
            assert!(waits.join().unwrap());
        });
        // It is the second's, now that who waited for it has gone.
        assert!(!exclusive(&third, Some(Duration::ZERO)).unwrap());
        drop(second);
        assert!(exclusive(&third, Some(Duration::ZERO)).unwrap());
    }
}
