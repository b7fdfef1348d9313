//! The ordered list of all rules: what gives the most away comes first within each group.

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
    dangerous_capability::RULE,
    paths_unmasked::RULE,
    // Namespaces.
    host_userns::RULE,
    host_pid::RULE,
    host_network::RULE,
    host_ipc::RULE,
    host_uts::RULE,
    host_cgroupns::RULE,
    foreign_container::RULE,
];

/// The rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
