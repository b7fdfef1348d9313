//! Landlock: a second wall that the container's own root cannot take down, under everything that mounts and
//! capabilities already forbid.
//!
//! [`rules`] says what a container may do (pure), [`Rules::apply`] puts it on the calling thread. Where the kernel has
//! Landlock the whole of what its version offers is required: less is an error.
//!
//! What it adds, even where root is writable and everything else was opened by mistake:
//! - the mount tree cannot be changed at all (every Landlock domain that handles files forbids it),
//! - no device node can be made, and devices are spoken to under /dev only,
//! - processes outside the container cannot be traced, nor their /proc entries read,
//! - with a read-only root: writing, making and removing only where a writable mount is,
//! - on the host's network: no abstract unix socket of the host (CVE-2020-15257).
//!
//! Where a preset declares paths and ports ([`crate::paths`]), also: reading, listing, executing and writing by list, and
//! TCP ports to listen on and to connect to.
//!
//! Not used: signal scoping (a pid namespace does that, and `exec`, which has a domain of its own, could not signal
//! the container's first process).

mod apply;
mod verify;
mod walk;

pub use walk::Files;

use crate::plan::{Draft, Landlock, MountKind, NetworkMode, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What one version of the kernel's Landlock lets hardrun enforce.
pub struct Coverage {
    pub abi: u32,
    /// First kernel with it.
    pub kernel: &'static str,
    pub enforced: &'static str,
}

/// What each version adds. Versions that are not listed add nothing that is used here.
pub static COVERAGE: &[Coverage] = &[
    Coverage {
        abi: 2,
        kernel: "5.19",
        enforced: "no device nodes, no mounts, no tracing outwards; writes by list under a read-only root",
    },
    Coverage { abi: 3, kernel: "6.2", enforced: "truncating counts as writing" },
    Coverage { abi: 4, kernel: "6.7", enforced: "TCP ports by list, where a preset declares them" },
    Coverage { abi: 5, kernel: "6.10", enforced: "device requests (ioctl) under /dev only" },
    Coverage { abi: 6, kernel: "6.12", enforced: "no abstract unix sockets of the host on the host's network" },
    Coverage { abi: 7, kernel: "6.15", enforced: "denials are written to the kernel's audit log" },
];

/// The first version with which a container works: before it every rename to another folder is refused.
const FIRST: u32 = COVERAGE[0].abi;

/// What to plan for on a kernel with this ABI (0: none).
pub fn decide(abi: u32) -> Landlock {
    if abi < FIRST { Landlock::Unavailable } else { Landlock::Ruleset { abi } }
}

/// What is enforced with this ABI, one line a version.
pub fn enforced(abi: u32) -> impl Iterator<Item = &'static Coverage> {
    COVERAGE.iter().filter(move |c| c.abi <= abi)
}

/// A ruleset before it is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    pub abi: u32,
    /// Writing, making and removing are by list: the root is read-only.
    pub writes_by_list: bool,
    /// Device nodes may be made: CAP_MKNOD was granted.
    pub device_nodes: bool,
    /// Where what is handled is allowed, in the container's own paths.
    pub grants: Vec<Grant>,
    /// Abstract unix sockets reach processes of the container only.
    pub own_abstract_sockets: bool,
    /// Reading, executing and writing are by this list, and `grants` has only what is beside it.
    #[serde(default)]
    pub files: Option<Files>,
    /// The TCP ports that may be listened on, and connected to; `None`: any.
    #[serde(default)]
    pub listen: Option<BTreeSet<u16>>,
    #[serde(default)]
    pub connect: Option<BTreeSet<u16>>,
}

/// Rights on a folder and everything beneath it, or on a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub path: String,
    pub right: Right,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Linking and renaming to another folder.
    Rename,
    /// Writing to what exists.
    WriteFiles,
    /// Writing, making, removing and renaming.
    Write,
    /// The same and requests to devices.
    WriteDevices,
    /// Requests to devices.
    Devices,
}

/// The ruleset of a container, or why it has none.
pub fn rules(draft: &Draft) -> std::result::Result<Rules, &'static str> {
    let Landlock::Ruleset { abi } = draft.landlock.value else {
        return Err("the kernel has no Landlock that lets files be renamed (Linux 5.19)");
    };
    if draft.seccomp.opened.contains("mount") {
        return Err("mounting inside the container was opened, and no Landlock domain permits it");
    }
    if !draft.process.no_new_privileges.value {
        return Err("the container may gain privileges, and the kernel takes a ruleset only from one that may not");
    }
    let files = draft.paths.policy.as_ref().map(|policy| Files {
        allow: policy.allowed(),
        deny: policy.denied().map(|r| (r.value.pattern.clone(), r.value.access)).collect(),
        lenient: draft.apparmor_refuses(),
        linked: None,
        same: Vec::new(),
    });
    // What is mounted read-only is so besides; and two lists would be one: Landlock allows what any rule of a ruleset does.
    let writes_by_list = draft.root.readonly.value && files.is_none();
    let grant = |path: &str, right| Grant { path: path.to_owned(), right };
    let mut grants = vec![
        grant("/", Right::Rename),
        grant("/dev", if files.is_some() { Right::Devices } else { Right::WriteDevices }),
    ];
    if writes_by_list {
        // Programs write to their own /proc/self/oom_score_adj and comm, and a rule cannot say "their own"; what is
        // beside it is mounted read-only or masked.
        grants.push(grant("/proc", Right::WriteFiles));
        let writable = draft.mounts.iter().filter(|m| !m.readonly.value && !matches!(m.kind, MountKind::Image { .. }));
        grants.extend(writable.map(|m| grant(&m.destination, Right::Write)));
    }
    if draft.asked.writable_cgroups {
        grants.push(grant("/sys/fs/cgroup", Right::Write));
    }
    let elsewhere = draft.devices.iter().filter(|d| !std::path::Path::new(&d.value.container).starts_with("/dev"));
    grants.extend(elsewhere.map(|d| grant(&d.value.container, Right::WriteDevices)));
    let ports = |list: &Option<Sourced<BTreeSet<u16>>>| list.as_ref().filter(|_| abi >= 4).map(|l| l.value.clone());
    Ok(Rules {
        abi,
        writes_by_list,
        device_nodes: draft.capabilities.value.contains("CAP_MKNOD"),
        grants,
        listen: ports(&draft.paths.ports.listen),
        connect: ports(&draft.paths.ports.connect),
        files,
        own_abstract_sockets: abi >= 6 && draft.namespaces.network.value == NetworkMode::Host,
    })
}

#[cfg(test)]
mod tests;
