//! What an ordinary user has: the same containers, without root. Each case makes a user of its own and removes it.

pub mod around;
pub mod confined;
pub mod reach;
pub mod user;

use crate::harness::env::{s, wait_for};
use crate::harness::{Env, Outcome, Stop, fail, host};
use crate::{cases, check, check_eq};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;
use user::User;

cases!("rootless":
    @alone a_container_is_confined_as_roots_are, @alone files_belong_to_the_user_and_roots_stay_roots, @alone verbs_work_on_what_runs,
    @alone the_same_is_refused_and_the_same_codes_come_back, @alone a_killed_supervisor_leaves_nothing,
    @alone a_killed_keeper_is_replaced, @alone a_keeper_that_hangs_is_named, @alone commands_that_come_and_go_at_once_all_get_through,
    @alone two_users_do_not_meet, @alone namespaces_of_another_are_joined,
);

fn a_container_is_confined_as_roots_are(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one"], &["sleep", "100"])?;
    let pid = user.pid("one")?;
    let status = host::status(pid);
    let field = |name: &str| status.get(name).map(String::as_str).unwrap_or_default();
    // On the host its root is the user, and nothing more.
    check_eq!(field("Uid"), format!("{0}\t{0}\t{0}\t{0}", user.uid));
    check_eq!((field("NoNewPrivs"), field("Seccomp")), ("1", "2"));
    check_eq!(field("Groups").trim(), user.gid.to_string());
    let inside = env.hold(&[])?;
    let roots = host::capabilities(inside.init);
    inside.end()?;
    check_eq!(host::capabilities(pid), roots);
    for kind in ["user", "pid", "mnt", "ipc", "uts", "net"] {
        check!(
            host::namespace(pid, kind)? != host::namespace(std::process::id() as i32, kind)?,
            "{kind} is the host's"
        );
    }
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    let lines: Vec<Vec<&str>> = map.lines().map(|l| l.split_whitespace().collect()).collect();
    check_eq!(lines.len(), 2);
    check_eq!(lines[0], ["0", &user.uid.to_string(), "1"]);
    check_eq!((lines[1][0], lines[1][2]), ("1", "65535"));
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let root = mounts.lines().find(|l| l.split(' ').nth(4) == Some("/")).unwrap_or_default();
    check!(root.contains("nosuid,nodev") && root.contains("overlay") && root.contains("userxattr"), "{root}");
    // Nothing that would need a right over the host.
    let out =
        user.sh(&[], "cat /proc/self/uid_map; cat /proc/1/environ > /dev/null; mknod /x c 1 3; mount -t tmpfs x /tmp")?;
    check!(out.code != 0 && out.out().split_whitespace().next() == Some("0"), "{}", out.told());
    check_eq!(user.hardrun(&["audit-log", "verify"]).go()?.code, 0);
    let log = std::fs::read_to_string(user.home.join(".local/share/hardrun/audit.log"))?;
    check!(log.contains(&format!("\"uid\":{}", user.uid)), "{log}");
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn files_belong_to_the_user_and_roots_stay_roots(env: &Env) -> Outcome {
    let user = User::new(env)?;
    let project = user.home.join("project");
    user.run(&["mkdir", s(&project)]).go()?.ok()?;
    let bind = format!("{}:/p", project.display());
    let out = user.sh(&["-v", &bind], "echo x > /p/new && stat -c %u /p; chmod u+s /p/new; chown 5 /p/new")?;
    check!(out.out().starts_with("0\n"), "{}", out.told());
    let made = project.join("new").metadata()?;
    // chown to another id of the user's is the user's own affair; root's it cannot be, and set-id it is not.
    check!(made.uid() != 0 && made.mode() & 0o6000 == 0, "uid {} mode {:o}", made.uid(), made.mode());
    // A file that only root may read, in a folder that everybody may enter.
    let closed = env.dir("closed")?;
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755))?;
    std::fs::write(closed.join("roots"), "secret")?;
    std::fs::set_permissions(closed.join("roots"), PermissionsExt::from_mode(0o600))?;
    let out =
        user.sh(&["-v", &format!("{}:/c", closed.display())], "cat /c/roots; echo y > /c/more; chmod 777 /c/roots")?;
    check!(out.code != 0 && !out.out().contains("secret") && !closed.join("more").exists(), "{}", out.told());
    // Volumes are the container's own.
    user.sh(&["-v", "data:/d"], "echo v > /d/x && chown 7:8 /d/x")?.ok()?;
    user.sh(&["-v", "data:/d"], "stat -c %u:%g /d/x")?.ok()?.says("7:8")?;
    // What a container removes of its image stays removed, folders that it makes anew are empty.
    user.start(&["--name", "one"], &["sh", "-c", "rm -r /etc; mkdir /etc; sleep 100"])?;
    let listed = || Ok::<_, Stop>(user.hardrun(&["exec", "one", "ls", "/etc"]).go()?.out());
    let empty = wait_for(Duration::from_secs(5), || listed().ok().filter(|l| !l.contains("passwd")));
    check!(empty.is_some(), "{}", listed()?);
    user.hardrun(&["commit", "one", "changed"]).go()?.ok()?;
    user.hardrun(&["run", "--rm", "changed", "ls", "/etc/passwd"]).go()?.exits(1)?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.hardrun(&["volume", "rm", "data"]).go()?.ok()?;
    user.nothing_runs()
}

