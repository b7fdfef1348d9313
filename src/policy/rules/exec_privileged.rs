use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "exec-privileged",
    severity: Severity::Critical,
    summary: "exec --privileged",
    risk: "a process with every capability in a container that was started without: what it was confined for is undone from outside",
    instead: "start a container with the one capability that is needed: hardrun run --cap-add CAP",
    example: "exec --privileged NAME sh",
    overriding: Override::Loosens(
        "every capability inside the container's own user namespace; the filter, Landlock and the masks stay those of the container",
    ),
    references: &["CIS 5.23", "NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.exec.as_ref().is_some_and(|e| e.privileged) {
        true => vec![Finding::new(RULE.id, "exec --privileged")],
        false => vec![],
    }
}
