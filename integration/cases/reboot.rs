//! A machine that is reset in the middle of everything, and booted again: `integration reboot DIR` makes it busy and ends it, and after
//! the next boot these cases look at what is left. They go on from one another, in their order.

use crate::harness::env::wait_for;
use crate::harness::{Env, Outcome, Run, Stop, runner, skip};
use crate::{cases, check, check_eq};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

cases!("reboot":
    @alone nothing_is_said_to_run, @alone the_log_goes_on, @alone what_is_to_run_always_is_brought_back, @alone volumes_are_whole, @alone networks_work_again,
    @alone the_others_start_as_well, @alone everything_can_be_removed,
);

/// The store on the disk that outlived the machine, after its second boot.
fn store() -> Outcome<PathBuf> {
    match std::env::var_os("HARDRUN_REBOOTED") {
        Some(state) => Ok(PathBuf::from(state).join("store")),
        None => skip("this machine was not reset"),
    }
}

/// What each is, and its restart policy.
const CONTAINERS: [(&str, &[&str], &[&str]); 6] = [
    ("always", &["--restart", "always", "--network", "it-net", "-p", "127.0.0.1:8099:80"], SERVE),
    ("unless", &["--restart", "unless-stopped", "--network", "it-net"], SLEEP),
    ("stopped", &["--restart", "unless-stopped", "--network", "it-net"], SLEEP),
    ("once", &["--network", "it-net"], SLEEP),
    ("writer", &["--restart", "on-failure", "-v", "it-data:/data"], WRITE),
    ("passing", &["--rm"], SLEEP),
];
const SLEEP: &[&str] = &["sleep", "100000"];
const SERVE: &[&str] = &["sh", "-c", "echo served > /tmp/index.html; exec httpd -f -p 80 -h /tmp"];
const WRITE: &[&str] = &["sh", "-c", "i=0; while :; do i=$((i+1)); echo \"line $i\" >> /data/log; done"];

/// Make the machine busy and reset it; returns only what went wrong.
pub fn main(args: &[String]) -> ExitCode {
    let [state] = args else {
        eprintln!("usage: integration reboot DIR: this machine is reset");
        return ExitCode::FAILURE;
    };
    match runner::with_env(|env| busy(env, Path::new(state))) {
        Ok(()) => {}
        Err(Stop::Fail(why) | Stop::Skip(why)) => eprintln!("{why}"),
    }
    ExitCode::FAILURE
}

fn busy(env: &Env, state: &Path) -> Outcome {
    let root = state.join("store");
    let verb = |words: &[&str]| env.at(&root, words).limit(120).go()?.ok();
    verb(&["import", crate::harness::env::s(&env.fixtures.busybox()?), "busybox:latest"])?;
    verb(&["network", "create", "it-net"])?;
    verb(&["volume", "create", "it-data"])?;
    verb(&["run", "--rm", "-v", "it-data:/data", "busybox", "sh", "-c", "seq 1 1000 > /data/before; sync"])?;
    for (name, flags, words) in CONTAINERS {
        verb(&[&["run", "-d", "--name", name], flags, &["busybox"], words].concat())?;
    }
    verb(&["stop", "-t", "0", "stopped"])?;
    rustix::fs::sync();
    // From here on nobody waits for the disk: a command that is being carried out, a health check's worth of output, a container
    // that is being started, one that is being removed.
    let inside = env.at(&root, &["exec", "always", "sh", "-c", "echo inside; sleep 1000"]).start()?;
    verb(&["run", "-d", "--name", "late", "--restart", "always", "busybox", "sleep", "100000"])?;
    let starting = env.at(&root, &["run", "--rm", "busybox", "true"]).start()?;
    println!("reset");
    std::fs::write("/proc/sys/kernel/sysrq", "1")?;
    std::fs::write("/proc/sysrq-trigger", "b")?;
    drop((inside, starting));
    crate::harness::fail("the machine goes on")
}

fn verb(env: &Env, words: &[&str]) -> Run {
    // Where the store is was asked for before.
    env.at(&store().unwrap_or_default(), words).limit(120)
}

