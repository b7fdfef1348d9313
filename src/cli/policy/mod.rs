//! `hardrun policy`

mod cases;
mod log;
pub mod script;
mod test;
pub mod trial;

use super::Context;
use crate::error::{Context as _, Error, Kind, Result};
use crate::site::{self, Law, PathMode, Problem, Unlisted};
use crate::ui::{self, clean};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say what is wrong with a policy, line by line; exit 1 where something is
    Check {
        /// How to print
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
        /// The policy; /etc/hardrun/policy.toml where it is left out, with its owner and the folders above it
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show what is in force
    Show {
        /// How to print
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Try a policy on cases, on scripts and on what the audit log has: what would be refused; exit 1 where a case comes out
    /// otherwise, or where something would be refused that is not refused now
    Test(test::Args),
    /// Print the JSON Schema of the policy file
    Schema,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Check { format, file } => check(file.as_deref(), &format),
        What::Show { format } => show(&format),
        What::Test(args) => test::run(args, ctx),
        What::Schema => json(&site::json_schema()).map(|()| 0),
    }
}

fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).verb_context(|| "cannot write JSON".into())?;
    ui::stdout(&format!("{text}\n"))
}

fn check(file: Option<&Path>, format: &str) -> Result<u8> {
    let path = file.unwrap_or(Path::new(site::PATH));
    let problems = match (file, site::load()) {
        (None, Ok(site)) if site.digest.is_none() => {
            let said = format!("{}: there is none: the built-in defaults are in force\n", path.display());
            match format {
                "json" => json(&serde_json::json!({ "file": null, "problems": [] }))?,
                _ => ui::stdout(&said)?,
            }
            return Ok(0);
        }
        // Who owns it, and what is above it, is told where the text itself is sound or cannot be read.
        (None, Err(e)) => match problems(path) {
            Ok(problems) if !problems.is_empty() => problems,
            _ => vec![whole(&e)],
        },
        _ => problems(path)?,
    };
    if format == "json" {
        json(&serde_json::json!({ "file": path.display().to_string(), "problems": problems }))?;
    } else if problems.is_empty() {
        ui::stdout(&format!("{}: sound\n", path.display()))?;
    } else {
        let lines: String =
            problems.iter().map(|p| format!("{}:{}\n", path.display(), clean(&p.to_string()))).collect();
        ui::stdout(&lines)?;
    }
    Ok(u8::from(!problems.is_empty()))
}

/// What is wrong with the text.
fn problems(path: &Path) -> Result<Vec<Problem>> {
    Ok(match site::try_out(path)? {
        Err(problems) => problems,
        Ok(law) => {
            warn_of_gaps(&law);
            preset_problem(&law).into_iter().collect()
        }
    })
}

/// What is sound and yet less than it looks.
fn warn_of_gaps(law: &Law) {
    if law.registries.is_none() && law.signatures.iter().any(|s| !s.images.is_empty()) {
        ui::warn(
            "[[signature]] with images, and no images.registries: the same registry under another name (an address, an alias, a \
             mirror) is asked for no signature; list the registries, or leave images out of [[signature]]",
        );
    }
}

/// An error that is about the file as a whole.
fn whole(e: &Error) -> Problem {
    let hint = e.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    Problem { line: 1, key: String::new(), what: format!("{}{hint}", e.chain().join(": ")) }
}

fn preset_problem(law: &Law) -> Option<Problem> {
    let e = crate::preset::of_site(law.preset.as_ref()?).err()?;
    Some(Problem { line: 1, key: "preset".into(), what: e.chain().join(": ") })
}

