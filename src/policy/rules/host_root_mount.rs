use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-root-mount",
    severity: Severity::Critical,
    summary: "the host's whole file system inside the container",
    risk: "every secret, socket and device of the host is in it; one writable file is enough to become root",
    instead: "-v of the one folder that is needed, read-only: -v /srv/data:/data:ro",
    example: "-v /:/host IMAGE",
    overriding: Override::Loosens(
        "the tree is mounted, read-only unless said otherwise, with known secrets and hardrun's own folders hidden",
    ),
    references: &["CIS 5.6", "NIST SP 800-190 4.5.5", "PSS baseline HostPath"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::binds(draft, facts)
        .filter_map(|(mount, matches)| {
            let why = matches.iter().find(|m| m.class == PathClass::Root)?;
            Some(mount::finding(RULE.id, mount, why))
        })
        .collect()
}
