//! The kernel shows nobody the ruleset of a process, so it is tried: what was open before and is not allowed has to be
//! refused now, and what is allowed still has to be there.

use super::Rules;
use super::walk::{Looked, Refused};
use crate::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// What to try once the ruleset is on.
pub(super) struct Trial {
    /// Could be opened before.
    refused: Vec<Refused>,
    allowed: Option<PathBuf>,
    /// Ports that are not on the lists.
    listen: Option<u16>,
    connect: Option<u16>,
}

impl Trial {
    /// Before the ruleset is on: only what can be opened now tells something later.
    pub(super) fn prepare(rules: &Rules, looked: Option<&Looked>) -> Trial {
        let refused = looked.map(|l| l.refused.iter()).into_iter().flatten();
        let folders = looked.map(|l| l.grants.iter()).into_iter().flatten().filter(|g| g.folder);
        let mut listable = folders.filter(|g| g.rights.contains(landlock::AccessFs::ReadDir));
        Trial {
            refused: refused.filter(|r| open(&r.path, r.write).is_ok()).cloned().collect(),
            allowed: listable.find(|g| open(&g.path, false).is_ok()).map(|g| g.path.clone()),
            listen: rules.listen.as_ref().and_then(unlisted),
            connect: rules.connect.as_ref().and_then(unlisted),
        }
    }

    /// # Errors
    /// The kernel lets through what the policy does not allow, or refuses what it does.
    pub(super) fn hold(&self) -> Result<()> {
        for Refused { path, write } in &self.refused {
            if open(path, *write) != Err(Errno::ACCESS) {
                let how = if *write { "written" } else { "read" };
                return Err(broken(format!("{} can be {how} although nothing allows it", path.display())));
            }
        }
        if let Some(path) = &self.allowed
            && let Err(e) = open(path, false)
        {
            return Err(broken(format!("{} cannot be read although it is allowed", path.display())).because(e));
        }
        for (port, bound) in [(self.listen, true), (self.connect, false)] {
            let Some(port) = port else { continue };
            // A container without IPv4 has no such socket to try with.
            let Ok(socket) = socket(AddressFamily::INET, SocketType::STREAM, None) else { continue };
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
            let answer = if bound { bind(&socket, &address) } else { connect(&socket, &address) };
            if answer != Err(Errno::ACCESS) {
                let how = if bound { "listened on" } else { "connected to" };
                return Err(broken(format!("TCP port {port} can be {how} although it is not listed")));
            }
        }
        Ok(())
    }
}

fn broken(what: String) -> Error {
    Error::runner("the path policy does not hold").because(what)
}

/// Without effect on the file: nothing is cut off or waited for.
fn open(path: &Path, write: bool) -> std::result::Result<(), Errno> {
    let mode = if write { OFlags::WRONLY } else { OFlags::RDONLY };
    let flags = mode | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(drop)
}

fn unlisted(listed: &BTreeSet<u16>) -> Option<u16> {
    (1024..=u16::MAX).rev().find(|port| !listed.contains(port))
}
