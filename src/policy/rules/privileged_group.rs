use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "privileged-group",
    severity: Severity::High,
    summary: "a system group of the host",
    risk: "without a user namespace the number is the host's group: disk, kmem, shadow or docker is root by another name",
    instead: "leave --group-add out, or a group from 1000 up",
    example: "--userns host --group-add docker IMAGE",
    overriding: Override::Loosens("the process has that group"),
    references: &["NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    // Inside a private user namespace every number is the container's own, and root inside could take any on.
    if draft.namespaces.user.value != UserNamespace::Host {
        return vec![];
    }
    let user = &draft.process.user;
    let groups = user.value.additional_gids.iter().filter(|gid| **gid < 1000);
    groups.map(|gid| Finding::new(RULE.id, asked(user, "group", gid)).detail("a system group of the host")).collect()
}
