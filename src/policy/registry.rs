//! The ordered list of all rules, in groups.

use super::rule::Rule;
use super::rules::*;

pub static RULES: &[Rule] = &[
    // Mounts.
    engine_socket::RULE,
    host_root_mount::RULE,
    host_secrets::RULE,
    engine_data::RULE,
    host_proc_mount::RULE,
    host_sys_mount::RULE,
    host_dev_mount::RULE,
    sensitive_mount_rw::RULE,
    shared_propagation::RULE,
    kernel_mountpoint::RULE,
    own_state::RULE,
    // Rights.
    privileged::RULE,
    exec_privileged::RULE,
    exec_root::RULE,
    dangerous_capability::RULE,
    new_privileges::RULE,
    privileged_group::RULE,
    host_id_map::RULE,
    device::RULE,
    device_cgroup_rule::RULE,
    gpus::RULE,
    api_socket::RULE,
    preserve_fds::RULE,
    env_host::RULE,
    // Filters and masks.
    seccomp_unconfined::RULE,
    seccomp_weaker::RULE,
    seccomp_policy_image::RULE,
    apparmor_unconfined::RULE,
    apparmor_weaker::RULE,
    selinux_disabled::RULE,
    paths_unmasked::RULE,
    writable_cgroups::RULE,
    personality::RULE,
    // Namespaces.
    host_userns::RULE,
    host_pid::RULE,
    host_network::RULE,
    host_ipc::RULE,
    host_uts::RULE,
    host_cgroupns::RULE,
    foreign_container::RULE,
    // Kernel settings.
    host_sysctl::RULE,
    sysctl::RULE,
    // Limits.
    no_memory_limit::RULE,
    no_pids_limit::RULE,
    no_files_limit::RULE,
    core_dumps::RULE,
    oom_kill_disable::RULE,
    negative_oom_score::RULE,
    cpu_rt::RULE,
    cgroup_parent::RULE,
    cgroups_disabled::RULE,
    cgroup_conf::RULE,
    // What runs, and where it comes from.
    rootfs_sensitive::RULE,
    rootfs_host::RULE,
    workdir_through_proc::RULE,
    ssh_in_container::RULE,
    insecure_registry::RULE,
    // Ports.
    privileged_port::RULE,
    publish_all::RULE,
    publish_any_address::RULE,
];

/// The rule with this id, those that only a site's policy brings included.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().chain(crate::site::rules::RULES).find(|rule| rule.id == id)
}
