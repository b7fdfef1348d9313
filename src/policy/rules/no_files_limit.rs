use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "no-files-limit",
    severity: Severity::Medium,
    summary: "any number of open files",
    risk: "every open file takes kernel memory that no other limit stops",
    instead: "--ulimit nofile=N with what the workload needs: --ulimit nofile=65536",
    example: "--ulimit nofile=-1 IMAGE",
    overriding: Override::Loosens("the limit on open files is as asked, as far as the host's own goes"),
    references: &["CIS 5.19"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.process.rlimits.get("nofile") {
        Some(limit) if limit.value.hard == u64::MAX => {
            vec![Finding::new(RULE.id, asked(limit, "--ulimit", "nofile=-1"))]
        }
        _ => vec![],
    }
}
