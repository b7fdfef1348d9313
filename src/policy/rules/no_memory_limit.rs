use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "no-memory-limit",
    severity: Severity::High,
    summary: "any amount of memory or swap",
    risk: "one container can push everything else out of memory, the host's own services included",
    instead: "--memory SIZE with what the workload needs: --memory 4g",
    example: "--memory 4g --memory-swap -1 IMAGE",
    overriding: Override::Loosens("no limit on memory, or on swap, as asked"),
    references: &["CIS 5.11"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let mut out = Vec::new();
    match &draft.resources.memory {
        Some(memory) if memory.value > 0 => {}
        Some(memory) => out.push(Finding::new(RULE.id, asked(memory, "--memory", memory.value))),
        None if !facts.cgroup_controllers.iter().any(|c| c == "memory") => {}
        None => out.push(Finding::new(RULE.id, "no limit on memory")),
    }
    if let Some(swap) = draft.resources.memory_swap.as_ref().filter(|s| s.value < 0) {
        out.push(Finding::new(RULE.id, asked(swap, "--memory-swap", swap.value)).detail("swap without limit"));
    }
    out
}
