use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "gpus",
    severity: Severity::High,
    summary: "graphics processors",
    risk: "the host's graphics driver takes commands from the container, and its set-up runs a program as root on the host",
    instead: "run that step on a machine of its own, or name the one device: --device /dev/dri/renderD128",
    example: "--gpus all IMAGE",
    overriding: Override::Loosens("nothing yet: hardrun ships no graphics set-up, and says so"),
    references: &["CIS 5.18", "CVE-2024-0132", "CVE-2025-23266"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft.asked.gpus.iter().map(|gpus| Finding::new(RULE.id, format!("--gpus {gpus}"))).collect()
}
