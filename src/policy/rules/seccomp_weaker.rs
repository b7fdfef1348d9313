use super::prelude::*;
use crate::seccomp;

pub const RULE: Rule = Rule {
    id: "seccomp-weaker",
    severity: Severity::High,
    summary: "a system call filter that allows more than the built-in one",
    risk: "the calls that it opens reach kernel code that the built-in filter keeps shut",
    instead: "take the calls named above out of the profile, or leave seccomp=PROFILE out",
    example: "--security-opt seccomp=docker-default.json IMAGE",
    overriding: Override::Loosens("that profile is the filter; capabilities, namespaces and masks stay as they are"),
    references: &["CIS 5.22", "PSS restricted Seccomp"],
    check,
};

/// How many calls a refusal names; `--format json` and `explain` have the same text.
const NAMED: usize = 24;

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let profile = &draft.seccomp.profile;
    let SeccompProfile::File { path, .. } = &profile.value else { return vec![] };
    let host = seccomp::Host::new(&facts.kernel, &draft.capabilities.value);
    let detail = match seccomp::weaker_than_builtin(&draft.seccomp, &host) {
        Ok(calls) if calls.is_empty() => return vec![],
        Ok(calls) => {
            let named = calls.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = calls.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("allows besides: {named}{more}")
        }
        // A profile that cannot be compared is not known to be as strict.
        Err(e) => format!("cannot be compared with the built-in filter: {}", e.chain().join(": ")),
    };
    vec![Finding::new(RULE.id, asked(profile, "--security-opt", format!("seccomp={}", path.display()))).detail(detail)]
}
