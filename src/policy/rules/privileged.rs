use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "privileged",
    severity: Severity::Critical,
    summary: "--privileged",
    risk: "every capability at once: each one of a dozen of them is enough to leave the container",
    instead: "name what is needed: --cap-add CAP for one capability, --device PATH for one device",
    example: "--privileged IMAGE",
    overriding: Override::Loosens(
        "every capability inside the container's own user namespace with the system calls that go with them, mounting and unmounting included, which ends masks and Landlock; devices and namespaces stay as they are",
    ),
    references: &["CIS 5.5", "PSS baseline Privileged Containers", "NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.privileged {
        true => vec![Finding::new(RULE.id, "--privileged")],
        false => vec![],
    }
}
