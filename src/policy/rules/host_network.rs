use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-network",
    severity: Severity::Critical,
    summary: "the host's network",
    risk: "every service on the host's loopback and every abstract socket can be reached, traffic seen, ports taken; containerd's API was reached this way",
    instead: "a network of its own, with the ports that are needed: -p 127.0.0.1:8080:80",
    example: "--network host IMAGE",
    overriding: Override::Loosens(
        "the container has the host's network namespace, and sees the host's /sys, read-only",
    ),
    references: &["CIS 5.10", "CVE-2020-15257", "PSS baseline hostNetwork", "NIST SP 800-190 4.4.2"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let network = &draft.namespaces.network;
    match network.value {
        NetworkMode::Host => vec![Finding::new(RULE.id, asked(network, "--network", "host"))],
        NetworkMode::None | NetworkMode::Bridge | NetworkMode::Container(_) | NetworkMode::Named(_) => vec![],
    }
}
