//! Namespaces of another container: `--network`, `--pid` and `--ipc container:NAME`.

use super::Kept;
use crate::harness::{Env, Outcome, host};
use crate::{cases, check, check_eq};

cases!("lifecycle::joins":
    the_network_is_the_others, the_processes_are_the_others, the_memory_is_the_others, memory_is_shared_by_who_says_so,
    a_third_joins_the_second, only_a_running_one_is_joined,
);

/// `run -d FLAGS busybox WORDS`
fn beside<'e>(env: &'e Env, flags: &[&str], words: &[&str]) -> Outcome<Kept<'e>> {
    let run = env.verb(&["run", "-d"]).args(flags).arg("busybox").args(words);
    Kept::take(env, &env.root, run.go()?.ok()?)
}

/// Which namespaces two containers have in common.
fn common(a: &Kept<'_>, b: &Kept<'_>) -> Outcome<Vec<&'static str>> {
    let (a, b) = (a.number("pid")? as i32, b.number("pid")? as i32);
    let mut found = Vec::new();
    for kind in ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"] {
        if host::namespace(a, kind)? == host::namespace(b, kind)? {
            found.push(kind);
        }
    }
    Ok(found)
}

fn the_network_is_the_others(env: &Env) -> Outcome {
    let first = Kept::run(env, &["--hostname", "first"], &["sh", "-c", "echo here > index; exec httpd -f -p 8000"])?;
    let second = beside(env, &["--network", &format!("container:{}", first.id)], &["sleep", "1000"])?;
    check_eq!(common(&first, &second)?, ["user", "net"]);
    let ask = "for i in $(seq 50); do wget -q -O - http://127.0.0.1:8000/index && exit; sleep 0.1; done; exit 1";
    second.exec(&[], &["sh", "-c", ask]).go()?.ok()?.says("here")?;
    second.exec(&[], &["hostname"]).go()?.ok()?.says("first")?;
    // Its own ports it has none of.
    let joined = format!("container:{}", first.id);
    env.verb(&["run", "--rm", "--network", &joined, "-p", "1234:80", "busybox", "true"]).go()?.exits(125)?;
    Ok(())
}

fn the_processes_are_the_others(env: &Env) -> Outcome {
    let first = Kept::run(env, &[], &["sleep", "4711"])?;
    let second = beside(env, &["--network", "none", "--pid", &format!("container:{}", first.id)], &["sleep", "1000"])?;
    check_eq!(common(&first, &second)?, ["user", "pid"]);
    let table = second.exec(&[], &["ps"]).go()?.ok()?.out();
    check!(table.contains("sleep 4711") && table.contains("sleep 1000"), "{table}");
    // And it ends with the other's first process.
    first.verb(&["kill"]).go()?.ok()?;
    second.until_state("exited", 10)?;
    Ok(())
}

fn the_memory_is_the_others(env: &Env) -> Outcome {
    let first = Kept::run(env, &["--ipc", "shareable", "--shm-size", "5m"], &["sleep", "1000"])?;
    let joined = format!("container:{}", first.id);
    let second = beside(env, &["--network", "none", "--ipc", &joined, "--shm-size", "9m"], &["sleep", "1000"])?;
    check_eq!(common(&first, &second)?, ["user", "ipc"]);
    first.exec(&[], &["sh", "-c", "echo from the first > /dev/shm/note"]).go()?.ok()?;
    second.exec(&[], &["cat", "/dev/shm/note"]).go()?.ok()?.says("from the first")?;
    second.exec(&[], &["sh", "-c", "echo from the second > /dev/shm/answer"]).go()?.ok()?;
    first.exec(&[], &["cat", "/dev/shm/answer"]).go()?.ok()?.says("from the second")?;
    // One file system, with the limit of who made it, as safe as its own.
    let device = |kept: &Kept<'_>| {
        Ok::<_, crate::harness::Stop>(kept.exec(&[], &["stat", "-c", "%d", "/dev/shm"]).go()?.ok()?.out())
    };
    check_eq!(device(&first)?, device(&second)?);
    let mounted = second.exec(&[], &["grep", " /dev/shm ", "/proc/mounts"]).go()?.ok()?.out();
    for word in ["nosuid", "nodev", "noexec", "size=5120k"] {
        check!(mounted.contains(word), "{word} is missing: {mounted}");
    }
    second.verb(&["inspect", "-f", "{{.HostConfig.IpcMode}}"]).go()?.ok()?.says(&joined)?;
    // It goes on without the other, with what is in the memory.
    first.verb(&["kill"]).go()?.ok()?;
    first.until_state("exited", 10)?;
    second.exec(&[], &["cat", "/dev/shm/note"]).go()?.ok()?.says("from the first")?;
    Ok(())
}

/// Docker's: whoever lets others at its memory says so at its creation.
fn memory_is_shared_by_who_says_so(env: &Env) -> Outcome {
    let words = "non-shareable IPC (hint: use IPC:shareable for the donor container)";
    for flags in [&[][..], &["--ipc", "private"], &["--ipc", "none"], &["--ipc", "shareable", "--tmpfs", "/dev/shm"]] {
        let kept = Kept::run(env, flags, &["sleep", "1000"])?;
        let joined = format!("container:{}", kept.id);
        let refused = env.verb(&["run", "--rm", "--network", "none", "--ipc", &joined, "busybox", "true"]).go()?;
        refused.exits(125)?.complains(&["can't join IPC of container", words])?;
    }
    Ok(())
}

fn a_third_joins_the_second(env: &Env) -> Outcome {
    let first = Kept::run(env, &["--ipc", "shareable"], &["sleep", "1000"])?;
    let of = |kept: &Kept<'_>| format!("container:{}", kept.id);
    let second = beside(env, &["--network", &of(&first), "--ipc", &of(&first)], &["sleep", "1000"])?;
    let third = beside(env, &["--network", &of(&second), "--ipc", &of(&second)], &["sleep", "1000"])?;
    check_eq!(common(&first, &third)?, ["user", "ipc", "net"]);
    first.exec(&[], &["sh", "-c", "echo for all > /dev/shm/note"]).go()?.ok()?;
    third.exec(&[], &["cat", "/dev/shm/note"]).go()?.ok()?.says("for all")?;
    Ok(())
}

fn only_a_running_one_is_joined(env: &Env) -> Outcome {
    let stopped = Kept::create(env, &["--ipc", "shareable"], &["sleep", "1000"])?;
    let joined = format!("container:{}", stopped.id);
    for flags in [
        &["--network", &joined][..],
        &["--network", "none", "--pid", &joined],
        &["--network", "none", "--ipc", &joined],
    ] {
        let refused = env.verb(&["run", "--rm"]).args(flags).args(["busybox", "true"]).go()?;
        refused.exits(125)?.complains(&["non running container"])?;
    }
    for flag in ["--network", "--pid", "--ipc"] {
        let refused = env.verb(&["run", "--rm", flag, "container:nobody", "busybox", "true"]).go()?;
        refused.exits(125)?.complains(&["No such container: nobody"])?;
    }
    Ok(())
}
