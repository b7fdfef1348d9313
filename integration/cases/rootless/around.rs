//! What is around: a host that gives its users much, little, or nothing, and the site's policy.

use super::user::{Opened, Setting, User};
use crate::harness::env::{s, wait_for};
use crate::harness::{Env, Outcome, Run, skip};
use crate::{cases, check, check_eq};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

cases!("rootless":
    @alone without_subordinate_ids_there_is_one, @alone another_session_gets_into_what_has_no_group, @alone a_store_is_that_of_each_commands_environment, @alone a_store_that_overlay_cannot_use_is_fuses, @alone limits_are_systemds, @alone from_another_user_namespace_nobody_is_heard,
    @alone another_run_folder_is_named_with_the_way_back, @alone a_planted_run_folder_is_named_with_the_next_step,
    @alone limits_that_nobody_sets_are_said, @alone the_sites_policy_holds, @alone where_users_have_no_namespaces_one_error_says_why,
    @alone a_keeper_hears_nobody_from_inside, @alone links_of_users_keep_nobody_from_what_is_not_theirs,
);

fn without_subordinate_ids_there_is_one(env: &Env) -> Outcome {
    let user = User::new(env)?;
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read_to_string(file)?;
        let kept: String =
            text.lines().filter(|l| !l.starts_with(&format!("{}:", user.name))).map(|l| format!("{l}\n")).collect();
        std::fs::write(file, kept)?;
    }
    let archive = user.home.join("busybox.tar");
    let alone = user.home.join("alone");
    let hardrun = |words: &[&str]| {
        let mut all = vec!["--root", s(&alone)];
        all.extend(words);
        user.hardrun(&all)
    };
    hardrun(&["import", s(&archive), "busybox:latest"]).limit(120).go()?.ok()?;
    let out = hardrun(&["run", "--rm", "busybox", "sh", "-c", "id -u; cat /proc/self/uid_map"]).go()?.ok()?.out();
    check_eq!(out.split_whitespace().collect::<Vec<_>>(), ["0", "0", "0", "1"]);
    hardrun(&["run", "-d", "--name", "one", "busybox", "sleep", "100"]).go()?.ok()?;
    hardrun(&["exec", "one", "id", "-u"]).go()?.ok()?.says("0")?;
    let joined = &["run", "--rm", "--ipc", "container:two", "busybox", "cat", "/dev/shm/x"];
    let script = "echo shared > /dev/shm/x; sleep 100";
    hardrun(&["run", "-d", "--name", "two", "--ipc", "shareable", "busybox", "sh", "-c", script]).go()?.ok()?;
    let said = wait_for(Duration::from_secs(5), || hardrun(joined).go().ok().filter(|o| o.code == 0));
    check!(said.is_some(), "{}", hardrun(joined).go()?.told());
    hardrun(&["rm", "-f", "one", "two"]).go()?.ok()?;
    hardrun(&["run", "--rm", "-u", "5", "busybox", "id"]).go()?.exits(125)?.complains(&["id 5 is not among"])?;
    let out = hardrun(&["explain", "busybox", "sh"]).go()?.ok()?.out();
    check!(out.contains("no subordinate ids"), "{out}");
    user.nothing_runs()
}

/// Which store a command works on, its own environment says, whatever runs already.
fn a_store_is_that_of_each_commands_environment(env: &Env) -> Outcome {
    let user = User::new(env)?;
    let at = |store: &str, words: &[&str]| {
        let data = format!("XDG_DATA_HOME={}", user.home.join(store).display());
        user.run(&[&["env", &data, s(&user.hardrun)], words].concat())
    };
    // In a store that is not there yet.
    let watched = at("a", &["events"]).start()?;
    let begun = wait_for(Duration::from_secs(10), || {
        (user.processes().len() > 1 && user.home.join("a/hardrun").exists()).then_some(())
    });
    check!(begun.is_some(), "events does not begin: {:?}", user.processes());
    at("a", &["volume", "create", "ina"]).go()?.ok()?;
    at("b", &["volume", "create", "inb"]).go()?.ok()?;
    let volumes = |store: &str| at(store, &["volume", "ls", "-q"]).go()?.ok().map(|o| o.out());
    check_eq!(volumes("a")?.trim(), "ina");
    check_eq!(volumes("b")?.trim(), "inb");
    user.hardrun(&["volume", "prune", "-af"]).go()?.ok()?;
    check_eq!(volumes("a")?.trim(), "ina", "pruned from the user's own store");
    watched.signal(nix::sys::signal::Signal::SIGTERM)?;
    watched.finish()?;
    user.nothing_runs()
}

