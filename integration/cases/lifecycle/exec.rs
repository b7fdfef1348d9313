//! `exec`: exactly the container's confinement, a terminal, streams and codes.

use super::Kept;
use crate::harness::env::{needs_user_namespaces, s, slowness, wait_for};
use crate::harness::pty::Terminal;
use crate::harness::{Env, Outcome, fail, host};
use crate::{cases, check, check_eq};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

cases!("lifecycle::exec":
    confined_as_the_first_process, confined_with_other_plans, codes_and_streams, a_terminal_of_its_own,
    whoever_watches_may_be_killed, a_killed_client_leaves_its_command, a_signal_ends_the_client_alone, what_is_not_allowed, privileged_is_in_effect, ends_with_the_container,
    says_the_same_in_every_phase_of_the_end, environment_and_folder, a_flood_for_nobody_costs_the_host_little,
    a_reader_that_stops_holds_nothing_of_the_container,
);

const NAMESPACES: [&str; 7] = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"];

/// What the host's kernel says about a process's confinement.
fn confinement(pid: i32) -> Outcome<BTreeMap<String, String>> {
    let kept =
        ["Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Umask", "Speculation_Store_Bypass"];
    let mut found: BTreeMap<String, String> =
        host::status(pid).into_iter().filter(|(k, _)| k.starts_with("Cap") || kept.contains(&k.as_str())).collect();
    for kind in NAMESPACES {
        found.insert(format!("ns/{kind}"), host::namespace(pid, kind)?);
    }
    for file in
        ["limits", "uid_map", "gid_map", "setgroups", "cgroup", "oom_score_adj", "attr/current", "coredump_filter"]
    {
        // What this kernel does not have, it does not have for both.
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        found.insert(file.to_owned(), text);
    }
    Ok(found)
}

/// Start `sleep SECONDS` by exec in the background; its process as the host numbers it.
fn beside(kept: &Kept<'_>, flags: &[&str], seconds: &str) -> Outcome<i32> {
    kept.exec(&[&["-d"], flags].concat(), &["sleep", seconds]).go()?.ok()?;
    let wanted = format!("sleep {seconds}");
    let find = || {
        let table = kept.env.at(&kept.root, &["top", &kept.id, "-o", "pid,args"]).go().ok()?.out();
        let line = table.lines().find(|l| l.trim_end().ends_with(&wanted))?.to_owned();
        line.split_whitespace().next()?.parse().ok()
    };
    match wait_for(Duration::from_secs(5), find) {
        Some(pid) => Ok(pid),
        None => fail(format!("{wanted} is not among the container's processes")),
    }
}

fn same_as_init(kept: &Kept<'_>, flags: &[&str]) -> Outcome {
    let init = confinement(kept.number("pid")? as i32)?;
    let other = confinement(beside(kept, flags, "543")?)?;
    for (key, value) in &init {
        check_eq!(other.get(key), Some(value), "{key} of a process by exec");
    }
    Ok(())
}

fn confined_as_the_first_process(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    same_as_init(&kept, &[])?;
    // And as it looks from inside.
    let script = "for f in 1 self; do grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid|Umask)' /proc/$f/status | tr '\\n' ' '; \
                  readlink /proc/$f/ns/user /proc/$f/ns/pid /proc/$f/ns/mnt /proc/$f/ns/net | tr '\\n' ' '; cat /proc/$f/cgroup | tr '\\n' ' '; \
                  echo; done";
    let out = kept.exec(&[], &["sh", "-c", script]).go()?.ok()?;
    let text = out.out();
    let lines: Vec<&str> = text.lines().collect();
    check!(lines.len() == 2 && lines[0] == lines[1], "{}", out.told());
    Ok(())
}

