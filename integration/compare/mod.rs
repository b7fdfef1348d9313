//! A long list of real command lines, run with docker and with hardrun, and what a script sees compared line by line.
//!
//! ```text
//! integration compare [GROUP|GROUP/WORD…]                both sides; prints every difference
//! integration compare --docker-only [GROUP|GROUP/WORD…]  what docker says
//! integration compare --docker-twice …                   docker beside docker: what is not the same each time
//! integration compare --accept HOW [GROUP|GROUP/WORD…]   both sides; writes what hardrun does otherwise into the lists,
//!                                                        below `-- HOW`: `differs: KEY` or `newer: TEXT`
//! integration compare --readme [--write]                 the README's table of differences
//! ```
//!
//! A case fails where the two differ and no list says so, and where a list says so and it is not so, or no longer.

pub mod list;
pub mod normal;
mod side;
pub mod table;

use crate::harness::{Env, Outcome, Stop, fail};
use list::{Expected, GROUPS, Script, Transcript};
use side::{Kind, Pair, Side};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a group's comparison found.
#[derive(Default)]
struct Report {
    cases: usize,
    /// Calls of docker in their texts.
    lines: usize,
    /// One text a case that is not as it should be.
    wrong: Vec<String>,
    /// What hardrun says beside docker's words, with the case's name.
    notes: Vec<String>,
}

/// Pairs that no group uses at the moment: each group has one for itself while it runs.
static IDLE: Mutex<Vec<Pair>> = Mutex::new(Vec::new());
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// The case of a group: skipped where there is no docker.
pub fn group(env: &Env, name: &str) -> Outcome {
    env.needs("dockerd")?;
    let pair = IDLE.lock().ok().and_then(|mut idle| idle.pop());
    let mut pair = match pair {
        Some(pair) => pair,
        None => start(env, Kind::Hardrun)?,
    };
    let report = compare(&mut pair, name, &|_| true)?;
    if let Ok(mut idle) = IDLE.lock() {
        idle.push(pair);
    }
    if report.wrong.is_empty() {
        return Ok(());
    }
    fail(format!("{} of {} are not as they should be\n{}", report.wrong.len(), report.cases, report.wrong.join("\n")))
}

fn start(env: &Env, second: Kind) -> Outcome<Pair> {
    let n = STARTED.fetch_add(1, Ordering::Relaxed);
    // Below the peers' folder: what an engine leaves mounted there is unmounted at the end.
    Pair::start(env, &env.peers.dir().join(format!("pair-{n}")), second)
}

fn compare(pair: &mut Pair, group: &str, wanted: &dyn Fn(&Script) -> bool) -> Outcome<Report> {
    let mut report = Report::default();
    for script in list::scripts(group).map_err(Stop::Fail)?.iter().filter(|s| wanted(s)) {
        report.cases += 1;
        let (docker, hardrun) = both(pair, script)?;
        let mut wrong = match pair.twice() {
            false => judge(script, &docker, &hardrun, &mut report.notes),
            true => normal::differences(&docker, &hardrun, &mut report.notes),
        };
        report.lines += list::command_lines(&script.text);
        for (side, who) in [(&pair.docker, "docker"), (&pair.hardrun, "hardrun")] {
            let left = side.left()?;
            if !left.is_empty() {
                wrong.push(format!("containers of {who} are left: {}", left.join(" ")));
            }
        }
        if !wrong.is_empty() {
            pair.docker.tidy()?;
            pair.hardrun.tidy()?;
            let lines: String = wrong.iter().map(|l| format!("\n      {l}")).collect();
            report.wrong.push(format!("      {group}/{}:{lines}", script.name));
        }
    }
    pair.docker.tidy()?;
    pair.hardrun.tidy()?;
    Ok(report)
}

/// Run a script on both sides at once.
fn both(pair: &mut Pair, script: &Script) -> Outcome<(Transcript, Transcript)> {
    let Pair { docker, hardrun } = pair;
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| docker.script(script));
        let other = hardrun.script(script);
        (one.join(), other)
    });
    match one {
        Ok(one) => Ok((one?, other?)),
        Err(_) => fail("the thread of docker's side panicked"),
    }
}

/// What is wrong, as lines.
fn judge(script: &Script, docker: &Transcript, hardrun: &Transcript, notes: &mut Vec<String>) -> Vec<String> {
    let (key, written) = match &script.expected {
        Expected::Same => return normal::differences(docker, hardrun, notes),
        Expected::Differs(key, written) | Expected::Newer(key, written) => (key, written),
    };
    let mut wrong = normal::as_written(written, hardrun);
    if !wrong.is_empty() {
        wrong.insert(0, format!("not as the list says ({key})"));
    } else if normal::differences(docker, hardrun, &mut Vec::new()).is_empty() {
        wrong.push(format!("docker and hardrun are the same here: {key} is no reason any more"));
    }
    wrong
}

