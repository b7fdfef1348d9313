//! `hardrun rules`

use super::Context;
use crate::error::{Error, Result};
use crate::policy::{Override, Rule, allow, capabilities, registry};
use crate::ui::{self, clean};
use std::fmt::Write as _;

/// Rules are judged on what would run, not on how it was spelled. A rule with an override lets its one thing pass
/// with `--allow ID` or `--allow ID="reason"`, which is recorded in the audit log.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show everything about one rule
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    /// The table in the README
    Markdown,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    let text = match (&args.id, args.format) {
        (None, Format::Table) => table(),
        (None, Format::Markdown) => markdown(),
        (None, Format::Json) => pretty(&serde_json::Value::Array(registry::RULES.iter().map(json).collect())),
        (Some(id), format) => {
            let rule = find(id)?;
            match format {
                Format::Table | Format::Markdown => one(rule),
                Format::Json => pretty(&json(rule)),
            }
        }
    };
    ui::stdout(&text)?;
    Ok(0)
}

fn find(id: &str) -> Result<&'static Rule> {
    registry::find(id).ok_or_else(|| {
        let error = Error::verb(format!("there is no rule {}", clean(id)));
        match allow::near(id).as_slice() {
            [] => error.hint("`hardrun rules` lists them"),
            near => error.hint(format!("did you mean {}?", near.join(" or "))),
        }
    })
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

fn table() -> String {
    let width = registry::RULES.iter().map(|r| r.id.len()).max().unwrap_or(0);
    let mut out = format!("{:width$}  SEVERITY  OVERRIDE  REFUSED\n", "ID");
    for rule in registry::RULES {
        let over = match rule.overriding {
            Override::Loosens(_) => "--allow",
            Override::Never(_) => "none",
        };
        let _ = writeln!(out, "{:width$}  {:8}  {over:8}  {}", rule.id, rule.severity, rule.summary);
    }
    out
}

fn markdown() -> String {
    let mut out = String::from("| refused until overridden | `--allow` | severity |\n|---|---|---|\n");
    for rule in registry::RULES {
        let over = match rule.overriding {
            Override::Loosens(_) => format!("`{}`", rule.id),
            Override::Never(_) => format!("no override (`{}`)", rule.id),
        };
        let _ = writeln!(out, "| {} | {over} | {} |", rule.summary, rule.severity);
    }
    out
}

fn one(rule: &Rule) -> String {
    let mut out = format!("{} ({})\n", rule.id, rule.severity);
    let mut line = |label: &str, text: &str| {
        let _ = writeln!(out, "  {label:<10} {text}");
    };
    line("refused", rule.summary);
    line("risk", rule.risk);
    line("example", &typed(rule));
    line("safer", rule.instead);
    match rule.overriding {
        Override::Loosens(what) => {
            line("override", &format!("--allow {0}   or   --allow {0}=\"reason\"", rule.id));
            line("loosens", what);
        }
        Override::Never(why) => line("override", &format!("no override: {why}")),
    }
    line("see", &rule.references.join(", "));
    if rule.id == "dangerous-capability" {
        out.push_str("\n  capability                why\n");
        for cap in capabilities::TABLE {
            let free = if cap.danger == capabilities::Danger::Free { "free     " } else { "dangerous" };
            let _ = writeln!(out, "  {:24}  {free}  {}", cap.name, cap.why);
        }
    }
    out
}

/// The example as a whole command line: those about `exec` begin with that verb.
fn typed(rule: &Rule) -> String {
    match rule.example.starts_with("exec ") {
        true => format!("hardrun {}", rule.example),
        false => format!("hardrun run {}", rule.example),
    }
}

fn json(rule: &Rule) -> serde_json::Value {
    let (over, loosens, why) = match rule.overriding {
        Override::Loosens(what) => (Some(format!("--allow {}", rule.id)), Some(what), None),
        Override::Never(why) => (None, None, Some(why)),
    };
    serde_json::json!({
        "id": rule.id,
        "severity": rule.severity,
        "summary": rule.summary,
        "risk": rule.risk,
        "safer": rule.instead,
        "example": typed(rule),
        "override": over,
        "override_loosens": loosens,
        "no_override_because": why,
        "references": rule.references,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_every_rule() {
        let table = table();
        assert_eq!(table.lines().count(), registry::RULES.len() + 1);
        for rule in registry::RULES {
            assert!(table.lines().any(|l| l.split_whitespace().next() == Some(rule.id)), "{}", rule.id);
        }
    }

    #[test]
    fn the_readme_has_the_table_of_today() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&markdown()), "put the output of `hardrun rules --format markdown` into README.md");
    }

    #[test]
    fn one_rule_says_how_it_is_overridden() {
        let text = one(find("host-network").unwrap());
        assert!(text.contains("hardrun run --network host IMAGE"), "{text}");
        assert!(text.contains("--allow host-network=\"reason\""), "{text}");
        assert!(one(find("kernel-mountpoint").unwrap()).contains("no override: "));
        assert!(one(find("dangerous-capability").unwrap()).contains("CAP_SYS_ADMIN"));
    }

    #[test]
    fn an_unknown_rule_names_its_neighbours() {
        assert!(find("host-netwrok").err().unwrap().hint.unwrap().contains("host-network"));
    }
}
