use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "cgroup-conf",
    severity: Severity::High,
    summary: "raw control group settings",
    risk: "a raw setting can take back a limit that the plan says is there",
    instead: "the flag for the limit: --memory, --cpus, --pids-limit, --blkio-weight",
    example: "--cgroup-conf memory.high=max IMAGE",
    overriding: Override::Loosens("those settings are written as they are"),
    references: &["CIS 5.11", "CIS 5.25"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft.asked.cgroup_conf.iter().map(|conf| Finding::new(RULE.id, format!("--cgroup-conf {conf}"))).collect()
}