/// Without systemd's delegation a container has the group of the session that started it: whoever comes from another one gets in.
fn another_session_gets_into_what_has_no_group(env: &Env) -> Outcome {
    let mut user = User::new(env)?;
    user.start(&["--name", "one"], &["sleep", "100"])?;
    let root = Path::new("/sys/fs/cgroup");
    let root = if root.join("cgroup.procs").exists() { root.to_owned() } else { root.join("pids") };
    let group = root.join(&user.name);
    std::fs::create_dir(&group)?;
    user.group = Some(group.clone());
    let came = user.hardrun(&["exec", "one", "cat", "/proc/self/cgroup"]).go();
    let pid = user.pid("one")?;
    user.group = None;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    // Its keeper, where the container was the last thing, ends with it.
    user.nothing_runs()?;
    let gone = wait_for(Duration::from_secs(5), || std::fs::remove_dir(&group).ok());
    check!(gone.is_some(), "{} is in use", group.display());
    check!(pid > 0 && came?.ok()?.out().contains(':'), "nothing was said");
    Ok(())
}

/// On an overlay (a user in another container, say) the kernel's own makes no writable folder.
fn a_store_that_overlay_cannot_use_is_fuses(env: &Env) -> Outcome {
    env.needs("fuse-overlayfs")?;
    let user = User::new(env)?;
    let _device = Opened::to_all("/dev/fuse")?;
    let folder = env.dir("overlaid")?;
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(folder.join(name))?;
    }
    let merged = folder.join("merged");
    let at = |name: &str| folder.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    Run::new("mount").args(["-t", "overlay", "overlay", "-o", &options, s(&merged)]).go()?.ok()?;
    std::os::unix::fs::chown(&merged, Some(user.uid), None)?;
    let store = merged.join("store");
    let hardrun = |words: &[&str]| user.hardrun(&[&["--root", s(&store)], words].concat());
    let tried = || -> Outcome {
        hardrun(&["import", s(&user.home.join("busybox.tar")), "busybox:latest"]).limit(120).go()?.ok()?;
        let script = "echo new > /new && rm /etc/passwd && chown 7 /new && stat -c %u /new && grep -c fuse-overlayfs /proc/self/mountinfo";
        let out = hardrun(&["run", "--rm", "busybox", "sh", "-c", script]).go()?.ok()?;
        check!(out.err().contains("fuse-overlayfs takes its place"), "{}", out.told());
        out.says("7\n1")?;
        let doctor = hardrun(&["doctor"]).go()?;
        check!(doctor.out().contains("instead: fuse-overlayfs, slower"), "{}", doctor.told());
        user.nothing_runs()
    };
    let result = tried();
    Run::new("umount").arg(s(&merged)).go()?.ok()?;
    result
}

fn limits_are_systemds(env: &Env) -> Outcome {
    let mut user = User::new(env)?;
    user.linger(env)?;
    user.start(&["--name", "one", "-m", "64m", "--pids-limit", "33"], &["sleep", "100"])?;
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", user.pid("one")?))?;
    let path = text.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or_default().to_owned();
    check!(path.contains(&format!("/user@{}.service/", user.uid)) && path.contains("hardrun-"), "{path}");
    let folder = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).map(|t| t.trim().to_owned());
    check_eq!((read("memory.max")?, read("pids.max")?), ((64u64 << 20).to_string(), "33".to_owned()));
    // exec is in the same group, and pausing works.
    user.hardrun(&["exec", "one", "true"]).go()?.ok()?;
    user.hardrun(&["pause", "one"]).go()?.ok()?;
    user.hardrun(&["unpause", "one"]).go()?.ok()?;
    user.sh(&["-m", "16m"], "tail /dev/zero")?.exits(137)?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    check!(
        wait_for(Duration::from_secs(5), || (!folder.exists()).then_some(())).is_some(),
        "{} is left",
        folder.display()
    );
    Ok(())
}

