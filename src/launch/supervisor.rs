//! From the word to go to the exit status: moves bytes, passes signals on, waits. No polling, no threads.

use super::pump::Pump;
use super::terminal;
use crate::error::{Context, Error, Result};
use crate::ui;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Ctrl-C or TERM so often, and the container is killed: pid 1 ignores what it has no handler for.
const PATIENCE: u32 = 3;

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
}

/// How a container ended.
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

/// The container's first process, by a descriptor that cannot be reused.
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

    pub fn kill(&self) {
        // A process that has ended already is what was wanted.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
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

/// What the supervisor does beside waiting.
pub struct Duties<'a> {
    pub pumps: Vec<Pump>,
    /// Index of the pump that feeds the container's stdin.
    pub stdin: Option<usize>,
    /// Master of the container's terminal.
    pub master: Option<&'a OwnedFd>,
    pub sig_proxy: bool,
    pub timeout: Option<Duration>,
}

/// Supervise until the container has ended and its output has been delivered.
pub fn run(init: &Init, signals: &mut Signals, mut duties: Duties<'_>) -> Result<Ended> {
    let deadline = duties.timeout.map(|t| Instant::now() + t);
    let mut ended = None;
    let mut interrupts = 0;
    let mut timed_out = false;
    loop {
        if ended.is_some() && duties.pumps.iter().all(Pump::done) {
            break;
        }
        let ready = wait(init, signals, &duties, ended.is_some(), deadline.filter(|_| !timed_out))?;
        if ready.signals {
            handle_signals(init, signals, &duties, &mut interrupts)?;
        }
        for (pump, ready) in duties.pumps.iter_mut().zip(&ready.pumps) {
            if *ready {
                pump.step();
            }
        }
        if ready.exit && ended.is_none() {
            ended = init.ended(false)?;
            if ended.is_some() {
                // Nobody is left to read; what the container wrote still comes out.
                if let Some(n) = duties.stdin {
                    duties.pumps.swap_remove(n);
                    duties.stdin = None;
                }
            }
        }
        if deadline.is_some_and(|d| Instant::now() >= d) && ended.is_none() && !timed_out {
            timed_out = true;
            ui::warn("the time limit (--timeout) has passed, killing the container");
            init.kill();
        }
    }
    ended.ok_or_else(|| Error::runner("the container's end was lost"))
}

struct Ready {
    signals: bool,
    exit: bool,
    pumps: Vec<bool>,
}

fn wait(init: &Init, signals: &Signals, duties: &Duties<'_>, ended: bool, deadline: Option<Instant>) -> Result<Ready> {
    let mut fds = vec![PollFd::new(&signals.fd, PollFlags::IN)];
    if !ended {
        fds.push(PollFd::new(&init.pidfd, PollFlags::IN));
    }
    let fixed = fds.len();
    let mut owners = Vec::new();
    for (n, pump) in duties.pumps.iter().enumerate() {
        if let Some(fd) = pump.poll() {
            owners.push(n);
            fds.push(fd);
        }
    }
    let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
    let left = left.map(|d| Timespec { tv_sec: d.as_secs() as i64, tv_nsec: i64::from(d.subsec_nanos()) });
    match poll(&mut fds, left.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(e).context(|| "wait for the container".into()),
    }
    let happened = |n: usize| !fds[n].revents().is_empty();
    let mut pumps = vec![false; duties.pumps.len()];
    for (k, n) in owners.iter().enumerate() {
        pumps[*n] = happened(fixed + k);
    }
    Ok(Ready { signals: happened(0), exit: !ended && happened(1), pumps })
}

fn handle_signals(init: &Init, signals: &mut Signals, duties: &Duties<'_>, interrupts: &mut u32) -> Result<()> {
    while let Some(info) = signals.fd.read_signal().context(|| "read a signal".into())? {
        let number = info.ssi_signo as i32;
        match number {
            libc::SIGCHLD | libc::SIGPIPE | libc::SIGURG => {}
            libc::SIGWINCH => {
                if let Some(master) = duties.master {
                    terminal::copy_size(master);
                }
            }
            libc::SIGTTIN | libc::SIGTTOU if duties.master.is_none() => {}
            _ if !duties.sig_proxy => {
                if matches!(number, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT) {
                    ui::note(kept_back(duties.master.is_some()));
                    init.kill();
                }
            }
            _ => {
                forward(init, number);
                if matches!(number, libc::SIGINT | libc::SIGTERM) {
                    *interrupts += 1;
                    if *interrupts == PATIENCE {
                        ui::note(&format!("{PATIENCE} interrupts had no effect, killing the container"));
                        init.kill();
                    }
                }
            }
        }
    }
    Ok(())
}

/// Why a signal ends the container instead of reaching the command. Docker switches --sig-proxy off under a terminal, and
/// then nobody has given the flag: the line must not name it.
fn kept_back(terminal: bool) -> &'static str {
    match terminal {
        true => "with -t signals come from the terminal's keys, not from outside: killing the container",
        false => "signals are not passed on (--sig-proxy=false): killing the container",
    }
}

fn forward(init: &Init, number: i32) {
    // The process has not been reaped (only `run` does that), so its number is still its own. Real-time signals have no
    // name in nix, hence the raw number.
    match Signal::try_from(number) {
        Ok(signal) => drop(kill(Pid::from_raw(init.pid), signal)),
        Err(_) => crate::sys::process::kill(init.pid, number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_kept_back_is_explained_by_the_flag_that_was_given() {
        assert!(kept_back(false).contains("--sig-proxy=false"));
        assert!(kept_back(true).contains("-t") && !kept_back(true).contains("--sig-proxy"));
    }

    #[test]
    fn statuses_are_dockers() {
        assert_eq!(Ended::Exited(7).exit_code(), 7);
        assert_eq!(Ended::Signaled(libc::SIGKILL).exit_code(), 137);
        assert_eq!(Ended::Signaled(libc::SIGTERM).exit_code(), 143);
    }
}
