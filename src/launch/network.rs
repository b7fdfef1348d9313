//! The container's network, between build and start.

use super::process::Init;
use crate::error::{Context, Error, Result};
use crate::net::{self, Attached, Target};
use crate::plan::{Draft, MountKind, NetworkMode};
use crate::state::{self, Paths, Record, folder};
use crate::storage::Stage;
use std::os::fd::AsFd;

/// A network that is taken down when it is let go of, whatever the reason.
pub struct Network(Option<Attached>);

impl Network {
    pub fn get(&self) -> Option<&Attached> {
        self.0.as_ref()
    }

    /// # Errors
    /// The container is on no network that could be changed.
    pub fn get_mut(&mut self) -> Result<&mut Attached> {
        self.0.as_mut().ok_or_else(|| Error::verb("the container is on no network of its own"))
    }

    /// Answer what the container has asked its name server.
    pub fn step(&mut self) {
        if let Some(network) = &mut self.0 {
            network.step();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.0.take().map(Attached::detach) {
            crate::ui::error(&e);
        }
    }
}

/// Whether a container has a supervisor; one that cannot be asked about is left alone.
pub fn alive(paths: &Paths) -> impl Fn(&str) -> bool + '_ {
    |id| folder::is_alive(&paths.containers().join(id)).unwrap_or(true)
}

/// Set the network of a container up that waits to be started. `prepared`: its namespace was made before, loopback is up in it.
/// What there is to know of it goes to `status`.
pub fn set_up(
    paths: &Paths,
    record: &Record,
    stage: &Stage,
    init: &Init,
    prepared: bool,
    status: &mut state::Network,
) -> Result<Network> {
    let draft = &record.plan.draft;
    *status = state::Network { sandbox: format!("/proc/{}/ns/net", init.pid), ..state::Network::default() };
    match &draft.namespaces.network.value {
        NetworkMode::None if !prepared => loopback(init).map(|()| Network(None)),
        NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => Ok(Network(None)),
        NetworkMode::Bridge | NetworkMode::Named(_) => {
            if let Some(why) = crate::rootless::way_out()? {
                crate::ui::warn(&format!("{why}: the container has no way out; it reaches other containers only"));
            }
            let path = format!("/proc/{}/ns/net", init.pid);
            let netns = std::fs::File::open(&path).context(|| format!("open {path}"))?;
            let network = Network(Some(net::attach(&Target {
                paths,
                netns: netns.as_fd(),
                container: &record.id,
                name: &record.name,
                hostname: &draft.hostname.value,
                plan: &draft.network,
                alive: &alive(paths),
            })?));
            if let Some(attached) = network.get() {
                attached.notices.iter().for_each(|line| crate::ui::note(line));
                write_hosts(draft, stage, attached)?;
                *status = state::Network { sandbox: path, ..attached.network() };
            }
            Ok(network)
        }
    }
}

/// The container's addresses are known only now: they go into its /etc/hosts, which is staged already.
fn write_hosts(draft: &Draft, stage: &Stage, attached: &Attached) -> Result<()> {
    for (n, mount) in draft.mounts.iter().enumerate() {
        let MountKind::File { content, .. } = &mount.kind else { continue };
        if mount.destination == "/etc/hosts" {
            let path = stage.path(&format!("m{n}"));
            let text = attached.hosts(content, draft.domainname.as_ref().map(|d| d.value.as_str()));
            std::fs::write(&path, text).context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Set loopback up in the namespace of the first process. The launcher moves there and stays: it has no use for a network.
fn loopback(init: &Init) -> Result<()> {
    let attempt = || "set up loopback in the container's network".to_string();
    nix::sched::setns(init.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET).context(attempt)?;
    crate::sys::net::loopback_up().context(attempt)
}
