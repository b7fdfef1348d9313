//! What this host offers. Plain data, so that tests inject it.

pub mod bind;

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
    /// Filled by [`bind::engine_sockets`].
    pub engine_sockets: Vec<std::path::PathBuf>,
    /// hardrun's own folders under their canonical names, besides the default ones: `Paths::root` and `Paths::run`.
    #[serde(default)]
    pub own_paths: Vec<std::path::PathBuf>,
}

/// Why a host path is not an ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathClass {
    /// Run at log-in or by tools as the user: `.bashrc`, `.config/autostart`. Read-only inside a bound home.
    Startup,
    /// Read-only unless asked for writable, which is refused.
    Sensitive,
    /// Keys, tokens, password hashes: refused in any mode; covered where a bound folder holds one.
    Secret,
    /// An engine's images, layers and state.
    EngineData,
    /// Host devices, below /dev.
    Devices,
    /// The kernel's interfaces, below /proc and /sys.
    Kernel,
    /// Control socket of a container engine, of systemd, D-Bus or a hypervisor.
    EngineSocket,
    /// hardrun's own state, configuration and audit log.
    Own,
    /// The whole file system.
    Root,
}

/// A host path that is not an ordinary one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Absolute, on the host.
    pub path: std::path::PathBuf,
    pub class: PathClass,
    /// In a few words: `password hashes`.
    pub why: String,
}

/// What a look at the disk showed about the source of a bind beyond its path. Filled by [`bind::look`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindSeen {
    /// What the source is, or lies in, under another name: a bind-mounted alias, a hard link, a home outside /home.
    pub is: Vec<Held>,
    /// Paths that exist below the source. [`crate::policy::sensitive::covers`] hides them in the container.
    pub holds: Vec<Held>,
    /// The source is a unix socket, and this engine listens on it.
    pub engine: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupVersion {
    V1,
    V2,
    Hybrid,
    None,
}
