use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "personality",
    severity: Severity::High,
    summary: "another execution domain",
    risk: "ADDR_NO_RANDOMIZE and its like put programs where an exploit expects them",
    instead: "leave --personality out; inside: setarch -R for the one program that needs it",
    example: "--personality LINUX32 IMAGE",
    overriding: Override::Loosens("that execution domain is set"),
    references: &["NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft.asked.personality.iter().map(|name| Finding::new(RULE.id, format!("--personality {name}"))).collect()
}
