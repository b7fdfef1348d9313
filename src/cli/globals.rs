//! Docker's own flags before the verb. There is no daemon to find, so most of them have nothing to say; they are read so that
//! what comes behind them is.

use super::context;
use crate::error::{Error, Kind, Result};
use crate::ui;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Long name, letter, and whether a value follows.
const FLAGS: &[(&str, Option<char>, bool)] = &[
    ("host", Some('H'), true),
    ("context", Some('c'), true),
    ("config", None, true),
    ("log-level", Some('l'), true),
    ("tlscacert", None, true),
    ("tlscert", None, true),
    ("tlskey", None, true),
    ("tls", None, false),
    ("tlsverify", None, false),
    ("debug", Some('D'), false),
    ("version", Some('v'), false),
];

/// What stood before the verb.
#[derive(Debug, Default, PartialEq)]
pub struct Globals {
    /// Long names and values, in order.
    pub given: Vec<(&'static str, OsString)>,
}

/// Take docker's flags before the verb out of `argv`; hardrun's own stay.
///
/// # Errors
/// A flag without its value.
pub fn take(argv: Vec<OsString>) -> Result<(Globals, Vec<OsString>)> {
    let mut globals = Globals::default();
    let mut words = argv.into_iter();
    let mut left: Vec<OsString> = words.by_ref().take(1).collect();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if text == "--root" {
            left.push(word);
            left.extend(words.next());
        } else if let Some(found) = long(&text) {
            let ((name, takes_value), value) = found;
            let value = match value {
                Some(value) => value,
                None if takes_value => words.next().ok_or_else(|| no_value(&text))?,
                None => OsString::from("true"),
            };
            globals.given.push((name, value));
        } else if text.len() > 1 && text.starts_with('-') && !text.starts_with("--") {
            match letters(&text) {
                Some(found) => {
                    for (name, takes_value, value) in found {
                        let value = match value {
                            Some(value) => value,
                            None if takes_value => words.next().ok_or_else(|| no_value(&text))?,
                            None => OsString::from("true"),
                        };
                        globals.given.push((name, value));
                    }
                }
                None => left.push(word),
            }
        } else {
            let is_verb = !text.starts_with('-');
            left.push(word);
            if is_verb {
                break;
            }
        }
    }
    left.extend(words);
    Ok((globals, left))
}

fn no_value(flag: &str) -> Error {
    Error::new(Kind::Runner, format!("flag needs an argument: {flag}"))
}

