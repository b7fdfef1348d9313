//! How containers end: restart policies, stop, kill, pause, and a supervisor that is killed.

use super::Kept;
use crate::harness::env::{s, slowness, wait_for};
use crate::harness::leaks::Picture;
use crate::harness::{Env, Outcome};
use crate::{cases, check, check_eq};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

cases!("lifecycle::ends":
    on_failure_counts, always_until_it_is_stopped, unless_stopped_stays_stopped, pauses_get_longer,
    stopped_while_it_waits, rm_and_restart_exclude_each_other, the_stop_signal_is_the_plans, a_deaf_one_is_killed_in_time,
    output_that_others_hold_keeps_nobody, a_loose_descriptor_limit_ends_nobody, a_stop_for_ever_is_one,
    what_the_caller_has_of_priority_stays_outside,
    @alone a_killed_supervisor_takes_its_container_along, paused_is_paused, exit_codes_are_kept,
);

fn on_failure_counts(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "on-failure:2"], &["sh", "-c", "echo once; exit 3"])?;
    let status = kept.until(20, |s| s["state"] == "exited" && s["restart_count"] == 2)?;
    check_eq!(status["exit_code"], 3);
    kept.logs(&[])?.says("once\nonce\nonce")?;
    check_eq!(kept.events("event=die", "{{.Actor.Attributes.exitCode}}")?, ["3", "3", "3"]);
    // It went well: not again.
    let kept = Kept::run(env, &["--restart", "on-failure"], &["true"])?;
    let status = kept.until_state("exited", 10)?;
    check_eq!((&status["exit_code"], &status["restart_count"]), (&0.into(), &0.into()));
    Ok(())
}

fn always_until_it_is_stopped(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "always"], &["sh", "-c", "sleep 0.2"])?;
    kept.until(30, |s| s["restart_count"].as_i64() >= Some(2))?;
    kept.verb(&["stop", "-t", "0"]).go()?.ok()?.says(&kept.id)?;
    check_eq!(kept.state(), "exited");
    std::thread::sleep(Duration::from_millis(700));
    check_eq!(kept.state(), "exited", "it was started again after a stop");
    // Started by hand it restarts again.
    kept.verb(&["start"]).go()?.ok()?;
    kept.until(30, |s| s["restart_count"].as_i64() >= Some(1) && s["state"] == "running")?;
    Ok(())
}

fn unless_stopped_stays_stopped(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "unless-stopped"], &["sleep", "100"])?;
    kept.verb(&["kill"]).go()?.ok()?;
    kept.until_state("exited", 10)?;
    env.verb(&["start-all"]).go()?.ok()?;
    check_eq!(kept.state(), "exited", "a boot started what was killed by hand");
    Ok(())
}

fn pauses_get_longer(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "on-failure:4"], &["false"])?;
    kept.until(40, |s| s["state"] == "exited" && s["restart_count"] == 4)?;
    let times = |event: &str| -> Outcome<Vec<i64>> {
        Ok(kept.events(event, "{{.TimeNano}}")?.iter().filter_map(|t| t.parse().ok()).collect())
    };
    let (starts, ends) = (times("event=start")?, times("event=die")?);
    check_eq!((starts.len(), ends.len()), (5, 5));
    // From the end to the next start: 100, 200, 400, 800 ms, and what a start takes.
    for (n, least) in [100, 200, 400, 800].into_iter().enumerate() {
        let pause = (starts[n + 1] - ends[n]) / 1_000_000;
        check!(pause >= least, "pause {n} took {pause} ms");
    }
    Ok(())
}

fn stopped_while_it_waits(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--restart", "always"], &["false"])?;
    kept.until(30, |s| s["restart_count"].as_i64() >= Some(3))?;
    let since = Instant::now();
    kept.verb(&["stop"]).go()?.ok()?;
    check!(since.elapsed() < Duration::from_secs(5) * slowness(), "the stop took {:?}", since.elapsed());
    check_eq!(kept.state(), "exited");
    Ok(())
}

fn rm_and_restart_exclude_each_other(env: &Env) -> Outcome {
    let out = env.verb(&["run", "-d", "--rm", "--restart", "always", "busybox", "true"]).go()?.exits(125)?;
    out.complains(&["--restart", "--rm"])?;
    Ok(())
}