fn limits_that_nobody_sets_are_said(env: &Env) -> Outcome {
    let user = User::new(env)?;
    // A user without a session, on whatever host.
    let out = user.sh(&["-m", "64m"], "true")?.ok()?;
    check!(out.err().contains("--memory") && out.err().contains("discarded"), "{}", out.told());
    user.nothing_runs()
}

fn another_run_folder_is_named_with_the_way_back(env: &Env) -> Outcome {
    let user = User::new(env)?;
    let session = user.home.join("session");
    user.run(&["mkdir", "-m", "700", s(&session)]).go()?.ok()?;
    let set = format!("XDG_RUNTIME_DIR={}", session.display());
    let there = |words: &[&str]| user.run(&[&["env", &set, s(&user.hardrun)], words].concat()).go();
    there(&["run", "-d", "--name", "one", "busybox", "sleep", "100"])?.ok()?;
    // What needs no namespace works from here.
    user.hardrun(&["ps", "-q"]).go()?.ok()?;
    user.hardrun(&["logs", "one"]).go()?.ok()?;
    let join = &["run", "--rm", "--network", "container:one", "busybox", "true"][..];
    for (words, code) in [(&["exec", "one", "true"][..], 1), (&["cp", "one:/etc/passwd", "x"], 1), (join, 125)] {
        let named = [&format!("it was {}/hardrun", session.display()), set.as_str(), "hardrun restart one"];
        user.hardrun(words).go()?.exits(code)?.complains(&named)?;
    }
    there(&["exec", "one", "true"])?.ok()?;
    user.hardrun(&["restart", "-t", "0", "one"]).go()?.ok()?;
    user.hardrun(&["exec", "one", "true"]).go()?.ok()?;
    there(&["exec", "one", "true"])?.exits(1)?.complains(&[&format!("it was /tmp/hardrun-{}", user.uid)])?;
    there(&["rm", "-f", "one"])?.ok()?;
    user.nothing_runs()
}

