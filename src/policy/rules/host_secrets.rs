use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-secrets",
    severity: Severity::Critical,
    summary: "keys, tokens or password hashes of the host or its users inside the container",
    risk: "a copy of a key works from anywhere and for as long as nobody changes it",
    instead: "give the container a key of its own: -v ./key-for-this:/run/secrets/key:ro",
    example: "-v /root/.ssh:/root/.ssh:ro IMAGE",
    overriding: Override::Loosens("that path can be read in the container; secrets in other bound folders stay hidden"),
    references: &["CIS 5.6", "NIST SP 800-190 4.1.4"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::binds(draft, facts)
        .filter(|(_, matches)| matches.iter().all(|m| m.class != PathClass::Root))
        .filter_map(|(mount, matches)| {
            let why = matches
                .iter()
                .filter(|m| m.class == PathClass::Secret)
                .find(|m| m.relation != Relation::Contains || !mount::is_covered(mount, &m.path, draft))?;
            Some(mount::finding(RULE.id, mount, why))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Held;
    use crate::policy::testkit::{bind, draft_with, facts, seen};

    #[test]
    fn a_cover_that_can_be_unmounted_hides_nothing() {
        let home = |draft: &mut Draft| {
            let key = Held { path: "/home/ann/.ssh".into(), class: PathClass::Secret, why: "keys".into() };
            draft.mounts = vec![seen(bind("/home/ann:/src:rw"), |s| s.holds = vec![key])];
            draft.masked_paths.value.push("/src/.ssh".into());
        };
        assert_eq!(check(&draft_with(home), &facts()), []);
        let with_mount = draft_with(|draft| {
            home(draft);
            draft.capabilities.value.insert("CAP_SYS_ADMIN".into());
        });
        assert_eq!(check(&with_mount, &facts()).len(), 1);
    }
}
