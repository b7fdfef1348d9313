use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "env-host",
    severity: Severity::High,
    summary: "the caller's whole environment",
    risk: "tokens and passwords that the caller's shell holds are readable in the container and by `inspect`",
    instead: "the variables that are needed: -e NAME",
    example: "--env-host IMAGE",
    overriding: Override::Loosens("every variable of the caller is passed on"),
    references: &["NIST SP 800-190 4.1.4", "CIS 4.10"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.env_host {
        true => vec![Finding::new(RULE.id, "--env-host")],
        false => vec![],
    }
}
