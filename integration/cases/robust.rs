//! Whatever happens, nothing is left behind that the next command does not notice and clean.

use crate::harness::command::Run;
use crate::harness::env::{needs_user_namespaces, s, wait_for};
use crate::harness::leaks::Picture;
use crate::harness::{Env, Outcome, host};
use crate::{cases, check, check_eq};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;

cases!("robust":
    @alone a_run_leaves_nothing, @alone failures_leave_nothing, @alone kill_of_the_launcher, @alone kill_of_init,
    @alone kill_of_everything, @alone control_c, @alone a_full_disk, @alone runs_and_imports_at_once, @alone many_at_once,
    a_read_only_store_says_so, a_spoilt_store_says_so, kept_containers_without_rm, a_deep_tree_stops_nobody,
    a_torn_note_ends_nobody, @alone where_the_caller_stands, a_copied_store_ends_nobody,
    from_another_user_namespace_nobody_is_heard,
);

fn a_run_leaves_nothing(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let run = |words: &[&str]| env.at(&root, &[&["run", "--rm"], words].concat()).go();
    run(&["busybox", "true"])?.ok()?;
    let before = Picture::take(&root)?;
    let dir = env.dir("leave")?;
    let bind = format!("{}:/m", dir.display());
    run(&["-v", &bind, "-v", "/anonymous", "--tmpfs", "/t", "-m", "64m", "busybox", "sh", "-c", "echo x > /x"])?
        .ok()?;
    run(&["--init", "busybox", "sh", "-c", "sleep 60 & exit 3"])?.exits(3)?;
    run(&["--read-only", "-u", "app", "busybox", "false"])?.exits(1)?;
    run(&["--preset", "strict", "busybox", "true"])?.ok()?;
    before.nothing_new(&root)
}

fn failures_leave_nothing(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let run = |words: &[&str]| env.at(&root, &[&["run", "--rm"], words].concat()).go();
    run(&["busybox", "true"])?.ok()?;
    let before = Picture::take(&root)?;
    run(&["busybox", "no-such-command"])?.exits(127)?;
    run(&["busybox", "/etc/passwd"])?.exits(126)?;
    run(&["-u", "nosuch", "busybox", "true"])?.exits(125)?;
    run(&["--privileged", "busybox", "true"])?.exits(125)?;
    run(&["--cpuset-cpus", "4000", "busybox", "true"])?.exits(125)?;
    run(&["--mount", "type=bind,src=/no/such,dst=/m", "busybox", "true"])?.exits(125)?;
    before.nothing_new(&root)
}

