use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-ipc",
    severity: Severity::High,
    summary: "the host's shared memory and message queues",
    risk: "memory that host programs share, databases among them, can be read and written",
    instead: "leave --ipc out; more shared memory: --shm-size 1g",
    example: "--ipc host IMAGE",
    overriding: Override::Loosens("the container has the host's ipc namespace"),
    references: &["CIS 5.17", "PSS baseline hostIPC"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let namespace = &draft.namespaces.ipc;
    match namespace.value {
        Namespace::Host => vec![Finding::new(RULE.id, asked(namespace, "--ipc", "host"))],
        Namespace::Private | Namespace::Container(_) => vec![],
    }
}
