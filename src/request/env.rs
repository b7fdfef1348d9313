//! Environment variables, and the caller's environment they may come from.

use std::path::{Path, PathBuf};

/// Where relative paths lead that no folder is known for: below a file, so nowhere, whoever would have it otherwise.
const GONE: &str = "/dev/null/the-working-folder-was-removed";

/// What resolving a request reads of its surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// The caller's environment, in order.
    pub vars: Vec<(String, String)>,
    /// The caller's working directory, absolute.
    pub cwd: PathBuf,
}

impl Env {
    /// This process's. Variables that are not UTF-8 are left out: nothing of ours is named so, and a container cannot be
    /// given them. A caller in a folder that was removed is no error: only a relative path needs the folder.
    pub fn from_process() -> Self {
        let vars = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Env { vars: vars.collect(), cwd: std::env::current_dir().unwrap_or_else(|_| GONE.into()) }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// `path` as the caller means it: relative to where the caller is.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }
}

/// One variable to set, or (`value: None`) one of the image's to take away: docker's `-e NAME` where the caller has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSetting {
    pub name: String,
    pub value: Option<String>,
    /// `--env` or `--env-file`.
    pub flag: &'static str,
}

impl EnvSetting {
    /// `--env NAME=VALUE`, or `NAME` for the caller's value.
    pub fn parse(text: &str, env: &Env) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, env.get(text)),
        };
        if name.is_empty() || text.contains('\0') {
            return Err(format!("invalid environment variable: {text}"));
        }
        Ok(EnvSetting { name: name.to_owned(), value: value.map(str::to_owned), flag: "--env" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn caller() -> Env {
        Env { vars: vec![("HOME".into(), "/h".into()), ("EMPTY".into(), String::new())], cwd: "/w".into() }
    }

    fn parse(text: &str) -> Result<(String, Option<String>), String> {
        EnvSetting::parse(text, &caller()).map(|e| (e.name, e.value))
    }

    #[test]
    fn values_come_from_the_word_or_the_caller() {
        assert_eq!(parse("A=1"), Ok(("A".into(), Some("1".into()))));
        assert_eq!(parse("A="), Ok(("A".into(), Some(String::new()))));
        assert_eq!(parse("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert_eq!(parse("HOME"), Ok(("HOME".into(), Some("/h".into()))));
        assert_eq!(parse("EMPTY"), Ok(("EMPTY".into(), Some(String::new()))));
        assert_eq!(parse("NOT_THERE"), Ok(("NOT_THERE".into(), None)));
        assert_eq!(parse("A B=1"), Ok(("A B".into(), Some("1".into()))));
    }

    #[test]
    fn nameless_is_an_error() {
        assert_eq!(parse(""), Err("invalid environment variable: ".into()));
        assert_eq!(parse("=x"), Err("invalid environment variable: =x".into()));
    }

    #[test]
    fn paths_are_relative_to_the_caller() {
        assert_eq!(caller().absolute("a/b"), PathBuf::from("/w/a/b"));
        assert_eq!(caller().absolute("/a"), PathBuf::from("/a"));
    }

    proptest! {
        #[test]
        fn the_first_equals_sign_divides(name in "[^=\0]{1,10}", value in "[^\0]{0,20}") {
            prop_assert_eq!(parse(&format!("{name}={value}")), Ok((name, Some(value))));
        }
    }
}
