//! The last steps inside the container, after libcontainer has dropped privileges: everything that must come right before
//! the workload's first instruction, and the hand-shake with the launcher.

use crate::{landlock, sys};
use caps::CapSet;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Sent by the container when it is confined and waits for `GO`.
pub const READY: u8 = b'R';
/// Sent by the launcher when the state that it read back is the planned one.
pub const GO: u8 = b'G';
/// Sent by the container before an error's text.
pub const FAILED: u8 = b'F';
/// Sent by the container before the errno of execve, in 4 little-endian bytes.
pub const EXEC_FAILED: u8 = b'E';

/// What the container's first process does last. Descriptors are numbers, since they cross fork.
#[derive(Clone)]
pub struct Confine {
    pub filter: Option<Vec<u8>>,
    pub landlock: Option<landlock::Rules>,
    /// SELinux's label and AppArmor's profile. Both are entered here, not at execve: there each of the two modules takes away the
    /// signal that ties a container to its launcher (`pdeath_signal`), and nobody could look at what came of it before the command runs.
    pub selinux: Option<String>,
    pub apparmor: Option<String>,
    pub init: bool,
    /// no_new_privs was overridden: give up what only the loading of the filter needed.
    pub drop_after_filter: Vec<caps::Capability>,
    /// The container's end of the hand-shake.
    pub hear: RawFd,
    pub tell: RawFd,
    /// A pidfd of the launcher.
    pub launcher: RawFd,
    /// The host's /proc, [`host_proc`]: what is written there is not led elsewhere by what stands at /proc inside (CVE-2025-52881).
    pub proc: RawFd,
}

/// For [`Confine::proc`].
pub fn host_proc() -> crate::error::Result<OwnedFd> {
    use crate::error::Context;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/proc", flags, Mode::empty()).context(|| "open /proc".into())
}

/// Whether the process of a pidfd is gone. `getppid` says nothing about a parent outside the pid namespace.
fn has_ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    Ok(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

impl Executor for Confine {
    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        // From here on, a launcher that dies takes the container with it. Credentials are final, so the setting stays.
        let tie = |e| ExecutorValidationError::ArgValidationError(format!("tie the container to its launcher: {e}"));
        sys::process::die_with_parent().map_err(tie)?;
        // One that was dead before that sends nothing, and this process would wait for its word for ever, with the
        // layers, the id range and the container's lock in its hands.
        if has_ended(sys::process::borrow(self.launcher)).map_err(tie)? {
            return Err(tie(io::Error::other("it has ended")));
        }
        Ok(())
    }

    fn setup_envs(&self, _envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment is given to execve as an array; the launcher itself has none.
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref().ok_or_else(|| ExecutorError::Other("the spec has no process".into()))?;
        let args = process.args().as_deref().unwrap_or_default();
        let command = Command::new(args, process.env().as_deref().unwrap_or_default());
        Err(ExecutorError::Other(match command {
            Ok(command) => self.carry_out(&command),
            Err(message) => self.fail(message),
        }))
    }
}

impl Confine {
    /// Confine this process and execute the command when the launcher says so; returns only what went wrong, which the
    /// launcher has been told.
    pub fn carry_out(&self, command: &Command) -> String {
        match self.confine_and_wait() {
            Ok(()) => {
                let error = command.run(self.init);
                let errno = error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes();
                tell(sys::process::borrow(self.tell), EXEC_FAILED, &errno);
                error.to_string()
            }
            Err(message) => self.fail(message),
        }
    }

    /// Tell the launcher what went wrong.
    pub fn fail(&self, message: String) -> String {
        tell(sys::process::borrow(self.tell), FAILED, message.as_bytes());
        message
    }

    /// What is to be written where to be labelled. Opened before the rules hold, written after the steps that a label would be in the
    /// way of. Which profile or label came of it the launcher reads.
    fn labels(&self) -> Result<Vec<(File, String)>, String> {
        let open = |name: &str| {
            let path = format!("thread-self/attr/{name}");
            let opened = rustix::fs::openat(
                sys::process::borrow(self.proc),
                &path,
                OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::empty(),
            );
            opened.map(File::from).map_err(|e| format!("open /proc/{path}: {e}"))
        };
        let mut labels = Vec::new();
        if let Some(label) = &self.selinux {
            labels.push((open("current")?, label.clone()));
        }
        if let Some(profile) = &self.apparmor {
            // AppArmor's own file is there since Linux 5.8.
            let file = open("apparmor/current").or_else(|_| open("current"))?;
            labels.push((file, format!("changeprofile {profile}")));
        }
        // Nothing of the host's goes on with this process.
        nix::unistd::close(self.proc).map_err(|e| format!("close the host's /proc: {e}"))?;
        Ok(labels)
    }

