//! What a preset grants, held against what was used.

use super::trace::Used;
use crate::paths::Verb;
use crate::preset::Preset;
use crate::seccomp;
use serde::Serialize;
use std::collections::BTreeSet;

/// One thing that a preset grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The preset's key.
    pub key: &'static str,
    pub name: String,
    pub used: bool,
    /// Of a set of calls: those that were made.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub calls: BTreeSet<String>,
}

impl Grant {
    /// A capability, by `CAP_…`; whether the work fails without it.
    pub fn capability(name: &str, needed: bool) -> Grant {
        Grant { key: "capabilities", name: name.to_owned(), used: needed, calls: BTreeSet::new() }
    }
}

/// All that can be held against a trace: sets of calls, families of sockets, writable folders, ports. Capabilities are not among
/// it. Where the preset has no list, nothing is granted by name and nothing said.
pub fn grants(preset: &Preset, used: &Used) -> Vec<Grant> {
    let mut all = Vec::new();
    let mut put = |key, name: &str, calls: BTreeSet<String>, used| {
        all.push(Grant { key, name: name.to_owned(), used, calls });
    };
    for name in preset.system_calls.iter().flat_map(|names| &names.value) {
        let calls: BTreeSet<String> =
            seccomp::calls_of(name).into_iter().filter(|call| used.calls.contains(*call)).map(str::to_owned).collect();
        let is_used = !calls.is_empty();
        put("system-calls", name, calls, is_used);
    }
    for name in &preset.seccomp_open.value {
        let calls: BTreeSet<String> =
            seccomp::calls_of(name).into_iter().filter(|call| used.calls.contains(*call)).map(str::to_owned).collect();
        let is_used = !calls.is_empty();
        put("seccomp-open", name, calls, is_used);
    }
    for rule in preset.sockets.allow.iter().flat_map(|rules| &rules.value) {
        let (family, kind) = rule.parts();
        let hit = |made: &String| {
            let (of, what) = made.split_once(' ').unwrap_or((made, ""));
            family.is_none_or(|f| f == of) && kind.is_none_or(|k| k == what)
        };
        put("sockets.allow", &rule.to_string(), BTreeSet::new(), used.sockets.iter().any(hit));
    }
    if let Some(policy) = &preset.paths {
        for rule in &policy.value.rules {
            let (key, seen) = match rule.value.verb {
                Verb::Read => ("paths.read", &used.read),
                Verb::Write => ("paths.write", &used.written),
                Verb::Execute => ("paths.execute", &used.executed),
                Verb::Allow | Verb::Audit | Verb::Deny => continue,
            };
            let hit = seen.iter().any(|path| rule.value.pattern.matches(path));
            put(key, &rule.value.pattern.to_string(), BTreeSet::new(), hit);
        }
    }
    let below = |folder: &str| {
        used.written.iter().any(|path| path.strip_prefix(folder).is_some_and(|r| r.is_empty() || r.starts_with('/')))
    };
    for tmpfs in &preset.tmpfs {
        put("tmpfs", &tmpfs.value.path, BTreeSet::new(), below(&tmpfs.value.path));
    }
    for volume in &preset.volumes {
        put("volumes", &volume.value, BTreeSet::new(), below(&volume.value));
    }
    for (key, ports, seen) in [
        ("ports.listen", &preset.ports.listen, &used.listened),
        ("ports.connect", &preset.ports.connect, &used.connected),
    ] {
        for port in ports.iter().flat_map(|ports| &ports.value) {
            put(key, &port.to_string(), BTreeSet::new(), seen.contains(port));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::{PresetFile, load, parse, resolve};

    #[test]
    fn what_nothing_was_done_with_is_unused() {
        let text = "description = \"\"\nsystem-calls = [\"start\", \"flushing\", \"flock\"]\n\
                    [[tmpfs]]\npath = \"/run\"\n[[tmpfs]]\npath = \"/tmp\"\n[[volumes]]\npath = \"/data\"\n[ports]\nlisten = [80, 81]\n[sockets]\nallow = [\"inet tcp\", \"inet6\"]\n[paths]\nread = [\"/etc/x/**\"]\nexecute = [\"/bin/sh\"]\n";
        let read = |name: &str| -> crate::error::Result<PresetFile> {
            if name == "x" { parse(text, name) } else { parse(&crate::preset::source(name)?, name) }
        };
        let preset = resolve("x", &read).unwrap();
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
        let used = Used {
            calls: names(&["read", "fsync"]),
            sockets: names(&["unix", "inet6 udp"]),
            written: names(&["/data/x", "/runx"]),
            executed: names(&["/bin/sh"]),
            listened: [81].into(),
            ..Used::default()
        };
        let all = grants(&preset, &used);
        let unused: Vec<&str> = all.iter().filter(|g| !g.used).map(|g| g.name.as_str()).collect();
        assert_eq!(unused, ["flock", "inet tcp", "/etc/x/**", "/run", "/tmp", "80"]);
        assert_eq!(all.iter().find(|g| g.name == "flushing").unwrap().calls, names(&["fsync"]));
        // Without lists there is nothing to hold against.
        assert!(grants(&load("default").unwrap(), &used).is_empty());
    }
}
