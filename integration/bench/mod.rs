//! Measurements beside other engines. No pass or fail by time: figures for people.

use std::process::ExitCode;

pub fn main(args: &[String]) -> ExitCode {
    eprintln!("usage: integration/bench startup|surface (not {})", args.join(" "));
    ExitCode::from(2)
}