    fn confine_and_wait(&self) -> Result<(), String> {
        let (hear, tell) = (sys::process::borrow(self.hear), sys::process::borrow(self.tell));
        sys::process::reset_signals().map_err(|e| format!("reset the signals: {e}"))?;
        sys::process::fresh_keyring().map_err(|e| format!("leave the session keyring: {e}"))?;
        let labels = self.labels()?;
        if let Some(rules) = &self.landlock {
            rules.apply().map_err(|e| e.chain().join(": "))?;
        }
        // Until execve, and with --init for good, this memory is the launcher's: not for a root inside that is the same
        // user. libcontainer leaves it so as well, but promises nothing.
        sys::process::close_memory().map_err(|e| format!("close the memory to others: {e}"))?;
        // The filter would refuse some of the steps above.
        if let Some(filter) = &self.filter {
            sys::seccomp::load(filter).map_err(|e| format!("load the seccomp filter: {e}"))?;
        }
        for capability in &self.drop_after_filter {
            for set in [CapSet::Bounding, CapSet::Effective, CapSet::Permitted] {
                caps::drop(None, set, *capability).map_err(|e| format!("drop {capability} after the filter: {e}"))?;
            }
        }
        // Behind the filter, whose loading takes a capability that no profile grants where no_new_privs was overridden.
        for (mut file, text) in labels {
            file.write_all(text.as_bytes()).map_err(|e| format!("enter {text:?}: {e}"))?;
        }
        rustix::io::write(tell, &[READY]).map_err(|e| format!("tell the launcher: {e}"))?;
        let mut answer = [0u8; 1];
        match rustix::io::read(hear, &mut answer) {
            Ok(1) if answer[0] == GO => Ok(()),
            Ok(_) => Err("the launcher did not let the container go".into()),
            Err(e) => Err(format!("wait for the launcher: {e}")),
        }
    }
}

/// One message. A launcher that is gone has taken this process with it, so a failed write changes nothing.
fn tell(channel: BorrowedFd<'_>, tag: u8, payload: &[u8]) {
    let mut message = vec![tag];
    message.extend_from_slice(payload);
    let _ = rustix::io::write(channel, &message);
}

/// The workload, ready for execve.
pub struct Command {
    /// What to try, in order: one path, or one per entry of PATH.
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Command {
    /// # Errors
    /// No command, or a word with a NUL byte in it.
    pub fn new(args: &[String], env: &[String]) -> Result<Command, String> {
        let name = args.first().ok_or("there is no command")?;
        let c = |text: String| CString::new(text.clone()).map_err(|_| format!("{text:?} has a NUL byte"));
        let candidates = if name.contains('/') {
            vec![c(name.clone())?]
        } else {
            let path = env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or("");
            path.split(':')
                .map(|folder| if folder.is_empty() { "." } else { folder })
                .map(|folder| c(format!("{folder}/{name}")))
                .collect::<Result<_, _>>()?
        };
        Ok(Command {
            candidates,
            args: args.iter().map(|a| c(a.clone())).collect::<Result<_, _>>()?,
            env: env.iter().map(|e| c(e.clone())).collect::<Result<_, _>>()?,
        })
    }

    /// Execute; returns only the error. With `init` the caller stays as pid 1 and never returns from a success.
    fn run(&self, init: bool) -> io::Error {
        if !init {
            return self.exec();
        }
        super::init::stay(|| self.exec())
    }

    fn exec(&self) -> io::Error {
        let pointers = |list: &[CString]| {
            let mut p: Vec<*const libc::c_char> = list.iter().map(|c| c.as_ptr()).collect();
            p.push(std::ptr::null());
            p
        };
        let (args, env) = (pointers(&self.args), pointers(&self.env));
        // Like execvp: a file that may not be executed is remembered while the rest of PATH is tried.
        let mut refused = None;
        for candidate in &self.candidates {
            let candidate: &CStr = candidate;
            let error = sys::process::execve(candidate, &args, &env);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) if self.candidates.len() > 1 => {}
                Some(libc::EACCES) if self.candidates.len() > 1 => refused = Some(error),
                _ => return error,
            }
        }
        refused.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_that_has_ended_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        assert!(!has_ended(std::os::fd::AsFd::as_fd(&pidfd)).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(std::os::fd::AsFd::as_fd(&pidfd)).unwrap());
    }
}
