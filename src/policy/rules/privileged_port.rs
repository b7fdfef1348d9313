use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "privileged-port",
    severity: Severity::Medium,
    summary: "a host port below 1024",
    risk: "clients trust what answers on a system port: a container can stand in for the host's own services",
    instead: "a port from 1024 up: -p 127.0.0.1:8080:80 (port 80 inside needs nothing)",
    example: "-p 80:80 IMAGE",
    overriding: Override::Loosens("that host port is published"),
    references: &["CIS 5.8"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let low = |port: &&Published| matches!(port.host_port, Some(1..1024));
    draft
        .asked
        .publish
        .iter()
        .filter(low)
        .map(|port| {
            let host = port.host_port.unwrap_or_default();
            let ip = port.host_ip.as_deref().unwrap_or("127.0.0.1");
            let safer = format!("-p {ip}:{}:{}", 8000 + host % 1000, port.container_port);
            Finding::new(RULE.id, published(port)).instead(safer)
        })
        .collect()
}
