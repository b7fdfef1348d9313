//! The container's network namespace, between build and start.

use crate::error::{Context, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Set loopback up in the namespace of process `pid`. The launcher moves there and stays: it has no use for a network.
pub fn loopback(pid: i32) -> Result<()> {
    let attempt = || "set up loopback in the container's network".to_string();
    let pid = Pid::from_raw(pid).ok_or_else(|| crate::error::Error::runner(attempt()))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context(attempt)?;
    nix::sched::setns(&pidfd, nix::sched::CloneFlags::CLONE_NEWNET).context(attempt)?;
    crate::sys::net::loopback_up().context(attempt)
}