fn verbs_work_on_what_runs(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one", "--restart", "always"], &["sh", "-c", "echo started; sleep 100"])?;
    let ps = user.hardrun(&["ps", "--format", "{{.Names}} {{.Image}}"]).go()?.ok()?;
    ps.says("one busybox")?;
    user.hardrun(&["exec", "one", "sh", "-c", "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; id -u"])
        .go()?
        .ok()?
        .says("NoNewPrivs:\t1\nSeccomp:\t2\n0")?;
    user.hardrun(&["logs", "one"]).go()?.ok()?.says("started")?;
    user.hardrun(&["exec", "one", "sh", "-c", "echo inside > /made"]).go()?.ok()?;
    user.hardrun(&["cp", "one:/made", "made"]).go()?.ok()?;
    check_eq!(std::fs::metadata(user.home.join("made"))?.uid(), user.uid);
    user.hardrun(&["diff", "one"]).go()?.ok()?.says("A /made")?;
    // Started anew by its policy, from the same namespaces.
    user.hardrun(&["kill", "one"]).go()?.ok()?;
    user.hardrun(&["start", "one"]).go()?.ok()?;
    user.hardrun(&["restart", "-t", "0", "one"]).go()?.ok()?;
    user.hardrun(&["exec", "one", "cat", "/made"]).go()?.ok()?.says("inside")?;
    user.hardrun(&["exec", "one", "sh", "-c", "kill -9 -1; kill -9 1"]).go()?;
    user.hardrun(&["stop", "-t", "0", "one"]).go()?.ok()?;
    user.hardrun(&["cp", "one:/made", "again"]).go()?.ok()?;
    user.hardrun(&["rm", "one"]).go()?.ok()?;
    // From a folder that the user may not enter.
    let here = env.dir("closed")?;
    std::fs::set_permissions(&here, PermissionsExt::from_mode(0o700))?;
    user.hardrun(&["run", "--rm", "busybox", "echo", "here"]).dir(&here).go()?.ok()?.says("here")?;
    user.nothing_runs()
}

