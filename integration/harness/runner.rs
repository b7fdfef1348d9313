//! Runs the cases, one line each, and counts.

use super::{Case, Env, Stop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const USAGE: &str = "usage: integration [--list] [--exact] [--jobs N] [--skips NAME,…] [NAME…]";

struct Options {
    list: bool,
    exact: bool,
    jobs: usize,
    /// Of the cases chosen only these may find that they cannot be tried here.
    skips: Option<Vec<String>>,
    names: Vec<String>,
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut o = Options { list: false, exact: false, jobs: 1, skips: None, names: Vec::new() };
    let mut args = args.iter();
    while let Some(a) = args.next() {
        match a.as_str() {
            "--list" => o.list = true,
            "--exact" => o.exact = true,
            "--jobs" => {
                let n = args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                o.jobs = n.ok_or("--jobs wants a number above 0")?;
            }
            "--skips" => {
                let names = args.next().ok_or("--skips wants the names of cases, or nothing between quotes")?;
                o.skips = Some(names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect());
            }
            a if a.starts_with('-') => return Err(format!("unknown option {a}\n{USAGE}")),
            name => o.names.push(name.to_owned()),
        }
    }
    Ok(o)
}

/// What came of a case.
enum Came {
    Passed,
    Failed,
    Skipped,
}

#[derive(Default)]
struct Tally {
    passed: AtomicUsize,
    failed: Mutex<Vec<Case>>,
    skipped: Mutex<Vec<&'static str>>,
}

pub fn main(args: &[String], cases: &[Case]) -> ExitCode {
    let o = match options(args) {
        Ok(o) => o,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(2);
        }
    };
    let is = |c: &Case, n: &String| if o.exact { c.name == n } else { c.name.contains(n.as_str()) };
    // A name that chooses nothing would pass for a case that passed.
    if let Some(n) = o.names.iter().find(|n| !cases.iter().any(|c| is(c, n))) {
        eprintln!("no case is called {n}");
        return ExitCode::FAILURE;
    }
    let wanted = |c: &&Case| o.names.is_empty() || o.names.iter().any(|n| is(c, n));
    let chosen: Vec<&Case> = cases.iter().filter(wanted).collect();
    if o.list {
        chosen.iter().for_each(|c| println!("{}", c.name));
        return ExitCode::SUCCESS;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the integration tests make containers: run them as root");
        return ExitCode::FAILURE;
    }
    let env = match Env::new() {
        Ok(env) => env,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let since = Instant::now();
    let tally = Tally::default();
    if let Err(Stop::Fail(e) | Stop::Skip(e)) = env.prepare() {
        eprintln!("the shared store could not be filled: {e}");
        finish(&env);
        return ExitCode::FAILURE;
    }
    // integration/vm takes the time of this line.
    println!("integration: the first of {} cases", chosen.len());
    run(&env, &chosen, o.jobs, &tally);
    let (failed, unsteady) = again(&env, tally.failed.into_inner().unwrap_or_default());
    finish(&env);
    let passed = tally.passed.into_inner() + unsteady.len();
    let skipped = tally.skipped.into_inner().unwrap_or_default();
    let lacking: Vec<_> =
        o.skips.iter().flat_map(|may| skipped.iter().filter(|n| !may.iter().any(|m| m == *n))).collect();
    for name in &unsteady {
        println!("unsteady: {name}: failed, and passed alone");
    }
    for name in &failed {
        println!("failed: {name}");
    }
    for name in &lacking {
        println!("skipped, and it is to be tried here: {name}");
    }
    println!(
        "integration: {passed} passed, {} failed, {} skipped, {} unsteady in {:.0} s",
        failed.len(),
        skipped.len(),
        unsteady.len(),
        since.elapsed().as_secs_f32()
    );
    if passed == 0 && failed.is_empty() {
        println!("nothing was tried: every case was skipped");
    }
    if failed.is_empty() && lacking.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Those that share the machine first, some at a time; then those that watch it, one by one.
fn run(env: &Env, chosen: &[&Case], jobs: usize, tally: &Tally) {
    let (alone, together): (Vec<&Case>, Vec<&Case>) = chosen.iter().copied().partition(|c| c.alone);
    let next = AtomicUsize::new(0);
    let counted = |case: &Case| match one(env, case) {
        Came::Passed => drop(tally.passed.fetch_add(1, Ordering::Relaxed)),
        Came::Skipped => tally.skipped.lock().unwrap_or_else(|e| e.into_inner()).push(case.name),
        Came::Failed => tally.failed.lock().unwrap_or_else(|e| e.into_inner()).push(*case),
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(case) = together.get(next.fetch_add(1, Ordering::Relaxed)) {
                    counted(case);
                }
            });
        }
    });
    alone.iter().for_each(|case| counted(case));
}

/// More than so many failures are no accident of a busy machine, and are not tried again.
const ACCIDENTS: usize = 5;

/// Tries those that failed once more, with the machine to themselves, and tells which failed again and which passed. The
/// latter are told apart, never taken for sound.
fn again(env: &Env, failed: Vec<Case>) -> (Vec<&'static str>, Vec<&'static str>) {
    if failed.len() > ACCIDENTS {
        return (failed.iter().map(|c| c.name).collect(), Vec::new());
    }
    let mut came = (Vec::new(), Vec::new());
    for case in failed {
        print!("again ");
        match one(env, &case) {
            Came::Passed => came.1.push(case.name),
            Came::Failed | Came::Skipped => came.0.push(case.name),
        }
    }
    came
}

fn one(env: &Env, case: &Case) -> Came {
    let since = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(env)))
        .unwrap_or_else(|p| Err(Stop::Fail(format!("panicked: {}", panic_text(p.as_ref())))));
    let took = since.elapsed().as_secs_f32();
    match outcome {
        Ok(()) => {
            println!("ok    {} ({took:.1} s)", case.name);
            Came::Passed
        }
        Err(Stop::Skip(why)) => {
            println!("skip  {}: {why}", case.name);
            Came::Skipped
        }
        Err(Stop::Fail(why)) => {
            println!("FAIL  {} ({took:.1} s)\n      {why}", case.name);
            Came::Failed
        }
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

/// Something else than cases, with all that a case has.
pub fn with_env(what: impl FnOnce(&Env) -> super::Outcome) -> super::Outcome {
    let env = Env::new().map_err(Stop::Fail)?;
    let came = env.prepare().and_then(|()| what(&env));
    finish(&env);
    came
}

/// Stop the other engines and remove the scratch folder, unless it is to be looked at.
pub fn finish(env: &Env) {
    env.peers.stop();
    if std::env::var_os("HARDRUN_KEEP").is_some() {
        println!("kept: {}", env.scratch.display());
        return;
    }
    if let Err(e) = std::fs::remove_dir_all(&env.scratch) {
        eprintln!("cannot remove {}: {e}", env.scratch.display());
    }
}
