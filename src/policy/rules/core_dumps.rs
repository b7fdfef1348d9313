use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "core-dumps",
    severity: Severity::Medium,
    summary: "core dumps",
    risk: "the host's root handles a crash of the container (core_pattern), and memory with its secrets ends in a file",
    instead: "debug inside: run the program under gdb in the container",
    example: "--ulimit core=-1 IMAGE",
    overriding: Override::Loosens("a crash writes a core dump, where the host's core_pattern says"),
    references: &["CVE-2025-4598"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.process.rlimits.get("core") {
        Some(limit) if limit.value.hard > 0 => {
            let size = if limit.value.hard == u64::MAX { "-1".to_owned() } else { limit.value.hard.to_string() };
            vec![Finding::new(RULE.id, asked(limit, "--ulimit", format!("core={size}")))]
        }
        _ => vec![],
    }
}
