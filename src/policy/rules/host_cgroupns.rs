use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-cgroupns",
    severity: Severity::High,
    summary: "the host's control group tree",
    risk: "the limits and names of everything that runs are seen; with a writable tree a release_agent is a way out",
    instead: "leave --cgroupns out: the container sees its own group as the root",
    example: "--cgroupns host IMAGE",
    overriding: Override::Loosens("the container sees the host's control group tree, read-only"),
    references: &["CIS 5.25", "CVE-2022-0492"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let namespace = &draft.namespaces.cgroup;
    match namespace.value {
        Namespace::Host => vec![Finding::new(RULE.id, asked(namespace, "--cgroupns", "host"))],
        Namespace::Private | Namespace::Container(_) => vec![],
    }
}
