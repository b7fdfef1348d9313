use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "new-privileges",
    severity: Severity::High,
    summary: "setuid programs that count",
    risk: "a setuid program or file capability in the image, or in a bound folder, gives rights that were dropped",
    instead: "leave no-new-privileges=false out; a program that has to start as root: --user 0",
    example: "--security-opt no-new-privileges=false IMAGE",
    overriding: Override::Loosens(
        "setuid and file capabilities count inside; they reach no further than the container's own user ids",
    ),
    references: &["CIS 5.26", "PSS restricted allowPrivilegeEscalation"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let bit = &draft.process.no_new_privileges;
    match bit.value {
        true => vec![],
        false => vec![Finding::new(RULE.id, asked(bit, "--security-opt", "no-new-privileges=false"))],
    }
}