fn the_stop_signal_is_the_plans(env: &Env) -> Outcome {
    let script = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done";
    let kept = Kept::run(env, &["--stop-signal", "USR1"], &["sh", "-c", script])?;
    wait_for(Duration::from_secs(10), || kept.logs(&[]).ok().filter(|o| o.out().contains("ready")));
    kept.verb(&["stop"]).go()?.ok()?;
    check_eq!(kept.number("exit_code")?, 7);
    kept.verb(&["wait"]).go()?.ok()?.says("7")?;
    Ok(())
}

fn a_deaf_one_is_killed_in_time(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "100"])?;
    let since = Instant::now();
    kept.verb(&["stop", "-t", "1"]).go()?.ok()?;
    let took = since.elapsed();
    check!(took >= Duration::from_secs(1) && took < Duration::from_secs(8), "the stop took {took:?}");
    check_eq!(kept.number("exit_code")?, 137);
    check_eq!(kept.events("event=kill", "{{.Actor.Attributes.signal}}")?, ["15", "9"]);
    check_eq!(kept.events("type=container", "{{.Action}}")?.last().map(String::as_str), Some("stop"));
    // Once more is no failure.
    kept.verb(&["stop"]).go()?.ok()?;
    kept.verb(&["kill"]).go()?.exits(1)?.complains(&["is not running"])?;
    Ok(())
}

fn output_that_others_hold_keeps_nobody(env: &Env) -> Outcome {
    // In the host's pid namespace nothing ends with the first process, and the other one has its output.
    let flags = ["--pid", "host", "--allow", "host-pid"];
    let kept = Kept::run(env, &flags, &["sh", "-c", "sleep 611 & echo said; exit 5"])?;
    let status = kept.until_state("exited", 10)?;
    check_eq!(status["exit_code"], 5);
    kept.logs(&[])?.says("said")?;
    Ok(())
}

fn a_loose_descriptor_limit_ends_nobody(env: &Env) -> Outcome {
    let script = format!(
        "ulimit -Sn 40; exec {} --root {} run -d --network none busybox sleep 1000",
        s(&env.hardrun),
        s(&env.root)
    );
    let id = crate::harness::Run::new("sh").args(["-c", &script]).go()?.ok()?.out().trim_end().to_owned();
    let kept = Kept { env, root: env.root.clone(), id };
    // Nor do descriptors that the caller left open, whichever they are.
    for last in 3..12 {
        let open: String = (3..=last).map(|n| format!("exec {n}</dev/null; ")).collect();
        let run =
            format!("{open} exec {} --root {} run --rm --network none busybox true", s(&env.hardrun), s(&env.root));
        crate::harness::Run::new("bash").args(["-c", &run]).go()?.ok()?;
    }
    let waiting: Vec<_> = (0..45).map(|_| kept.verb(&["wait"]).start()).collect::<Outcome<_>>()?;
    std::thread::sleep(Duration::from_secs(2));
    kept.exec(&[], &["true"]).go()?.ok()?;
    kept.verb(&["kill"]).go()?.ok()?;
    for wait in waiting {
        wait.finish()?.ok()?.says("137")?;
    }
    Ok(())
}

fn a_stop_for_ever_is_one(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let stop = kept.verb(&["stop", "-t", "9223372036854775807"]).start()?;
    std::thread::sleep(Duration::from_millis(700));
    check_eq!(kept.state(), "running");
    kept.exec(&[], &["true"]).go()?.ok()?;
    kept.verb(&["kill"]).go()?.ok()?;
    stop.finish()?.ok()?;
    let status = kept.status()?;
    check_eq!((&status["exit_code"], &status["error"]), (&137.into(), &"".into()));
    Ok(())
}

fn what_the_caller_has_of_priority_stays_outside(env: &Env) -> Outcome {
    for program in ["nice", "taskset", "chrt", "setarch"] {
        env.needs(program)?;
    }
    let ask = "cat /proc/self/personality; cut -d' ' -f19,41 /proc/self/stat; grep Cpus_allowed_list /proc/self/status";
    let plain = env.sh(&["--network", "none"], ask)?.ok()?.out();
    check!(plain.starts_with("00000000\n0 0\n"), "{plain}");
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let (hardrun, root, id) = (s(&env.hardrun), s(&env.root), kept.id.as_str());
    for what in [format!("run --rm --network none busybox sh -c \"{ask}\""), format!("exec {id} sh -c \"{ask}\"")] {
        let script = format!("exec nice -n 7 chrt -b 0 taskset -c 0 setarch -R {hardrun} --root {root} {what}");
        check_eq!(crate::harness::Run::new("sh").args(["-c", &script]).go()?.ok()?.out(), plain, "{what}");
    }
    Ok(())
}

