//! Namespaces of another container of hardrun's.

use crate::control::{Answer, Ask, Client};
use crate::error::{Context, Error, Result};
use crate::plan::{Draft, Namespace, NetworkMode};
use crate::state::{Paths, lookup};
use crate::sys::userns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A running container whose namespaces are joined, held by descriptors.
pub struct Joined {
    pub user: Option<OwnedFd>,
    /// By the names of /proc: `net`, `pid`.
    namespaces: BTreeMap<&'static str, OwnedFd>,
    /// First host id of its user namespace.
    pub base: Option<u32>,
    /// The lock on its range of ids: it is given to nobody else while one of the two runs.
    _range: Option<OwnedFd>,
}

impl Joined {
    /// `None` where the plan joins nobody.
    ///
    /// # Errors
    /// Docker's, where that container does not run.
    pub fn find(paths: &Paths, draft: &Draft) -> Result<Option<Joined>> {
        let Some(id) = &draft.namespaces.joins else { return Ok(None) };
        let gone = || Error::runner(format!("cannot join the namespaces of a non running container: {id}"));
        let container = lookup::find(paths, id)?;
        let client = Client::to(&container).map_err(|_| gone())?;
        let (Answer::Entrance { pid }, fds) = client.ask(&Ask::Enter)? else { return Err(gone()) };
        let mut fds = fds.into_iter();
        let (Some(_handoff), Some(_mounts), Some(init), range) = (fds.next(), fds.next(), fds.next(), fds.next())
        else {
            return Err(gone());
        };
        let open = |kind: &str| -> Result<OwnedFd> {
            let path = format!("/proc/{pid}/ns/{kind}");
            File::open(&path).map(OwnedFd::from).context(|| format!("open {path}"))
        };
        let wanted = &draft.namespaces;
        let own_user = range.is_some();
        let mut joined = Joined {
            user: own_user.then(|| open("user")).transpose()?,
            namespaces: BTreeMap::new(),
            base: super::readback::base_of(pid, own_user)?,
            _range: range,
        };
        if matches!(wanted.network.value, NetworkMode::Container(_)) {
            joined.namespaces.insert("net", open("net")?);
        }
        if matches!(wanted.pid.value, Namespace::Container(_)) {
            joined.namespaces.insert("pid", open("pid")?);
        }
        // The number was that process's for as long as it lived: it still does.
        if poll(&mut [PollFd::new(&init, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
            .context(|| "look at the container to join".into())?
            > 0
        {
            return Err(gone());
        }
        Ok(Some(joined))
    }

    /// Paths by which libcontainer joins: it has forked from this process, and has its descriptors.
    pub fn paths(&self) -> BTreeMap<&'static str, PathBuf> {
        self.namespaces.iter().map(|(kind, fd)| (*kind, userns::inherited_path(fd))).collect()
    }
}