/// `--host`, `--host=X`
fn long(text: &str) -> Option<((&'static str, bool), Option<OsString>)> {
    let body = text.strip_prefix("--")?;
    let (name, value) = body.split_once('=').map_or((body, None), |(n, v)| (n, Some(v.into())));
    FLAGS.iter().find(|(long, ..)| *long == name).map(|(long, _, takes)| ((*long, *takes), value))
}

type Letter = (&'static str, bool, Option<OsString>);

/// `-D`, `-Hunix:///x`, `-H=x`, `-DH`
fn letters(text: &str) -> Option<Vec<Letter>> {
    let mut found = Vec::new();
    let mut rest = text.strip_prefix('-')?;
    while let Some(letter) = rest.chars().next() {
        let (name, _, takes_value) = *FLAGS.iter().find(|(_, l, _)| *l == Some(letter))?;
        rest = &rest[letter.len_utf8()..];
        if takes_value {
            let value = rest.strip_prefix('=').unwrap_or(rest);
            found.push((name, true, (!rest.is_empty()).then(|| value.into())));
            break;
        }
        found.push((name, false, None));
    }
    Some(found)
}

impl Globals {
    pub fn asks_for_version(&self) -> bool {
        self.given.iter().any(|(name, value)| *name == "version" && value != "false")
    }

    /// Do what they ask for, and say of those that mean nothing here that they do.
    ///
    /// # Errors
    /// Another host's engine, a context that there is not, a level that docker does not know.
    pub fn apply(&self) -> Result<()> {
        for (name, value) in &self.given {
            let text = value.to_string_lossy();
            match *name {
                "config" => crate::sys::process::set_variable("DOCKER_CONFIG", value),
                "context" => context::check(&text)?,
                "host" => host(value)?,
                "log-level" if !LEVELS.contains(&&*text) => {
                    return Err(Error::verb(format!("Unable to parse logging level: {text}")));
                }
                "log-level" => ui::note("--log-level means nothing here: hardrun logs nothing"),
                "debug" if text != "false" => ui::note("--debug means nothing here: there is no daemon to speak with"),
                "tls" | "tlsverify" if text == "false" => {}
                "tls" | "tlsverify" | "tlscacert" | "tlscert" | "tlskey" => {
                    ui::note(&format!("--{name} means nothing here: there is no daemon to speak with"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

const LEVELS: [&str; 9] = ["debug", "info", "warn", "warning", "error", "fatal", "panic", "trace", "DEBUG"];

/// What was meant for another machine must not happen on this one.
fn host(value: &OsStr) -> Result<()> {
    let local = [&b"unix://"[..], b"fd://", b"/"].iter().any(|start| value.as_bytes().starts_with(start));
    if value.is_empty() {
        return Ok(());
    }
    if local {
        ui::note("--host means nothing here: there is no daemon, containers are this host's");
        return Ok(());
    }
    Err(Error::verb(format!("--host {}: hardrun works on this host alone", value.to_string_lossy()))
        .hint("run hardrun on that host, over ssh for example"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(words: &str) -> (String, String) {
        let argv = words.split(' ').map(OsString::from).collect();
        let (globals, left) = take(argv).unwrap();
        let given: Vec<String> = globals.given.iter().map(|(n, v)| format!("{n}={}", v.to_string_lossy())).collect();
        let left: Vec<String> = left.into_iter().map(|w| w.into_string().unwrap()).collect();
        (given.join(" "), left.join(" "))
    }

    #[test]
    fn flags_before_the_verb_are_taken() {
        for (words, given, left) in [
            ("h ps -l -v", "", "h ps -l -v"),
            ("h -D ps -H x", "debug=true", "h ps -H x"),
            ("h -H unix:///x --context default ps", "host=unix:///x context=default", "h ps"),
            ("h --root /r -l=error ps", "log-level=error", "h --root /r ps"),
            ("h -Hunix:///x -Dl info ps", "host=unix:///x debug=true log-level=info", "h ps"),
            ("h --tlsverify=false --config /c run -v /a", "tlsverify=false config=/c", "h run -v /a"),
            ("h --nosuch ps", "", "h --nosuch ps"),
            ("h -Z ps", "", "h -Z ps"),
            ("h -v", "version=true", "h"),
            ("h --root=/r --version", "version=true", "h --root=/r"),
        ] {
            assert_eq!(taken(words), (given.to_owned(), left.to_owned()), "{words}");
        }
        let error = take(["h", "--host"].map(OsString::from).into()).unwrap_err();
        assert_eq!((error.message.as_str(), error.kind.exit_code()), ("flag needs an argument: --host", 125));
    }

    #[test]
    fn what_was_meant_for_another_machine_does_not_happen_here() {
        let apply = |name: &'static str, value: &str| Globals { given: vec![(name, value.into())] }.apply();
        for (name, value) in [("host", "unix:///run/x"), ("host", ""), ("context", "default"), ("log-level", "info")] {
            apply(name, value).unwrap();
        }
        for (name, value, words) in [
            ("host", "tcp://prod:2375", "--host tcp://prod:2375: hardrun works on this host alone"),
            ("host", "ssh://prod", "--host ssh://prod: hardrun works on this host alone"),
            ("context", "prod", "context \"prod\": context not found"),
            ("log-level", "loud", "Unable to parse logging level: loud"),
        ] {
            let error = apply(name, value).unwrap_err();
            assert_eq!((error.message.as_str(), error.kind.exit_code()), (words, 1));
        }
    }
}
