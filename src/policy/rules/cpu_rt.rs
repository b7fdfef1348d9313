use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "cpu-rt",
    severity: Severity::High,
    summary: "real-time scheduling",
    risk: "a loop at real-time priority starves the host's processor until the power is cut",
    instead: "--cpu-shares 4096 or --cpus N for more than others get",
    example: "--cpu-rt-runtime 950000 IMAGE",
    overriding: Override::Loosens("the real-time budget or priority asked for, where the kernel has it"),
    references: &["CIS 5.12"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let mut out = Vec::new();
    let resources = &draft.resources;
    if let Some(runtime) = resources.cpu_rt_runtime.as_ref().filter(|r| r.value != 0) {
        out.push(Finding::new(RULE.id, asked(runtime, "--cpu-rt-runtime", runtime.value)));
    } else if draft.asked.cpu_rt {
        out.push(Finding::new(RULE.id, "real-time processor time"));
    }
    if let Some(limit) = draft.process.rlimits.get("rtprio").filter(|l| l.value.hard > 0) {
        out.push(Finding::new(RULE.id, asked(limit, "--ulimit", format!("rtprio={}", limit.value.hard))));
    }
    out
}
