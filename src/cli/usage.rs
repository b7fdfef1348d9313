//! clap's errors in docker's words and with docker's exit codes.

use crate::error::{Error, Kind};
use clap::error::{ContextKind, ContextValue, ErrorKind};

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
}
