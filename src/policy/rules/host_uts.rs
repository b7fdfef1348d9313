use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-uts",
    severity: Severity::High,
    summary: "the host's name",
    risk: "the host can be renamed where capabilities allow it, and its name gives it away",
    instead: "--hostname NAME",
    example: "--uts host IMAGE",
    overriding: Override::Loosens("the container has the host's uts namespace"),
    references: &["CIS 5.21"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let namespace = &draft.namespaces.uts;
    match namespace.value {
        Namespace::Host => vec![Finding::new(RULE.id, asked(namespace, "--uts", "host"))],
        Namespace::Private | Namespace::Container(_) => vec![],
    }
}
