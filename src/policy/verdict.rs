//! Judging a draft.

use super::allow::{self, Allow};
use super::registry::RULES;
use super::rule::{Finding, Override, Rule};
use crate::error::Result;
use crate::facts::Facts;
use crate::plan::{self, Draft};
use serde::Serialize;

/// What the rules say about one draft.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// In the registry's order. Empty: the draft may run.
    pub refused: Vec<Finding>,
    /// Findings that an `--allow` lets pass.
    pub overridden: Vec<plan::Override>,
    /// Overrides that no finding needed.
    pub unused: Vec<Allow>,
}

impl Verdict {
    /// Whether the draft may run.
    pub fn passed(&self) -> bool {
        self.refused.is_empty()
    }

    /// One line for every override that was not needed.
    pub fn unused_lines(&self) -> Vec<String> {
        self.unused
            .iter()
            .map(|a| format!("--allow {} was not needed: nothing in this container goes against that rule", a.rule))
            .collect()
    }

    /// Ids of the rules that refused, each once, in order.
    pub fn refused_rules(&self) -> Vec<&'static str> {
        let mut ids: Vec<&'static str> = self.refused.iter().map(|f| f.rule).collect();
        ids.dedup();
        ids
    }
}

/// Judge what would run. An `--allow` of a rule that does not exist is an error.
pub fn judge(draft: &Draft, facts: &Facts, allows: &[Allow]) -> Result<Verdict> {
    judge_with(RULES, draft, facts, allows)
}

pub(super) fn judge_with(rules: &[Rule], draft: &Draft, facts: &Facts, allows: &[Allow]) -> Result<Verdict> {
    if let Some(stray) = allows.iter().find(|a| !rules.iter().any(|r| r.id == a.rule)) {
        return Err(allow::unknown(&stray.rule));
    }
    let mut verdict = Verdict::default();
    for rule in rules {
        let allowed = match rule.overriding {
            Override::Loosens(_) => allows.iter().find(|a| a.rule == rule.id),
            Override::Never(_) => None,
        };
        let findings = (rule.check)(draft, facts);
        match allowed {
            Some(allow) if findings.is_empty() => verdict.unused.push(allow.clone()),
            Some(allow) => verdict.overridden.extend(findings.into_iter().map(|f| plan::Override {
                rule: f.rule.to_owned(),
                asked: f.asked,
                reason: allow.reason.clone(),
            })),
            None => verdict.refused.extend(findings),
        }
    }
    Ok(verdict)
}