fn the_same_is_refused_and_the_same_codes_come_back(env: &Env) -> Outcome {
    let user = User::new(env)?;
    for (flags, rule) in [
        (&["--privileged"][..], "privileged"),
        (&["--network", "host"], "host-network"),
        (&["--pid", "host"], "host-pid"),
        (&["-v", "/:/host"], "host-root"),
        (&["-v", "/etc/shadow:/x:ro"], "host-secrets"),
        (&["--cap-add", "SYS_ADMIN"], "dangerous-capability"),
        (&["--security-opt", "seccomp=unconfined"], "seccomp-unconfined"),
    ] {
        let out = user.sh(flags, "true")?.exits(125)?;
        check!(out.err().contains("refused by"), "{rule}: {}", out.told());
        let roots = env.sh(flags, "true")?.exits(125)?;
        // The same rules, word for word.
        let first = |text: &str| {
            text.lines()
                .filter(|l| l.starts_with("  ") && !l.starts_with("    "))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        check_eq!(first(&out.err()), first(&roots.err()));
    }
    let own = user.home.join(".ssh");
    user.run(&["mkdir", s(&own)]).go()?.ok()?;
    user.sh(&["-v", &format!("{}:/k", own.display())], "true")?.exits(125)?;
    user.sh(&["-v", &format!("{}/.local/share/hardrun:/k", user.home.display())], "true")?
        .exits(125)?
        .complains(&["own-state"])?;
    user.sh(&[], "exit 7")?.exits(7)?;
    user.sh(&[], "sh -c 'kill -9 $$'; exit $?")?.exits(137)?;
    user.hardrun(&["run", "--rm", "busybox", "nosuch"]).go()?.exits(127)?;
    user.hardrun(&["run", "--rm", "busybox", "/etc"]).go()?.exits(126)?;
    user.hardrun(&["run", "--rm", "-i", "busybox", "cat"]).stdin("through").go()?.ok()?.says("through")?;
    user.nothing_runs()
}

fn a_killed_supervisor_leaves_nothing(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one", "-p", "80"], &["sleep", "100"])?;
    let pid = user.pid("one")?;
    let supervisor = host::status(pid).get("PPid").and_then(|p| p.parse().ok()).unwrap_or(0);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::SIGKILL)?;
    // The container, what passes its port on, the keeper and pasta.
    user.nothing_runs()?;
    let ps = user.hardrun(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).go()?.ok()?;
    ps.says("one exited")?;
    user.hardrun(&["start", "one"]).go()?.ok()?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn a_killed_keeper_is_replaced(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.hardrun(&["network", "create", "front"]).go()?.ok()?;
    user.start(&["--name", "one", "--network", "front"], &["sh", "-c", "echo here > /f; exec httpd -f -p 80 -h /"])?;
    let Some(keeper) = user.named("hardrun-keeper") else { return fail("there is no keeper") };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::SIGKILL)?;
    let gone = wait_for(Duration::from_secs(5), || user.named("hardrun-keeper").is_none().then_some(()));
    check!(gone.is_some(), "{:?}", user.processes());
    // The same namespaces as before: exec enters, and a new container reaches the old one.
    user.hardrun(&["exec", "one", "cat", "/f"]).go()?.ok()?.says("here")?;
    let ask = "(printf 'GET /f HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 5 one 80 | tail -n 1";
    user.sh(&["--network", "front"], ask)?.ok()?.says("here")?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn a_keeper_that_hangs_is_named(env: &Env) -> Outcome {
    use nix::sys::signal::{Signal, kill};
    let user = User::new(env)?;
    user.start(&["--name", "one"], &["sleep", "1000"])?;
    let Some(number) = user.named("hardrun-keeper") else { return fail("there is no keeper") };
    let keeper = nix::unistd::Pid::from_raw(number);
    kill(keeper, Signal::SIGSTOP)?;
    let since = std::time::Instant::now();
    // Side by side: whoever waits for the keeper keeps nobody else waiting.
    let waiting = [(); 3].map(|()| user.hardrun(&["ps"]).start());
    for command in waiting {
        let out = command?.finish()?;
        check!(out.code != 0, "{}", out.told());
        out.complains(&["has not answered for 30 s", &format!("kill -9 {number}")])?;
    }
    check!(since.elapsed() < Duration::from_secs(55), "they waited for each other: {:?}", since.elapsed());
    kill(keeper, Signal::SIGCONT)?;
    user.hardrun(&["exec", "one", "true"]).go()?.ok()?;
    // And what the error says is the way out where it does not go on by itself.
    kill(keeper, Signal::SIGSTOP)?;
    kill(keeper, Signal::SIGKILL)?;
    user.hardrun(&["exec", "one", "true"]).go()?.ok()?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

/// The keeper ends with the last command, and the next may come at that moment.
fn commands_that_come_and_go_at_once_all_get_through(env: &Env) -> Outcome {
    let user = User::new(env)?;
    let many = || (0..100).try_for_each(|_| user.hardrun(&["ps"]).limit(15).go()?.ok().map(drop));
    std::thread::scope(|s| {
        let threads = [(); 4].map(|()| s.spawn(many));
        threads.into_iter().try_for_each(|t| t.join().expect("a command does not panic"))
    })?;
    user.nothing_runs()
}

fn namespaces_of_another_are_joined(env: &Env) -> Outcome {
    let user = User::new(env)?;
    let script = "echo hello > /dev/shm/x; sleep 1000";
    user.start(&["--name", "one", "--ipc", "shareable"], &["sh", "-c", script])?;
    user.start(&["--name", "shut"], &["sleep", "1000"])?;
    let one = user.pid("one")?;
    for kind in ["ipc", "pid", "network"] {
        let name = format!("with-{kind}");
        user.start(&["--name", &name, &format!("--{kind}"), "container:one"], &["sleep", "1000"])?;
        let pid = user.pid(&name)?;
        for each in ["ipc", "pid", "net", "user", "mnt"] {
            // Whose namespaces are joined, its ids are.
            let wanted = each == "user" || kind.starts_with(each);
            let same = host::namespace(pid, each)? == host::namespace(one, each)?;
            check!(same == wanted, "--{kind} container:one: {each} is {}the other's", if same { "" } else { "not " });
        }
        let status = host::status(pid);
        check_eq!(status.get("Seccomp").map(String::as_str), Some("2"));
        check_eq!(host::capabilities(pid), host::capabilities(one));
    }
    let wrote = || user.hardrun(&["exec", "one", "cat", "/dev/shm/x"]).go().ok().filter(|o| o.code == 0);
    check!(wait_for(Duration::from_secs(5), wrote).is_some(), "nothing in /dev/shm");
    // What is shared with --ipc is /dev/shm as well, both ways, and with nobody else.
    user.hardrun(&["exec", "with-ipc", "sh", "-c", "cat /dev/shm/x; echo back > /dev/shm/y"])
        .go()?
        .ok()?
        .says("hello")?;
    user.hardrun(&["exec", "one", "cat", "/dev/shm/y"]).go()?.ok()?.says("back")?;
    user.hardrun(&["exec", "with-pid", "cat", "/dev/shm/x"]).go()?.exits(1)?;
    user.hardrun(&["exec", "with-pid", "ps"]).go()?.ok().and_then(|ps| {
        check!(ps.out().contains("sleep 1000"), "{}", ps.told());
        Ok(())
    })?;
    user.sh(&["--ipc", "container:shut"], "true")?.exits(125)?.complains(&["non-shareable IPC"])?;
    user.sh(&["--ipc", "container:nobody"], "true")?.exits(125)?.complains(&["No such container: nobody"])?;
    user.hardrun(&["rm", "-f", "with-ipc", "with-pid", "with-network", "shut", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn two_users_do_not_meet(env: &Env) -> Outcome {
    let (ann, bob) = (User::new(env)?, User::new(env)?);
    ann.start(&["--name", "mine"], &["sleep", "100"])?;
    bob.start(&["--name", "mine"], &["sleep", "100"])?;
    check_eq!(ann.hardrun(&["ps", "-q"]).go()?.ok()?.out().lines().count(), 1);
    bob.hardrun(&["exec", "mine", "true"]).go()?.ok()?;
    ann.hardrun(&["rm", "-f", "mine"]).go()?.ok()?;
    bob.hardrun(&["exec", "mine", "true"]).go()?.ok()?;
    // Another's store and keeper are closed.
    let store = ann.home.join(".local/share/hardrun");
    bob.hardrun(&["--root", s(&store), "ps"]).go()?.exits(1)?;
    check!(
        host::namespace(bob.pid("mine")?, "net")? != host::namespace(std::process::id() as i32, "net")?,
        "bob's network is the host's"
    );
    bob.hardrun(&["rm", "-f", "mine"]).go()?.ok()?;
    ann.nothing_runs()?;
    bob.nothing_runs()
}