/// Nothing is left after the processes went, or at the latest after the next command.
fn clean_after(env: &Env, root: &Path, before: &Picture) -> Outcome {
    env.at(root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    before.nothing_new(root)
}

fn killed(env: &Env, whom: fn(&crate::harness::env::Held) -> Vec<i32>) -> Outcome {
    let root = env.own_root()?;
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    let before = Picture::take(&root)?;
    let dir = env.dir("killed")?;
    let bind = format!("{}:/m", dir.display());
    let flags = ["-v", bind.as_str(), "-m", "64m", "--tmpfs", "/t"];
    let held = env.hold_at(&root, &flags, &["busybox", "sh", "-c", "sleep 1000 & echo up; exec cat"])?;
    let inside = [vec![held.init], host::descendants(held.init)].concat();
    for pid in whom(&held) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }
    let ended = held.front.finish()?;
    check_eq!(ended.code, 137, "{}", ended.told());
    // The workload does not outlive what watches over it.
    let gone = wait_for(Duration::from_secs(5), || {
        inside.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    check!(gone.is_some(), "processes of the container live on: {inside:?}");
    clean_after(env, &root, &before)
}

fn kill_of_the_launcher(env: &Env) -> Outcome {
    killed(env, |held| vec![held.front.pid()])
}

fn kill_of_init(env: &Env) -> Outcome {
    killed(env, |held| vec![held.init])
}

fn kill_of_everything(env: &Env) -> Outcome {
    killed(env, |held| [vec![held.front.pid()], host::descendants(held.front.pid())].concat())
}

fn control_c(env: &Env) -> Outcome {
    let root = env.own_root()?;
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    let before = Picture::take(&root)?;
    // At any moment of the start.
    for delay in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55] {
        let run = env.at(&root, &["run", "--rm", "--init", "busybox", "sleep", "20"]).start()?;
        std::thread::sleep(Duration::from_millis(delay));
        run.signal(Signal::SIGINT)?;
        let out = run.finish()?;
        check!([130, 125, 2].contains(&out.code), "after {delay} ms\n{}", out.told());
    }
    before.nothing_new(&root)
}

fn a_full_disk(env: &Env) -> Outcome {
    let root = env.dir("small")?;
    use nix::mount::{MsFlags, mount, umount2};
    mount(Some("tmpfs"), &root, Some("tmpfs"), MsFlags::empty(), Some("size=6m,mode=0700"))?;
    let done = on_a_full_disk(env, &root);
    umount2(&root, nix::mount::MntFlags::MNT_DETACH)?;
    done
}

fn on_a_full_disk(env: &Env, root: &Path) -> Outcome {
    env.at(root, &["import", s(&env.fixtures.busybox()?), "busybox"]).go()?.ok()?;
    // Without the column that tells an age.
    let images = || {
        let format = "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}";
        env.at(root, &["images", "--no-trunc", "--format", format]).go()?.ok().map(|o| o.out())
    };
    let before = images()?;
    // A larger image than there is room for: an error that says so, and no trace.
    let out = env.at(root, &["import", s(&env.fixtures.debian()?), "debian"]).limit(120).go()?;
    let told = out.err().contains("No space left") || out.err().contains("free on the disk");
    check!(out.code == 1 && told, "{}", out.told());
    check_eq!(images()?, before);
    // Full to the last byte: the run fails closed or works, and the store is whole afterwards.
    let filler = root.join("filler");
    let mut file = std::fs::File::create(&filler)?;
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|n| n == 4096) {}
    let out = env.at(root, &["run", "--rm", "busybox", "true"]).go()?;
    check!(out.code == 0 || (out.code == 125 && out.err().contains("No space left")), "{}", out.told());
    drop(file);
    std::fs::remove_file(&filler)?;
    env.at(root, &["run", "--rm", "busybox", "echo", "again"]).go()?.ok()?.says("again")?;
    env.at(root, &["audit-log", "verify"]).go()?.ok()?;
    a_log_on_a_full_disk(env, root, &filler)
}

/// What does not fit is lost, what comes when there is room again is not, and the container knows nothing of either.
fn a_log_on_a_full_disk(env: &Env, root: &Path, filler: &Path) -> Outcome {
    let script = "echo first; until test -e /tmp/full; do sleep 0.1; done; \
        i=0; while [ $i -lt 400 ]; do echo \"$i 0123456789012345678901234567890123456789012345678901234567890123456789\"; \
        i=$((i+1)); done; until test -e /tmp/room; do sleep 0.1; done; echo after one; echo after two; exit 3";
    let words = ["run", "-d", "--name", "full", "--network", "none", "--tmpfs", "/tmp", "busybox", "sh", "-c", script];
    env.at(root, &words).go()?.ok()?;
    let touch = |file: &str| env.at(root, &["exec", "full", "touch", file]).go()?.ok().map(drop);
    touch("/tmp/full")?;
    // The last page as well, while the container writes.
    let mut file = std::fs::File::create(filler)?;
    while std::io::Write::write(&mut file, &[0; 512]).is_ok_and(|n| n == 512) {}
    std::thread::sleep(Duration::from_millis(500));
    env.at(root, &["ps", "--format", "{{.Names}} {{.State}}"]).go()?.ok()?.says("full running")?;
    drop(file);
    std::fs::remove_file(filler)?;
    touch("/tmp/room")?;
    env.at(root, &["wait", "full"]).go()?.ok()?.says("3")?;
    let logs = env.at(root, &["logs", "full"]).go()?.ok()?;
    check!(logs.out().starts_with("first\n") && logs.out().ends_with("after one\nafter two\n"), "{}", logs.told());
    env.at(root, &["rm", "full"]).go()?.ok()?;
    Ok(())
}

