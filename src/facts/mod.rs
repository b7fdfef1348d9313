//! What this host offers. Plain data, so that tests inject it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -r`
    pub kernel: String,
    /// Effective uid of the caller.
    pub euid: u32,
    /// Highest Landlock ABI, 0 where the kernel has none.
    pub landlock_abi: u32,
    pub apparmor: bool,
    pub selinux: bool,
    pub cgroup: CgroupVersion,
    /// Controllers that limits can be set with.
    pub cgroup_controllers: Vec<String>,
    pub user_namespaces: bool,
    /// Idmapped mounts on the file system that holds the layers, and an overlay above them (Linux 5.19).
    pub idmapped_overlay: bool,
    pub seccomp: bool,
    /// CPUs online.
    pub cpus: u32,
    /// Bytes of memory in the host.
    pub memory: u64,
    /// Bounding set of the caller, as a bit mask.
    pub bounding: u64,
    /// Hard limit of open files of the caller.
    pub nofile_hard: u64,
    /// Control sockets of engines that exist on this host, canonical paths.
    pub engine_sockets: Vec<std::path::PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupVersion {
    V1,
    V2,
    Hybrid,
    None,
}
