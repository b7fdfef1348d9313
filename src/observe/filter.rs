//! `--filter KEY=VALUE` of the verbs that list and prune: of one key any value will do, of several keys each must; labels must
//! all be there.

use crate::error::{Error, Result};
use regex::Regex;
use std::collections::BTreeMap;

/// How docker's verbs that list call the flag.
pub const LISTING: &str = "-f, --filter";
/// And those that prune.
pub const PRUNING: &str = "--filter";

/// Keys and values of what `flag` was given; empty text is none.
///
/// # Errors
/// Docker's, of text without `=`.
pub fn pairs(texts: &[String], flag: &str) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err(Error::runner(format!(
            "invalid argument {text:?} for \"{flag}\" flag: bad format of filter (expected name=value)"
        ))),
    };
    texts.iter().filter(|text| !text.is_empty()).map(pair).collect()
}

/// Docker's answer to a key that a verb does not have.
pub fn unknown(key: &str, known: &[&str]) -> Error {
    Error::verb(format!("Invalid filter '{key}'")).hint(format!("the filters are {}", known.join(", ")))
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters {
    given: BTreeMap<String, Vec<String>>,
}

impl Filters {
    /// `known`: the keys that the verb has.
    ///
    /// # Errors
    /// Docker's: text without `=` is a slip of the command line (125), an unknown key is an error of the verb (1).
    pub fn parse(texts: &[String], known: &[&str]) -> Result<Filters> {
        Self::of_flag(LISTING, texts, known)
    }

    /// The same for a verb that prunes, whose flag has no letter.
    pub fn parse_pruning(texts: &[String], known: &[&str]) -> Result<Filters> {
        Self::of_flag(PRUNING, texts, known)
    }

    fn of_flag(flag: &str, texts: &[String], known: &[&str]) -> Result<Filters> {
        let mut filters = Filters::default();
        for (key, value) in pairs(texts, flag)? {
            if !known.contains(&key.as_str()) {
                return Err(unknown(&key, known));
            }
            filters.given.entry(key).or_default().push(value);
        }
        Ok(filters)
    }

    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// All values of a key.
    pub fn values(&self, key: &str) -> &[String] {
        self.given.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Whether a key lets an entry pass: it was not given, or one of its values does.
    pub fn any(&self, key: &str, fits: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).iter().map(String::as_str).any(fits)
    }

    /// Whether the values of a key are regular expressions of which one is found in `text`. One that is none is found
    /// nowhere, as with docker.
    pub fn finds(&self, key: &str, text: &str) -> bool {
        self.any(key, |pattern| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text)))
    }

    /// `label=KEY`, `label=KEY=VALUE`, and `label!=` of prune.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|has| has == value),
            None => labels.contains_key(wanted),
        };
        self.values("label").iter().all(has) && !self.values("label!").iter().any(has)
    }

    /// A key that is true or false. Given twice with both, or with another word, is an error.
    pub fn truth(&self, key: &str) -> Result<Option<bool>> {
        let mut found = None;
        for value in self.values(key) {
            let truth = match value.to_lowercase().as_str() {
                "1" | "t" | "true" => true,
                "0" | "f" | "false" => false,
                _ => return Err(self.invalid(key)),
            };
            if found.is_some_and(|before| before != truth) {
                return Err(self.invalid(key));
            }
            found = Some(truth);
        }
        Ok(found)
    }

    fn invalid(&self, key: &str) -> Error {
        Error::verb(format!("Invalid filter '{key}=[{}]'", self.values(key).join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Filters> {
        let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
        Filters::parse(&texts, &["name", "label", "dangling"])
    }

    #[test]
    fn keys_and_words_as_docker_takes_them() {
        let filters = parse(&["NAME = a=b ", "", "name=c"]).unwrap();
        assert_eq!(filters.values("name"), ["a=b", "c"]);
        for (texts, code, words) in [
            (
                ["x"],
                125,
                "invalid argument \"x\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
            ),
            (["nope=x"], 1, "Invalid filter 'nope'"),
            (["=x"], 1, "Invalid filter ''"),
            (["label!=x"], 1, "Invalid filter 'label!'"),
        ] {
            let error = parse(&texts).unwrap_err();
            assert_eq!((error.kind.exit_code(), error.to_string()), (code, words.to_owned()));
        }
        let slip = Filters::parse_pruning(&["x".to_owned()], &["label"]).unwrap_err();
        assert_eq!(
            (slip.kind.exit_code(), slip.to_string()),
            (
                125,
                "invalid argument \"x\" for \"--filter\" flag: bad format of filter (expected name=value)".to_owned()
            )
        );
    }

    #[test]
    fn any_of_a_key_all_labels() {
        let filters = parse(&["name=^/web$", "name=d.$", "label=a", "label=b=two"]).unwrap();
        assert!(filters.finds("name", "/web") && filters.finds("name", "odb") && !filters.finds("name", "/web2"));
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert!(filters.labels(&labels(&[("a", "1"), ("b", "two")])));
        assert!(!filters.labels(&labels(&[("a", "1"), ("b", "no")])));
        assert!(!parse(&["name=("]).unwrap().finds("name", "("));
        assert!(parse(&[]).unwrap().finds("name", "x"));
    }

    #[test]
    fn true_or_false() {
        assert_eq!(parse(&["dangling=1"]).unwrap().truth("dangling").unwrap(), Some(true));
        assert_eq!(parse(&[]).unwrap().truth("dangling").unwrap(), None);
        for bad in [&["dangling=maybe"][..], &["dangling=1", "dangling=0"]] {
            let error = parse(bad).unwrap().truth("dangling").unwrap_err();
            assert!(error.to_string().starts_with("Invalid filter 'dangling=["), "{error}");
        }
    }
}
