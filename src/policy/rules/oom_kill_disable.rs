use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "oom-kill-disable",
    severity: Severity::High,
    summary: "a container that is not killed when its memory is used up",
    risk: "its processes hang for ever with locks held, and the host may hang with them",
    instead: "a larger limit: --memory 4g",
    example: "--oom-kill-disable IMAGE",
    overriding: Override::Loosens(
        "the kernel's out-of-memory killer passes this container over, where the kernel still can (cgroup v1)",
    ),
    references: &["CIS 5.11"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.oom_kill_disable {
        true => vec![Finding::new(RULE.id, "--oom-kill-disable")],
        false => vec![],
    }
}
