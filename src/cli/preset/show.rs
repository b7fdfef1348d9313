//! `hardrun preset show` and `diff`: a preset as rows.

use super::json;
use crate::error::Result;
use crate::preset::{self, Amount, Preset};
use crate::ui::clean;

pub(super) fn show(name: &str, resolved: bool, format: &str) -> Result<String> {
    let preset = preset::load(name)?;
    match format {
        "json" => json(&preset),
        _ if resolved => Ok(text(&preset)),
        _ => preset::source(name),
    }
}

/// The keys in which two presets differ, with the value of each; nothing where they are the same.
pub(super) fn diff(a: &str, b: &str, format: &str) -> Result<(String, bool)> {
    let (a, b) = (preset::load(a)?, preset::load(b)?);
    // Keys that stand more than once (tmpfs, volume, lock) are compared as sets of lines.
    let of = |p: &Preset| -> Vec<(String, String)> { rows(p).into_iter().map(|(k, v, _)| (k, v)).collect() };
    let (left, right) = (of(&a), of(&b));
    let mut keys: Vec<&String> = left.iter().chain(&right).map(|(key, _)| key).collect();
    keys.dedup();
    let mut changes = Vec::new();
    for key in keys {
        let values = |rows: &[(String, String)], other: &[(String, String)]| -> Vec<String> {
            let mine = rows.iter().filter(|row| row.0 == *key && !other.contains(row));
            mine.map(|(_, value)| value.clone()).collect()
        };
        let change = (key.clone(), values(&left, &right), values(&right, &left));
        if (!change.1.is_empty() || !change.2.is_empty()) && !changes.contains(&change) {
            changes.push(change);
        }
    }
    let differ = !changes.is_empty();
    if format == "json" {
        let list: Vec<_> =
            changes.iter().map(|(key, a, b)| serde_json::json!({ "key": key, "a": a, "b": b })).collect();
        return Ok((json(&list)?, differ));
    }
    let mut out = String::new();
    if differ {
        out.push_str(&format!("--- {}\n+++ {}\n", clean(&a.name), clean(&b.name)));
    }
    for (key, old, new) in &changes {
        old.iter().for_each(|value| out.push_str(&format!("- {key}  {}\n", clean(value))));
        new.iter().for_each(|value| out.push_str(&format!("+ {key}  {}\n", clean(value))));
    }
    Ok((out, differ))
}

fn text(p: &Preset) -> String {
    let rows = rows(p);
    let width =
        |f: fn(&(String, String, String)) -> &String| rows.iter().map(|r| f(r).chars().count()).max().unwrap_or(0);
    // Lists of calls are long: they do not push the origins of all other rows off the screen.
    let (key, value) = (width(|r| &r.0), width(|r| &r.1).min(48));
    let mut out = format!("{}: {}\n", clean(&p.name), clean(&p.description));
    for (k, v, from) in &rows {
        out.push_str(&format!("{k:key$}  {:value$}  {}\n", clean(v), clean(from)));
    }
    out
}

