use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "sensitive-mount-rw",
    severity: Severity::High,
    summary: "a sensitive host folder (/etc, /usr, /boot, …) mounted writable",
    risk: "what the container writes there the host runs or trusts later: programs, cron jobs, start-up files, accounts",
    instead: "-v PATH:DEST:ro, or a named volume for what the container has to write: -v NAME:DEST",
    example: "-v /etc:/host-etc:rw IMAGE",
    overriding: Override::Loosens(
        "that mount is writable; the host's root is still not to be had through it, and setuid files cannot be made",
    ),
    references: &["CIS 5.6", "NIST SP 800-190 4.5.5"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let mut out = Vec::new();
    for (mount, matches) in mount::binds(draft, facts) {
        let MountKind::Bind { create, typed, .. } = &mount.kind else { continue };
        let Some(why) = matches.iter().find(|m| m.relation != Relation::Contains || m.class == PathClass::EngineSocket)
        else {
            continue;
        };
        if !mount.readonly.value {
            let safer = format!("-v {}:{}:ro", typed.display(), mount.destination);
            out.push(mount::finding(RULE.id, mount, why).instead(safer));
        } else if *create && matches!(why.class, PathClass::Sensitive | PathClass::Startup) {
            let detail = format!("{} does not exist, and would be made in {}", typed.display(), why.path);
            out.push(Finding::new(RULE.id, mount.asked.clone()).detail(detail));
        }
    }
    out
}
