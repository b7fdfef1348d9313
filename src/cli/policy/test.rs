//! `hardrun policy test`

use super::cases::{self, Outcome};
use super::log::{self, Refused};
use super::script::{self, Found};
use super::trial::{self, Trial};
use crate::cli::Context;
use crate::cli::audit_log::When;
use crate::error::{Error, Kind, Result};
use crate::site::{self, Site};
use crate::ui::{self, clean};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy that is tried; the one in force where it is left out
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Also try it on the launches that the audit log holds
    #[arg(long)]
    audit_log: bool,
    /// How far back the audit log is looked at: 30d, 12h, or a time
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: When,
    /// How to print
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
    /// Files of cases (.toml), scripts, folders of scripts
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What the policy makes of one call in a script.
#[derive(Debug, Serialize)]
struct Call {
    place: String,
    text: String,
    /// Rules that refuse it.
    rules: Vec<String>,
    /// The policy in force lets it pass.
    new: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    cases: Vec<Outcome>,
    calls: Vec<Call>,
    /// Launches of the log that would be refused.
    launches: Vec<Refused>,
    launches_looked_at: u64,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    if args.paths.is_empty() && !args.audit_log {
        return Err(Error::verb("nothing is named that the policy could be tried on")
            .hint("a file of cases, a script, a folder of scripts, or --audit-log"));
    }
    // A policy in force that cannot be used is what a new one is to replace: then everything was refused.
    let in_force = site::load();
    let new = match &args.policy {
        Some(path) => tried(path)?,
        None => Site { caller: site::Caller::me(), today: site::today(), ..in_force.as_ref().map_err(again)?.clone() },
    };
    let now = in_force.ok();
    let trial = Trial::new(ctx)?;
    let mut report = Report::default();
    for path in &args.paths {
        if path.extension().is_some_and(|e| e == "toml") {
            report.cases.extend(cases::run(path, &trial, &new)?);
        } else {
            let calls = script::in_path(path)?;
            report.calls.extend(calls.iter().map(|found| call(found, &trial, now.as_ref(), &new)));
        }
    }
    if args.audit_log {
        (report.launches, report.launches_looked_at) = log::run(ctx, &trial, &new, args.since.0)?;
    }
    match args.format.as_str() {
        "json" => super::json(&report)?,
        _ => ui::stdout(&text(&report, args.audit_log))?,
    }
    let bad = report.cases.iter().any(|c| !c.ok) || report.calls.iter().any(|c| c.new) || !report.launches.is_empty();
    Ok(u8::from(bad))
}

fn again(e: &Error) -> Error {
    Error::new(Kind::Verb, e.chain().join(": ")).hint(e.hint.clone().unwrap_or_default())
}

fn tried(path: &Path) -> Result<Site> {
    match site::try_out(path)? {
        Ok(law) => Ok(Site::trial(law)),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(|p| format!("{}:{p}", path.display())).collect();
            Err(Error::verb(format!("{} is no policy that could be tried", path.display())).because(lines.join("\n")))
        }
    }
}

fn call(found: &Found, trial: &Trial, now: Option<&Site>, new: &Site) -> Call {
    let folder = found.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let judge = || -> Result<(Vec<String>, bool), String> {
        let words = found.words.as_ref().map_err(String::clone)?;
        let said = |e: Error| e.chain().join(": ");
        let request = trial::request(words, &folder).map_err(said)?;
        let image = trial.image(&request);
        let verdict = trial.judge(&request, &image, new).map_err(said)?;
        let passes_now = now.is_some_and(|now| trial.judge(&request, &image, now).is_ok_and(|v| v.passed()));
        let rules: Vec<String> = verdict.refused_rules().into_iter().map(str::to_owned).collect();
        let is_new = !rules.is_empty() && passes_now;
        Ok((rules, is_new))
    };
    let (rules, new, unknown) = match judge() {
        Ok((rules, new)) => (rules, new, None),
        Err(why) => (Vec::new(), false, Some(why)),
    };
    Call { place: found.place(), text: found.text.clone(), rules, new, unknown }
}

fn text(report: &Report, with_log: bool) -> String {
    let mut out = String::new();
    for case in &report.cases {
        let word = if case.ok { "ok  " } else { "FAIL" };
        let what = case.what.as_ref().map(|w| format!(": {w}")).unwrap_or_default();
        let _ = writeln!(out, "{word}  {}{}", clean(&case.run), clean(&what));
    }
    for call in &report.calls {
        let what = match (&call.unknown, call.rules.is_empty(), call.new) {
            (Some(why), ..) => format!("cannot be judged: {why}"),
            (None, true, _) => "passes".to_owned(),
            (None, false, true) => format!("would be refused by {}, passes now", call.rules.join(", ")),
            (None, false, false) => format!("refused by {}", call.rules.join(", ")),
        };
        let _ = writeln!(out, "{}: {}", clean(&call.place), clean(&what));
    }
    for launch in &report.launches {
        let partly = if launch.whole { "" } else { " (by what the log holds of it)" };
        let _ = writeln!(
            out,
            "{} {} {} by uid {}: would be refused{partly}",
            launch.time,
            launch.container,
            clean(&launch.image),
            launch.uid
        );
        for why in &launch.why {
            let _ = writeln!(out, "    {}", clean(why));
        }
    }
    if !report.cases.is_empty() {
        let failed = report.cases.iter().filter(|c| !c.ok).count();
        let _ = writeln!(out, "{} cases, {failed} not as they should be", report.cases.len());
    }
    if !report.calls.is_empty() {
        let count = |f: fn(&&Call) -> bool| report.calls.iter().filter(f).count();
        let _ = writeln!(
            out,
            "{} calls in scripts: {} refused, {} of them pass now, {} cannot be judged",
            report.calls.len(),
            count(|c| !c.rules.is_empty()),
            count(|c| c.new),
            count(|c| c.unknown.is_some())
        );
    }
    if with_log {
        let _ = writeln!(
            out,
            "{} launches in the audit log: {} would be refused",
            report.launches_looked_at,
            report.launches.len()
        );
    }
    out
}
