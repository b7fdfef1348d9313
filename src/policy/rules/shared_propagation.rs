use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "shared-propagation",
    severity: Severity::High,
    summary: "a mount whose changes travel between container and host (shared, slave)",
    risk: "a mount made inside appears on the host, or one made on the host appears inside",
    instead: "leave the propagation out: every mount is private",
    example: "-v /srv/data:/data:rshared IMAGE",
    overriding: Override::Loosens("that mount has the propagation asked for"),
    references: &["CIS 5.20", "CIS 1.2"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft
        .mounts
        .iter()
        .filter(|mount| !matches!(mount.propagation.value.trim(), "" | "private" | "rprivate"))
        .map(|mount| {
            Finding::new(RULE.id, mount.asked.clone()).detail(format!("propagation {}", mount.propagation.value))
        })
        .collect()
}
