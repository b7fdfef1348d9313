use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "privileged-group",
    severity: Severity::High,
    summary: "a system group of the host",
    risk: "without a user namespace the number is the host's group: disk, kmem, shadow or docker is root by another name",
    instead: "leave --group-add out, or name a group from 1000 up (-u UID:GID)",
    example: "--userns host --group-add docker IMAGE",
    overriding: Override::Loosens("the process has that group"),
    references: &["NIST SP 800-190 4.4.3"],
    check,
};

/// adm, disk, tty, kmem, sudo and shadow of Debian and its kin, besides those that the host calls by such names: with any of these a user
/// of the host reads its disks, memory, logs, terminals or password hashes. Not root's: who is nobody else in particular (`-u 1234`) has it, and it gives less than being root inside.
const KNOWN: &[u32] = &[4, 5, 6, 15, 27, 42];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    // Inside a private user namespace every number is the container's own, and root inside could take any on.
    if draft.namespaces.user.value != UserNamespace::Host {
        return vec![];
    }
    let user = &draft.process.user.value;
    let asked = &draft.asked.group_add;
    let mut groups = user.additional_gids.clone();
    groups.retain(|gid| {
        // Root has no need of groups; system groups (docker's number differs from host to host) count where asked for.
        let known = user.uid != 0 && KNOWN.contains(gid);
        known || (!asked.is_empty() && *gid < 1000 && *gid != user.gid)
    });
    if user.uid != 0 && KNOWN.contains(&user.gid) {
        groups.push(user.gid);
    }
    groups.extend(draft.asked.host_groups.keys());
    groups.sort_unstable();
    groups.dedup();
    let what = match asked.is_empty() {
        true => format!("user {}:{}", user.uid, user.gid),
        false => format!("--group-add {}", asked.join(" --group-add ")),
    };
    match groups.is_empty() {
        true => vec![],
        false => {
            let name = |gid: &u32| match draft.asked.host_groups.get(gid) {
                Some(name) => format!("{gid} ({name})"),
                None => gid.to_string(),
            };
            let list = groups.iter().map(name).collect::<Vec<_>>().join(", ");
            vec![Finding::new(RULE.id, what).detail(format!("the host's own group {list}"))]
        }
    }
}
