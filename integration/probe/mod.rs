//! What runs inside containers, hardrun's and other engines' alike: it tries doors and prints which are open.

use std::process::ExitCode;

pub fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fds"] => {
            fds();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: probe fds");
            ExitCode::from(99)
        }
    }
}

/// Every open descriptor but the one that reads the list.
fn fds() {
    for fd in 0..4096 {
        if let Ok(target) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            println!("{fd} {}", target.display());
        }
    }
}
