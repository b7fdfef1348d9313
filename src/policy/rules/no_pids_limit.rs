use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "no-pids-limit",
    severity: Severity::High,
    summary: "any number of processes",
    risk: "a fork bomb fills the host's process table, and nobody can log in to stop it",
    instead: "--pids-limit N with what the workload needs: --pids-limit 4096",
    example: "--pids-limit -1 IMAGE",
    overriding: Override::Loosens("no limit on processes"),
    references: &["CIS 5.29"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    match &draft.resources.pids {
        Some(pids) if pids.value > 0 => vec![],
        Some(pids) => vec![Finding::new(RULE.id, asked(pids, "--pids-limit", pids.value))],
        // Where the host cannot limit, `explain` and `doctor` say so.
        None if !facts.cgroup_controllers.iter().any(|c| c == "pids") => vec![],
        None => vec![Finding::new(RULE.id, "no limit on processes")],
    }
}