fn runs_and_imports_at_once(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let archive = env.fixtures.busybox_docker()?;
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    let before = Picture::take(&root)?;
    let mut all = Vec::new();
    for n in 0..4 {
        all.push(env.at(&root, &["run", "--rm", "busybox", "sh", "-c", "sleep 0.2; echo fine"]).start()?);
        all.push(env.at(&root, &["load", "-i", s(&archive)]).start()?);
        all.push(env.at(&root, &["import", s(&env.fixtures.busybox()?), &format!("copy:{n}")]).start()?);
    }
    for one in all {
        one.finish()?.ok()?;
    }
    let images = env.at(&root, &["images"]).go()?.ok()?;
    for want in ["busybox-docker", "copy"] {
        check!(images.out().contains(want), "{}", images.told());
    }
    for n in 0..4 {
        env.at(&root, &["run", "--rm", &format!("copy:{n}"), "true"]).go()?.ok()?;
    }
    env.at(&root, &["audit-log", "verify"]).go()?.ok()?;
    before.nothing_new(&root)
}

fn many_at_once(env: &Env) -> Outcome {
    let root = env.own_root()?;
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    let before = Picture::take(&root)?;
    let mut all = Vec::new();
    for n in 0..12 {
        let script = format!(
            "cut -d' ' -f1 /proc/self/uid_map >/dev/null; awk '{{print $2}}' /proc/self/uid_map; sleep 1; exit {n}"
        );
        all.push((n, env.at(&root, &["run", "--rm", "busybox", "sh", "-c", &script]).start()?));
    }
    let mut bases = std::collections::BTreeSet::new();
    for (n, one) in all {
        let out = one.finish()?.exits(n)?;
        let own = needs_user_namespaces().is_err() || bases.insert(out.out());
        check!(own, "two containers at once share ids: {:?}", out.out());
    }
    before.nothing_new(&root)
}

fn a_read_only_store_says_so(env: &Env) -> Outcome {
    let out = env.at(Path::new("/proc/hardrun"), &["run", "--rm", "busybox", "true"]).go()?.exits(125)?;
    check!(out.err().contains("/proc/hardrun"), "{}", out.told());
    Ok(())
}

fn a_spoilt_store_says_so(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let index = root.join("images/index.json");
    check!(index.is_file(), "the store is no OCI layout");
    std::fs::write(&index, "{ not json")?;
    let out = env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.exits(125)?;
    check!(out.err().contains("index.json"), "the file is not named\n{}", out.told());
    Ok(())
}

fn kept_containers_without_rm(env: &Env) -> Outcome {
    // Without --rm docker keeps the container; what stays must not hold mounts, processes or cgroups.
    let root = env.own_root()?;
    env.at(&root, &["run", "busybox", "sh", "-c", "exit 4"]).go()?.exits(4)?;
    let ours = host::mounts(std::process::id() as i32)?;
    check!(!ours.iter().any(|m| m.target.starts_with(s(&root))), "a mount is left");
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    Ok(())
}

/// What a container made is removed with it, however deep, and does not stop the next launch.
fn a_deep_tree_stops_nobody(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let hardrun = |words: &str| {
        let root = root.display();
        Run::new("sh")
            .args(["-c", &format!("ulimit -Sn 256; exec {} --root {root} run --rm {words}", env.hardrun.display())])
    };
    let deep = "'i=0; while [ $i -lt 600 ]; do mkdir d && cd d || exit 9; i=$((i+1)); done'";
    hardrun(&format!("busybox sh -c {deep}")).go()?.ok()?;
    hardrun("busybox true").go()?.ok()?;
    check_eq!(std::fs::read_dir(root.join("containers"))?.count(), 0);
    Ok(())
}

