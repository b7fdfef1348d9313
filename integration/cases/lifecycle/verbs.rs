//! logs, events, top, stats, attach, rm, rename, names, prunes.

use super::Kept;
use crate::harness::env::{s, slowness, wait_for};
use crate::harness::pty::Terminal;
use crate::harness::{Env, Outcome, fail};
use crate::{cases, check, check_eq};
use std::time::Duration;

cases!("lifecycle::verbs":
    logs_of_both_streams, logs_follow_to_the_end, logs_and_what_is_not_there, events_tell_a_life, top_and_stats,
    attached_twice, an_updates_override_is_kept, detached_by_keys, removed_by_the_rules, renamed, one_of_two_hundred, pruned,
    many_readers_leave_room_for_questions, an_error_of_any_length_arrives, who_refuses_decides_the_status_of_create,
);

fn logs_of_both_streams(env: &Env) -> Outcome {
    // Two pipes have no order but by time.
    let script = "for i in 1 2 3; do echo out $i; sleep 0.1; echo err $i >&2; sleep 0.1; done; printf 'é\\t\\033[1m no end'; head -c 40000 /dev/zero | tr '\\0' x >&2";
    let kept = Kept::run(env, &[], &["sh", "-c", script])?;
    kept.until_state("exited", 20)?;
    let out = kept.logs(&[])?;
    check_eq!(out.out(), "out 1\nout 2\nout 3\né\t\u{1b}[1m no end");
    check_eq!(out.err(), format!("err 1\nerr 2\nerr 3\n{}", "x".repeat(40000)));
    let out = kept.logs(&["--tail", "0"])?;
    check_eq!((out.out().len(), out.err().len()), (0, 0));
    let out = kept.logs(&["-t", "-n", "all"])?.out();
    let first = out.lines().next().unwrap_or_default();
    check!(first.len() == 36 && first.as_bytes()[29] == b'Z' && first.ends_with(" out 1"), "{first:?}");
    let stamp = first.split(' ').next().unwrap_or_default().to_owned();
    check!(kept.logs(&["--since", &stamp])?.out().starts_with("out 1"), "since its own time");
    check_eq!(kept.logs(&["--until", "1h"])?.out(), "");
    let order = format!("{} --root {} logs {} 2>&1 | head -n 4", s(&env.hardrun), s(&kept.root), kept.id);
    let both = crate::harness::Run::new("sh").args(["-c", &order]).go()?.out();
    check_eq!(both, "out 1\nerr 1\nout 2\nerr 2\n");
    Ok(())
}

fn logs_follow_to_the_end(env: &Env) -> Outcome {
    // Across restarts, and to the end for good.
    let script = "echo one; sleep 0.3; echo two; exit 1";
    let kept = Kept::run(env, &["--restart", "on-failure:1"], &["sh", "-c", script])?;
    kept.logs(&["-f"])?.says("one\ntwo\none\ntwo")?;
    check_eq!(kept.number("restart_count")?, 1);
    // Removed by --rm while somebody reads.
    let script = format!("echo hello; sleep {}; echo bye", crate::harness::env::slowness());
    let run = env.verb(&["run", "-d", "--rm", "--network", "none", "busybox", "sh", "-c", &script]);
    let id = run.go()?.ok()?.out().trim().to_owned();
    env.verb(&["logs", "-f", &id]).limit(20).go()?.ok()?.says("hello\nbye")?;
    let gone = wait_for(Duration::from_secs(5), || env.verb(&["logs", &id]).go().ok().filter(|o| o.code == 1));
    check!(gone.is_some_and(|o| o.err().contains("No such container")), "the log outlives --rm");
    // A terminal has one stream.
    let kept = Kept::run(env, &["-t"], &["sh", "-c", "echo out; echo err >&2"])?;
    let out = kept.logs(&["-f"])?;
    check_eq!((out.out().as_str(), out.err().as_str()), ("out\r\nerr\r\n", ""));
    // Until a moment that is yet to come.
    let kept = Kept::run(env, &[], &["sh", "-c", "while :; do echo tick; sleep 0.1; done"])?;
    let out = kept.verb(&["logs", "-f", "--until=-1s"]).limit(20).go()?.ok()?;
    check!(out.out().contains("tick"), "{}", out.told());
    Ok(())
}