fn confined_with_other_plans(env: &Env) -> Outcome {
    // Without user namespaces a capability would count on the host, and is refused.
    let added: &[&str] = if needs_user_namespaces().is_ok() { &["--cap-add", "CHOWN"] } else { &[] };
    let of_a_user = [&["--cap-drop", "ALL", "--user", "1000:1000", "--group-add", "4242"], added].concat();
    for flags in [
        &["--cap-drop", "ALL"][..],
        &of_a_user,
        &["--ulimit", "nofile=100:200", "--ulimit", "nproc=50:60", "--pids-limit", "40", "-m", "64m"],
        &["--read-only", "--cpus", "0.5", "--oom-score-adj", "500"],
    ] {
        let kept = Kept::run(env, flags, &["sleep", "1000"])?;
        same_as_init(&kept, &[]).map_err(|e| match e {
            crate::harness::Stop::Fail(why) => crate::harness::Stop::Fail(format!("with {flags:?}: {why}")),
            other => other,
        })?;
    }
    Ok(())
}

fn codes_and_streams(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let out = kept.exec(&[], &["sh", "-c", "echo out; echo err >&2; exit 6"]).go()?.exits(6)?;
    check_eq!((out.out().as_str(), out.err().as_str()), ("out\n", "err\n"));
    kept.exec(&[], &["sh", "-c", "kill -9 $$"]).go()?.exits(137)?;
    kept.exec(&[], &["/nope"]).go()?.exits(127)?;
    kept.exec(&[], &["/etc"]).go()?.exits(126)?;
    kept.exec(&["-i"], &["cat"]).stdin("through\0and back\n").go()?.ok()?.says("through\0and back")?;
    // Without -i there is nothing to read.
    kept.exec(&[], &["cat"]).stdin("unread").go()?.ok()?.says("")?;
    kept.exec(&["-d"], &["sh", "-c", "echo here > /tmp/made"]).go()?.ok()?.says("")?;
    let made =
        wait_for(Duration::from_secs(5), || kept.exec(&[], &["cat", "/tmp/made"]).go().ok().filter(|o| o.code == 0));
    check!(made.is_some_and(|o| o.out() == "here\n"), "exec -d did nothing");
    // Nothing of it is in the container's log.
    kept.logs(&[])?.says("")?;
    let actions = kept.events("event=exec_die", "{{.Actor.Attributes.exitCode}}")?;
    check!(actions.starts_with(&["6".to_owned(), "137".to_owned()]), "{actions:?}");
    Ok(())
}

fn a_terminal_of_its_own(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let open = |script: &str| {
        let words = [s(&env.hardrun), "--root", s(&kept.root), "exec", "-it", &kept.id, "sh", "-c", script];
        Terminal::start(&words, 31, 91)
    };
    let mut t = open("test -t 0 && test -t 1 && test -t 2 && tty && stty size; read -r l; echo got $l; exit 4")?;
    t.expect("31 91", 20)?;
    t.send(b"words\r")?;
    t.expect("got words", 20)?;
    let (code, text) = t.finish(20)?;
    check_eq!(code, 4, "{text}");
    check!(text.contains("/dev/pts/"), "{text:?}");
    // A size that changes, and Ctrl-C for the process.
    let mut t =
        open("trap 'stty size' WINCH; trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done")?;
    t.expect("ready", 20)?;
    t.resize(17, 63)?;
    t.expect("17 63", 20)?;
    t.send(b"\x03")?;
    t.expect("caught", 20)?;
    check_eq!(t.finish(20)?.0, 5);
    // The keys that let go: the process goes on.
    let mut t = open("echo ready; sleep 777")?;
    t.expect("ready", 20)?;
    t.send(b"\x10\x11")?;
    t.finish(20)?;
    let table = kept.verb(&["top"]).go()?.ok()?.out();
    check!(table.contains("sleep 777"), "the process went with whoever watched it:\n{table}");
    Ok(())
}

