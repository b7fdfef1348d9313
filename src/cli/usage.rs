//! clap's errors in docker's words and with docker's exit codes.

use super::words;
use crate::error::{Error, Kind};
use clap::ArgAction;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// Turn the parse error of a whole command line into ours: `called` as it was typed, `argv` with the verb in one word.
pub fn of_call(error: &clap::Error, called: &[OsString], argv: &[OsString]) -> Error {
    let verb = words::verb_of(called);
    let wrong_number = match error.kind() {
        ErrorKind::UnknownArgument => !text(error, ContextKind::InvalidArg).unwrap_or_default().starts_with('-'),
        ErrorKind::MissingRequiredArgument => true,
        ErrorKind::TooManyValues => true,
        _ => false,
    };
    if let Some(arity) = wrong_number.then(|| arity(argv)).flatten() {
        return Error::new(Kind::UsageClient, format!("'{verb}' {arity}")).hint(format!("See '{verb} --help'."));
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(unknown) = unknown_command(error, called, &verb)
    {
        return unknown;
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some((help, Some(topic))) = words::verb_words(called)
        && help == "help"
    {
        return Error::verb(format!("unknown help topic: {topic}"));
    }
    let mut translated = translate(error, &verb);
    // Docker names a flag with its letter.
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue)
        && let Some((long, letter)) = letter_of(error, argv)
    {
        let named = format!("for \"-{letter}, --{long}\" flag");
        translated.message = translated.message.replace(&format!("for \"--{long}\" flag"), &named);
    }
    translated
}

/// An error of a verb with the verb as it was called, by a link named `docker` or in its group: what reads the words of `run` does not
/// know that.
pub fn as_called(error: Error, called: &[OsString]) -> Error {
    let verb = words::verb_of(called);
    let Some(plain) =
        verb.split_once(' ').map(|(_, words)| format!("hardrun {}", words.rsplit(' ').next().unwrap_or(words)))
    else {
        return error;
    };
    // `create` reads its words with `run`'s reader.
    let reader = if plain == "hardrun create" { "hardrun run" } else { plain.as_str() };
    let named = |text: String| {
        ["'", "usage: "].iter().fold(text, |text, before| {
            text.replace(&format!("{before}{reader} "), &format!("{before}{verb} "))
                .replace(&format!("{before}{reader}'"), &format!("{before}{verb}'"))
        })
    };
    Error { message: named(error.message), hint: error.hint.map(named), ..error }
}

/// The words of docker's newer clients and of its older ones.
fn unknown_command(error: &clap::Error, called: &[OsString], verb: &str) -> Option<Error> {
    let (first, second) = words::verb_words(called)?;
    let see = format!("See '{verb} --help'.");
    let unknown = |message: String, see: String| Error::new(Kind::UsageClient, message).hint(see);
    if words::group(&first).is_some() {
        return Some(unknown(format!("unknown command: {verb} {}", second?), see));
    }
    if first == "help" || text(error, ContextKind::InvalidSubcommand).as_deref() != Some(first.as_str()) {
        return None;
    }
    let near = text(error, ContextKind::SuggestedSubcommand).map(|near| format!("did you mean {near}?\n{see}"));
    Some(unknown(format!("unknown command: {verb} {first}: '{first}' is not a {verb} command"), near.unwrap_or(see)))
}

/// Long name and letter of the flag that an error is about.
fn letter_of(error: &clap::Error, argv: &[OsString]) -> Option<(String, char)> {
    let argument = text(error, ContextKind::InvalidArg)?;
    let long = flag_name(&argument).strip_prefix("--")?.to_owned();
    let (first, second) = words::verb_words(argv)?;
    let mut table = super::command();
    table.build();
    let verb = table.find_subcommand(&first)?;
    let verb = second.and_then(|word| verb.find_subcommand(&word)).unwrap_or(verb);
    let letter = verb.get_arguments().find(|a| a.get_long() == Some(&long))?.get_short()?;
    Some((long, letter))
}

/// How many arguments the verb takes, in docker's words. `None`: a verb's positional arguments are words of its own.
fn arity(argv: &[OsString]) -> Option<String> {
    let mut table = super::command();
    table.build();
    let (first, second) = words::verb_words(argv)?;
    let verb = table.find_subcommand(&first)?;
    let verb = second.and_then(|word| verb.find_subcommand(&word)).unwrap_or(verb);
    if verb.has_subcommands() {
        return None;
    }
    let (mut least, mut most) = (0usize, Some(0usize));
    for positional in verb.get_positionals() {
        let number = positional.get_num_args().unwrap_or(1.into());
        let many = matches!(positional.get_action(), ArgAction::Append) || number.max_values() > 1;
        most = if many { None } else { most.map(|n| n + 1) };
        least += usize::from(positional.is_required_set());
    }
    Some(required(least, most))
}

fn required(least: usize, most: Option<usize>) -> String {
    let arguments = |n: usize| if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") };
    match (least, most) {
        (0, Some(0)) => "accepts no arguments".into(),
        (0, Some(most)) => format!("requires at most {}", arguments(most)),
        (least, None) => format!("requires at least {}", arguments(least)),
        (least, Some(most)) if least == most => format!("requires exactly {}", arguments(least)),
        (least, Some(most)) => format!("requires at least {least} and at most {}", arguments(most)),
    }
}

/// Turn a parse error into ours. `verb` is what was being parsed: `hardrun`, `hardrun run`.
pub fn translate(error: &clap::Error, verb: &str) -> Error {
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let see = format!("See '{verb} --help'.");
    let (kind, message) = match error.kind() {
        ErrorKind::UnknownArgument if argument == "--" || argument.starts_with("---") => {
            (Kind::Runner, format!("bad flag syntax: {argument}"))
        }
        ErrorKind::UnknownArgument if argument.starts_with("--") => (Kind::Runner, format!("unknown flag: {argument}")),
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let letter = argument.chars().nth(1).unwrap_or('-');
            (Kind::Runner, format!("unknown shorthand flag: '{letter}' in {argument}"))
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            (Kind::UsageClient, format!("'{verb}' does not take the argument {argument:?}"))
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues if value.is_empty() => {
            (Kind::Runner, format!("flag needs an argument: {}", flag_name(&argument)))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(|e| format!(": {e}")).unwrap_or_default();
            (Kind::Runner, format!("invalid argument {value:?} for \"{}\" flag{cause}", flag_name(&argument)))
        }
        ErrorKind::NoEquals => (Kind::Runner, format!("flag {} takes a value only as {0}=VALUE", flag_name(&argument))),
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.join(" "),
                _ => argument,
            };
            (Kind::UsageClient, format!("'{verb}' requires more arguments: {missing}"))
        }
        ErrorKind::InvalidSubcommand => {
            let word = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            (Kind::UsageClient, format!("unknown command: {verb} {word}"))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            (Kind::UsageClient, format!("'{verb}' requires a command"))
        }
        ErrorKind::ArgumentConflict => {
            let prior = text(error, ContextKind::PriorArg).unwrap_or_default();
            let (one, other) = (flag_name(&argument), flag_name(&prior));
            (Kind::Runner, format!("conflicting options: cannot specify both {one} and {other}"))
        }
        ErrorKind::InvalidUtf8 => (Kind::Runner, "an argument is not valid UTF-8".to_owned()),
        _ => (Kind::Runner, error.render().to_string().trim().to_owned()),
    };
    let near = text(error, ContextKind::SuggestedArg).or_else(|| text(error, ContextKind::SuggestedSubcommand));
    Error::new(kind, message).hint(match near {
        Some(near) => format!("did you mean {near}?\n{see}"),
        None => see,
    })
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(all) => all.first().cloned(),
        _ => None,
    }
}

