use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "seccomp-unconfined",
    severity: Severity::Critical,
    summary: "no system call filter",
    risk: "every system call of the kernel can be tried, those that no workload needs and those of 32-bit programs included",
    instead: "leave seccomp=unconfined out; if a call is missing: --security-opt seccomp=PROFILE.json with that call",
    example: "--security-opt seccomp=unconfined IMAGE",
    overriding: Override::Loosens("no system call filter; capabilities, namespaces and masks stay as they are"),
    references: &["CIS 5.22", "PSS restricted Seccomp"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let profile = &draft.seccomp.profile;
    match profile.value {
        SeccompProfile::Unconfined => {
            vec![Finding::new(RULE.id, asked(profile, "--security-opt", "seccomp=unconfined"))]
        }
        SeccompProfile::Builtin | SeccompProfile::File { .. } => vec![],
    }
}
