//! Declared paths as rules of a profile.

use super::line;
use crate::paths::base::BASE;
use crate::paths::{Access, Policy, Rule, VARIABLES, Verb};
use std::fmt::Write as _;

/// What older paths are where /usr is merged and /run is not below /var, which AppArmor asks about: it sees where links lead. Where an
/// image has them as folders, the second line of a rule names nothing that is there.
const MERGED: &[(&str, &str)] = &[
    ("/bin/", "/usr/bin/"),
    ("/sbin/", "/usr/sbin/"),
    ("/lib/", "/usr/lib/"),
    ("/lib32/", "/usr/lib32/"),
    ("/lib64/", "/usr/lib64/"),
    ("/libx32/", "/usr/libx32/"),
    ("/var/run/", "/run/"),
    ("/var/lock/", "/run/lock/"),
];

/// The lines of a policy. What else the profile denies comes after: an order has no meaning in a profile.
pub(super) fn files(policy: &Policy, out: &mut String) {
    if policy.all {
        line(out, "file,");
    }
    if policy.base {
        for (access, pattern, who) in BASE {
            let access = Access::parse(access).map(Access::allowing).unwrap_or_default();
            line(out, &format!("{} {access}, # {who}", quoted(pattern)));
        }
    }
    for rule in policy.rules.iter().map(|r| &r.value) {
        let pattern = rule.pattern.to_string();
        line(out, &text(rule, &pattern));
        if let Some((old, new)) = MERGED.iter().find(|(old, _)| pattern.starts_with(old)) {
            line(out, &text(rule, &format!("{new}{}", &pattern[old.len()..])));
        }
    }
}

fn text(rule: &Rule, pattern: &str) -> String {
    let verb = match rule.verb {
        // Said in the kernel's log, where a rule that only denies is silent.
        Verb::Deny => "audit deny ",
        Verb::Audit => "audit ",
        _ => "",
    };
    // In the short lists `dir/**` is the folder too, whose own path is `dir/`.
    let pattern = match pattern.strip_suffix("/**") {
        Some(folder) if matches!(rule.verb, Verb::Read | Verb::Write | Verb::Execute) => format!("{folder}/{{,**}}"),
        _ => pattern.to_owned(),
    };
    let access = if rule.denies() { rule.access.to_string() } else { rule.access.allowing() };
    format!("{verb}{} {access},", quoted(&pattern))
}

/// A pattern has no quotation mark, backslash or line break: see [`crate::paths::Pattern::parse`].
fn quoted(pattern: &str) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'#' | b'(' | b')' | b'=' | b'!' | b'<' | b'>' | b'&');
    if pattern.bytes().all(plain) { pattern.to_owned() } else { format!("\"{pattern}\"") }
}

/// Definitions of the variables that a body uses, so that no file of the host decides what they are.
pub(super) fn variables(body: &str) -> String {
    let mut out = String::new();
    for (name, values) in VARIABLES.iter().filter(|(name, _)| body.contains(&format!("@{{{name}}}"))) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "@{{{name}}} = {}", values.join(" "));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}
