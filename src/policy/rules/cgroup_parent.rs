use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "cgroup-parent",
    severity: Severity::High,
    summary: "a control group chosen by hand",
    risk: "outside its own group the container has other limits than the plan says, or none",
    instead: "leave it out, and set the limits: --memory, --cpus, --pids-limit",
    example: "--cgroup-parent /system.slice IMAGE",
    overriding: Override::Loosens("the container's group is made below that one"),
    references: &["CIS 5.25"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft.asked.cgroup_parent.iter().map(|parent| Finding::new(RULE.id, format!("--cgroup-parent {parent}"))).collect()
}
