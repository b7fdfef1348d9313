//! Measurements beside other engines. No pass or fail by time: figures for people.

mod bundle;
mod order;
mod paths;
pub mod presets;
mod startup;
mod surface;

pub use surface::CASES;

use crate::harness::{Env, Outcome, Run, Stop, fail};
use std::process::ExitCode;

/// What stands before, between and after two marks.
fn table_between<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (before, rest) = text.split_once(begin)?;
    let (table, after) = rest.split_once(end)?;
    Some((before, table, after))
}

/// One run: microseconds, and the largest resident set in KiB. `timer`: which helper times it.
fn sample(name: &str, timer: &str, argv: &[String]) -> Outcome<(u64, u64)> {
    let out = Run::new(std::env::current_exe()?).args(["helper", timer]).args(argv).go()?.ok()?;
    let text = out.out();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    match numbers.as_slice() {
        [micros, kib, 0] => Ok((*micros, *kib)),
        _ => fail(format!("{name} did not end with 0: {text}\n{}", out.told())),
    }
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

const USAGE: &str = "usage: integration/bench startup [ROUNDS] | paths [ROUNDS] | surface [--write] | order [--write] | \
                     presets [--write] [NAME…]";

pub fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let what: Box<dyn Fn(&Env) -> Outcome> = match words.as_slice() {
        ["paths"] => Box::new(|env| paths::print(env, 15)),
        ["paths", n] if n.parse::<usize>().is_ok_and(|n| n > 0) => {
            let n = n.parse().unwrap_or(1);
            Box::new(move |env| paths::print(env, n))
        }
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
