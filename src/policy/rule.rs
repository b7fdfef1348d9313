//! A rule is data with a function.

use crate::facts::Facts;
use crate::plan::Draft;
use serde::Serialize;

/// How much of the host a rule's violation gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Medium,
    High,
    Critical,
}

/// One thing that is refused until it is explicitly overridden with `--allow ID`.
pub struct Rule {
    /// kebab-case, what `--allow` takes.
    pub id: &'static str,
    pub severity: Severity,
    /// What is refused, in a few words.
    pub summary: &'static str,
    /// What an attacker gains, in one line.
    pub risk: &'static str,
    /// A safer form that can be pasted; `{}`-free, general. A finding may be more specific.
    pub instead: &'static str,
    /// CIS Docker Benchmark numbers, CVEs, NIST SP 800-190 sections.
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