/// `--name <string>` → `--name`; `-e, --env <list>` stays whole up to the value.
fn flag_name(argument: &str) -> &str {
    argument.split([' ', '[', '=']).next().unwrap_or(argument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    fn said(argv: &[&str]) -> (u8, String, String) {
        let command = Command::new("hardrun")
            .subcommand_required(true)
            .subcommand(
                Command::new("tag").arg(Arg::new("source").required(true)).arg(Arg::new("target").required(true)),
            )
            .subcommand(Command::new("pull").arg(Arg::new("name").long("name").num_args(1)));
        let error = command.try_get_matches_from(argv).unwrap_err();
        let error = translate(&error, "hardrun");
        (error.kind.exit_code(), error.message, error.hint.unwrap_or_default())
    }

    #[test]
    fn dockers_words_and_codes() {
        let see = "See 'hardrun --help'.";
        let near = |flag: &str| format!("did you mean {flag}?\n{see}");
        assert_eq!(said(&["h", "pull", "--xyzzy"]), (125, "unknown flag: --xyzzy".into(), see.into()));
        assert_eq!(said(&["h", "pull", "--nme"]), (125, "unknown flag: --nme".into(), near("--name")));
        assert_eq!(said(&["h", "pull", "-Z"]), (125, "unknown shorthand flag: 'Z' in -Z".into(), see.into()));
        assert_eq!(said(&["h", "pull", "--name"]), (125, "flag needs an argument: --name".into(), see.into()));
        assert_eq!(said(&["h", "pul"]), (1, "unknown command: hardrun pul".into(), near("pull")));
        assert_eq!(said(&["h", "pull", "x"]).0, 1);
        let (code, message, _) = said(&["h", "tag"]);
        assert_eq!((code, message.as_str()), (1, "'hardrun' requires more arguments: <source> <target>"));
    }

    fn said_of(line: &str) -> (u8, String) {
        let called: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let argv = words::normalise(called.clone());
        let error = match <super::super::Cli as clap::Parser>::try_parse_from(&argv) {
            Ok(_) => panic!("{line} can be parsed"),
            Err(error) => of_call(&error, &called, &argv),
        };
        (error.kind.exit_code(), error.message)
    }

    #[test]
    fn errors_name_the_verb_as_it_was_called() {
        let called = |line: &str| -> Vec<OsString> { line.split(' ').map(OsString::from).collect() };
        let error =
            |message: &str| Error::verb(message).hint("usage: hardrun run [OPTIONS]\nSee 'hardrun run --help'.");
        for (line, verb) in [
            ("docker run", "docker run"),
            ("/usr/bin/docker container run", "docker container run"),
            ("hardrun create", "hardrun create"),
        ] {
            let e = as_called(error("'hardrun run' requires at least 1 argument"), &called(line));
            assert_eq!(e.message, format!("'{verb}' requires at least 1 argument"));
            assert_eq!(e.hint.unwrap(), format!("usage: {verb} [OPTIONS]\nSee '{verb} --help'."));
        }
    }

    #[test]
    fn numbers_of_arguments_in_dockers_words() {
        for (line, wanted) in [
            ("docker rm", "'docker rm' requires at least 1 argument"),
            ("docker container rm", "'docker container rm' requires at least 1 argument"),
            ("hardrun ps x", "'hardrun ps' accepts no arguments"),
            ("docker images a b", "'docker images' requires at most 1 argument"),
            ("docker tag x", "'docker tag' requires exactly 2 arguments"),
            ("docker rename x", "'docker rename' requires exactly 2 arguments"),
            ("docker port", "'docker port' requires at least 1 and at most 2 arguments"),
            ("docker history", "'docker history' requires exactly 1 argument"),
            ("docker network connect x", "'docker network connect' requires exactly 2 arguments"),
            ("docker network create", "'docker network create' requires exactly 1 argument"),
            ("docker volume ls x", "'docker volume ls' accepts no arguments"),
            ("docker volume rm", "'docker volume rm' requires at least 1 argument"),
            ("docker image rm", "'docker image rm' requires at least 1 argument"),
            ("docker nosuch", "unknown command: docker nosuch: 'nosuch' is not a docker command"),
            ("docker container nosuch", "unknown command: docker container nosuch"),
            ("docker image nosuch", "unknown command: docker image nosuch"),
        ] {
            assert_eq!(said_of(line), (1, wanted.to_owned()), "{line}");
        }
        assert_eq!(said_of("docker ps --nosuch"), (125, "unknown flag: --nosuch".to_owned()));
        let wrong =
            "invalid argument \"many\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"many\": invalid syntax";
        assert_eq!(said_of("docker ps -n many"), (125, wrong.to_owned()));
    }
}