/// As with docker: the process is the container's, not its watcher's.
fn whoever_watches_may_be_killed(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let script = "echo $$ ready; trap 'echo hup > /tmp/hup' HUP; for i in 1 2 3 4 5 6 7 8 9; do echo line; sleep 0.1; done; tty > /tmp/end; sleep 778";
    let words = [s(&env.hardrun), "--root", s(&kept.root), "exec", "-it", &kept.id, "sh", "-c", script];
    let mut t = Terminal::start(&words, 31, 91)?;
    t.expect("ready", 20)?;
    t.kill()?;
    let end = wait_for(Duration::from_secs(10), || {
        // The shell makes the file before tty writes into it.
        kept.exec(&[], &["cat", "/tmp/end"]).go().ok().filter(|o| o.code == 0 && !o.out().is_empty()).map(|o| o.out())
    });
    check!(end.as_deref().is_some_and(|e| e.contains("/dev/pts/")), "it lost its terminal: {end:?}");
    kept.exec(&[], &["test", "-e", "/tmp/hup"]).go()?.exits(1)?;
    // The supervisor knows of it to its end.
    kept.until(5, |s| s["execs"].as_array().map(Vec::len) == Some(1))?;
    Ok(())
}

/// As with docker: the command goes on, what it writes is thrown away, and its input has ended.
fn a_killed_client_leaves_its_command(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    // More than a pipe holds.
    let script = "echo $$ > /tmp/pid; trap 'echo pipe > /tmp/pipe' PIPE; read -r l; echo $l > /tmp/typed; cat > /tmp/rest; \
                  for i in $(seq 4000); do echo a line that is forty bytes long, or longer; done; \
                  echo $i > /tmp/end; exec sleep 779";
    let mut client = kept.exec(&["-i"], &["sh", "-c", script]).open_stdin().start()?;
    if let Some(stdin) = &mut client.stdin {
        stdin.write_all(b"typed\n")?;
    }
    let read = |path: &str| {
        let cat = || kept.exec(&[], &["cat", path]).go().ok().filter(|o| o.code == 0 && !o.out().is_empty());
        wait_for(Duration::from_secs(10), cat).map(|o| o.out())
    };
    check_eq!(read("/tmp/typed").as_deref(), Some("typed\n"));
    client.signal(Signal::SIGKILL)?;
    // Whoever reads what the client wrote sees its end, although the command goes on.
    check_eq!(client.finish()?.code, 137);
    check_eq!(read("/tmp/end").as_deref(), Some("4000\n"));
    kept.exec(&[], &["test", "-e", "/tmp/pipe"]).go()?.exits(1)?;
    let known = |s: &Value| s["execs"].as_array().map_or(0, Vec::len);
    kept.until(5, |s| known(s) == 1)?;
    kept.exec(&[], &["sh", "-c", "kill $(cat /tmp/pid)"]).go()?.ok()?;
    let told = kept.until(5, |s| known(s) == 0)?;
    check_eq!(told["state"].as_str(), Some("running"));
    Ok(())
}

/// The process that keeps the streams of an exec.
fn keeper(client: i32) -> Outcome<i32> {
    match wait_for(Duration::from_secs(10), || host::descendants(client).first().copied()) {
        Some(pid) => Ok(pid),
        None => fail("nobody keeps the streams"),
    }
}

