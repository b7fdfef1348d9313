use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "writable-cgroups",
    severity: Severity::High,
    summary: "a writable control group tree",
    risk: "on cgroup v1 release_agent starts a program as root on the host; on v2 limits can be moved around",
    instead: "leave writable-cgroups out; for systemd inside, a virtual machine",
    example: "--security-opt writable-cgroups=true IMAGE",
    overriding: Override::Loosens("the container's own part of the tree is writable"),
    references: &["CVE-2022-0492"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.writable_cgroups {
        true => vec![Finding::new(RULE.id, "--security-opt writable-cgroups=true")],
        false => vec![],
    }
}