const USAGE: &str = "usage: integration compare [--docker-only|--docker-twice] [GROUP|GROUP/WORD…] | compare --accept HOW GROUP… | compare --readme [--write]";

pub fn main(args: &[String]) -> ExitCode {
    let (flags, names): (Vec<&str>, Vec<&str>) = args.iter().map(String::as_str).partition(|a| a.starts_with("--"));
    let done = match flags.as_slice() {
        ["--readme"] => readme(false),
        ["--readme", "--write"] => readme(true),
        [] => with_env(|env| print_both(env, Kind::Hardrun, &names)),
        ["--docker-twice"] => with_env(|env| print_both(env, Kind::Docker, &names)),
        ["--accept"] if names.len() > 1 => with_env(|env| accept(env, names[0], &names[1..])),
        ["--docker-only"] => with_env(|env| print_docker(env, &names)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Fail(why) | Stop::Skip(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn with_env(what: impl Fn(&Env) -> Outcome) -> Outcome {
    if !nix::unistd::geteuid().is_root() {
        return fail("containers are made here: run this as root");
    }
    let env = Env::new().map_err(Stop::Fail)?;
    let done = what(&env);
    crate::harness::runner::finish(&env);
    done
}

fn readme(write: bool) -> Outcome {
    let table = table::table().map_err(Stop::Fail)?;
    print!("{table}");
    if write {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let text = table::put_into(&std::fs::read_to_string(path)?, &table).map_err(Stop::Fail)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Whether a case was asked for: by its group, or by its group and a part of its name.
fn wanted(names: &[&str], group: &str, script: &Script) -> bool {
    let fits = |name: &&str| match name.split_once('/') {
        Some((g, word)) => g == group && script.name.contains(word),
        None => *name == group,
    };
    names.is_empty() || names.iter().any(fits)
}

fn print_docker(env: &Env, names: &[&str]) -> Outcome {
    let mut side = Side::start(env, Kind::Docker, env.peers.dir().join("docker-only"))?;
    for (group, _) in GROUPS {
        for script in list::scripts(group).map_err(Stop::Fail)?.iter().filter(|s| wanted(names, group, s)) {
            let since = std::time::Instant::now();
            let seen = side.script(script)?;
            let took = since.elapsed().as_secs_f32();
            println!("== {group}/{} ({took:.1} s)\n{}", script.name, seen.told());
            let left = side.left()?;
            if !left.is_empty() {
                println!("?? containers are left: {}", left.join(" "));
                side.tidy()?;
            }
        }
    }
    Ok(())
}

/// Write what hardrun does into the lists, for each case that is not as they say.
fn accept(env: &Env, how: &str, names: &[&str]) -> Outcome {
    if !how.starts_with("differs: ") && !how.starts_with("newer: ") {
        return fail(format!("{how}: neither `differs: KEY` nor `newer: TEXT`"));
    }
    let mut pair = start(env, Kind::Hardrun)?;
    for (group, _) in GROUPS {
        for script in list::scripts(group).map_err(Stop::Fail)?.iter().filter(|s| wanted(names, group, s)) {
            let (docker, hardrun) = both(&mut pair, script)?;
            let wrong = judge(script, &docker, &hardrun, &mut Vec::new());
            if !wrong.is_empty() {
                println!("{group}/{}\n{}", script.name, wrong.join("\n"));
                let path = format!("{}/integration/compare/scripts/{group}.scripts", env!("CARGO_MANIFEST_DIR"));
                let text = std::fs::read_to_string(&path)?;
                std::fs::write(&path, list::accepted(&text, &script.name, how, &hardrun).map_err(Stop::Fail)?)?;
            }
            if !pair.docker.left()?.is_empty() || !pair.hardrun.left()?.is_empty() || !wrong.is_empty() {
                pair.docker.tidy()?;
                pair.hardrun.tidy()?;
            }
        }
    }
    Ok(())
}

fn print_both(env: &Env, second: Kind, names: &[&str]) -> Outcome {
    let mut pair = start(env, second)?;
    let (mut cases, mut lines, mut wrong, mut notes) = (0, 0, 0, Vec::new());
    for (group, _) in GROUPS {
        let since = std::time::Instant::now();
        let report = compare(&mut pair, group, &|script| wanted(names, group, script))?;
        if report.cases == 0 {
            continue;
        }
        let took = since.elapsed().as_secs_f32();
        println!("{group}: {} cases, {} wrong ({took:.1} s)", report.cases, report.wrong.len());
        report.wrong.iter().for_each(|w| println!("{w}"));
        cases += report.cases;
        lines += report.lines;
        wrong += report.wrong.len();
        notes.extend(report.notes);
    }
    notes.sort();
    notes.dedup();
    notes.iter().for_each(|n| println!("note: {n}"));
    println!("{cases} cases of {lines} command lines, {wrong} wrong, {} different notes", notes.len());
    if wrong == 0 { Ok(()) } else { fail("not all is as it should be") }
}
