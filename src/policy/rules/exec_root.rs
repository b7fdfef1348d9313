use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "exec-root",
    severity: Severity::High,
    summary: "exec as root in a container that runs as another user",
    risk: "the files and processes of the container belong to its user so that nothing in it is root; a root shell in it can change all of them",
    instead: "exec without --user, or with the container's own user; for repairs: hardrun cp, or a new container on the same volume",
    example: "exec -u root NAME sh",
    overriding: Override::Loosens(
        "the process is root inside the container, with the capabilities that the container was given",
    ),
    references: &["CIS 5.24"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.exec.as_ref().and_then(|e| e.root.as_ref()) {
        Some(typed) => vec![Finding::new(RULE.id, format!("exec {typed}"))],
        None => vec![],
    }
}
