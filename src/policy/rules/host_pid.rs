use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-pid",
    severity: Severity::Critical,
    summary: "the host's process list",
    risk: "every process of the host can be seen, and those of the same user signalled; /proc/PID/root leads into them",
    instead: "leave --pid out; to watch one container: --pid container:NAME",
    example: "--pid host IMAGE",
    overriding: Override::Loosens(
        "the container has the host's process namespace; its user namespace still keeps it from other users' processes",
    ),
    references: &["CIS 5.16", "PSS baseline hostPID", "NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let namespace = &draft.namespaces.pid;
    match namespace.value {
        Namespace::Host => vec![Finding::new(RULE.id, asked(namespace, "--pid", "host"))],
        Namespace::Private | Namespace::Container(_) => vec![],
    }
}