fn logs_and_what_is_not_there(env: &Env) -> Outcome {
    env.verb(&["logs", "nobody"]).go()?.exits(1)?.complains(&["No such container: nobody"])?;
    let kept = Kept::run(env, &["--log-driver", "none"], &["echo", "unheard"])?;
    kept.verb(&["logs"]).go()?.exits(1)?.complains(&["configured logging driver does not support reading"])?;
    let kept = Kept::create(env, &[], &["true"])?;
    kept.logs(&["-f"])?.says("")?;
    kept.verb(&["logs", "--since", "bad"])
        .go()?
        .exits(1)?
        .complains(&["invalid value for \"since\": failed to parse value as time or duration: \"bad\""])?;
    Ok(())
}

fn events_tell_a_life(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["--label", "a=b"], &["sleep", "1000"])?;
    kept.verb(&["pause"]).go()?.ok()?;
    kept.verb(&["unpause"]).go()?.ok()?;
    kept.exec(&[], &["true"]).go()?.ok()?;
    let folder = env.dir("events")?;
    env.verb(&["cp", "/etc/hostname", &format!("{}:/copied", kept.id)]).go()?.ok()?;
    env.verb(&["cp", &format!("{}:/copied", kept.id), s(&folder.join("copied"))]).go()?.ok()?;
    kept.verb(&["export", "-o", s(&folder.join("tar"))]).go()?.ok()?;
    kept.verb(&["commit", "-p=false"]).arg("committed:1").go()?.ok()?;
    kept.verb(&["top"]).go()?.ok()?;
    kept.verb(&["update", "--restart", "no"]).go()?.ok()?;
    let new = format!("new-{}", &kept.id[..8]);
    env.verb(&["rename", &kept.id, &new]).go()?.ok()?;
    kept.verb(&["restart", "-t", "0"]).go()?.ok()?;
    kept.verb(&["kill", "-s", "USR1"]).go()?.ok()?;
    kept.verb(&["rm", "-f"]).go()?.ok()?;
    let told = kept.events("type=container", "{{.Action}}")?;
    let want = [
        "create",
        "start",
        "pause",
        "unpause",
        "exec_create: true ",
        "exec_start: true ",
        "exec_die",
        "extract-to-dir",
        "archive-path",
        "export",
        "commit",
        "top",
        "update",
        "rename",
        "kill",
        "kill",
        "die",
        "stop",
        "start",
        "restart",
        "kill",
    ];
    check_eq!(told[..want.len().min(told.len())], want);
    check_eq!(told.last().map(String::as_str), Some("destroy"));
    let line = kept.events("event=commit", "{{.Actor.Attributes.imageRef}} {{.Actor.Attributes.a}}")?;
    check_eq!(line, ["committed:1 b"]);
    env.verb(&["rmi", "committed:1"]).go()?.ok()?;
    check_eq!(told.iter().filter(|t| *t == "die").count(), 2);
    let line =
        kept.events("event=rename", "{{.Type}} {{.From}} {{.Actor.Attributes.oldName}} {{.Actor.Attributes.a}}")?;
    check!(line.len() == 1 && line[0].starts_with("container busybox /") && line[0].ends_with(" b"), "{line:?}");
    let until = format!("--until=-{}s", 3 * slowness());
    let follow = env.verb(&["events", "-f", "type=volume", &until]).limit(20).start()?;
    std::thread::sleep(Duration::from_millis(700));
    env.verb(&["volume", "create", "seen"]).go()?.ok()?;
    env.verb(&["volume", "rm", "seen"]).go()?.ok()?;
    // Mounted while a container runs, and by nobody else.
    let run = env.verb(&["run", "--rm", "--network", "none", "-v", "mounted:/m:ro", "busybox", "true"]);
    run.go()?.ok()?;
    env.verb(&["volume", "rm", "mounted"]).go()?.ok()?;
    let out = follow.finish()?.ok()?.out();
    check!(out.contains("destination=/m, driver=local, propagation=, read/write=false)"), "{out}");
    check!(out.contains("volume unmount mounted (container="), "{out}");
    check!(out.contains("volume create seen (driver=local)") && out.contains("volume destroy seen"), "{out}");
    env.verb(&["events", "--until", "0s", "-f", "nope=x"]).go()?.exits(1)?.complains(&["Invalid filter 'nope'"])?;
    Ok(())
}

