use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-proc-mount",
    severity: Severity::Critical,
    summary: "the host's /proc inside the container",
    risk: "core_pattern and sysrq-trigger run programs as root or stop the host; every process's environment can be read",
    instead: "leave the mount out: the container has a /proc of its own",
    example: "-v /proc:/host/proc:ro IMAGE",
    overriding: Override::Loosens("the host's /proc is mounted where asked, read-only unless said otherwise"),
    references: &["CIS 5.6", "PSS baseline procMount", "CVE-2025-52881"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::below(RULE.id, "/proc", PathClass::Kernel, draft, facts)
}
