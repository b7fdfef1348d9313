//! What the rules about binds share.

use crate::facts::{Facts, PathClass};
use crate::plan::{Draft, MountKind, MountPlan};
use crate::policy::rule::Finding;
use crate::policy::sensitive::{Match, classify_bind, inside, pattern::Relation};
use std::path::Path;

/// Every bind of a draft together with all that its source is or holds.
pub fn binds<'a>(draft: &'a Draft, facts: &'a Facts) -> impl Iterator<Item = (&'a MountPlan, Vec<Match>)> + 'a {
    draft.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Bind { source, typed, seen, .. } => Some((mount, classify_bind(source, typed, seen, facts))),
        _ => None,
    })
}

/// A finding for a bind, with what its source leads to where the words do not show it.
pub fn finding(rule: &'static str, mount: &MountPlan, why: &Match) -> Finding {
    let mut detail = match why.relation {
        Relation::Is | Relation::Inside => why.why.clone(),
        Relation::Contains => format!("holds {}: {}", why.path, why.why),
    };
    if let MountKind::Bind { source, typed, .. } = &mount.kind
        && source != typed
    {
        detail = format!("{} leads to {}; {detail}", typed.display(), source.display());
    }
    Finding::new(rule, mount.asked.clone()).detail(detail)
}

/// One finding for each bind that is, lies in or holds something of a class. A bind of the whole file system is judged
/// by the rule for that, and by the one for sockets.
pub fn of_class(rule: &'static str, class: PathClass, draft: &Draft, facts: &Facts) -> Vec<Finding> {
    binds(draft, facts)
        .filter(|(_, matches)| class == PathClass::EngineSocket || matches.iter().all(|m| m.class != PathClass::Root))
        .filter_map(|(mount, matches)| {
            let why = matches.iter().find(|m| m.class == class)?;
            Some(finding(rule, mount, why))
        })
        .collect()
}

/// Whether a host path below a bind's source is hidden in the container by one of the masked paths. With CAP_SYS_ADMIN,
/// which opens the mount calls, a cover can be unmounted: there it hides nothing.
pub fn is_covered(mount: &MountPlan, path: &str, draft: &Draft) -> bool {
    let MountKind::Bind { source, .. } = &mount.kind else { return false };
    if draft.capabilities.value.contains("CAP_SYS_ADMIN") {
        return false;
    }
    let masked = &draft.masked_paths.value;
    inside(mount, source, Path::new(path)).is_some_and(|at| masked.iter().any(|m| at.starts_with(m)))
}

/// As [`of_class`], for a class that two rules share: only what the table lists under `path`.
pub fn below(rule: &'static str, path: &str, class: PathClass, draft: &Draft, facts: &Facts) -> Vec<Finding> {
    binds(draft, facts)
        .filter_map(|(mount, matches)| {
            let why = matches.iter().find(|m| m.class == class && Path::new(&m.path).starts_with(path));
            Some(finding(rule, mount, why?))
        })
        .collect()
}
