use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "preserve-fds",
    severity: Severity::Critical,
    summary: "open files of the caller",
    risk: "an open folder or socket of the host goes around every mount and namespace",
    instead: "mount the file (-v), or pipe it in: hardrun run -i … < FILE",
    example: "--preserve-fds 1 IMAGE",
    overriding: Override::Loosens("that many descriptors from 3 up stay open; folders of the host stay closed"),
    references: &["CVE-2024-21626"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.preserve_fds {
        0 => vec![],
        count => vec![Finding::new(RULE.id, format!("--preserve-fds {count}"))],
    }
}
