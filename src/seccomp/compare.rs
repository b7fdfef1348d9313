//! What a profile lets through that the built-in one does not.

use super::rules::{Action, Body, Test};
use super::{Host, all_calls, policy};
use crate::error::Result;
use crate::plan::{SeccompPlan, SeccompProfile, Sourced};
use std::collections::BTreeSet;

/// Calls that the plan's profile permits and the built-in one (with the same opened groups) refuses, by name; with
/// arguments, `socket(0x26, 0x5, 0x0)`, where only some are meant. Empty for the built-in profile itself.
///
/// Calls with conditions on both sides are compared at the conditions' borders, not proved.
pub fn weaker_than_builtin(plan: &SeccompPlan, host: &Host) -> Result<Vec<String>> {
    // A preset's own list is not the measure: what a profile asked for by flag may hold is what `default` gives.
    let profile = Sourced::default(SeccompProfile::Builtin);
    let builtin = SeccompPlan { profile, only: None, ..plan.clone() };
    let Some(ours) = policy(&builtin, host)? else { return Ok(Vec::new()) };
    let theirs = policy(plan, host)?;
    let mut found = Vec::new();
    for call in all_calls() {
        let refused = Body::always(ours.unlisted);
        let open = Body::always(Action::Allow);
        let ours = ours.calls.get(&call.nr).unwrap_or(&refused);
        let theirs = match &theirs {
            None => &open,
            Some(theirs) => theirs.calls.get(&call.nr).unwrap_or(&refused),
        };
        if theirs == ours || !theirs.permits_some() || ours.permits_all() {
            continue;
        }
        if !ours.permits_some() && theirs.permits_all() {
            found.push(call.name.to_owned());
        } else if let Some(args) = witness(call.name, ours, theirs) {
            found.push(format!("{}({args})", call.name));
        }
    }
    found.sort();
    Ok(found)
}

/// Arguments that say the most to a reader, tried before all others: AF_ALG, a raw socket, NETLINK_NETFILTER, TIOCSTI,
/// a user namespace.
const TELLING: [(&str, [u64; 3]); 5] = [
    ("socket", [38, 5, 0]),
    ("socket", [2, 3, 255]),
    ("socket", [16, 3, 12]),
    ("ioctl", [0, 0x5412, 0]),
    ("clone", [0x1000_0000, 0, 0]),
];

/// Arguments that `theirs` permits and `ours` refuses, those that any condition looks at.
fn witness(name: &str, ours: &Body, theirs: &Body) -> Option<String> {
    let conds = || [ours, theirs].into_iter().flat_map(|b| &b.clauses).flat_map(|c| &c.all);
    let values: Vec<Vec<u64>> = (0..6u8)
        .map(|arg| {
            let mut values = BTreeSet::from([0]);
            for cond in conds().filter(|c| c.arg == arg) {
                values.extend(borders(&cond.test));
            }
            values.into_iter().collect()
        })
        .collect();
    let last = conds().map(|c| c.arg).max().unwrap_or(0) as usize;
    let wider = |args: &[u64; 6]| {
        let shown = || args[..=last].iter().map(|a| format!("{a:#x}")).collect::<Vec<_>>().join(", ");
        (theirs.answer(args).permits() && !ours.answer(args).permits()).then(shown)
    };
    let telling = TELLING.iter().filter(|(call, _)| *call == name);
    if let Some(shown) = telling.map(|(_, a)| [a[0], a[1], a[2], 0, 0, 0]).find_map(|args| wider(&args)) {
        return Some(shown);
    }
    let mut at = [0usize; 6];
    loop {
        let args: [u64; 6] = std::array::from_fn(|n| values[n][at[n]]);
        if let Some(shown) = wider(&args) {
            return Some(shown);
        }
        // The next combination.
        let mut n = 0;
        loop {
            if n == 6 {
                return None;
            }
            at[n] += 1;
            if at[n] < values[n].len() {
                break;
            }
            at[n] = 0;
            n += 1;
        }
    }
}

/// Values around which a test changes its mind.
fn borders(test: &Test) -> Vec<u64> {
    let around = |v: u64| [v, v.wrapping_sub(1), v.wrapping_add(1)];
    let bits = |mask: u64| (0..64).map(move |bit| 1u64 << bit).filter(move |bit| mask & bit != 0);
    match test {
        Test::Low { mask, any } => {
            let mut values: Vec<u64> = any.iter().flat_map(|&v| around(v.into())).collect();
            values.extend(any.iter().map(|&v| u64::from(v) | 1 << 32));
            if *mask != u32::MAX {
                values.extend(bits((*mask).into()));
            }
            values
        }
        Test::AnyBits(mask) => bits((*mask).into()).collect(),
        Test::Wide { value, .. } => around(*value).into(),
        Test::WideMask { mask, value } => {
            around(*value).into_iter().chain(bits(*mask).flat_map(|bit| [bit, value ^ bit])).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weaker(json: &str) -> Vec<String> {
        let mut plan = super::super::tests::plan(&[], false);
        plan.profile.value = SeccompProfile::File { path: "p.json".into(), json: json.to_owned() };
        weaker_than_builtin(&plan, &Host::default()).unwrap()
    }

    #[test]
    fn the_builtin_is_not_weaker_than_itself_and_unconfined_is() {
        let mut plan = super::super::tests::plan(&[], false);
        assert_eq!(weaker_than_builtin(&plan, &Host::default()).unwrap(), Vec::<String>::new());
        plan.profile.value = SeccompProfile::Unconfined;
        let found = weaker_than_builtin(&plan, &Host::default()).unwrap();
        for name in ["bpf", "mount", "io_uring_setup", "clone3", "ptrace"] {
            assert!(found.iter().any(|f| f == name), "{name}");
        }
        assert!(found.iter().any(|f| f.starts_with("socket(")), "{found:?}");
        assert!(found.iter().any(|f| f.starts_with("ioctl(0x0, 0x54")), "{found:?}");
        assert!(!found.iter().any(|f| f == "read"));
    }

    #[test]
    fn a_stricter_profile_is_not_weaker() {
        let names = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
            {"names":["read","write","exit_group","execve"],"action":"SCMP_ACT_ALLOW"},
            {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
            {"names":["clone"],"action":"SCMP_ACT_ALLOW",
             "args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]},
            {"names":["bpf"],"action":"SCMP_ACT_LOG","includes":{"caps":["CAP_BPF"]}}]}"#;
        assert_eq!(weaker(names), Vec::<String>::new());
    }

    #[test]
    fn what_is_wider_is_named_with_arguments() {
        let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
            {"names":["ptrace"],"action":"SCMP_ACT_ALLOW"},
            {"names":["bpf"],"action":"SCMP_ACT_LOG"},
            {"names":["personality"],"action":"SCMP_ACT_ALLOW"},
            {"names":["clone"],"action":"SCMP_ACT_ALLOW",
             "args":[{"index":0,"value":268435456,"op":"SCMP_CMP_MASKED_EQ"}]},
            {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}]}"#;
        let found = weaker(json);
        let named = |prefix: &str| found.iter().any(|f| f.starts_with(prefix));
        assert!(named("ptrace") && named("bpf") && named("personality(0x") && named("socket(0x26, 0x5"), "{found:?}");
        assert!(named("clone(0x20000"), "a mount namespace passes the narrower mask: {found:?}");
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn a_default_allow_profile_is_weaker() {
        let found =
            weaker(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"bpf","action":"SCMP_ACT_ERRNO"}]}"#);
        assert!(found.len() > 60 && !found.iter().any(|f| f == "bpf"));
    }
}