fn top_and_stats(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["-m", "64m"], &["sh", "-c", "sleep 800 & while :; do :; done"])?;
    let top = kept.verb(&["top"]).go()?.ok()?.out();
    let lines: Vec<&str> = top.lines().collect();
    check!(lines[0].starts_with("UID                 PID                 PPID "), "{top}");
    check!(lines.len() == 3 && top.contains("sleep 800"), "{top}");
    let own = env.verb(&["top", &kept.id, "-o", "pid,cmd"]).go()?.ok()?.out();
    check!(own.starts_with("PID                 CMD\n") && own.lines().count() == 3, "{own}");
    env.verb(&["top", &kept.id, "-o", "cmd"]).go()?.exits(1)?.complains(&["Couldn't find PID field in ps output"])?;
    let stats = env.verb(&["stats", "--no-stream", "--format", "{{json .}}", &kept.id]).go()?.ok()?.out();
    let json: serde_json::Value = serde_json::from_str(stats.trim())?;
    check!(json["MemUsage"].as_str().is_some_and(|m| m.ends_with(" / 64MiB") && !m.starts_with("0B")), "{stats}");
    check_eq!(json["PIDs"], "2");
    let cpu: f64 = json["CPUPerc"].as_str().unwrap_or_default().trim_end_matches('%').parse()?;
    check!(cpu > 5.0 && cpu < 130.0, "{stats}");
    kept.verb(&["kill"]).go()?.ok()?;
    kept.verb(&["top"]).go()?.exits(1)?.complains(&["is not running"])?;
    let table = kept.verb(&["stats", "--no-stream"]).go()?.ok()?.out();
    check!(table.lines().nth(1).is_some_and(|l| l.contains("0.00%     0B / 0B")), "{table}");
    env.verb(&["stats", "--no-stream", "nobody"]).go()?.exits(1)?.complains(&["No such container: nobody"])?;
    Ok(())
}

fn attached_twice(env: &Env) -> Outcome {
    let kept =
        Kept::run(env, &["-i"], &["sh", "-c", "while read -r l; do echo heard $l; [ \"$l\" = end ] && exit 3; done"])?;
    let watcher = kept.verb(&["attach", "--no-stdin"]).start()?;
    let joined =
        wait_for(Duration::from_secs(10), || kept.events("event=attach", "{{.ID}}").ok().filter(|e| !e.is_empty()));
    check!(joined.is_some(), "nobody is attached");
    let out = kept.verb(&["attach"]).stdin("one\nend\n").go()?.exits(3)?;
    check_eq!(out.out(), "heard one\nheard end\n");
    let out = watcher.finish()?.exits(3)?;
    check_eq!(out.out(), "heard one\nheard end\n");
    kept.logs(&[])?.says("heard one\nheard end")?;
    kept.verb(&["attach"]).go()?.exits(1)?.complains(&["You cannot attach to a stopped container"])?;
    Ok(())
}

