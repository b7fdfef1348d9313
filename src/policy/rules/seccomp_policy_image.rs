use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "seccomp-policy-image",
    severity: Severity::Critical,
    summary: "a system call filter that the image brings",
    risk: "what is to be confined would choose its own confinement",
    instead: "leave --seccomp-policy out; a profile that you have read: --security-opt seccomp=PROFILE.json",
    example: "--seccomp-policy image IMAGE",
    overriding: Override::Loosens(
        "the image's profile is taken where it is not weaker than the built-in one; see seccomp-weaker",
    ),
    references: &["CIS 5.22"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.seccomp_policy_image {
        true => vec![Finding::new(RULE.id, "--seccomp-policy image")],
        false => vec![],
    }
}
