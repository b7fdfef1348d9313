use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "own-state",
    severity: Severity::Critical,
    summary: "hardrun's own images, state, policy or audit log inside the container",
    risk: "a container could read other containers' files, change what the next one runs, or study what is recorded of it",
    instead: "-v NAME:DEST for a volume; `hardrun save` for an image; `hardrun audit-log show` for the log",
    example: "-v /var/lib/hardrun:/x IMAGE",
    overriding: Override::Never("what enforces the rules must not be in reach of what they bind"),
    references: &["NIST SP 800-190 4.4.1"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::binds(draft, facts)
        .filter_map(|(mount, matches)| {
            let why = matches
                .iter()
                .filter(|m| m.class == PathClass::Own)
                .find(|m| m.relation != Relation::Contains || !mount::is_covered(mount, &m.path, draft))?;
            Some(mount::finding(RULE.id, mount, why))
        })
        .collect()
}
