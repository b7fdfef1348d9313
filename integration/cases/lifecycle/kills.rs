//! Any process of hardrun's killed at any moment: what is told afterwards is true, and nothing stays.

use super::Kept;
use crate::harness::command::Running;
use crate::harness::env::{slowness, wait_for};
use crate::harness::leaks::Picture;
use crate::harness::{Env, Outcome, host};
use crate::{cases, check, check_eq};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::{Duration, Instant};

cases!("lifecycle::kills":
    @alone at_any_moment, @alone a_stop_is_never_lost, two_starts_at_once, @alone rm_while_it_starts,
    rename_while_it_restarts,
);

/// Numbers without a pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

/// Processes of hardrun's that belong to `root`, and no others of this machine: what was started here, what has a descriptor below the
/// root, and all below those.
fn ours(root: &Path, started: &[i32]) -> Vec<i32> {
    let holds = |pid: i32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|to| to.starts_with(root))
    };
    let mut found: Vec<i32> = host::processes().into_iter().map(|(pid, _)| pid).filter(|pid| holds(*pid)).collect();
    found.retain(|pid| host::status(*pid).get("Name").is_some_and(|n| n.starts_with("hardrun")));
    found.extend(started);
    found.extend(found.clone().into_iter().flat_map(host::descendants));
    found
}

/// No row of `ps` says that a container runs whose supervisor was killed; one whose first process was is said to have ended as soon as
/// its supervisor has put everything away.
fn told_truly(env: &Env, root: &Path) -> Outcome {
    let lives = |pid: i32| pid > 0 && host::status(pid).get("State").is_some_and(|s| !s.starts_with('Z'));
    let out = env.at(root, &["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}"]).go()?.ok()?.out();
    for line in out.lines() {
        let (id, state) = line.split_once(' ').unwrap_or_default();
        let status = || -> serde_json::Value {
            let text = std::fs::read(root.join("containers").join(id).join("status.json")).unwrap_or_default();
            serde_json::from_slice(&text).unwrap_or_default()
        };
        let process = |status: &serde_json::Value, which: &str| status[which].as_i64().unwrap_or_default() as i32;
        let then = status();
        if state != "running" || lives(process(&then, "pid")) {
            continue;
        }
        let supervised = lives(process(&then, "supervisor"));
        let changes = wait_for(Duration::from_secs(10), || (status() != then).then_some(()));
        let running = env.at(root, &["ps", "-q", "--no-trunc"]).go()?.ok()?.out().contains(id);
        check!(changes.is_some() || !running, "{id} is said to run, but does not (supervisor: {supervised}): {then}");
    }
    Ok(())
}

fn at_any_moment(env: &Env) -> Outcome {
    let root = env.own_root()?;
    drop(Kept::run_at(env, &root, &[], &["true"])?);
    // The default network and its rules stay once they were made.
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    let before = Picture::take(&root)?;
    let mut dice = Dice(4711);
    for turn in 0..30 {
        let flags: &[&str] = match turn % 4 {
            0 => &["run", "-d", "--network", "none", "busybox", "sleep", "1000"],
            1 => &["run", "-d", "busybox", "sleep", "1000"],
            2 => &["run", "--rm", "busybox", "sleep", "2"],
            _ => &["run", "-d", "--restart", "always", "--network", "none", "busybox", "sleep", "0.2"],
        };
        let running = env.at(&root, flags).start()?;
        let inside = (turn % 3 == 0).then(|| {
            std::thread::sleep(Duration::from_millis(150));
            let newest = env.at(&root, &["ps", "-lq"]).go().map(|o| o.out().trim().to_owned()).unwrap_or_default();
            env.at(&root, &["exec", &newest, "sleep", "3"]).start()
        });
        std::thread::sleep(Duration::from_millis(dice.roll(220)));
        // Whatever it is at this moment: the front, a supervisor, one on its way in, the first process.
        let mut started = vec![running.pid()];
        started.extend(inside.iter().flatten().map(Running::pid));
        let candidates = ours(&root, &started);
        let victim = candidates[dice.roll(candidates.len() as u64) as usize];
        // Not this very process's own child that has ended and waits to be looked after.
        let _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
        told_truly(env, &root)?;
        let _ = running.finish()?;
        if let Some(inside) = inside {
            let _ = inside?.finish()?;
        }
        told_truly(env, &root)?;
    }
    // A folder that is being made is left alone for a while, whoever was making it.
    std::thread::sleep(Duration::from_secs(6));
    let ids = env.at(&root, &["ps", "-aq"]).go()?.ok()?.out();
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if !ids.is_empty() {
        env.at(&root, &[&["rm", "-f"], &ids[..]].concat()).go()?.ok()?;
    }
    env.at(&root, &["system", "prune", "-f"]).go()?.ok()?;
    check_eq!(env.at(&root, &["ps", "-aq"]).go()?.ok()?.out(), "");
    nothing_left(env, &root, &before)
}