/// Key, value and origin of everything that the preset decides.
pub(super) fn rows(p: &Preset) -> Vec<(String, String, String)> {
    let amount = |a: Amount| match a {
        Amount::Bytes(n) => crate::plan::explain::bytes(n),
        Amount::Percent(n) => format!("{n}%"),
    };
    let names = |set: &std::collections::BTreeSet<String>| match set.is_empty() {
        true => "none".to_owned(),
        false => set.iter().map(|c| c.trim_start_matches("CAP_")).collect::<Vec<_>>().join(" "),
    };
    let mut rows: Vec<(String, String, String)> = Vec::new();
    let mut put = |key: &str, value: String, source: &crate::plan::Source| {
        rows.push((key.to_owned(), value, source.to_string()));
    };
    put("capabilities", names(&p.capabilities.value), &p.capabilities.source);
    put("read-only", p.read_only.value.to_string(), &p.read_only.source);
    put("non-root", p.non_root.value.to_string(), &p.non_root.source);
    if let Some(user) = &p.user {
        put("user", user.value.clone(), &user.source);
    }
    let network = format!("{:?}", p.network.value).to_lowercase();
    put("network", network, &p.network.source);
    if let Some(egress) = &p.egress {
        let to: Vec<&str> = egress.value.iter().map(String::as_str).collect();
        put("egress", if to.is_empty() { "nowhere".into() } else { to.join(" ") }, &egress.source);
    }
    if let Some(calls) = &p.system_calls {
        put("system-calls", names(&calls.value), &calls.source);
    }
    put("init", p.init.value.to_string(), &p.init.source);
    put("umask", format!("{:04o}", p.umask.value), &p.umask.source);
    put("oom-score-adj", p.oom_score_adj.value.to_string(), &p.oom_score_adj.source);
    if let Some(signal) = &p.stop_signal {
        let name = nix::sys::signal::Signal::try_from(signal.value).map(|s| s.as_str());
        put("stop-signal", name.map_or_else(|_| signal.value.to_string(), str::to_owned), &signal.source);
    }
    put("stop-timeout", format!("{} s", p.stop_timeout.value), &p.stop_timeout.source);
    if let Some(t) = &p.timeout {
        put("timeout", format!("{} s", t.value), &t.source);
    }
    put("seccomp-open", names(&p.seccomp_open.value), &p.seccomp_open.source);
    put("seccomp-shut", names(&p.seccomp_shut.value), &p.seccomp_shut.source);
    if let Some(m) = &p.memory {
        put("limits.memory", amount(m.value), &m.source);
    }
    if let Some(n) = &p.pids {
        put("limits.pids", n.value.to_string(), &n.source);
    }
    if let Some(n) = &p.nano_cpus {
        put("limits.cpus", (n.value as f64 / 1e9).to_string(), &n.source);
    }
    for (key, limit) in [("limits.nofile", &p.nofile), ("limits.core", &p.core)] {
        if let Some(n) = limit {
            put(key, n.value.to_string(), &n.source);
        }
    }
    if let Some(n) = &p.stack {
        put("limits.stack", crate::plan::explain::bytes(n.value), &n.source);
    }
    put("limits.shm-size", crate::plan::explain::bytes(p.shm_size.value), &p.shm_size.source);
    put("limits.tmpfs-size", amount(p.tmpfs_size.value), &p.tmpfs_size.source);
    for t in &p.tmpfs {
        let size = t.value.size.map_or_else(|| "tmpfs-size".to_owned(), crate::plan::explain::bytes);
        let exec = if t.value.exec { "exec" } else { "noexec" };
        put("tmpfs", format!("{} {size} {:04o} {exec}", t.value.path, t.value.mode), &t.source);
    }
    for v in &p.volumes {
        put("volume", v.value.clone(), &v.source);
    }
    if let Some(paths) = &p.paths {
        put("paths.base", paths.value.base.to_string(), &paths.source);
        put("paths.all", paths.value.all.to_string(), &paths.source);
        for rule in &paths.value.rules {
            let key =
                format!("paths.{}", serde_json::to_value(rule.value.verb).unwrap_or_default().as_str().unwrap_or(""));
            put(&key, format!("{} {}", rule.value.pattern, rule.value.access), &rule.source);
        }
    }
    for (key, ports) in [("ports.listen", &p.ports.listen), ("ports.connect", &p.ports.connect)] {
        if let Some(ports) = ports {
            let list: Vec<String> = ports.value.iter().map(ToString::to_string).collect();
            put(key, if list.is_empty() { "none".into() } else { list.join(" ") }, &ports.source);
        }
    }
    if let Some(allow) = &p.sockets.allow {
        allow.value.iter().for_each(|rule| put("sockets.allow", rule.to_string(), &allow.source));
    }
    p.sockets.deny.iter().for_each(|rule| put("sockets.deny", rule.value.to_string(), &rule.source));
    if let Some(rules) = &p.apparmor_rules {
        rules.value.iter().for_each(|rule| put("apparmor-rules", rule.to_string(), &rules.source));
    }
    if let Some(health) = &p.health {
        put("health", health.value.command.join(" "), &health.source);
    }
    for (key, by) in &p.lock {
        put("lock", key.name().to_owned(), &crate::plan::Source::Preset(by.clone()));
    }
    rows
}