/// `exec`, `start` and the audit log know of it, too.
fn an_updates_override_is_kept(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    kept.verb(&["update", "--pids-limit", "-1"]).go()?.exits(1)?.complains(&["no-pids-limit"])?;
    kept.exec(&[], &["true"]).go()?.ok()?;
    kept.verb(&["update", "--pids-limit", "-1", "--allow", "no-pids-limit=for a test"]).go()?.ok()?;
    let shown = |format: &str| kept.verb(&["inspect", "-f", format]).go()?.ok().map(|o| o.out().trim().to_owned());
    check!(
        ["0", "-1"].contains(&shown("{{.HostConfig.PidsLimit}}")?.as_str()),
        "{}",
        shown("{{.HostConfig.PidsLimit}}")?
    );
    let log = env.verb(&["audit-log", "show"]).go()?.ok()?.out();
    let own: Vec<&str> = log.lines().filter(|l| l.contains(&kept.id[..12]) && l.contains(" override ")).collect();
    check!(own.len() == 1 && own[0].contains("no-pids-limit") && own[0].contains("for a test"), "{own:?}");
    kept.exec(&[], &["true"]).go()?.ok()?;
    kept.verb(&["restart", "-t", "0"]).go()?.ok()?;
    // Of one that does not run, the same; what the kernel cannot do is not kept.
    kept.verb(&["stop", "-t", "0"]).go()?.ok()?;
    kept.verb(&["update", "--cpuset-cpus", "4000"]).go()?.exits(1)?;
    kept.verb(&["start"]).go()?.ok()?;
    Ok(())
}

fn detached_by_keys(env: &Env) -> Outcome {
    let words = [s(&env.hardrun), "--root", s(&env.root), "run", "-it", "--network", "none", "--name", "by-keys"];
    let mut t = Terminal::start(
        &[&words[..], &["busybox", "sh", "-c", "echo ready; read l; echo got $l; exit 9"]].concat(),
        24,
        80,
    )?;
    t.expect("ready", 20)?;
    t.send(b"\x10\x11")?;
    t.finish(20)?;
    let args = [
        "events",
        "--since",
        "1",
        "--until",
        "0s",
        "-f",
        "container=by-keys",
        "-f",
        "event=create",
        "--format",
        "{{.ID}}",
    ];
    let id = env.verb(&args).go()?.ok()?.out().trim().to_owned();
    let kept = Kept { env, root: env.root.clone(), id };
    check_eq!(kept.state(), "running");
    // The client does not wait for the supervisor to write it down.
    let noted = || kept.events("event=detach", "{{.Action}}").ok().filter(|e| *e == ["detach"]);
    check!(wait_for(Duration::from_secs(5), noted).is_some(), "no event tells of it");
    let words = [s(&env.hardrun), "--root", s(&env.root), "attach", "by-keys"];
    let mut t = Terminal::start(&words, 24, 80)?;
    std::thread::sleep(Duration::from_millis(500));
    t.send(b"back\r")?;
    t.expect("got back", 20)?;
    check_eq!(t.finish(20)?.0, 9);
    // Keys of one's own, for every verb that connects; half of them are only keys.
    env.verb(&["start", "by-keys"]).go()?.ok()?;
    for verb in [
        &["attach", "--detach-keys", "ctrl-a,q", "by-keys"][..],
        &["exec", "-it", "--detach-keys", "ctrl-a,q", "by-keys", "sh"],
    ] {
        let mut t = Terminal::start(&[&words[..3], verb].concat(), 24, 80)?;
        std::thread::sleep(Duration::from_millis(500));
        t.send(b"\x10\x11\x01\x01q")?;
        t.finish(20)?;
        check_eq!(kept.state(), "running");
    }
    Ok(())
}

fn removed_by_the_rules(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    kept.verb(&["rm"]).go()?.exits(1)?.complains(&["You cannot remove a running container"])?;
    let out = env.verb(&["rm", "-f", "nobody-1", &kept.id]).go()?.ok()?;
    check_eq!(out.out(), format!("{}\n", kept.id));
    out.complains(&["No such container: nobody-1"])?;
    check!(!kept.folder().exists(), "its folder is still there");
    env.verb(&["rm", "nobody-1"]).go()?.exits(1)?.complains(&["No such container: nobody-1"])?;
    let kept = Kept::create(env, &["--name", "rules-two"], &["true"])?;
    env.verb(&["rm", "rules-two"]).go()?.ok()?.says("rules-two")?;
    kept.verb(&["start"]).go()?.exits(1)?;
    Ok(())
}

