//! Who carries out which part of a policy on this host, and what is left over.

use super::{Access, Cursor, PathsPlan, Pattern, Rule, Verb};
use crate::plan::{Draft, Landlock, UserNamespace};

/// A part of the policy that no layer of this host carries out as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The rule's text, or `ports`.
    pub rule: String,
    pub missing: String,
    pub instead: String,
    /// Something is denied and would not be: the launch stops.
    pub stops: bool,
}

/// Folders of the kernel, whose files come and go: Landlock allows them as a whole or not.
const KERNELS: [&str; 2] = ["/proc", "/sys"];

/// Paths below /proc and /sys that a mount hides (`r` denied) or makes read-only (`w` denied), as mounts do for others there.
pub fn covered_by_mounts(paths: &PathsPlan) -> (Vec<String>, Vec<String>) {
    let (mut hidden, mut readonly) = (Vec::new(), Vec::new());
    for rule in paths.policy.iter().flat_map(|p| p.denied()) {
        for path in rule.value.pattern.literals().unwrap_or_default() {
            if !KERNELS.iter().any(|k| path.starts_with(&format!("{k}/"))) || of_a_process(&path) {
                continue;
            }
            let path = path.trim_end_matches('/').to_owned();
            if rule.value.access.contains(Access::READ) {
                hidden.push(path);
            } else if rule.value.access.contains(Access::WRITE) {
                readonly.push(path);
            }
        }
    }
    (hidden, readonly)
}

/// `/proc/self/…`, `/proc/7/…`
fn of_a_process(path: &str) -> bool {
    let first = path.strip_prefix("/proc/").and_then(|p| p.split('/').next()).unwrap_or("");
    matches!(first, "self" | "thread-self" | "net" | "mounts") || first.starts_with(|c: char| c.is_ascii_digit())
}

/// Every gap of a draft's policy, in the order of its rules.
pub fn gaps(draft: &Draft) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let paths = &draft.paths;
    let apparmor = draft.apparmor_refuses();
    let landlock = crate::landlock::rules(draft).is_ok();
    if let Some(policy) = &paths.policy {
        if !apparmor && !landlock {
            gaps.push(gap(
                "allowed paths",
                "neither AppArmor nor Landlock is there to refuse others",
                "mounts, file modes",
                false,
            ));
        }
        if !apparmor && landlock && !refuses_truncate(draft) {
            let missing = "Landlock refuses truncate(2) from Linux 6.2 on";
            gaps.push(gap("allowed paths", missing, "file modes, mounts; files cannot be written otherwise", false));
        }
        for rule in policy.rules.iter().map(|r| &r.value) {
            if rule.denies() && !apparmor {
                gaps.extend(denied(rule, draft, landlock));
            }
            if !rule.denies() && landlock {
                gaps.extend(allowed(rule, apparmor));
            }
        }
    }
    if !paths.ports.is_empty() && !matches!(draft.landlock.value, Landlock::Ruleset { abi } if abi >= 4 && landlock) {
        gaps.push(gap(
            "ports",
            "Landlock knows ports from Linux 6.7 on",
            "the network namespace, --egress and what is published",
            false,
        ));
    }
    if draft.seccomp.profile.value != crate::plan::SeccompProfile::Builtin && !apparmor {
        for rule in &paths.sockets.deny {
            gaps.push(gap(
                &format!("deny network {}", rule.value),
                "the seccomp profile is another one than the built-in",
                "nothing",
                true,
            ));
        }
    }
    gaps
}

/// Whether who may not write to a file cannot truncate it either: before Landlock's third version it could, unless nothing
/// can be written at all.
fn refuses_truncate(draft: &Draft) -> bool {
    matches!(draft.landlock.value, Landlock::Ruleset { abi } if abi >= 3)
        || draft.root.readonly.value && draft.mounts.iter().all(|m| m.readonly.value)
}

fn gap(rule: &str, missing: &str, instead: &str, stops: bool) -> Gap {
    Gap { rule: rule.into(), missing: missing.into(), instead: instead.into(), stops }
}

