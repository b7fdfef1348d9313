//! Measurements beside other engines. No pass or fail by time: figures for people.

mod bundle;
mod order;
pub mod presets;
mod startup;
mod surface;

pub use surface::CASES;

use crate::harness::{Env, Outcome, Stop};
use std::process::ExitCode;

/// What stands before, between and after two marks.
fn table_between<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (before, rest) = text.split_once(begin)?;
    let (table, after) = rest.split_once(end)?;
    Some((before, table, after))
}

const USAGE: &str =
    "usage: integration/bench startup [ROUNDS] | surface [--write] | order [--write] | presets [--write] [NAME…]";

pub fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let what: Box<dyn Fn(&Env) -> Outcome> = match words.as_slice() {
        ["startup"] => Box::new(|env| startup::print(env, 30)),
        ["startup", n] if n.parse::<usize>().is_ok_and(|n| n > 0) => {
            let n = n.parse().unwrap_or(1);
            Box::new(move |env| startup::print(env, n))
        }
        ["order"] => Box::new(|env| order::print(env, false)),
        ["order", "--write"] => Box::new(|env| order::print(env, true)),
        ["surface"] => Box::new(|env| surface::print(env, false)),
        ["surface", "--write"] => Box::new(|env| surface::print(env, true)),
        ["presets", "--write"] => Box::new(|env| presets::print(env, &[], true)),
        ["presets", names @ ..] => {
            let names = names.to_vec();
            Box::new(move |env| presets::print(env, &names, false))
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the measurements make containers: run them as root");
        return ExitCode::FAILURE;
    }
    let env = match Env::new() {
        Ok(env) => env,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let done = env.prepare().and_then(|()| what(&env));
    crate::harness::runner::finish(&env);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Fail(why) | Stop::Skip(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
