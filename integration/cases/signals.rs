//! Signals that the front process gets reach the container, as docker's client passes them on.

use crate::harness::env::wait_for;
use crate::harness::{Env, Outcome};
use crate::{cases, check, check_eq};
use nix::sys::signal::Signal;
use std::time::Duration;

cases!("signals":
    are_passed_on, stay_outside_without_sig_proxy, pid_one_ignores_what_it_does_not_catch,
    init_makes_a_plain_program_die, init_reaps, stop_and_continue_are_not_passed_on,
);

/// A container that writes what it caught into a bound folder's file `said`.
fn catcher(env: &Env, flags: &[&str]) -> Outcome<(crate::harness::command::Running, std::path::PathBuf)> {
    let dir = env.dir("signals")?;
    let bind = format!("{}:/out", dir.display());
    let script = "for s in TERM INT HUP USR1 USR2 QUIT; do trap \"echo $s >> /out/said\" $s; done; \
                  trap 'exit 9' ALRM; echo up > /out/up; while :; do sleep 0.05; done";
    let run = env.verb(&["run", "--rm"]).args(flags).args(["-v", &bind, "busybox", "sh", "-c", script]);
    let front = run.start()?;
    let up = wait_for(Duration::from_secs(20), || dir.join("up").exists().then_some(()));
    check!(up.is_some(), "the container never came up");
    Ok((front, dir.join("said")))
}

fn said(path: &std::path::Path, want: &str) -> bool {
    let heard = || std::fs::read_to_string(path).ok().filter(|t| t.lines().any(|l| l == want));
    wait_for(Duration::from_secs(5), heard).is_some()
}

fn are_passed_on(env: &Env) -> Outcome {
    let (front, path) = catcher(env, &[])?;
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGQUIT, "QUIT"),
    ] {
        front.signal(signal)?;
        check!(said(&path, name), "SIG{name} did not arrive");
    }
    front.signal(Signal::SIGALRM)?;
    front.finish()?.exits(9)?;
    Ok(())
}

fn stay_outside_without_sig_proxy(env: &Env) -> Outcome {
    let (mut front, path) = catcher(env, &["--sig-proxy=false"])?;
    front.signal(Signal::SIGUSR1)?;
    std::thread::sleep(Duration::from_millis(500));
    check!(!path.exists(), "a signal was passed on");
    if front.running() {
        front.signal(Signal::SIGTERM)?;
        wait_for(Duration::from_secs(5), || (!front.running()).then_some(()));
    }
    check!(!path.exists(), "a signal was passed on");
    Ok(())
}

fn pid_one_ignores_what_it_does_not_catch(env: &Env) -> Outcome {
    let mut held = env.hold_at(&env.root, &[], &["busybox", "cat"])?;
    held.front.signal(Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(400));
    check!(held.front.running(), "a program without a handler died as pid 1, which docker's does not");
    held.end()?.ok()?;
    Ok(())
}

fn init_makes_a_plain_program_die(env: &Env) -> Outcome {
    let held = env.hold_at(&env.root, &["--init"], &["busybox", "sleep", "100"])?;
    std::thread::sleep(Duration::from_millis(200));
    held.front.signal(Signal::SIGTERM)?;
    held.front.finish()?.exits(143)?;
    Ok(())
}

fn init_reaps(env: &Env) -> Outcome {
    let script = "(sleep 0.2 & exit 0); (sleep 0.1 &); sleep 0.6; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l; \
                  cat /proc/1/comm; exit 6";
    let out = env.sh(&["--init"], script)?.exits(6)?;
    let text = out.out();
    let lines: Vec<&str> = text.lines().collect();
    check_eq!(lines.first(), Some(&"0"), "zombies\n{}", out.told());
    check!(lines.get(1).is_some_and(|l| *l != "sh"), "pid 1 is the command itself: {}", out.told());
    Ok(())
}

fn stop_and_continue_are_not_passed_on(env: &Env) -> Outcome {
    let held = env.hold(&[])?;
    held.front.signal(Signal::SIGCONT)?;
    held.front.signal(Signal::SIGCHLD)?;
    held.front.signal(Signal::SIGURG)?;
    held.end()?.ok()?;
    Ok(())
}
