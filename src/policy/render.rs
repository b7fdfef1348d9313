//! A refusal as a person or a program reads it.

use super::registry;
use super::rule::{Finding, Override, Rule};
use super::verdict::Verdict;
use crate::ui::clean;
use serde::Serialize;
use std::fmt::Write;

/// The refusal for a terminal, several lines, ending in a newline. Untrusted text in it has been cleaned. Empty where
/// nothing was refused.
pub fn text(verdict: &Verdict) -> String {
    let groups = grouped(&verdict.refused);
    if groups.is_empty() {
        return String::new();
    }
    let rules = if groups.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", groups.len()) };
    let mut out = format!("hardrun: refused by {rules}; nothing was started or written\n");
    for (rule, findings) in &groups {
        let _ = writeln!(out, "\n  {} ({})", rule.id, rule.severity);
        for finding in findings {
            let detail = finding.detail.as_ref().map(|d| format!("  ({d})")).unwrap_or_default();
            line(&mut out, "asked", &format!("{}{detail}", finding.asked));
        }
        line(&mut out, "risk", rule.risk);
        for instead in safer(rule, findings) {
            line(&mut out, "safer", instead);
        }
        match rule.overriding {
            Override::Loosens(_) => line(&mut out, "override", &format!("--allow {}", rule.id)),
            Override::Never(why) => line(&mut out, "override", &format!("no override: {why}")),
        }
        if !rule.references.is_empty() {
            line(&mut out, "see", &rule.references.join(", "));
        }
    }
    if groups.len() > 1 {
        let all: Vec<String> = groups.iter().filter_map(|(rule, _)| allow(rule)).collect();
        let never = groups.iter().filter(|(rule, _)| matches!(rule.overriding, Override::Never(_))).count();
        match never {
            0 => {
                let _ = writeln!(out, "\n  all of it, with the risk: {}", all.join(" "));
            }
            _ => {
                let _ = writeln!(out, "\n  {never} of these cannot be overridden");
            }
        }
    }
    out
}

/// Write the refusal to stderr.
pub fn print(verdict: &Verdict) {
    // A closed stderr must not turn a refusal into anything else.
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text(verdict).as_bytes());
}

fn allow(rule: &Rule) -> Option<String> {
    matches!(rule.overriding, Override::Loosens(_)).then(|| format!("--allow {}", rule.id))
}

fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "    {label:<9} {}", clean(text));
}

/// The findings' own safer forms, each once; the rule's where a finding has none.
fn safer<'a>(rule: &'a Rule, findings: &[&'a Finding]) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    for finding in findings {
        let text = finding.instead.as_deref().unwrap_or(rule.instead);
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

fn grouped(findings: &[Finding]) -> Vec<(&'static Rule, Vec<&Finding>)> {
    let mut out: Vec<(&'static Rule, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let Some(rule) = registry::find(finding.rule) else { continue };
        match out.iter_mut().find(|(r, _)| r.id == rule.id) {
            Some((_, list)) => list.push(finding),
            None => out.push((rule, vec![finding])),
        }
    }
    out
}

#[derive(Serialize)]
struct Entry<'a> {
    rule: &'a str,
    severity: super::Severity,
    asked: Vec<&'a str>,
    details: Vec<&'a str>,
    risk: &'a str,
    safer: Vec<&'a str>,
    /// `null` where there is none.
    r#override: Option<String>,
    references: &'a [&'a str],
}

/// The whole verdict: `refused`, `overridden` and `unused`.
pub fn json(verdict: &Verdict) -> serde_json::Value {
    let refused: Vec<Entry> = grouped(&verdict.refused)
        .into_iter()
        .map(|(rule, findings)| Entry {
            rule: rule.id,
            severity: rule.severity,
            asked: findings.iter().map(|f| f.asked.as_str()).collect(),
            details: findings.iter().filter_map(|f| f.detail.as_deref()).collect(),
            risk: rule.risk,
            safer: safer(rule, &findings),
            r#override: allow(rule),
            references: rule.references,
        })
        .collect();
    serde_json::json!({ "refused": refused, "overridden": verdict.overridden, "unused": verdict.unused })
}
