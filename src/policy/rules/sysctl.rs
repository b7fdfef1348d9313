use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "sysctl",
    severity: Severity::High,
    summary: "a kernel setting outside the safe set",
    risk: "settings of a namespace reach kernel code and memory that the host shares",
    instead: "leave it out, or one of the safe set (Pod Security Standards): net.ipv4.ip_unprivileged_port_start, net.ipv4.tcp_keepalive_time, …",
    example: "--sysctl net.ipv4.ip_forward=1 IMAGE",
    overriding: Override::Loosens("that setting, in the container's own namespace"),
    references: &["PSS baseline Sysctls"],
    check,
};

/// Kubernetes' safe set, and two that are the network namespace's own and small.
const SAFE: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.core.somaxconn",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.disable_ipv6",
    "net.ipv6.conf.lo.disable_ipv6",
];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft
        .sysctls
        .iter()
        .filter(|(key, _)| !SAFE.contains(&key.replace('/', ".").as_str()))
        // Off is less than the default: hardrun's own doing where ports to connect to are listed.
        .filter(|(key, value)| key.as_str() != "net.ipv4.tcp_fastopen" || value.value != "0")
        .filter(|(key, _)| super::host_sysctl::owner(draft, key) == super::host_sysctl::Owner::Container)
        .map(|(key, value)| Finding::new(RULE.id, asked(value, "--sysctl", format!("{key}={}", value.value))))
        .collect()
}