/// A folder that somebody keeps their run folder in, bound: neither their own containers of another run folder nor root's are heard.
fn a_keeper_hears_nobody_from_inside(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.import_as(&env.fixtures.probe()?, "probe")?;
    let work = user.home.join("work");
    user.run(&["mkdir", "-m", "700", s(&work)]).go()?.ok()?;
    let set = format!("XDG_RUNTIME_DIR={}", work.display());
    user.run(&["env", &set, s(&user.hardrun), "run", "-d", "--name", "one", "busybox", "sleep", "100"]).go()?.ok()?;
    let bind = format!("{}:/w:ro", work.display());
    let ask = ["probe", "/probe", "probe", "ask", "/w/hardrun/keeper", "\"join\""];
    let flags = ["run", "--rm", "--network", "none", "-v", &bind];
    for program in [user.hardrun(&[&flags[..], &ask].concat()), env.verb(&[&flags[..], &ask].concat())] {
        let out = program.go()?.ok()?;
        let came = out.out();
        let refused = ["unheard", "answered \"unheard\"", "unreachable"].iter().any(|start| came.starts_with(start));
        check!(refused, "{}", out.told());
    }
    // From outside it is.
    let out = user.run(&[&["env", &set, s(&user.hardrun)][..], &["exec", "one", "true"]].concat()).go()?;
    out.ok()?;
    user.run(&["env", &set, s(&user.hardrun), "rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

/// A user's store and run folder are kept from root's containers, and nothing else is by a name that it gives them.
fn links_of_users_keep_nobody_from_what_is_not_theirs(env: &Env) -> Outcome {
    let user = User::bare(env)?;
    let data = env.dir("data")?;
    let starts = |source: &str| env.sh(&["-v", &format!("{source}:/d")], "true");
    let store = user.home.join(".local/share/hardrun");
    user.run(&["mkdir", "-p", ".local/share", "disk"]).go()?.ok()?;
    user.run(&["ln", "-sT", s(&data), &format!("/tmp/hardrun-{}", user.uid)]).go()?.ok()?;
    for target in [s(&data), "/"] {
        user.run(&["ln", "-sfT", target, s(&store)]).go()?.ok()?;
        starts(s(&data))?.ok()?;
    }
    // On another disk it is the user's store all the same.
    let disk = user.home.join("disk");
    user.run(&["ln", "-sfT", s(&disk), s(&store)]).go()?.ok()?;
    starts(s(&disk))?.exits(125)?.complains(&["own-state"])?;
    starts(s(&data))?.ok()?;
    Ok(())
}

fn a_planted_run_folder_is_named_with_the_next_step(env: &Env) -> Outcome {
    let user = User::bare(env)?;
    // Somebody who was there first; what its user can do is to have a folder of its own.
    let planted = format!("/tmp/hardrun-{}", user.uid);
    std::fs::create_dir(&planted)?;
    let named = [&format!("keep what runs in {planted}"), "belongs to uid 0", "XDG_RUNTIME_DIR"];
    user.hardrun(&["ps"]).go()?.exits(125)?.complains(&named)?;
    check_eq!(std::fs::read_dir(&planted)?.count(), 0);
    std::fs::remove_dir(&planted)?;
    Ok(())
}

fn the_sites_policy_holds(env: &Env) -> Outcome {
    let folder = Path::new("/etc/hardrun");
    if folder.exists() {
        return skip("this host has a policy of its own");
    }
    let user = User::new(env)?;
    struct Policy;
    impl Drop for Policy {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all("/etc/hardrun");
        }
    }
    std::fs::create_dir(folder)?;
    let _policy = Policy;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
    let write = |text: &str| -> Outcome {
        std::fs::write(folder.join("policy.toml"), text)?;
        Ok(std::fs::set_permissions(folder.join("policy.toml"), PermissionsExt::from_mode(0o644))?)
    };
    write("deny = [\"host-pid\"]\n")?;
    user.sh(&[], "true")?.ok()?;
    user.sh(&["--pid", "host", "--allow", "host-pid"], "true")?.exits(125)?;
    // By who asks: this user, and nobody else.
    write(&format!(
        "unlisted-overrides = \"deny\"\n[[allow]]\nrule = \"publish-any-address\"\nusers = [\"{}\"]\nreason = \"a test\"\nexpires = \"2099-12-31\"\n",
        user.name
    ))?;
    user.sh(&["-p", "0.0.0.0::80", "--allow", "publish-any-address"], "true")?.ok()?;
    let other = User::new(env)?;
    other.sh(&["-p", "0.0.0.0::80", "--allow", "publish-any-address"], "true")?.exits(125)?;
    // Somebody else could have written it.
    std::os::unix::fs::chown(folder.join("policy.toml"), Some(user.uid), None)?;
    user.sh(&[], "true")?.exits(125)?.complains(&["policy cannot be used"])?;
    Ok(())
}

fn where_users_have_no_namespaces_one_error_says_why(env: &Env) -> Outcome {
    let user = User::bare(env)?;
    let refused = |switch: &str| -> Outcome {
        let out = user.sh(&[], "true")?.exits(125)?;
        check!(out.err().contains(switch) && out.err().contains("as root: "), "{}", out.told());
        check_eq!(user.hardrun(&["doctor"]).go()?.code, 1);
        Ok(())
    };
    if let Some(switch) = hardrun::rootless::trouble::switch() {
        return refused(switch);
    }
    let switched = match Setting::change("/proc/sys/user/max_user_namespaces", "0") {
        Ok(switched) => switched,
        Err(e) => return skip(format!("this host lets nobody change user.max_user_namespaces: {e}")),
    };
    refused("user.max_user_namespaces is 0")?;
    drop(switched);
    user.import(env)?;
    user.sh(&[], "true")?.ok().map(drop)
}

/// As in a sandbox of the user's own: its processes could be a container's.
fn from_another_user_namespace_nobody_is_heard(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one"], &["sleep", "100"])?;
    for words in ["ps", "exec one true", "run --rm busybox true"].repeat(3) {
        let all: Vec<&str> = ["unshare", "-U", "-c", s(&user.hardrun)].into_iter().chain(words.split(' ')).collect();
        let asked = user.run(&all).limit(60).go()?;
        check!(asked.code != 0, "{}", asked.told());
        asked.complains(&["does not hear who is in another user namespace", "outside of containers"])?;
    }
    user.hardrun(&["exec", "one", "true"]).go()?.ok()?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok().map(drop)
}
