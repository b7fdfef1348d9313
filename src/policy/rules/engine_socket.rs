use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "engine-socket",
    severity: Severity::Critical,
    summary: "an engine's control socket, or a folder that holds one, inside the container",
    risk: "whoever can speak to the socket starts a privileged process on the host: this is root on the host, read-only or not",
    instead: "leave the mount out; run the step that needs the engine on the host, or build images with a tool that needs no socket (buildah, kaniko)",
    example: "-v /var/run/docker.sock:/var/run/docker.sock IMAGE",
    overriding: Override::Loosens(
        "the socket is mounted; user namespace, capabilities and filter stay on, but they do not help here",
    ),
    references: &["CIS 5.32", "NIST SP 800-190 4.5.5", "PSS baseline HostPath"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::binds(draft, facts)
        .filter_map(|(mount, matches)| {
            let why = matches.iter().filter(|m| m.class == PathClass::EngineSocket).find(|m| {
                // A socket below a covered folder (~/.docker in a bound home) cannot be reached.
                m.relation != Relation::Contains || !mount::is_covered(mount, &m.path, draft)
            })?;
            Some(mount::finding(RULE.id, mount, why))
        })
        .collect()
}