/// Of this root, for others may use the machine: these cases take long.
fn nothing_left(env: &Env, root: &Path, before: &Picture) -> Outcome {
    let words = [
        "events",
        "--since",
        "1",
        "--until",
        "0s",
        "-f",
        "event=create",
        "-f",
        "type=container",
        "--format",
        "{{.ID}}",
    ];
    let ids = env.at(root, &words).go()?.ok()?.out();
    check!(ids.lines().count() >= 10, "no containers were made: {ids}");
    before.nothing_new_of(root, |line| match line.split_once(' ') {
        Some(("file" | "rule", _)) => true,
        Some(("process", process)) => {
            let pid = process.split(' ').next().and_then(|p| p.parse().ok());
            pid.is_some_and(|pid| ours(root, &[]).contains(&pid))
        }
        _ => ids.lines().any(|id| line.contains(id)) || line.contains(&*root.to_string_lossy()),
    })
}

/// One that ends and starts again all the time: wherever in that circle a stop comes, it is the end.
fn a_stop_is_never_lost(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "always"], &["true"])?;
    let mut dice = Dice(1234);
    for turn in 0..25 {
        if turn > 0 {
            kept.verb(&["start"]).go()?.ok()?;
        }
        std::thread::sleep(Duration::from_millis(dice.roll(400)));
        let verb: &[&str] = if turn % 3 == 2 { &["kill"] } else { &["stop", "-t", "1"] };
        let out = kept.verb(verb).go()?;
        // A kill may find it between two runs, where it is told so.
        if out.code != 0 {
            check!(turn % 3 == 2 && out.err().contains("is not running"), "turn {turn}: {}", out.told());
            kept.verb(&["stop", "-t", "1"]).go()?.ok()?;
        }
        check_eq!(kept.state(), "exited", "turn {turn}");
        std::thread::sleep(Duration::from_millis(250));
        check_eq!(kept.state(), "exited", "turn {turn}: it was started again after {verb:?}");
    }
    Ok(())
}

fn two_starts_at_once(env: &Env) -> Outcome {
    let kept = Kept::create(env, &[], &["sleep", "1000"])?;
    for _ in 0..5 {
        let starts = (0..4).map(|_| kept.verb(&["start"]).start()).collect::<Outcome<Vec<_>>>()?;
        for start in starts {
            start.finish()?.ok()?.says(&kept.id)?;
        }
        let table = kept.verb(&["top"]).go()?.ok()?.out();
        check_eq!(table.matches("sleep 1000").count(), 1, "{table}");
        kept.verb(&["stop", "-t", "0"]).go()?.ok()?;
    }
    Ok(())
}

fn rm_while_it_starts(env: &Env) -> Outcome {
    let root = env.own_root()?;
    drop(Kept::run_at(env, &root, &[], &["true"])?);
    let before = Picture::take(&root)?;
    let mut dice = Dice(99);
    for _ in 0..12 {
        let create = ["create", "--network", "none", "busybox", "sleep", "1000"];
        let id = env.at(&root, &create).go()?.ok()?.out().trim().to_owned();
        let start = env.at(&root, &["start", &id]).start()?;
        std::thread::sleep(Duration::from_millis(dice.roll(120)));
        env.at(&root, &["rm", "-f", &id]).go()?.ok()?;
        let started = start.finish()?;
        check!(
            started.code == 0 || started.err().contains("o such container") || started.code == 1,
            "{}",
            started.told()
        );
        check!(!root.join("containers").join(&id).exists(), "it is still there");
    }
    nothing_left(env, &root, &before)
}

fn rename_while_it_restarts(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "always"], &["true"])?;
    let since = Instant::now();
    let mut names = 0;
    while since.elapsed() < Duration::from_secs(4) * slowness() {
        let name = format!("circling-{names}");
        let out = env.verb(&["rename", &kept.id, &name]).go()?;
        if out.code == 0 {
            names += 1;
            let called = env.verb(&["inspect", "-f", "{{.Name}}", &name]).go()?.ok()?.out();
            check_eq!(called.trim(), format!("/{name}"));
        }
    }
    check!(names > 2, "it was renamed {names} times");
    kept.verb(&["stop", "-t", "1"]).go()?.ok()?;
    let last = format!("/circling-{}", names - 1);
    let inspect = || kept.verb(&["inspect", "-f", "{{.Name}}"]).go().ok().map(|o| o.out().trim().to_owned());
    check_eq!(wait_for(Duration::from_secs(1), || inspect().filter(|n| *n == last)), Some(last));
    // The names that it had are free.
    let again = env.verb(&["create", "--name", "circling-0", "--network", "none", "busybox", "true"]).go()?.ok()?;
    env.verb(&["rm", again.out().trim()]).go()?.ok()?;
    Ok(())
}