fn show(format: &str) -> Result<u8> {
    let site = site::load().map_err(|e: Error| e.of_kind(Kind::Verb))?;
    if format == "json" {
        let file = site.digest.as_ref().map(|_| site::PATH);
        json(&serde_json::json!({ "file": file, "digest": site.digest, "policy": site.law }))?;
        return Ok(0);
    }
    let mut out = match &site.digest {
        None => format!("{}: there is none: the built-in defaults are in force\n", site::PATH),
        Some(digest) => format!("{} {digest}\n", site::PATH),
    };
    for (key, value) in rows(&site.law, &site.today) {
        let _ = writeln!(out, "{key:18}  {}", clean(&value));
    }
    ui::stdout(&out)?;
    Ok(0)
}

/// Key and value of everything that the policy decides.
fn rows(law: &Law, today: &str) -> Vec<(&'static str, String)> {
    use crate::plan::explain::bytes;
    let mut rows: Vec<(&'static str, String)> = Vec::new();
    let list = |all: &[site::pattern::Pattern]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let unlisted = match law.unlisted_overrides {
        Unlisted::Allow => "may be given by everybody",
        Unlisted::Deny => "are denied",
    };
    rows.push(("other overrides", unlisted.into()));
    rows.extend(law.deny.iter().map(|rule| ("no override of", rule.clone())));
    for grant in &law.allow {
        let name = |n: &site::Name| match n {
            site::Name::Id(id) => id.to_string(),
            site::Name::Name(name) => name.clone(),
        };
        let mut who: Vec<String> = grant.users.iter().map(name).collect();
        who.extend(grant.groups.iter().map(|g| format!("group {}", name(g))));
        let who = if who.is_empty() { "everybody".to_owned() } else { who.join(", ") };
        let images = if grant.images.is_empty() { "any image".to_owned() } else { list(&grant.images) };
        let gone = if today > grant.expires.as_str() { " (expired)" } else { "" };
        rows.push((
            "override",
            format!("{} by {who} for {images} until {}{gone}: {}", grant.rule, grant.expires, grant.reason),
        ));
    }
    let from = law.registries.as_ref().map_or_else(|| "any registry".to_owned(), |all| list(all));
    let local = if law.registries.is_none() || law.local_images { ", and loaded or made here" } else { "" };
    rows.push(("images from", format!("{from}{local}")));
    if law.require_digest {
        rows.push(("images", "by digest only".into()));
    }
    for s in &law.signatures {
        let which = if s.images.is_empty() { "every image".to_owned() } else { list(&s.images) };
        let identity = s.identity.as_ref().map(|i| format!(" as {i}")).unwrap_or_default();
        let plural = if s.keys.len() == 1 { "" } else { "s" };
        rows.push(("signed", format!("{which}{identity}, {} key{plural}", s.keys.len())));
    }
    let most = &law.limits;
    for (key, size) in [
        ("memory", most.memory),
        ("memory and swap", most.memory_swap),
        ("/dev/shm", most.shm_size),
        ("tmpfs", most.tmpfs_size),
    ] {
        rows.extend(size.map(|n| ("at most", format!("{key} {}", bytes(n)))));
    }
    rows.extend(most.pids.map(|n| ("at most", format!("{n} processes"))));
    rows.extend(most.nano_cpus.map(|n| ("at most", format!("{} cpus", n as f64 / 1e9))));
    rows.extend(most.timeout.map(|n| ("at most", format!("{n} s"))));
    rows.extend(most.ulimits.iter().map(|(name, n)| ("at most", format!("ulimit {name} {n}"))));
    for path in &law.paths {
        let mode = if path.mode == PathMode::Never { "never" } else { "read-only" };
        rows.push(("path", format!("{} {mode}: {}", path.path.display(), path.reason)));
    }
    rows.extend(law.roots.iter().map(|path| ("root", path.display().to_string())));
    rows.extend(law.preset.iter().map(|p| ("preset", p.clone())));
    rows.push(("publish address", law.publish_address.clone().unwrap_or_else(|| "127.0.0.1".into())));
    rows.extend(law.messages.iter().map(|(rule, text)| ("message", format!("{rule}: {text}"))));
    rows
}