fn running(env: &Env) -> Outcome<Vec<String>> {
    let out = verb(env, &["ps", "--format", "{{.Names}}"]).go()?.ok()?.out();
    let mut names: Vec<String> = out.lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

fn nothing_is_said_to_run(env: &Env) -> Outcome {
    store()?;
    let out = verb(env, &["ps", "-a", "--format", "{{.Names}} {{.State}} {{.Status}}"]).go()?.ok()?;
    let text = out.out();
    for (name, ..) in CONTAINERS.iter().filter(|(name, ..)| *name != "passing") {
        let line = text.lines().find(|l| l.starts_with(&format!("{name} "))).unwrap_or_default();
        check!(line.contains(" exited Exited ("), "{name}: {}", out.told());
    }
    check_eq!(running(env)?, [""; 0]);
    check_eq!(
        verb(env, &["inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "always"]).go()?.ok()?.out(),
        "false 0\n"
    );
    // Nobody is left to remove it: the first command that changed something has.
    let out = verb(env, &["ps", "-a", "--filter", "name=passing", "--format", "{{.State}}"]).go()?.ok()?.out();
    check!(out.trim().is_empty() || out.trim() == "exited", "{out}");
    Ok(())
}

/// Lines that the disk never saw are missed and said, and nothing is refused for it.
fn the_log_goes_on(env: &Env) -> Outcome {
    store()?;
    verb(env, &["run", "--rm", "--network", "none", "busybox", "true"]).go()?.ok()?;
    let out = verb(env, &["audit-log", "verify", "--format", "json"]).go()?;
    check!(out.code < 2, "{}", out.told());
    let report: Value = serde_json::from_slice(&out.stdout)?;
    let problems = report["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    let recorded = report["recorded"].as_array().map(Vec::as_slice).unwrap_or_default();
    check_eq!(out.code != 0, !problems.is_empty() || !recorded.is_empty(), "{}", out.told());
    for problem in problems {
        // A disk loses the end of a file, or has zeros in its place; it changes no line, and puts none elsewhere.
        let what = problem["what"].as_str().unwrap_or_default();
        let lost = ["half-written or overwritten", " lines are missing in between", " lines at the end are gone"];
        check!(lost.iter().any(|words| what.contains(words)), "{what}: {}", out.told());
    }
    verb(env, &["audit-log"]).go()?.ok()?;
    verb(env, &["logs", "always"]).go()?.ok()?;
    Ok(())
}

fn what_is_to_run_always_is_brought_back(env: &Env) -> Outcome {
    store()?;
    let out = verb(env, &["system", "start-all"]).limit(300).go()?.ok()?;
    let up = running(env)?;
    let (late, mut others): (Vec<String>, Vec<String>) = up.into_iter().partition(|name| name == "late");
    others.sort();
    check_eq!(others, ["always", "unless", "writer"], "{}", out.told());
    // Of the one that was started in the last moment the disk knows all or nothing.
    let known = verb(env, &["ps", "-a", "--filter", "name=late", "--format", "{{.State}}"]).go()?.ok()?.out();
    check_eq!(late.len(), usize::from(!known.trim().is_empty()), "{known}");
    check_eq!(verb(env, &["system", "start-all"]).go()?.ok()?.out(), "", "once is enough");
    Ok(())
}

fn volumes_are_whole(env: &Env) -> Outcome {
    store()?;
    let script = "seq 1 1000 | cmp - /data/before && grep -avc '^line [0-9]*$' /data/log; wc -l < /data/log";
    let out = verb(env, &["exec", "writer", "sh", "-c", script]).go()?.ok()?;
    let lines: Vec<u64> = out.out().lines().filter_map(|l| l.trim().parse().ok()).collect();
    // The line in the middle of which the machine ended, and what the file system knew the length of and not the content.
    check!(lines.len() == 2 && lines[0] <= 2 && lines[1] > 100, "{}", out.told());
    Ok(())
}

fn networks_work_again(env: &Env) -> Outcome {
    store()?;
    verb(env, &["exec", "unless", "wget", "-qO-", "http://always/"]).go()?.ok()?.says("served")?;
    let served = wait_for(Duration::from_secs(10), || {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:8099").ok()?;
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).ok()?;
        Some(answer)
    });
    check!(served.as_deref().is_some_and(|a| a.contains("served")), "{served:?}");
    Ok(())
}

fn the_others_start_as_well(env: &Env) -> Outcome {
    store()?;
    for name in ["once", "stopped"] {
        verb(env, &["start", name]).go()?.ok()?;
        verb(env, &["exec", name, "wget", "-qO-", "http://always/"]).go()?.ok()?.says("served")?;
    }
    verb(env, &["run", "--rm", "--network", "it-net", "busybox", "wget", "-qO-", "http://always/"])
        .go()?
        .ok()?
        .says("served")?;
    Ok(())
}

fn everything_can_be_removed(env: &Env) -> Outcome {
    let root = store()?;
    let ids = verb(env, &["ps", "-aq"]).go()?.ok()?.out();
    let ids: Vec<&str> = ids.split_whitespace().collect();
    verb(env, &[&["rm", "-f"], &ids[..]].concat()).go()?.ok()?;
    verb(env, &["network", "rm", "it-net"]).go()?.ok()?;
    verb(env, &["volume", "rm", "it-data"]).go()?.ok()?;
    check_eq!(std::fs::read_dir(root.join("containers"))?.count(), 0, "folders of containers");
    check_eq!(std::fs::read_dir(root.join("names"))?.count(), 0, "names");
    Ok(())
}
