//! One file a rule.

pub mod api_socket;
pub mod apparmor_unconfined;
pub mod apparmor_weaker;
pub mod cgroup_conf;
pub mod cgroup_parent;
pub mod cgroups_disabled;
pub mod core_dumps;
pub mod cpu_rt;
pub mod dangerous_capability;
pub mod device;
pub mod device_cgroup_rule;
pub mod engine_data;
pub mod engine_socket;
pub mod env_host;
pub mod exec_privileged;
pub mod exec_root;
pub mod foreign_container;
pub mod gpus;
pub mod host_cgroupns;
pub mod host_dev_mount;
pub mod host_id_map;
pub mod host_ipc;
pub mod host_network;
pub mod host_pid;
pub mod host_proc_mount;
pub mod host_root_mount;
pub mod host_secrets;
pub mod host_sys_mount;
pub mod host_sysctl;
pub mod host_userns;
pub mod host_uts;
pub mod insecure_registry;
pub mod kernel_mountpoint;
pub mod mount;
pub mod negative_oom_score;
pub mod new_privileges;
pub mod no_files_limit;
pub mod no_memory_limit;
pub mod no_pids_limit;
pub mod oom_kill_disable;
pub mod own_state;
pub mod paths_unmasked;
pub mod personality;
pub mod preserve_fds;
pub mod privileged;
pub mod privileged_group;
pub mod privileged_port;
pub mod publish_all;
pub mod publish_any_address;
pub mod rootfs_host;
pub mod rootfs_sensitive;
pub mod seccomp_policy_image;
pub mod seccomp_unconfined;
pub mod seccomp_weaker;
pub mod selinux_disabled;
pub mod sensitive_mount_rw;
pub mod shared_propagation;
pub mod ssh_in_container;
pub mod sysctl;
pub mod workdir_through_proc;
pub mod writable_cgroups;

/// What every rule's file uses.
pub(crate) mod prelude {
    pub use super::{mount, published};
    pub use crate::facts::{Facts, PathClass};
    pub use crate::plan::*;
    pub use crate::policy::rule::{Finding, Override, Rule, Severity, asked};
    pub use crate::policy::sensitive::pattern::Relation;
}

/// A published port as it is typed.
pub fn published(port: &crate::plan::Published) -> String {
    let ip = port.host_ip.as_ref().map(|ip| format!("{ip}:")).unwrap_or_default();
    let host = port.host_port.map(|p| format!("{p}:")).unwrap_or_default();
    let separator = if port.host_port.is_none() && port.host_ip.is_some() { ":" } else { "" };
    let protocol = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
    format!("-p {ip}{host}{separator}{}{protocol}", port.container_port)
}