fn renamed(env: &Env) -> Outcome {
    let (first, second) = (
        Kept::run(env, &["--name", "ren-a"], &["sleep", "1000"])?,
        Kept::create(env, &["--name", "ren-b"], &["true"])?,
    );
    env.verb(&["rename", "ren-a", "ren-b"])
        .go()?
        .exits(1)?
        .complains(&["is already in use by container", &second.id])?;
    env.verb(&["rename", "ren-a", "ren-c"]).go()?.ok()?.says("")?;
    env.verb(&["rename", "ren-b", "ren-a"]).go()?.ok()?;
    env.verb(&["exec", "ren-c", "true"]).go()?.ok()?;
    env.verb(&["exec", "ren-a", "true"]).go()?.exits(1)?.complains(&["is not running"])?;
    env.verb(&["exec", "ren-b", "true"]).go()?.exits(1)?.complains(&["No such container: ren-b"])?;
    // Across a restart it has its new name.
    env.verb(&["restart", "-t", "0", "ren-c"]).go()?.ok()?.says("ren-c")?;
    env.verb(&["exec", "ren-c", "true"]).go()?.ok()?;
    drop((first, second));
    Ok(())
}

fn one_of_two_hundred(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let create =
        || env.at(&root, &["create", "--network", "none", "--name", "the-one", "busybox", "true"]).limit(300).go();
    let codes: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..200).map(|_| scope.spawn(create)).collect();
        all.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    let mut made = 0;
    for code in codes {
        let out = code?;
        match out.code {
            0 => made += 1,
            1 => drop(out.complains(&["\"/the-one\" is already in use by container"])?),
            _ => check!(false, "{}", out.told()),
        }
    }
    check_eq!(made, 1);
    let left = std::fs::read_dir(root.join("containers"))?.count();
    check_eq!(left, 1, "folders of containers");
    env.at(&root, &["rm", "the-one"]).go()?.ok()?;
    Ok(())
}

fn pruned(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let create = |flags: &[&str]| -> Outcome<String> {
        let run = env.at(&root, &["create", "--network", "none"]).args(flags).args(["busybox", "true"]);
        Ok(run.go()?.ok()?.out().trim().to_owned())
    };
    let (first, second) = (create(&["--label", "keep=1"])?, create(&[])?);
    let kept = Kept::run_at(env, &root, &[], &["sleep", "1000"])?;
    let at = |args: &[&str]| env.at(&root, args).go()?.ok();
    let out = env.at(&root, &["container", "prune"]).stdin("n\n").go()?.ok()?;
    check_eq!(
        out.out(),
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "
    );
    let out = at(&["container", "prune", "-f", "--filter", "label!=keep"])?;
    check_eq!(out.out(), format!("Deleted Containers:\n{second}\n\nTotal reclaimed space: 0B\n"));
    check_eq!(at(&["container", "prune", "-f", "--filter", "until=1h"])?.out(), "Total reclaimed space: 0B\n");
    let df = at(&["system", "df"])?.out();
    check!(
        df.starts_with("TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\nImages          1         1 "),
        "{df}"
    );
    check!(df.contains("\nContainers      2         1         0B        0B\n"), "{df}");
    let verbose = at(&["system", "df", "-v"])?.out();
    check!(verbose.contains("Containers space usage:") && verbose.contains(&first[..12]), "{verbose}");
    at(&["volume", "create"])?;
    let out = at(&["system", "prune", "-f", "--volumes"])?.out();
    check!(out.starts_with(&format!("Deleted Containers:\n{first}\n\nDeleted Volumes:\n")), "{out}");
    check!(out.ends_with("\n\nTotal reclaimed space: 0B\n"), "{out}");
    check_eq!(kept.state(), "running");
    env.at(&root, &["container", "prune", "-f", "--filter", "x=y"])
        .go()?
        .exits(1)?
        .complains(&["Invalid filter 'x'"])?;
    Ok(())
}

