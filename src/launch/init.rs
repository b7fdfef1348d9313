//! `--init`: a small pid 1 that starts the command, passes signals on and reaps orphans, as docker-init does.
//!
//! It is the launcher's own code, kept running inside the container after everything was confined; its executable is the
//! protected one, so nothing inside can write to it. It holds no descriptor but the three standard ones, and its memory
//! is closed to the container's own root.

use crate::sys;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io;

/// Start the command in a child and stay. Returns the error of execve in the child, or of fork; the parent exits with the
/// child's status.
pub fn stay(exec: impl Fn() -> io::Error) -> io::Error {
    // Blocked signals are queued even for pid 1, whose unhandled ones the kernel drops.
    sys::process::set_name(c"hardrun-init");
    let all = SigSet::all();
    if let Err(e) = all.thread_block() {
        return e.into();
    }
    match sys::process::fork() {
        Err(e) => e,
        Ok(0) => {
            become_foreground();
            if let Err(e) = all.thread_unblock() {
                return e.into();
            }
            exec()
        }
        Ok(child) => {
            // What closes at execve in the child stays open here, where there is none: the launcher's ends of the
            // pipes, without whose closing the command never sees the end of its input, the host's mounts and locks,
            // and the channel, whose closing says that execve worked.
            if sys::process::close_from(3).is_err() {
                std::process::exit(125);
            }
            std::process::exit(serve(Pid::from_raw(child), &all))
        }
    }
}

/// A process group of its own, in the foreground of the terminal if there is one, so that the keyboard's signals reach
/// the command once.
fn become_foreground() {
    let own = nix::unistd::getpid();
    if nix::unistd::setpgid(own, own).is_ok() && rustix::termios::isatty(rustix::stdio::stdin()) {
        // SIGTTOU is blocked here, so the call does not stop us. Without it the command is only in the background.
        let _ = nix::unistd::tcsetpgrp(rustix::stdio::stdin(), own);
    }
}

fn serve(child: Pid, signals: &SigSet) -> i32 {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    match status {
                        WaitStatus::Exited(pid, code) if pid == child => return code,
                        WaitStatus::Signaled(pid, signal, _) if pid == child => return 128 + signal as i32,
                        WaitStatus::StillAlive => break,
                        _ => {}
                    }
                }
            }
            // Gone already: its SIGCHLD is the next to come.
            Ok(signal) => drop(kill(child, signal)),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 125,
        }
    }
}
