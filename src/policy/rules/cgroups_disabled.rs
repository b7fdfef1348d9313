use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "cgroups-disabled",
    severity: Severity::High,
    summary: "no control group",
    risk: "no limit on memory, processes or processor time holds",
    instead: "leave --cgroups out",
    example: "--cgroups disabled IMAGE",
    overriding: Override::Loosens("the container runs in the caller's control group"),
    references: &["CIS 5.11", "CIS 5.12", "CIS 5.29"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.cgroups_disabled {
        true => vec![Finding::new(RULE.id, "--cgroups disabled")],
        false => vec![],
    }
}