/// What is written for a client that was killed is thrown away, but not as fast as it comes: whoever does that is in no control group of
/// the container's.
fn a_flood_for_nobody_costs_the_host_little(env: &Env) -> Outcome {
    let kept = Kept::run(
        env,
        &["--log-driver", "none"],
        &["sh", "-c", "trap 'exec cat /dev/zero' USR1; while :; do sleep 0.1; done"],
    )?;
    let client = kept.exec(&[], &["sh", "-c", "sleep 1; exec cat /dev/zero"]).start()?;
    kept.until(10, |s| s["execs"].as_array().is_some_and(|e| e.len() == 1))?;
    let keeper = keeper(client.pid())?;
    client.signal(Signal::SIGKILL)?;
    client.finish()?;
    kept.verb(&["kill", "-s", "USR1"]).go()?.ok()?;
    let floods = || {
        let table = env.at(&kept.root, &["top", &kept.id, "-o", "pid,args"]).go().ok()?.out();
        let cat = |l: &&str| l.split_whitespace().nth(1) == Some("cat");
        (table.lines().filter(cat).count() == 2).then_some(())
    };
    check!(wait_for(Duration::from_secs(10), floods).is_some(), "two processes write");
    let supervisor = kept.number("supervisor")? as i32;
    for (what, pid) in [("who keeps an exec's streams", keeper), ("the supervisor", supervisor)] {
        let ticks = || -> Option<u64> {
            let fields = host::stat_fields(pid)?;
            // Fields 14 and 15, behind the name and the state.
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        };
        let before = ticks();
        std::thread::sleep(Duration::from_secs(2));
        let (Some(before), Some(after)) = (before, ticks()) else { return fail(format!("{what} has ended")) };
        check!(
            after - before < 20 * u64::from(slowness()),
            "{what} used {} of 200 hundredths of a second",
            after - before
        );
    }
    check!(floods().is_some(), "both write on");
    Ok(())
}

/// The last words of a process wait for their reader as long as it likes; nothing else does.
fn a_reader_that_stops_holds_nothing_of_the_container(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let mut client = std::process::Command::new(&env.hardrun)
        .args(["--root", s(&kept.root), "exec", &kept.id, "sh", "-c", "head -c 130000 /dev/zero"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let pid = client.id() as i32;
    let known = |s: &Value| s["execs"].as_array().map_or(0, Vec::len);
    // Begun and ended, before anybody has read a byte.
    let ended = || kept.events("event=exec_start", "{{.ID}}").ok().filter(|e| e.len() == 1);
    check!(wait_for(Duration::from_secs(10), ended).is_some(), "it was not started");
    let keeper = keeper(pid)?;
    let told = kept.until(10, |s| known(s) == 0);
    let holds = |pid: i32| -> Outcome<Vec<String>> {
        let all = host::descriptors(pid)?.into_values();
        Ok(all.filter(|to| to.starts_with("mnt:[") || to.contains(s(&kept.root))).collect())
    };
    let held = (holds(keeper)?, holds(pid)?);
    let mut text = Vec::new();
    if let Some(mut stdout) = client.stdout.take() {
        std::io::Read::read_to_end(&mut stdout, &mut text)?;
    }
    check_eq!(client.wait()?.code(), Some(0));
    check_eq!(text.len(), 130_000);
    told?;
    check_eq!(held, (Vec::new(), Vec::new()));
    Ok(())
}

/// As with docker, whose client passes no signal on; nor one that a terminal sends to the whole group.
fn a_signal_ends_the_client_alone(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let script = "trap 'echo caught; exit 5' INT TERM HUP; echo up; sleep 780 & wait";
    // Under `nohup` a hang-up ends nobody.
    let own = host::status(std::process::id() as i32);
    let ignored = own.get("SigIgn").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        if signal == Signal::SIGHUP && ignored & 1 != 0 {
            continue;
        }
        let known = |s: &Value| s["execs"].as_array().map_or(0, Vec::len);
        let before = known(&kept.status()?);
        let client = kept.exec(&[], &["sh", "-c", script]).start()?;
        kept.until(10, |s| known(s) > before)?;
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(client.pid()), signal)?;
        let out = client.finish()?.exits(code)?;
        check!(!out.out().contains("caught"), "{signal} reached the command: {}", out.told());
        kept.until(5, |s| known(s) == before + 1)?;
    }
    Ok(())
}

