//! Judging a draft.

use super::allow::{self, Allow};
use super::registry::{self, RULES};
use super::rule::{Finding, Override, Rule};
use crate::error::Result;
use crate::facts::Facts;
use crate::plan::{self, Draft};
use crate::site::{self, Permission};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the rules say about one draft.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// In the registry's order. Empty: the draft may run.
    pub refused: Vec<Finding>,
    /// Findings that an `--allow` lets pass.
    pub overridden: Vec<plan::Override>,
    /// Overrides that no finding needed.
    pub unused: Vec<Allow>,
    /// Of the rules that refused: why the site's policy lets nobody, or not this caller, override them here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub closed: BTreeMap<&'static str, String>,
    /// Of the rules that refused: what the site has to say besides.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<&'static str, String>,
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
    if let Some(stray) = allows.iter().find(|a| registry::find(&a.rule).is_none()) {
        return Err(allow::unknown(&stray.rule));
    }
    Ok(judge_with(RULES.iter().chain(site::rules::RULES), draft, facts, allows))
}

fn judge_with<'a>(rules: impl Iterator<Item = &'a Rule>, draft: &Draft, facts: &Facts, allows: &[Allow]) -> Verdict {
    let mut verdict = Verdict::default();
    for rule in rules {
        let findings = (rule.check)(draft, facts);
        let allowed = match rule.overriding {
            Override::Loosens(_) => allows.iter().find(|a| a.rule == rule.id),
            Override::Never(_) => None,
        };
        if findings.is_empty() {
            verdict.unused.extend(allowed.cloned());
            continue;
        }
        let permission = match rule.overriding {
            Override::Loosens(_) => facts.site.permits(rule.id, &draft.image),
            Override::Never(_) => Permission::Given(None),
        };
        match (allowed, permission) {
            (Some(allow), Permission::Given(permitted)) => {
                verdict.overridden.extend(findings.into_iter().map(|f| plan::Override {
                    rule: f.rule.to_owned(),
                    asked: f.asked,
                    reason: allow.reason.clone(),
                    permitted: permitted.clone(),
                }));
            }
            (_, permission) => {
                if let Permission::Denied(why) = permission {
                    verdict.closed.insert(rule.id, why);
                }
                if let Some(text) = facts.site.law.messages.get(rule.id) {
                    verdict.messages.insert(rule.id, text.clone());
                }
                verdict.refused.extend(findings);
            }
        }
    }
    verdict
}
