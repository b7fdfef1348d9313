//! The shapes a flag of docker's has.

use clap::{Arg, ArgAction, ArgMatches};

/// How a flag is parsed and what it becomes.
pub trait FlagKind {
    type Value;
    fn shape(arg: Arg) -> Arg;
    fn take(matches: &mut ArgMatches, id: &str) -> Self::Value;
}

/// `--rm`, `--rm=false`, `-it`; never `--rm false`. The word is judged when the request is resolved.
pub struct Switch;

/// One value, the last one given wins. The next word is the value whatever it looks like (`--memory-swap -1`).
pub struct Text;

/// `--locked`, `--locked=FILE`; the empty word where no value is given.
pub struct Maybe;

/// As [`Text`], but every use counts.
pub struct List;

impl FlagKind for Switch {
    type Value = Option<String>;
    fn shape(arg: Arg) -> Arg {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true)
    }
    fn take(matches: &mut ArgMatches, id: &str) -> Self::Value {
        matches.remove_one(id)
    }
}

impl FlagKind for Text {
    type Value = Option<String>;
    fn shape(arg: Arg) -> Arg {
        arg.num_args(1).allow_hyphen_values(true)
    }
    fn take(matches: &mut ArgMatches, id: &str) -> Self::Value {
        matches.remove_one(id)
    }
}

impl FlagKind for Maybe {
    type Value = Option<String>;
    fn shape(arg: Arg) -> Arg {
        arg.num_args(0..=1).require_equals(true).default_missing_value("")
    }
    fn take(matches: &mut ArgMatches, id: &str) -> Self::Value {
        matches.remove_one(id)
    }
}

impl FlagKind for List {
    type Value = Vec<String>;
    fn shape(arg: Arg) -> Arg {
        arg.num_args(1).allow_hyphen_values(true).action(ArgAction::Append)
    }
    fn take(matches: &mut ArgMatches, id: &str) -> Self::Value {
        matches.remove_many(id).map(Iterator::collect).unwrap_or_default()
    }
}
