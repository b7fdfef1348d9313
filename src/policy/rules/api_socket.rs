use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "api-socket",
    severity: Severity::Critical,
    summary: "the engine's socket and credentials, as a flag",
    risk: "the container can start a privileged one, and log in to the registries as the caller",
    instead: "run the step that needs the engine on the host",
    example: "--use-api-socket IMAGE",
    overriding: Override::Never("hardrun has no engine socket to hand in; docker's own: see engine-socket"),
    references: &["CIS 5.32", "NIST SP 800-190 4.5.5"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.use_api_socket {
        true => vec![Finding::new(RULE.id, "--use-api-socket")],
        false => vec![],
    }
}
