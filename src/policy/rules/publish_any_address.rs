use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "publish-any-address",
    severity: Severity::Medium,
    summary: "a port on every address of the host",
    risk: "the service is open to every network the host is on, around the host's own firewall rules",
    instead: "the one address that clients use: -p 192.0.2.10:8080:80, or leave it out for 127.0.0.1",
    example: "-p 0.0.0.0:8080:80 IMAGE",
    overriding: Override::Loosens("that port is published on every address"),
    references: &["CIS 5.14"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let any = |port: &&Published| {
        let ip = port.host_ip.as_deref().map(|ip| ip.trim_matches(['[', ']']));
        ip.and_then(|ip| ip.parse::<std::net::IpAddr>().ok()).is_some_and(|ip| match ip {
            std::net::IpAddr::V6(v6) => {
                v6.is_unspecified() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_unspecified())
            }
            v4 => v4.is_unspecified(),
        })
    };
    draft.asked.publish.iter().filter(any).map(|port| Finding::new(RULE.id, published(port))).collect()
}
