use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "device-cgroup-rule",
    severity: Severity::Critical,
    summary: "a rule that opens devices by number",
    risk: "one line opens every disk: what is needed is a node, which can be made or passed in",
    instead: "--device PATH for the one device",
    example: "--device-cgroup-rule 'c 42:* rmw' IMAGE",
    overriding: Override::Loosens("that rule is added"),
    references: &["CIS 5.18"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let rules = draft.device_cgroup_rules.iter();
    rules.map(|rule| Finding::new(RULE.id, asked(rule, "--device-cgroup-rule", format!("'{}'", rule.value)))).collect()
}
