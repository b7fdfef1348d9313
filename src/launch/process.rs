//! The container's first process and the supervisor's own signals.

use crate::error::{Context, Error, Result};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Signals that the launcher receives through a descriptor from its first moment on, so that none is lost.
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Block everything that can be blocked and passed on.
    pub fn block() -> Result<Signals> {
        let attempt = || "take charge of the signals".to_string();
        let mut set = SigSet::all();
        for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT, Signal::SIGTRAP]
        {
            set.remove(fault);
        }
        set.thread_block().context(attempt)?;
        // Blocked first: none of them ends the launcher.
        crate::sys::process::hear_interrupts().context(attempt)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context(attempt)?;
        Ok(Signals { fd })
    }

    /// The number of the next one that has come.
    pub fn take(&mut self) -> Result<Option<i32>> {
        let info = self.fd.read_signal().context(|| "read a signal".into())?;
        Ok(info.map(|i| i.ssi_signo as i32))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(u8),
    Signaled(i32),
}

impl Ended {
    /// Docker's: the command's own status, or 128 plus the signal's number.
    pub fn exit_code(self) -> u8 {
        match self {
            Ended::Exited(code) => code,
            Ended::Signaled(signal) => (128 + signal) as u8,
        }
    }
}

/// A child by a descriptor that cannot be reused.
pub struct Init {
    pub pid: i32,
    pidfd: OwnedFd,
}

impl Init {
    pub fn new(pid: i32) -> Result<Init> {
        let attempt = || "watch the container's first process".to_string();
        let number = rustix::process::Pid::from_raw(pid).ok_or_else(|| Error::runner(attempt()))?;
        Ok(Init { pid, pidfd: pidfd_open(number, PidfdFlags::empty()).context(attempt)? })
    }

    /// # Errors
    /// As [`send`](Self::send).
    pub fn kill(&self) -> Result<()> {
        sent(rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL).map_err(Into::into))
    }

    /// Send any signal.
    ///
    /// # Errors
    /// A security module refuses it: the profile that the container was given does not let its processes receive signals of whoever runs
    /// hardrun. That a process has ended already is none.
    pub fn send(&self, number: i32) -> Result<()> {
        // The process has not been reaped (only `ended` does that), so its number is still its own. Real-time signals have
        // no name in nix, hence the raw number.
        sent(match Signal::try_from(number) {
            Ok(signal) => kill(Pid::from_raw(self.pid), signal).map_err(Into::into),
            Err(_) => crate::sys::process::kill(self.pid, number),
        })
    }

    /// Its status, if it has ended; reaps it.
    pub fn ended(&self, block: bool) -> Result<Option<Ended>> {
        let flags = if block { WaitPidFlag::WEXITED } else { WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG };
        match waitid(Id::PIDFd(self.pidfd.as_fd()), flags).context(|| "wait for the container".into())? {
            WaitStatus::Exited(_, code) => Ok(Some(Ended::Exited(code as u8))),
            WaitStatus::Signaled(_, signal, _) => Ok(Some(Ended::Signaled(signal as i32))),
            _ => Ok(None),
        }
    }
}

impl AsFd for Init {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn sent(sent: std::io::Result<()>) -> Result<()> {
    match sent {
        Err(e) if e.raw_os_error() != Some(libc::ESRCH) => {
            Err(e).verb_context(|| "send a signal to the container".into()).map_err(|e| {
                e.hint(
                    "an AppArmor profile of one's own needs `signal (receive),`: the kernel's log has what it refused",
                )
            })
        }
        _ => Ok(()),
    }
}

/// Ends a process whose launch failed half-way.
pub(super) struct KillOnDrop<'a>(pub(super) &'a Init);

impl KillOnDrop<'_> {
    /// It has been let go.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        match self.0.kill() {
            // Reap it, so that its cgroup is empty; an error here means that it is gone.
            Ok(()) => drop(self.0.ended(true)),
            // It goes with its group.
            Err(e) => crate::ui::error(&e),
        }
    }
}

/// Field 22 of `/proc/PID/stat`: clock ticks from boot to the process's start. With the number it names a process for good.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Whether a process is gone, or on its way out: a zombie, or PF_EXITING among its flags, field 9 of `/proc/PID/stat`.
pub fn is_exiting(pid: i32) -> bool {
    const PF_EXITING: u64 = 0x4;
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let Some((_, rest)) = stat.rsplit_once(')') else { return true };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let flags = fields.get(6).and_then(|f| f.parse::<u64>().ok()).unwrap_or_default();
    matches!(fields.first(), Some(&"Z" | &"X")) || flags & PF_EXITING != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_dockers() {
        assert_eq!(Ended::Exited(7).exit_code(), 7);
        assert_eq!(Ended::Signaled(libc::SIGKILL).exit_code(), 137);
        assert_eq!(Ended::Signaled(libc::SIGTERM).exit_code(), 143);
    }

    #[test]
    fn a_process_that_has_ended_is_exiting() {
        assert!(!is_exiting(std::process::id() as i32));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            is_exiting(pid)
        });
        assert!(gone);
        child.wait().unwrap();
        assert!(is_exiting(pid));
    }

    #[test]
    fn a_process_has_a_start_time() {
        let own = start_time(std::process::id() as i32).unwrap();
        assert!(own > 0);
        assert_eq!(start_time(i32::MAX), None);
    }
}