/// What Landlock cannot do of a rule that denies, where there is no AppArmor.
fn denied(rule: &Rule, draft: &Draft, landlock: bool) -> Vec<Gap> {
    let text = rule.text();
    let mut gaps = Vec::new();
    let kernels: Vec<&str> = KERNELS.into_iter().filter(|k| may_be_below(&rule.pattern, k)).collect();
    for folder in &kernels {
        let left = left_in(rule, folder, draft, landlock);
        if left != Access::default() {
            let missing = format!("nothing here refuses {left} on a part of {folder}");
            gaps.push(gap(&text, &missing, "nothing", starts_in(&rule.pattern, folder)));
        }
    }
    let only_kernels = kernels.iter().any(|k| starts_in(&rule.pattern, k));
    if !only_kernels && !landlock {
        gaps.push(gap(&text, "neither AppArmor nor Landlock is there to refuse it", "nothing", true));
    }
    // What exists can be cut off without opening it, or with O_RDONLY | O_TRUNC.
    if rule.access.contains(Access::WRITE) && !only_kernels && landlock && !refuses_truncate(draft) {
        let missing = "Landlock refuses truncate(2) from Linux 6.2 on, and a denied file could be emptied";
        gaps.push(gap(&text, missing, "nothing", true));
    }
    // Who may not open a file has nothing to map or lock.
    let quiet: Vec<&str> = [(Access::MAP, "mapping"), (Access::LOCK, "locking")]
        .into_iter()
        .filter(|(letter, _)| rule.access.contains(*letter) && !rule.access.contains(Access::READ))
        .map(|(_, name)| name)
        .collect();
    if !quiet.is_empty() && !only_kernels {
        let missing = format!("{} is for AppArmor alone to refuse", quiet.join(" and "));
        gaps.push(gap(&text, &missing, "Landlock refuses the rest", false));
    }
    if rule.access.contains(Access::EXECUTE) && !rule.access.intersects(Access::READ) && !only_kernels && landlock {
        let missing = "a program that can be read can be run through the dynamic loader";
        gaps.push(gap(&text, missing, "Landlock refuses to execute it; deny r as well", false));
    }
    gaps
}

/// The letters of a rule that would not be refused below /proc or /sys.
fn left_in(rule: &Rule, folder: &str, draft: &Draft, landlock: bool) -> Access {
    let mut left = Access::default();
    let inside = format!("{folder}/");
    for cursor in rule.pattern.cursors().filter_map(|c| c.step(inside.as_bytes())).filter(Cursor::goes_on) {
        if landlock && cursor.takes_all() {
            continue;
        }
        let start = cursor.literal_start();
        let below = |list: &[String]| list.iter().any(|p| start.starts_with(&format!("{p}/")) || start == *p);
        let hidden = below(&draft.masked_paths.value);
        if rule.access.contains(Access::READ) && !hidden {
            left = left | Access::READ;
        }
        let readonly = hidden
            || below(&draft.readonly_paths.value)
            || match folder {
                // /sys is mounted read-only as a whole.
                "/sys" => !draft.asked.writable_cgroups,
                // Files beside those of processes belong to the host's root, who is nobody in here.
                _ => draft.namespaces.user.value != UserNamespace::Host && !reaches_processes(&cursor),
            };
        if rule.access.contains(Access::WRITE) && !readonly {
            left = left | Access::WRITE;
        }
        // Both are mounted noexec.
    }
    left
}

/// Whether a pattern that stands behind `/proc/` goes on below the folder of a process.
fn reaches_processes(cursor: &Cursor<'_>) -> bool {
    let digits: Vec<[u8; 1]> = (b'0'..=b'9').map(|d| [d]).collect();
    let mut layer: Vec<Cursor<'_>> = digits.iter().skip(1).filter_map(|d| cursor.step(d)).collect();
    // A process id has at most seven digits (PID_MAX_LIMIT is four million).
    for _ in 0..7 {
        if layer.iter().any(|c| c.step(b"/").is_some_and(|c| c.goes_on())) {
            return true;
        }
        let mut next: Vec<Cursor<'_>> = Vec::new();
        for cursor in layer.iter().flat_map(|c| digits.iter().filter_map(|d| c.step(d))) {
            if !next.contains(&cursor) {
                next.push(cursor);
            }
        }
        layer = next;
    }
    false
}

fn may_be_below(pattern: &Pattern, folder: &str) -> bool {
    pattern.cursors().any(|c| c.step(format!("{folder}/").as_bytes()).is_some_and(|c| c.goes_on()))
}

fn starts_in(pattern: &Pattern, folder: &str) -> bool {
    pattern.cursors().all(|c| c.literal_start().starts_with(&format!("{folder}/")))
}

/// What Landlock makes less of than a rule says.
fn allowed(rule: &Rule, apparmor: bool) -> Option<Gap> {
    if rule.verb == Verb::Audit && !apparmor {
        return Some(gap(
            &rule.text(),
            "only AppArmor writes a use into the kernel's log",
            "it is allowed without a line",
            false,
        ));
    }
    // Nodes are there or not; nobody makes them.
    let files = !starts_in(&rule.pattern, "/dev") && !rule.pattern.cursors().any(|c| c.takes_all_below());
    if rule.access.contains(Access::WRITE) && files {
        let missing = "Landlock allows to write what exists at the start; making it takes its folder";
        return Some(gap(&rule.text(), missing, "write to what exists; dir/** to make files", false));
    }
    None
}
