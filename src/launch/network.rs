//! The container's network, between build and start.

use super::process::Init;
use crate::error::{Context, Result};
use crate::plan::{Draft, NetworkMode};
use crate::state::{Paths, Status};
use rustix::event::PollFd;
use std::os::fd::AsFd;
use std::time::Instant;

/// A network that is up, as the supervisor serves it.
pub trait Attached {
    /// Descriptors to wait for.
    fn fds(&self) -> Vec<PollFd<'_>>;
    /// When something has to be done though none is ready.
    fn next_timeout(&self) -> Option<Instant>;
    /// Serve those of [`fds`](Self::fds) that are ready, by their position.
    fn step(&mut self, ready: &[usize]);
    /// Take it down. Every error is collected.
    fn tear_down(self: Box<Self>) -> Result<()>;
}

/// A network that is taken down when it is let go of, whatever the reason.
pub struct Network(Option<Box<dyn Attached>>);

impl Network {
    pub fn get(&self) -> Option<&dyn Attached> {
        self.0.as_deref()
    }

    pub fn get_mut(&mut self) -> Option<&mut (dyn Attached + 'static)> {
        self.0.as_deref_mut()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.0.take().map(|network| network.tear_down()) {
            crate::ui::error(&e);
        }
    }
}

/// Set the network of a container up that waits to be started. `prepared`: its namespace was made before, loopback is up in it.
pub fn set_up(_paths: &Paths, draft: &Draft, init: &Init, prepared: bool, _status: &mut Status) -> Result<Network> {
    match &draft.namespaces.network.value {
        NetworkMode::None if !prepared => loopback(init).map(|()| Network(None)),
        NetworkMode::None => Ok(Network(None)),
        NetworkMode::Host | NetworkMode::Container(_) | NetworkMode::Bridge | NetworkMode::Named(_) => {
            Ok(Network(None))
        }
    }
}

/// Set loopback up in the namespace of the first process. The launcher moves there and stays: it has no use for a network.
fn loopback(init: &Init) -> Result<()> {
    let attempt = || "set up loopback in the container's network".to_string();
    nix::sched::setns(init.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET).context(attempt)?;
    crate::sys::net::loopback_up().context(attempt)
}
