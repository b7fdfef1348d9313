use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-userns",
    severity: Severity::Critical,
    summary: "the host's user ids",
    risk: "root inside is root outside: any flaw in the other layers is root on the host",
    instead: "leave --userns out; a container user for files of a host user comes with -v by itself",
    example: "--userns host IMAGE",
    overriding: Override::Loosens(
        "no user namespace: ids are the host's, and for that reason no capability is given back",
    ),
    references: &["CIS 2.9", "CIS 5.31", "NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let user = &draft.namespaces.user;
    match (&user.value, &user.source) {
        // A kernel without user namespaces is a fallback that `explain` and `doctor` name, not a request.
        (UserNamespace::Private { .. }, _) | (UserNamespace::Host, Source::Host) => vec![],
        (UserNamespace::Host, _) => vec![Finding::new(RULE.id, asked(user, "--userns", "host"))],
    }
}
