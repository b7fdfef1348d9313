//! `hardrun doctor`

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::facts::doctor::{Check, Seen, State, healthy, report};
use crate::facts::probe::{self, Probe};
use crate::facts::{Facts, kernel};
use crate::ui::clean;
use std::io::Write;
use std::path::Path;

/// Try every layer of isolation on this host and say what is missing, what takes its place and what brings it. The exit
/// status is 1 where a layer is missing and nothing takes its place
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
    /// Try one thing in this process: what doctor starts itself for
    #[arg(long, hide = true, value_name = "NAME")]
    probe: Option<String>,
}

const PROGRAMS: &[&str] = &["nft", "pasta", "fuse-overlayfs"];
const SYSCTLS: &[&str] =
    &["kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns", "user.max_user_namespaces"];

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    if let Some(name) = &args.probe {
        let probe = Probe::named(name).ok_or_else(|| Error::verb(format!("there is no probe {name:?}")))?;
        return probe.run_here(&ctx.paths).map(|()| 0);
    }
    let facts = Facts::of_host(&ctx.paths)?;
    let checks = report(&facts, &look(ctx, &facts)?);
    let text = match args.format.as_str() {
        "json" => {
            let value = serde_json::json!({ "healthy": healthy(&checks), "checks": checks, "facts": facts });
            let mut text = serde_json::to_string_pretty(&value).verb_context(|| "cannot write JSON".into())?;
            text.push('\n');
            text
        }
        _ => text(&checks),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).verb_context(|| "cannot write to stdout".into())?;
    Ok(if healthy(&checks) { 0 } else { 1 })
}

fn look(ctx: &Context, facts: &Facts) -> Result<Seen> {
    let tried = probe::all(&ctx.paths)?;
    let fuse_overlay = tried.iter().any(|(p, came)| *p == Probe::Overlay && came.said.contains("fuse-overlayfs"));
    let failed = tried.into_iter().filter_map(|(p, came)| came.failed.map(|why| (p, why))).collect();
    let programs = PROGRAMS.iter().filter(|p| crate::net::find_program(p).is_some()).map(|p| (*p).to_owned()).collect();
    let sysctls = SYSCTLS
        .iter()
        .filter_map(|key| {
            let value = std::fs::read_to_string(Path::new("/proc/sys").join(key.replace('.', "/"))).ok()?;
            Some(((*key).to_owned(), value.trim().to_owned()))
        })
        .collect();
    // An ordinary user has no profile, and may look at nothing of it.
    let tried = facts.apparmor.then(crate::apparmor::trial).and_then(Result::err);
    let apparmor_trouble = tried.map(|e| (e.chain().join(": ").replace('\n', "; "), e.hint.unwrap_or_default()));
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Ok(Seen {
        modules: text("/sys/kernel/security/lsm")
            .trim()
            .split(',')
            .filter(|m| !m.is_empty())
            .map(str::to_owned)
            .collect(),
        apparmor_trouble,
        selinux_types: crate::selinux::has_types(),
        selinux_permissive: facts.selinux && crate::selinux::default_is_permissive()?,
        failed,
        fuse_overlay,
        filesystem: kernel::filesystem(&ctx.paths.layers())?,
        storage: ctx.paths.root.display().to_string(),
        programs,
        sysctls,
    })
}

fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|c| c.layer.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for c in checks {
        let state = match c.state {
            State::Present => "present ",
            State::Replaced => "replaced",
            State::Missing => "MISSING ",
            State::NotUsed => "not used",
        };
        out.push_str(&format!("{state}  {:width$}  {}\n", c.layer, clean(&c.found)));
        let indent = " ".repeat(width + 12);
        if let Some(instead) = &c.instead {
            out.push_str(&format!("{indent}instead: {}\n", clean(instead)));
        }
        if let Some(remedy) = &c.remedy {
            out.push_str(&format!("{indent}remedy: {}\n", clean(remedy)));
        }
    }
    let missing = checks.iter().filter(|c| c.state == State::Missing).count();
    out.push_str(&match missing {
        0 => "\neverything that has no replacement is there\n".to_owned(),
        n => format!("\n{n} missing with nothing in its place\n"),
    });
    out
}
