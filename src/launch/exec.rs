//! `exec`: another process in a container that runs, confined exactly as its first one.
//!
//! libcontainer's tenant builder is not used: of the namespaces that it joins, the user namespace is missing (0.7.0), and it loses
//! the filter, limits and umask. The order is that of runc's and crun's: cgroup, limits, all namespaces in one call by the
//! pidfd of the first process, a child in its pid namespace, credentials; then hardrun's own executor, the same that confines the
//! first process, and a look at the result before the word to go.

use super::enter::Entrance;
use super::{exec_entry, handoff};
use crate::control::{Answer, Client};
use crate::error::{Context, Error, Result};
use crate::plan::{AskedExec, Draft, UserPlan};
use crate::sys;
use crate::sys::process::number_of;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// First argument of the process that `exec` becomes. Not a verb: it is of no use by hand.
pub const EXEC_ARGUMENT: &str = "__exec";

/// Descriptors of that process.
pub(super) const REQUEST_FD: RawFd = 3;
pub(super) const HANDOFF_FD: RawFd = 4;
pub(super) const MOUNTS_FD: RawFd = 5;
pub(super) const INIT_FD: RawFd = 6;
/// The connection to the supervisor that `exec` came by: while it is open, the supervisor knows of the process.
pub(super) const CONTROL_FD: RawFd = 7;
/// The host's mount namespace, for a health check: its supervisor has left it, and no control group is to be seen from there.
pub(super) const HOST_FD: RawFd = 9;
/// Of a process in the background: whoever waits to hear that it was started.
pub(super) const REPORT_FD: RawFd = 8;

/// What to start. Everything else is as for the container's first process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// 64 hexadecimal digits.
    pub id: String,
    pub args: Vec<String>,
    /// `KEY=value`
    pub env: Vec<String>,
    pub cwd: String,
    pub user: UserPlan,
    pub tty: bool,
    pub stdin: bool,
    /// Output is thrown away, and nobody waits.
    pub detached: bool,
    /// Granted capabilities, as in the plan; with `--privileged` all.
    pub capabilities: BTreeSet<String>,
    pub privileged: bool,
    /// Mode of a named AppArmor profile, as it was judged: it may have changed since the container was started.
    #[serde(default)]
    pub apparmor_mode: Option<String>,
    /// Keys that let go of a terminal; empty: none.
    pub detach_keys: Vec<u8>,
    /// Descriptors that came along besides.
    pub control: bool,
    pub report: bool,
    pub host: bool,
}

/// How to get into a container: what its supervisor hands out.
pub struct Way<'a> {
    pub handoff: &'a OwnedFd,
    pub mounts: &'a OwnedFd,
    pub init: &'a OwnedFd,
    /// The connection to the supervisor.
    pub control: Option<&'a OwnedFd>,
}

impl<'a> Way<'a> {
    fn descriptors(&self, request: &'a OwnedFd) -> Vec<(BorrowedFd<'a>, RawFd)> {
        let mut fds = vec![
            (request.as_fd(), REQUEST_FD),
            (self.handoff.as_fd(), HANDOFF_FD),
            (self.mounts.as_fd(), MOUNTS_FD),
            (self.init.as_fd(), INIT_FD),
        ];
        fds.extend(self.control.map(|c| (c.as_fd(), CONTROL_FD)));
        fds
    }
}

impl ExecRequest {
    /// A health check: the container's own user, folder and environment.
    pub fn check(draft: &Draft, args: Vec<String>) -> ExecRequest {
        ExecRequest {
            id: String::new(),
            args,
            env: draft.process.env.iter().map(|e| e.value.clone()).collect(),
            cwd: draft.process.cwd.value.clone(),
            user: draft.process.user.value.clone(),
            tty: false,
            stdin: false,
            detached: false,
            capabilities: draft.capabilities.value.clone(),
            privileged: false,
            apparmor_mode: draft.asked.apparmor_mode.clone(),
            detach_keys: Vec::new(),
            control: false,
            report: false,
            host: true,
        }
    }

