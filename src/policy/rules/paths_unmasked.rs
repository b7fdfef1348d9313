use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "paths-unmasked",
    severity: Severity::Critical,
    summary: "kernel files that are hidden or read-only by default, open",
    risk: "kernel memory, timers and settings under /proc and /sys can be read or written",
    instead: "leave systempaths=unconfined out",
    example: "--security-opt systempaths=unconfined IMAGE",
    overriding: Override::Loosens(
        "the masked and read-only paths under /proc and /sys are open; user namespace and filter stay on",
    ),
    references: &["PSS baseline procMount", "CVE-2025-31133"],
    check,
};

/// What no container may find open, and what none may find writable.
pub use crate::plan::draft::{MASKED_PATHS as MASKED, READONLY_PATHS as READONLY};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let masked = &draft.masked_paths;
    let readonly = &draft.readonly_paths;
    let covered = |path: &str, lists: &[&Vec<String>]| {
        lists.iter().any(|list| list.iter().any(|have| std::path::Path::new(path).starts_with(have)))
    };
    let mut out = Vec::new();
    let open: Vec<&str> = MASKED.iter().copied().filter(|p| !covered(p, &[&masked.value])).collect();
    if !open.is_empty() {
        let what = asked(masked, "--security-opt", option(open.len() == MASKED.len()));
        out.push(Finding::new(RULE.id, what).detail(format!("not hidden: {}", open.join(", "))));
    }
    let open: Vec<&str> = READONLY.iter().copied().filter(|p| !covered(p, &[&readonly.value, &masked.value])).collect();
    if !open.is_empty() {
        let what = asked(readonly, "--security-opt", option(open.len() == READONLY.len()));
        out.push(Finding::new(RULE.id, what).detail(format!("writable: {}", open.join(", "))));
    }
    out
}

fn option(all: bool) -> &'static str {
    if all { "systempaths=unconfined" } else { "unmask=…" }
}
