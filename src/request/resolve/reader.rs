//! Words to values, with docker's sentence where one is wrong.

use crate::error::{Error, Kind, Result};
use crate::request::{By, Env, Refusal, golang};
use std::io::Read as _;
use std::str::FromStr;

/// docker's sentence: `invalid argument "x" for "-m, --memory" flag: …`.
pub fn invalid(flag: &str, value: &str, why: impl Into<Refusal>) -> Error {
    let Refusal { words, by } = why.into();
    let kind = match by {
        By::Client => Kind::Runner,
        By::Engine => Kind::Engine,
    };
    Error::new(kind, format!("invalid argument {value:?} for {flag:?} flag: {words}")).hint("See 'hardrun run --help'.")
}

/// A parser of words that docker's client passes on unread: whatever is wrong with them, its engine says so.
pub fn unread<T, E: Into<String>>(
    parse: impl Fn(&str) -> std::result::Result<T, E>,
) -> impl Fn(&str) -> std::result::Result<T, Refusal> {
    move |word| parse(word).map_err(Refusal::engine)
}

/// One value through a parser.
pub fn with<T, E: Into<Refusal>>(
    flag: &str,
    word: Option<String>,
    parse: impl FnOnce(&str) -> std::result::Result<T, E>,
) -> Result<Option<T>> {
    word.map(|word| parse(&word).map_err(|why| invalid(flag, &word, why))).transpose()
}

/// Every value through a parser.
pub fn each<T, E: Into<Refusal>>(
    flag: &str,
    words: Vec<String>,
    parse: impl Fn(&str) -> std::result::Result<T, E>,
) -> Result<Vec<T>> {
    words.into_iter().map(|word| parse(&word).map_err(|why| invalid(flag, &word, why))).collect()
}

/// One value of a type that reads itself.
pub fn value<T: FromStr<Err: Into<Refusal>>>(flag: &str, word: Option<String>) -> Result<Option<T>> {
    with(flag, word, T::from_str)
}

/// Every value of a type that reads itself.
pub fn list<T: FromStr<Err: Into<Refusal>>>(flag: &str, words: Vec<String>) -> Result<Vec<T>> {
    each(flag, words, T::from_str)
}

/// `--rm`, `--rm=0`
pub fn switch(flag: &str, word: Option<String>) -> Result<Option<bool>> {
    with(flag, word, golang::parse_bool)
}

/// A whole number as Go reads it.
pub fn int(flag: &str, word: Option<String>) -> Result<Option<i64>> {
    with(flag, word, golang::parse_int)
}

/// A number without a sign, at most `max`.
pub fn uint(flag: &str, word: Option<String>, max: u64) -> Result<Option<u64>> {
    with(flag, word, |w| golang::parse_uint(w, max))
}

/// An empty word is no word.
pub fn non_empty(word: Option<String>) -> Option<String> {
    word.filter(|w| !w.is_empty())
}

/// Words that podman splits at commas.
pub fn split_commas(words: Vec<String>) -> Vec<String> {
    words.iter().flat_map(|w| w.split(',')).map(str::to_owned).collect()
}

/// One of a few words.
pub fn one_of(flag: &str, word: Option<String>, known: &[&'static str]) -> Result<Option<&'static str>> {
    with(flag, word, |w| {
        known.iter().copied().find(|k| *k == w).ok_or_else(|| format!("must be one of {}", known.join(", ")))
    })
}

/// A file that a flag names, relative to the caller. Said as docker says it: `open x: no such file or directory`.
pub fn read_file(flag: &str, path: &str, env: &Env) -> Result<Vec<u8>> {
    if path.is_empty() {
        return Err(Error::runner(format!("{flag}: open : no such file or directory")));
    }
    let full = env.absolute(path);
    if full.is_dir() {
        return Err(Error::runner(format!("{flag}: invalid env file ({path}): read {path}: is a directory")));
    }
    let failed = |e: std::io::Error| Error::runner(format!("{flag}: open {path}: {}", golang::io_error(&e)));
    let mut file = std::fs::File::open(full).map_err(failed)?;
    crate::site::reach::may_read_file(flag, &file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_flag_and_value() {
        let error = int("-c, --cpu-shares", Some("x".into())).unwrap_err();
        assert_eq!(
            error.message,
            "invalid argument \"x\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert_eq!(error.kind.exit_code(), 125);
        assert_eq!(switch("--rm", None).unwrap(), None);
        assert_eq!(switch("--rm", Some("0".into())).unwrap(), Some(false));
        assert!(one_of("--x", Some("c".into()), &["a", "b"]).unwrap_err().message.ends_with("must be one of a, b"));
    }
}
