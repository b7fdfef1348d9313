//! A rule is data with a function.

use crate::facts::Facts;
use crate::plan::{Draft, Source, Sourced};
use serde::Serialize;
use std::fmt;

/// How much of the host a rule's violation gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Medium,
    High,
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}

/// Whether `--allow ID` lets the thing pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "text")]
pub enum Override {
    /// What the override loosens, and nothing besides.
    Loosens(&'static str),
    /// There is none, and why.
    Never(&'static str),
}

/// One thing that is refused, until it is explicitly overridden with `--allow ID` where the rule has an override.
pub struct Rule {
    /// kebab-case, what `--allow` takes.
    pub id: &'static str,
    pub severity: Severity,
    /// What is refused, in a few words.
    pub summary: &'static str,
    /// What an attacker gains, in one line.
    pub risk: &'static str,
    /// A safer form that can be pasted, general. A finding may be more specific.
    pub instead: &'static str,
    /// Arguments of `hardrun run` that are refused; a line of `exec` begins with that word.
    pub example: &'static str,
    pub overriding: Override,
    /// CIS Docker Benchmark numbers, CVEs, NIST SP 800-190 sections, Pod Security Standards.
    pub references: &'static [&'static str],
    /// Every place in the draft that violates the rule.
    pub check: fn(&Draft, &Facts) -> Vec<Finding>,
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: &'static str,
    /// What was asked, as typed (`-v /var/run/docker.sock:/s`).
    pub asked: String,
    /// Facts that make it a violation where the words do not show it (`resolves to /run/docker.sock`).
    pub detail: Option<String>,
    /// A safer form for this very request, where there is a better one than the rule's.
    pub instead: Option<String>,
}

impl Finding {
    pub fn new(rule: &'static str, asked: impl Into<String>) -> Self {
        Finding { rule, asked: asked.into(), detail: None, instead: None }
    }
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
    pub fn instead(mut self, instead: impl Into<String>) -> Self {
        self.instead = Some(instead.into());
        self
    }
}

/// How a value was asked for: `--pid host`, or `--pid host (preset NAME)` where no flag was typed. A flag whose name
/// has the key of the value in it (`--ulimit core` and `core=-1`) does not say it twice.
pub fn asked<T>(from: &Sourced<T>, name: &str, value: impl fmt::Display) -> String {
    let value = value.to_string();
    match &from.source {
        Source::Flag(flag) => {
            let key = value.split_once('=').map(|(key, _)| key);
            match flag.rsplit_once(' ') {
                Some((flag, last)) if Some(last) == key || last == value => format!("{flag} {value}"),
                _ => format!("{flag} {value}").trim_end().to_owned(),
            }
        }
        other => format!("{name} {value} ({other})"),
    }
}