fn a_killed_supervisor_takes_its_container_along(env: &Env) -> Outcome {
    let root = env.own_root()?;
    // The folders that stay.
    drop(Kept::run_at(env, &root, &[], &["true"])?);
    let before = Picture::take(&root)?;
    let kept = Kept::run_at(env, &root, &[], &["sh", "-c", "sleep 200 & sleep 300"])?;
    let (supervisor, init) = (kept.number("supervisor")? as i32, kept.number("pid")? as i32);
    check!(supervisor > 1 && init > 1, "no processes in {}", kept.status()?);
    kill(Pid::from_raw(supervisor), Signal::SIGKILL)?;
    let gone = |pid: i32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    check!(wait_for(Duration::from_secs(5), || gone(init).then_some(())).is_some(), "the container lives on");
    kept.verb(&["wait"]).go()?.ok()?.says("137")?;
    kept.exec(&[], &["true"]).go()?.exits(1)?.complains(&["is not running"])?;
    // Whoever comes next puts it in order, and says so.
    let swept = kept.verb(&["stop"]).go()?.ok()?;
    check!(swept.err().contains("its supervisor was killed"), "{}", swept.told());
    let status = kept.status()?;
    check_eq!((&status["state"], &status["exit_code"]), (&"exited".into(), &137.into()));
    // It can be started again, and removed.
    kept.verb(&["start"]).go()?.ok()?;
    kept.verb(&["rm"]).go()?.exits(1)?.complains(&["You cannot remove a running container"])?;
    kept.verb(&["rm", "-f"]).go()?.ok()?;
    before.nothing_new(&root)
}

fn paused_is_paused(env: &Env) -> Outcome {
    let script = "n=0; while :; do n=$((n+1)); echo $n > /tmp/n; sleep 0.02; done";
    let kept = Kept::run(env, &[], &["sh", "-c", script])?;
    let file = format!("/proc/{}/root/tmp/n", kept.number("pid")?);
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    let moves = || {
        let before = read();
        wait_for(Duration::from_millis(500), || (read() != before).then_some(())).is_some()
    };
    check!(wait_for(Duration::from_secs(10), || (!read().is_empty()).then_some(())).is_some(), "nothing is written");
    check!(moves(), "it does not count");
    kept.verb(&["pause"]).go()?.ok()?.says(&kept.id)?;
    check_eq!(kept.state(), "paused");
    check!(!moves(), "it counts while it is paused");
    kept.exec(&[], &["true"]).go()?.exits(1)?.complains(&["is paused, unpause the container before exec"])?;
    kept.verb(&["pause"]).go()?.exits(1)?.complains(&["is already paused"])?;
    kept.verb(&["rm"]).go()?.exits(1)?.complains(&["You cannot remove a paused container"])?;
    kept.verb(&["unpause"]).go()?.ok()?;
    check!(moves(), "it stands still after unpause");
    kept.verb(&["unpause"]).go()?.exits(1)?.complains(&["is not paused"])?;
    // A stop reaches what is paused.
    kept.verb(&["pause"]).go()?.ok()?;
    kept.verb(&["stop", "-t", "1"]).go()?.ok()?;
    check_eq!(kept.state(), "exited");
    Ok(())
}

fn exit_codes_are_kept(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sh", "-c", "sleep 0.3; exit 42"])?;
    kept.verb(&["wait"]).go()?.ok()?.says("42")?;
    check_eq!(kept.number("exit_code")?, 42);
    // start -a: the container's own code, and what it says.
    let kept = Kept::create(env, &[], &["sh", "-c", "echo out; echo err >&2; exit 5"])?;
    let out = kept.verb(&["start", "-a"]).go()?.exits(5)?;
    check_eq!((out.out().as_str(), out.err().as_str()), ("out\n", "err\n"));
    // What is not there: docker's codes, and it stays as created.
    let out = env.verb(&["run", "-d", "--network", "none", "busybox", "/nope"]).go()?.exits(127)?;
    let id = out.out().trim().to_owned();
    let id = if id.is_empty() { created_last(env)? } else { id };
    env.verb(&["rm", "-f", &id]).go()?.ok()?;
    Ok(())
}

/// The id of the container that was made last.
fn created_last(env: &Env) -> Outcome<String> {
    let args = ["events", "--since", "1", "--until", "0s", "-f", "event=create", "-f", "type=container"];
    let out = env.verb(&args).args(["--format", "{{.ID}}"]).go()?.ok()?;
    Ok(out.out().lines().last().unwrap_or_default().to_owned())
}
