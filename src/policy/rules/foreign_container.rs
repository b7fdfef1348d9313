use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "foreign-container",
    severity: Severity::Critical,
    summary: "a namespace of something that hardrun does not run",
    risk: "what runs there may be privileged; joined to it, this container has the weaker confinement of the two",
    instead: "start the other container with hardrun too, then: --network container:NAME",
    example: "--network ns:/proc/1/ns/net IMAGE",
    overriding: Override::Loosens("that namespace is joined"),
    references: &["NIST SP 800-190 4.4.2", "PSS baseline Host Namespaces"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft.asked.foreign_namespaces.iter().map(|asked| Finding::new(RULE.id, asked.clone())).collect()
}