/// A crash or a full disk leaves the note of a container's cgroup empty: it must not be taken for the whole host.
fn a_torn_note_ends_nobody(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let held = env.hold(&[])?;
    let torn = root.join("containers").join("ab".repeat(32));
    std::fs::create_dir_all(&torn)?;
    // Every folder has its lock before anything else is in it; this one's holder is gone.
    std::fs::write(torn.join("lock"), "")?;
    std::fs::write(torn.join("cgroup"), "")?;
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    check!(!torn.exists(), "the leftover is still there");
    check!(host::status(held.init).contains_key("Seccomp"), "another container was killed");
    held.end()?.ok()?;
    Ok(())
}

/// A caller's folder may be gone, and is never held by what goes on without him.
fn where_the_caller_stands(env: &Env) -> Outcome {
    let from_a_removed_folder = |flags: &[&str]| {
        let dir = env.dir("gone")?;
        let script = "cd \"$1\" && rmdir \"$1\" && shift && exec \"$@\"";
        let hardrun = ["run", "--rm", "--network", "none"];
        let run = Run::new("sh").args(["-c", script, "sh", s(&dir), s(&env.hardrun), "--root", s(&env.root)]);
        run.args(hardrun).args(flags).args(["busybox", "echo", "here"]).go()
    };
    from_a_removed_folder(&[])?.ok()?.says("here")?;
    from_a_removed_folder(&["-v", "./data:/data"])?
        .exits(125)?
        .complains(&["/dev/null/the-working-folder-was-removed"])?;

    let dir = env.dir("stand")?;
    let kept = ["run", "-d", "--name", "stands", "--network", "none", "--restart", "always", "busybox", "sleep", "100"];
    env.at(&env.root, &kept).dir(&dir).go()?.ok()?;
    let stays = |pid: i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir);
    let held: Vec<_> = host::processes().into_iter().filter(|(pid, _)| stays(*pid)).collect();
    env.at(&env.root, &["rm", "-f", "stands"]).go()?.ok()?;
    check!(held.is_empty(), "the caller's folder is held by {held:?}");
    Ok(())
}

/// A copy of a store (a backup that is looked into) knows the same containers, and their processes are not its own.
fn a_copied_store_ends_nobody(env: &Env) -> Outcome {
    let root = env.own_root()?;
    env.at(&root, &["run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000"]).go()?.ok()?;
    let copy = env.dir("copied")?.join("root");
    Run::new("cp").args(["-a", s(&root), s(&copy)]).go()?.ok()?;
    env.at(&copy, &["run", "--rm", "--network", "none", "busybox", "true"]).go()?.ok()?;
    env.at(&copy, &["start", "one"]).go()?.exits(1)?.complains(&["from another store", "stop it there"])?;
    env.at(&copy, &["rm", "-f", "one"]).go()?.ok()?;
    env.at(&root, &["exec", "one", "true"]).go()?.ok()?;
    env.at(&root, &["rm", "-f", "one"]).go()?.ok()?;
    Ok(())
}

/// Who may be inside a container is told that it is not heard, by every verb that asks the supervisor, and at once.
fn from_another_user_namespace_nobody_is_heard(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let root = env.own_root()?;
    let verb = |words: &[&str]| env.at(&root, words).go();
    verb(&["run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000"])?.ok()?;
    for words in
        ["kill one", "stop one", "restart -t 0 one", "exec one true", "pause one", "wait one", "rename one two"]
    {
        let asked = Run::new("unshare").args(["-Ur", s(&env.hardrun), "--root", s(&root)]).args(words.split(' '));
        asked.limit(20).go()?.exits(1)?.complains(&["does not hear", "outside of containers"])?;
    }
    // Where the supervisor has closed the connection before it was asked, too.
    for words in ["attach one", "start -a one"].repeat(8) {
        let asked = Run::new("unshare").args(["-Ur", s(&env.hardrun), "--root", s(&root)]).args(words.split(' '));
        asked.limit(20).go()?.exits(1)?.complains(&["does not hear"])?;
    }
    verb(&["exec", "one", "true"])?.ok()?;
    verb(&["rm", "-f", "one"])?.ok()?;
    Ok(())
}
