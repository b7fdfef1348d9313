//! Where in a preset file an error is.

use super::load;
use super::schema::{self, PresetFile};
use crate::error::{Error, Result};

/// One thing that is wrong with a preset file.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1. `None`: of no line, as where the file cannot be read.
    pub line: Option<usize>,
    /// As `limits.memory`.
    pub key: Option<String>,
    pub message: String,
}

/// All that is wrong with the preset file `path`; each key is judged by itself, so that one error does not hide the next.
pub fn problems(path: &str) -> Vec<Problem> {
    let whole = |e: Error| Problem { line: None, key: None, message: e.chain().join(": ") };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => return vec![Problem { line: None, key: None, message: format!("cannot be read: {e}") }],
    };
    problems_in(&text, path, &|name| schema::parse(&load::source(name)?, name)).unwrap_or_else(|e| vec![whole(e)])
}

fn problems_in(text: &str, origin: &str, read: &dyn Fn(&str) -> Result<PresetFile>) -> Result<Vec<Problem>> {
    if let Err(e) = toml::from_str::<PresetFile>(text) {
        let line = e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let key = line.and_then(|line| key_at(text, line));
        return Ok(vec![Problem { line, key, message: e.message().to_owned() }]);
    }
    let table: toml::Table = toml::from_str(text).map_err(|e| Error::runner(e.to_string()))?;
    let judge = |table: &toml::Table| -> Result<()> {
        let text = toml::to_string(table).map_err(|e| Error::runner(e.to_string()))?;
        load::resolve(origin, &|name| if name == origin { schema::parse(&text, name) } else { read(name) }).map(drop)
    };
    let Err(first) = judge(&table) else { return Ok(Vec::new()) };
    // What is left out decides nothing: the key alone, with what it needs to be a preset, shows whether the error is its.
    let frame = |keep: &[&str]| -> toml::Table {
        let needed = table.iter().filter(|(key, _)| keep.contains(&key.as_str()));
        needed.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let ground = frame(&["description", "extends"]);
    if let Err(e) = judge(&ground) {
        let key = "extends".to_owned();
        return Ok(vec![Problem { line: line_of(text, &key), key: Some(key), message: e.chain().join(": ") }]);
    }
    let mut found = Vec::new();
    for (key, value) in &table {
        let parts: Vec<(String, toml::Value)> = match value.as_table() {
            Some(inner) if key == "limits" => {
                let one = |(k, v): (&String, &toml::Value)| {
                    let table = toml::Table::from_iter([(k.clone(), v.clone())]);
                    (format!("{key}.{k}"), toml::Value::Table(table))
                };
                inner.iter().map(one).collect()
            }
            _ => vec![(key.clone(), value.clone())],
        };
        for (name, value) in parts {
            let mut alone = ground.clone();
            alone.insert(key.clone(), value);
            if let Err(e) = judge(&alone) {
                // The outermost line names the preset, which the caller does besides.
                let chain = e.chain();
                let message = if chain.len() > 1 { chain[1..].join(": ") } else { chain.join(": ") };
                found.push(Problem { line: line_of(text, &name), key: Some(name), message });
            }
        }
    }
    if found.is_empty() {
        // Keys that are right each for itself and wrong together.
        found.push(Problem { line: None, key: None, message: first.chain().join(": ") });
    }
    found.sort_by_key(|p| p.line);
    Ok(found)
}

/// The line of a key: `limits.memory` stands below `[limits]`, or in one line with it.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (section, name) = key.split_once('.').map_or(("", key), |(section, name)| (section, name));
    let mut at = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[').filter(|_| !line.contains('=')) {
            at = head.trim_matches(|c| c == '[' || c == ']').split(']').next().unwrap_or_default().trim().to_owned();
            if section.is_empty() && at == name {
                return Some(number + 1);
            }
        }
        let is = |wanted: &str| line.strip_prefix(wanted).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']));
        if at == section && is(name) || at.is_empty() && (is(key) || !section.is_empty() && is(section)) {
            return Some(number + 1);
        }
    }
    None
}

/// The key that a line is about.
fn key_at(text: &str, line: usize) -> Option<String> {
    let mut section = String::new();
    for (number, text) in text.lines().enumerate().take(line) {
        let text = text.trim();
        if text.starts_with('[') && !text.contains('=') {
            section = text.trim_matches(|c| c == '[' || c == ']').split(']').next().unwrap_or_default().to_owned();
        }
        if number + 1 == line {
            let key = text.split('=').next().unwrap_or_default().trim();
            let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            return match (plain, section.is_empty()) {
                (true, true) => Some(key.to_owned()),
                (true, false) => Some(format!("{section}.{key}")),
                (false, false) if text.starts_with('[') => Some(section),
                (false, _) => None,
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn cases(kind: &str) -> Vec<PathBuf> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/presets").join(kind);
        let files = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
        files.sort();
        assert!(files.len() > 2, "{}", folder.display());
        files
    }

    #[test]
    fn valid_files_have_no_problem() {
        let builtin = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("presets");
        let builtin = load::BUILTIN.iter().map(|(name, _)| builtin.join(format!("{name}.toml")));
        for file in cases("valid").into_iter().chain(builtin) {
            assert_eq!(problems(file.to_str().unwrap()), [], "{}", file.display());
        }
    }

    /// `NAME.says` has one line a problem, each the beginning of `LINE: KEY: MESSAGE`.
    #[test]
    fn invalid_files_are_told_by_line_and_key() {
        for file in cases("invalid") {
            let said: Vec<String> = problems(file.to_str().unwrap())
                .into_iter()
                .map(|p| {
                    let line = p.line.map_or_else(String::new, |line| format!("{line}: "));
                    let key = p.key.map_or_else(String::new, |key| format!("{key}: "));
                    format!("{line}{key}{}", p.message)
                })
                .collect();
            let wanted = std::fs::read_to_string(file.with_extension("says")).unwrap();
            let wanted: Vec<&str> = wanted.lines().collect();
            assert_eq!(said.len(), wanted.len(), "{}: {said:#?}", file.display());
            for (said, wanted) in said.iter().zip(wanted) {
                assert!(said.starts_with(wanted), "{}: {said:?} does not begin with {wanted:?}", file.display());
            }
        }
    }
}