/// A user who is not root too has what it was given.
fn privileged_is_in_effect(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--user", "1000:1000"], &["sleep", "1000"])?;
    let read = ["grep", "-E", "^Cap(Eff|Bnd)|^NoNewPrivs", "/proc/self/status"];
    let out = kept.exec(&["--privileged", "--allow", "exec-privileged=test"], &read).go()?.ok()?;
    let fields = out.fields();
    let all = format!("{:016x}", (1u64 << (caps_last()? + 1)) - 1);
    for key in ["CapEff", "CapBnd"] {
        check_eq!(fields.get(key), Some(&all), "{}", out.told());
    }
    check_eq!(fields.get("NoNewPrivs").map(String::as_str), Some("1"));
    let own = needs_user_namespaces().is_ok();
    let over = if own { "what the container's user namespace owns" } else { "the host" };
    let out = out.complains(&[&format!("every capability over {over}")])?;
    check_eq!(out.err().lines().count(), 1, "{}", out.told());
    // Over the host none: it is not its own namespace.
    kept.exec(&["--privileged", "--allow", "exec-privileged=test"], &["hostname", "x"]).go()?;
    check_eq!(
        host::namespace(kept.number("pid")? as i32, "user")? != host::namespace(std::process::id() as i32, "user")?,
        own
    );
    Ok(())
}

fn caps_last() -> Outcome<u64> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse()?)
}

/// Whatever the container's end interrupts, docker's words: it does not run; or the command was started, and killed with it.
fn says_the_same_in_every_phase_of_the_end(env: &Env) -> Outcome {
    for turn in 0..24u64 {
        let kept = Kept::run(env, &[], &["sleep", "1000"])?;
        let kill = kept.verb(&["kill"]).start()?;
        std::thread::sleep(Duration::from_millis(turn % 12 * 4));
        let out = kept.exec(&[], &["sleep", "20"]).go()?;
        let words = format!("Container {} is not running", kept.id);
        let fine = out.code == 137 || (out.code == 1 && out.err().trim() == format!("hardrun: {words}"));
        check!(fine, "turn {turn}: {}", out.told());
        kill.finish()?.ok()?;
    }
    Ok(())
}

fn what_is_not_allowed(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--user", "1000:1000"], &["sleep", "1000"])?;
    kept.exec(&["--privileged"], &["true"]).go()?.exits(125)?.complains(&["exec-privileged"])?;
    kept.exec(&["-u", "0"], &["true"]).go()?.exits(125)?.complains(&["exec-root"])?;
    kept.exec(&["-u", "nobody-at-all"], &["true"]).go()?.exits(126)?;
    kept.exec(&["-u", "1001"], &["id", "-u"]).go()?.ok()?.says("1001")?;
    kept.exec(&["-w", "/nowhere"], &["true"]).go()?.exits(126)?;
    env.verb(&["exec", "nobody", "true"]).go()?.exits(1)?.complains(&["No such container: nobody"])?;
    Ok(())
}

fn ends_with_the_container(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let running = kept.exec(&[], &["sleep", "900"]).start()?;
    let listed = wait_for(Duration::from_secs(10), || {
        kept.status().ok().filter(|s| s["execs"].as_array().is_some_and(|e| e.len() == 1))
    });
    check!(listed.is_some(), "the status does not name it: {}", kept.status()?);
    kept.verb(&["kill"]).go()?.ok()?;
    running.finish()?.exits(137)?;
    let status = kept.until_state("exited", 10)?;
    check!(status["execs"].as_array().is_some_and(|e| e.is_empty()), "{status}");
    Ok(())
}

fn environment_and_folder(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["-e", "A=container", "-w", "/tmp"], &["sleep", "1000"])?;
    kept.exec(&[], &["sh", "-c", "echo $A; pwd"]).go()?.ok()?.says("container\n/tmp")?;
    let out = kept.exec(&["-e", "A=own", "-e", "B=two", "-w", "/etc"], &["sh", "-c", "echo $A $B; pwd"]).go()?.ok()?;
    out.says("own two\n/etc")?;
    Ok(())
}
