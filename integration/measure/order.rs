//! Which functions a start runs, in the order in which it first needs them: `startup.order`, by which the linker lays them
//! side by side (see `build.rs`).
//!
//! Every process of a few runs is single-stepped (millions of steps: minutes), and each address is looked up among the
//! symbols. No timer and no sampling: the same program gives the same list.

use crate::harness::env::s;
use crate::harness::{Env, Outcome, Run, fail};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

pub const FILE: &str = "startup.order";

/// What is stepped through: the common start, and one with all that a network adds.
const RUNS: [&[&str]; 2] = [
    &["run", "--rm", "--network", "none", "busybox", "true"],
    &["run", "--rm", "-p", "127.0.0.1::80", "-e", "A=b", "-v", "/srv:/srv:ro", "busybox", "true"],
];

pub fn print(env: &Env, write: bool) -> Outcome {
    let symbols = Symbols::of(&env.hardrun)?;
    let root = env.dir("root")?;
    env.at(&root, &["import", s(&env.fixtures.busybox()?), "busybox:latest"]).go()?.ok()?;
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for run in RUNS {
        // Not counted: filters compile, folders are made.
        env.at(&root, run).go()?.ok()?;
        let steps = step(&env.hardrun, &root, run, &mut |address| {
            if let Some(name) = symbols.at(address)
                && seen.insert(name)
            {
                order.push(name);
            }
        })?;
        println!("{steps} steps of hardrun {}, {} functions so far", run.join(" "), order.len());
    }
    let compiler = Run::new("rustc").args(["--version"]).go()?.ok()?.out();
    let text = format!("# made by `integration/bench order --write` with {}\n{}\n", compiler.trim(), order.join("\n"));
    if write {
        std::fs::write(FILE, text)?;
        println!("written to {FILE}");
    } else {
        print!("{text}");
    }
    Ok(())
}

/// Run hardrun with every process that comes of it stopped after each instruction; how many there were.
fn step(hardrun: &Path, root: &Path, run: &[&str], heard: &mut dyn FnMut(u64)) -> Outcome<u64> {
    // The shell waits until it is taken hold of, then becomes hardrun.
    let mut child = Command::new("sh")
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh", s(hardrun), "--root", s(root)])
        .args(run)
        .stdin(Stdio::null())
        .spawn()?;
    let first = Pid::from_raw(child.id() as i32);
    waitpid(first, Some(WaitPidFlag::WUNTRACED))?;
    let forks = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
    ptrace::seize(first, forks | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL)?;
    nix::sys::signal::kill(first, Signal::SIGCONT)?;
    let mut steps = 0;
    let mut status = None;
    while let Ok(event) = waitpid(None, Some(WaitPidFlag::__WALL)) {
        match event {
            WaitStatus::Exited(pid, code) if pid == first => status = Some(code),
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                steps += 1;
                // A process that was killed in between is heard of by its own event.
                if let Ok(registers) = ptrace::getregs(pid) {
                    heard(registers.rip);
                }
                go_on(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
            WaitStatus::PtraceEvent(pid, _, what) if what == nix::libc::PTRACE_EVENT_EXEC && !is_ours(pid) => {
                // It fails only for a process that has been killed meanwhile.
                let _ = ptrace::detach(pid, None);
            }
            // A new process, another life of the same, or a stop for the whole group, which ends at once.
            WaitStatus::PtraceEvent(pid, ..) => go_on(pid, None),
            _ => {}
        }
    }
    // Reaped above.
    drop(child.stdin.take());
    match status {
        Some(0) => Ok(steps),
        other => fail(format!("{} ended with {other:?}", run.join(" "))),
    }
}

/// Whether a process runs hardrun still, or already another program (`nft`, `iptables`, the container's own).
fn is_ours(pid: Pid) -> bool {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe"));
    exe.is_ok_and(|exe| exe.to_string_lossy().contains("hardrun"))
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // It fails only for a process that has been killed meanwhile.
    let _ = ptrace::step(pid, signal);
}

/// Functions of an executable by address.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    fn of(file: &Path) -> Outcome<Symbols> {
        let listing = Run::new("nm").args(["--defined-only", s(file)]).go()?.ok()?.out();
        let mut all: Vec<(u64, String)> = listing
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                let function = matches!(words.next()?, "t" | "T" | "w" | "W");
                function.then(|| words.next().map(|name| (address, name.to_owned())))?
            })
            .collect();
        if all.is_empty() {
            return fail(format!("{} has no symbols: build it with HARDRUN_SYMBOLS=1", file.display()));
        }
        all.sort();
        Ok(Symbols(all))
    }

    fn at(&self, address: u64) -> Option<&str> {
        let after = self.0.partition_point(|(start, _)| *start <= address);
        let (start, name) = self.0.get(after.checked_sub(1)?)?;
        // Stacks, the vDSO and the workload's own program lie far behind the last function.
        (address - start < 1 << 20).then_some(name.as_str())
    }
}