    /// Inside, with credentials that stay: a health check does not outlive the process that started it, and what it starts stays below
    /// it as long as it lives, so that all of it can be found and ended where the check takes too long. A command of a caller's is not
    /// tied: it goes on without whoever started it, as with docker.
    pub(super) fn tie(&self) -> Result<(), String> {
        if !self.host {
            return Ok(());
        }
        let tied = sys::process::die_with_parent().and_then(|()| sys::process::adopt_orphans());
        tied.map_err(|e| format!("tie the check to who started it: {e}"))
    }

    /// The container's draft with this process in the place of its first one.
    pub(super) fn draft(&self, of: &Draft) -> Draft {
        let mut draft = of.clone();
        draft.process.user.value = self.user.clone();
        draft.process.cwd.value = self.cwd.clone();
        draft.process.args.value = self.args.clone();
        draft.capabilities.value = self.capabilities.clone();
        draft.process.init.value = false;
        draft.asked.exec = self.privileged.then_some(AskedExec { privileged: true, root: None });
        draft.asked.apparmor_mode.clone_from(&self.apparmor_mode);
        draft
    }
}

/// Become the process that carries a request out; returns only when that failed.
pub fn become_exec(request: &ExecRequest, way: &Way<'_>) -> Result<std::convert::Infallible> {
    let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    let memory = handoff::seal(&ExecRequest { control: way.control.is_some(), ..request.clone() })?;
    let exe = sys::spawn::place(exe, &way.descriptors(&memory)).context(|| "hand the request over".into())?;
    let error = sys::exe::exec(&exe, &[c"hardrun", c"__exec"]);
    Err(Error::runner("start the process that enters the container").because(error))
}

/// Start a process that carries a request out in the background, and wait until it has.
///
/// # Errors
/// What kept it from starting.
pub fn start(request: &ExecRequest, way: &Way<'_>) -> Result<()> {
    let (ours, theirs) = crate::control::pair()?;
    let request = ExecRequest { control: way.control.is_some(), report: true, ..request.clone() };
    let memory = handoff::seal(&request)?;
    let mut fds = way.descriptors(&memory);
    fds.push((theirs.as_fd(), REPORT_FD));
    spawn(&fds, None)?;
    drop(theirs);
    match Client::from_socket(ours).answer()? {
        Some((Answer::Failed(error), _)) => Err(error.into_error()),
        Some(_) => Ok(()),
        None => Err(Error::runner("the process ended before its command was started")),
    }
}

fn spawn(fds: &[(BorrowedFd<'_>, RawFd)], output: Option<&OwnedFd>) -> Result<i32> {
    let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    sys::spawn::detached(&exe, &[c"hardrun", c"__exec"], fds, output.map(AsFd::as_fd))
        .context(|| "start the process that enters the container".into())
}

/// Start a health check from the supervisor.
pub fn spawn_check(request: &ExecRequest, from: &Surroundings, output: &OwnedFd) -> Result<i32> {
    let memory = handoff::seal(request)?;
    let Surroundings { entrance, init, host } = from;
    let way = Way { handoff: &entrance.handoff, mounts: &entrance.mounts, init, control: None };
    let mut fds = way.descriptors(&memory);
    fds.push((host.as_fd(), HOST_FD));
    spawn(&fds, Some(output))
}

/// What a supervisor starts its health checks from.
pub struct Surroundings {
    pub entrance: Entrance,
    /// A pidfd of the container's first process.
    pub init: OwnedFd,
    /// The host's mount namespace.
    pub host: OwnedFd,
}

/// Entry point of the process that enters; the return value is its exit status.
pub fn main() -> u8 {
    sys::process::set_name(c"hardrun-exec");
    match exec_entry::take_over().and_then(|entry| entry.main()) {
        Ok(status) => status,
        Err(e) => {
            crate::ui::error(&e);
            e.kind.exit_code()
        }
    }
}

/// Docker's answer to who wants to enter a container that has ended.
pub fn not_running(id: &str) -> Error {
    Error::verb(format!("Container {id} is not running"))
}

/// Whether the first process of a container has ended or is about to: it waits for all others of its pid namespace, which the kernel
/// kills, before its pidfd says so.
pub fn is_ending(pidfd: BorrowedFd<'_>) -> bool {
    number_of(pidfd).is_none_or(super::process::is_exiting)
}
