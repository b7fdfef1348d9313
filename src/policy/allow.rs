//! `--allow RULE` and `--allow RULE="reason"`: one rule at a time, never a blanket.

use super::registry;
use super::rule::Override;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One override that the caller spelled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    pub rule: String,
    pub reason: Option<String>,
}

/// Longest reason that is kept, in bytes: it becomes part of a line of the audit log.
pub const REASON_MAX: usize = 1024;

impl FromStr for Allow {
    type Err = Error;

    /// `ID`, `ID=reason` or `ID="reason"`. An id that is not a rule's, or a rule that has no override, is an error.
    fn from_str(text: &str) -> Result<Self> {
        let (id, reason) = match text.split_once('=') {
            Some((id, reason)) => (id, Some(unquote(reason.trim()))),
            None => (text, None),
        };
        let id = id.trim();
        let reason = reason.filter(|r| !r.is_empty()).map(str::to_owned);
        if reason.as_ref().is_some_and(|r| r.len() > REASON_MAX) {
            return Err(Error::runner(format!("--allow {id}: the reason is longer than {REASON_MAX} bytes")));
        }
        let Some(rule) = registry::find(id) else { return Err(unknown(id)) };
        if let Override::Never(why) = rule.overriding {
            return Err(Error::runner(format!("--allow {id}: this rule has no override: {why}"))
                .hint(format!("safer: {}", rule.instead)));
        }
        Ok(Allow { rule: id.to_owned(), reason })
    }
}

/// A shell takes the quotes away; presets and other quoting may not.
fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

/// The error for an id that no rule has, with the nearest ones.
pub fn unknown(id: &str) -> Error {
    let near = near(id);
    let message = format!("--allow {id}: there is no such rule");
    if id.eq_ignore_ascii_case("all") || id == "*" {
        return Error::runner(message).hint("overrides are given rule by rule; a refusal lists the ones it wants");
    }
    match near.as_slice() {
        [] => Error::runner(message).hint("`hardrun rules` lists them"),
        _ => Error::runner(message).hint(format!("did you mean {}? `hardrun rules` lists all", near.join(" or "))),
    }
}

/// Up to three rule ids close to what was typed, the closest first.
pub fn near(id: &str) -> Vec<&'static str> {
    let typed = id.to_ascii_lowercase().replace('_', "-");
    let mut scored: Vec<(usize, &'static str)> = registry::RULES
        .iter()
        .filter_map(|rule| {
            let distance = edit_distance(&typed, rule.id);
            let part = typed.len() >= 3 && (rule.id.contains(&typed) || typed.contains(rule.id));
            let same_word = rule.id.split('-').any(|word| word.len() > 3 && typed.split('-').any(|t| t == word));
            let score = match (part, same_word) {
                (true, _) => distance.min(2),
                (_, true) => distance.min(3),
                _ => distance,
            };
            (score <= 3).then_some((score * 100 + distance, rule.id))
        })
        .collect();
    scored.sort();
    scored.truncate(3);
    scored.into_iter().map(|(_, id)| id).collect()
}

/// Levenshtein distance over bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_id_with_and_without_a_reason() {
        let plain: Allow = "host-network".parse().unwrap();
        assert_eq!(plain, Allow { rule: "host-network".into(), reason: None });
        for text in ["host-network=a=b, c", "host-network=\"a=b, c\""] {
            let with: Allow = text.parse().unwrap();
            assert_eq!(with.reason.as_deref(), Some("a=b, c"), "{text}");
        }
        let empty: Allow = "host-network=".parse().unwrap();
        assert_eq!(empty.reason, None);
    }

    #[test]
    fn an_unknown_id_names_its_neighbours() {
        let hint = |id: &str| id.parse::<Allow>().unwrap_err().hint.unwrap();
        assert!(hint("host-netwrk").contains("host-network"));
        assert!(hint("HOST_NETWORK").contains("host-network"));
        assert!(hint("seccomp").contains("seccomp-"));
        assert!(hint("all").contains("rule by rule"));
        assert!(hint("qqqqqqqqqqqq").contains("hardrun rules"));
    }

    #[test]
    fn a_rule_without_an_override_cannot_be_allowed() {
        let error = "kernel-mountpoint".parse::<Allow>().unwrap_err();
        assert!(error.message.contains("no override"), "{}", error.message);
    }

    #[test]
    fn an_endless_reason_is_refused() {
        assert!(format!("host-network={}", "x".repeat(2000)).parse::<Allow>().is_err());
    }
}
