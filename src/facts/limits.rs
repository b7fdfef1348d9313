//! Which limits can be set here, and how far this process may raise its own.

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A limit that a cgroup controller may or may not be able to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    Memory,
    MemoryReservation,
    /// Memory and swap together.
    Swap,
    /// cgroup v1 only.
    Swappiness,
    Pids,
    CpuQuota,
    CpuShares,
    /// cgroup v1 only.
    CpuRealtime,
    Cpuset,
    BlkioWeight,
    BlkioThrottle,
    Devices,
}

impl Limit {
    pub const ALL: &'static [Limit] = &[
        Limit::Memory,
        Limit::MemoryReservation,
        Limit::Swap,
        Limit::Swappiness,
        Limit::Pids,
        Limit::CpuQuota,
        Limit::CpuShares,
        Limit::CpuRealtime,
        Limit::Cpuset,
        Limit::BlkioWeight,
        Limit::BlkioThrottle,
        Limit::Devices,
    ];

    /// For sentences: `memory`, `swap`, …
    pub fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory",
            Limit::MemoryReservation => "memory reservation",
            Limit::Swap => "swap",
            Limit::Swappiness => "swappiness",
            Limit::Pids => "pids",
            Limit::CpuQuota => "cpu quota",
            Limit::CpuShares => "cpu shares",
            Limit::CpuRealtime => "real-time cpu",
            Limit::Cpuset => "cpuset",
            Limit::BlkioWeight => "block io weight",
            Limit::BlkioThrottle => "block io throttling",
            Limit::Devices => "devices",
        }
    }
}

/// Docker's names of resource limits.
pub(super) const RESOURCES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

pub(super) fn hard_limits() -> BTreeMap<String, u64> {
    RESOURCES
        .iter()
        .map(|(name, resource)| ((*name).to_owned(), getrlimit(*resource).maximum.unwrap_or(u64::MAX)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_limit_of_docker_is_read() {
        let limits = hard_limits();
        assert_eq!(limits.len(), 16);
        let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(limits["nofile"], hard);
    }
}
