//! What another process needs to enter the container: kept by the supervisor, handed to `exec` over its socket and to its
//! own health checks.

use crate::error::{Context, Result};
use std::os::fd::OwnedFd;

/// Descriptors that name the running container for good, whatever its processes' numbers are.
#[derive(Debug)]
pub struct Entrance {
    /// The sealed hand-off: plan, filter, profile.
    pub handoff: OwnedFd,
    /// The supervisor's own mount namespace.
    pub mounts: OwnedFd,
    /// The lock on the range of ids, for a container that joins this one.
    pub range: Option<OwnedFd>,
}

impl Entrance {
    pub fn new(handoff: OwnedFd, range: Option<OwnedFd>) -> Result<Entrance> {
        let mounts =
            std::fs::File::open("/proc/self/ns/mnt").context(|| "open the supervisor's mount namespace".into())?;
        Ok(Entrance { handoff, mounts: mounts.into(), range })
    }
}
