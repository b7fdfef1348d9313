use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "workdir-through-proc",
    severity: Severity::Critical,
    summary: "a working directory under /proc or /sys",
    risk: "/proc/self/fd/N is a folder of the host that the launcher may have open: the container starts outside its root",
    instead: "a folder of the image: -w /work",
    example: "-w /proc/self/fd/7 IMAGE",
    overriding: Override::Never("no program has its files there; the image's own setting is refused too"),
    references: &["CVE-2024-21626"],
    check,
};

use crate::policy::sensitive::pattern::components;

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let cwd = &draft.process.cwd;
    match components(std::path::Path::new(&cwd.value)).first().map(String::as_str) {
        Some("proc" | "sys") => vec![Finding::new(RULE.id, asked(cwd, "--workdir", &cwd.value))],
        _ => vec![],
    }
}