/// More clients than there are places: the last are told so, and the container can still be asked, entered and stopped.
fn many_readers_leave_room_for_questions(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sh", "-c", "while :; do echo tick; sleep 1; done"])?;
    let mut readers =
        (0..150).map(|_| kept.verb(&["attach", "--no-stdin"]).limit(120).start()).collect::<Outcome<Vec<_>>>()?;
    let refused = wait_for(Duration::from_secs(60), || {
        let gone = readers.iter_mut().filter_map(|r| (!r.running()).then_some(())).count();
        (gone >= 22).then_some(gone)
    });
    check_eq!(refused, Some(22), "so many of 150 were refused");
    kept.exec(&[], &["true"]).go()?.ok()?;
    let supervisor = kept.number("supervisor")?;
    let fds = std::fs::read_dir(format!("/proc/{supervisor}/fd"))?.count();
    check!(fds < 1000, "{fds} descriptors are open");
    kept.verb(&["pause"]).go()?.ok()?;
    kept.verb(&["unpause"]).go()?.ok()?;
    kept.verb(&["inspect"]).go()?.ok()?;
    kept.verb(&["stop", "-t", "0"]).go()?.ok()?;
    let (mut read, mut told) = (0, 0);
    for reader in readers {
        let out = reader.finish()?;
        match out.code {
            137 => read += 1,
            1 => told += usize::from(out.complains(&["takes no more", "attached"]).is_ok()),
            _ => return fail(out.told()),
        }
    }
    check_eq!((read, told), (128, 22));
    Ok(())
}

/// Longer than a message between two processes of hardrun's.
fn an_error_of_any_length_arrives(env: &Env) -> Outcome {
    let name = "x".repeat(100_000);
    let out = env.verb(&["run", "-d", "--rm", "--network", "none", "busybox", &name]).go()?;
    check!(out.code == 126 || out.code == 127, "{}", out.told());
    check!(out.err().contains(&format!("exec: \"{}", "x".repeat(1000))), "{}", out.told());
    check!(out.err().contains(" more bytes]"), "{}", out.told());
    Ok(())
}

/// Measured with docker 20.10.24: its client ends with 125, its engine's refusals with 1 here, and with 125 of `run`.
fn who_refuses_decides_the_status_of_create(env: &Env) -> Outcome {
    for (flags, code, words) in [
        (&["--restart", "bad"][..], 1, "invalid restart policy 'bad'"),
        (&["--restart", "always:3"], 1, "maximum retry count cannot be used with restart policy 'always'"),
        (&["--restart", "on-failure:-1"], 1, "maximum retry count cannot be negative"),
        (&["--restart", "on-failure:x"], 125, "maximum retry count must be an integer"),
        (&["--rm", "--restart", "always"], 125, "conflicting options: cannot specify both --restart and --rm"),
        (&["--device", "/dev/nosuch"], 1, "error gathering device information while adding custom device"),
        (&["--device", "bad"], 125, "bad is not an absolute path"),
        (&["-m", "1k"], 1, "inimum memory limit allowed is 6MB"),
        (&["-m", "bad"], 125, "invalid size: 'bad'"),
        (&["--cpus", "1000"], 1, "ange of CPUs is from 0.01"),
        (&["-w", "rel"], 1, "the working directory 'rel' is invalid, it needs to be an absolute path"),
        (&["--tmpfs", "rel"], 1, "invalid mount path: 'rel' mount path must be absolute"),
        (&["--volumes-from", "nosuch"], 1, "No such container: nosuch"),
    ] {
        let out = env.verb(&["create"]).args(flags).args(["busybox", "true"]).go()?.exits(code)?;
        out.complains(&[words])?;
    }
    let device = ["run", "--network", "none", "--device", "/dev/nosuch", "busybox", "true"];
    env.verb(&device).go()?.exits(127)?;
    Ok(())
}
