//! `hardrun preset`

use super::Context;
use crate::error::{Context as _, Result};
use crate::preset::{self, Amount, Preset};
use crate::ui::clean;
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List presets with what they are for
    List {
        /// Print JSON
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Show a preset
    Show {
        /// Name, or path of a file
        #[arg(value_name = "PRESET")]
        name: String,
        /// Show it with everything it extends, and where each value is from
        #[arg(long)]
        resolved: bool,
        /// Print JSON (implies --resolved)
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Print the JSON Schema of preset files
    Schema,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    let text = match args.what {
        What::List { format } => list(&format)?,
        What::Show { name, resolved, format } => show(&name, resolved, &format)?,
        What::Schema => json(&preset::json_schema())?,
    };
    std::io::stdout().lock().write_all(text.as_bytes()).verb_context(|| "cannot write to stdout".into())?;
    Ok(0)
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).verb_context(|| "cannot write JSON".into())?;
    text.push('\n');
    Ok(text)
}

fn list(format: &str) -> Result<String> {
    let all = preset::list()?;
    if format == "json" {
        let entries: Vec<_> = all
            .iter()
            .map(|(name, path, description)| {
                let path = (!path.as_os_str().is_empty()).then(|| path.display().to_string());
                serde_json::json!({ "name": name, "path": path, "description": description })
            })
            .collect();
        return json(&entries);
    }
    let width = all.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    Ok(all.iter().map(|(name, _, description)| format!("{:width$}  {}\n", clean(name), clean(description))).collect())
}

fn show(name: &str, resolved: bool, format: &str) -> Result<String> {
    let preset = preset::load(name)?;
    match format {
        "json" => json(&preset),
        _ if resolved => Ok(text(&preset)),
        _ => preset::source(name),
    }
}

/// Key, value and origin of everything that the preset decides.
fn text(p: &Preset) -> String {
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
    put("init", p.init.value.to_string(), &p.init.source);
    put("umask", format!("{:04o}", p.umask.value), &p.umask.source);
    put("oom-score-adj", p.oom_score_adj.value.to_string(), &p.oom_score_adj.source);
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
            put(key, list.join(" "), &ports.source);
        }
    }
    if let Some(allow) = &p.sockets.allow {
        allow.value.iter().for_each(|rule| put("sockets.allow", rule.to_string(), &allow.source));
    }
    p.sockets.deny.iter().for_each(|rule| put("sockets.deny", rule.value.to_string(), &rule.source));
    if let Some(rules) = &p.apparmor_rules {
        rules.value.iter().for_each(|rule| put("apparmor-rules", rule.to_string(), &rules.source));
    }
    for (key, by) in &p.lock {
        put("lock", key.name().to_owned(), &crate::plan::Source::Preset(by.clone()));
    }
    let width =
        |f: fn(&(String, String, String)) -> &String| rows.iter().map(|r| f(r).chars().count()).max().unwrap_or(0);
    let (key, value) = (width(|r| &r.0), width(|r| &r.1));
    let mut out = format!("{}: {}\n", clean(&p.name), clean(&p.description));
    for (k, v, from) in &rows {
        out.push_str(&format!("{k:key$}  {:value$}  {}\n", clean(v), clean(from)));
    }
    out
}
