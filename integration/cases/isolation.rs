//! What every container gets without asking, seen from inside and in the host's kernel.

use crate::harness::env::{needs_user_namespaces, s, wait_for};
use crate::harness::host::{self, Mount};
use crate::harness::{Env, Outcome, Run};
use crate::{cases, check, check_eq};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

cases!("isolation":
    all_seven_namespaces_are_its_own, two_containers_share_no_id, capabilities_in_five_sets, strict_has_nothing,
    seccomp_and_no_new_privs, groups_are_cleared, no_descriptor_comes_along, environment_and_umask_are_clean,
    a_session_of_its_own, root_is_nosuid_nodev, every_mount_is_private, binds_are_nosuid_nodev, kernel_paths_are_masked,
    dev_is_minimal, loopback_only_and_up, setuid_programs_gain_nothing, a_user_keeps_no_capability,
    with_new_privileges_all_else_holds, in_a_mount_namespace_of_the_callers,
);

const NAMESPACES: [&str; 7] = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"];

fn all_seven_namespaces_are_its_own(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let held = env.hold(&[])?;
    let own = std::process::id() as i32;
    for kind in NAMESPACES {
        check!(host::namespace(held.init, kind)? != host::namespace(own, kind)?, "{kind} is the host's");
    }
    held.end()?.ok()?;
    Ok(())
}

fn two_containers_share_no_id(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let (a, b) = (env.hold(&[])?, env.hold(&[])?);
    for which in ["uid_map", "gid_map"] {
        let (first, second) = (host::id_map(a.init, which)?, host::id_map(b.init, which)?);
        for map in [&first, &second] {
            check!(map.iter().map(|m| m.count).sum::<u64>() >= 65536, "{which} is short: {map:?}");
            check!(map.iter().all(|m| m.outside >= 65536), "{which} has ids that the host uses: {map:?}");
        }
        for x in &first {
            let apart = |y: &host::Mapped| x.outside + x.count <= y.outside || y.outside + y.count <= x.outside;
            check!(second.iter().all(apart), "{which}: {first:?} and {second:?} overlap");
        }
    }
    for kind in NAMESPACES {
        check!(host::namespace(a.init, kind)? != host::namespace(b.init, kind)?, "{kind} is shared");
    }
    a.end()?.ok()?;
    b.end()?.ok()?;
    Ok(())
}

/// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID: what the README names.
const DEFAULT: u64 = 0b1111_1011;

fn capabilities_in_five_sets(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let held = env.hold(&[])?;
    let sets = host::capabilities(held.init);
    held.end()?.ok()?;
    check_eq!(sets["CapInh"], 0, "inheritable");
    check_eq!(sets["CapAmb"], 0, "ambient");
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        check_eq!(sets[set], DEFAULT, "{set} as {:x}", sets[set]);
    }
    let held = env.hold(&["--cap-drop", "ALL"])?;
    let sets = host::capabilities(held.init);
    held.end()?.ok()?;
    check!(sets.values().all(|bits| *bits == 0), "{sets:?}");
    Ok(())
}

fn strict_has_nothing(env: &Env) -> Outcome {
    let held = env.hold(&["--preset", "strict"])?;
    let sets = host::capabilities(held.init);
    let status = host::status(held.init);
    let inside = status.get("NSpid").cloned();
    held.end()?.ok()?;
    check!(sets.values().all(|bits| *bits == 0), "{sets:?}");
    check!(inside.is_some());
    let script = "id -u; touch /x 2>&1 | grep -c Read-only; touch /tmp/x && echo tmp; ls /sys/class/net | tr '\\n' ' '";
    let out = env.sh(&["--preset", "strict"], script)?.ok()?.out();
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    check!(lines[0] != "0", "strict runs as root: {out:?}");
    check_eq!(lines[1..].to_vec(), vec!["1", "tmp", "lo"]);
    Ok(())
}

fn seccomp_and_no_new_privs(env: &Env) -> Outcome {
    for flags in [&[][..], &["--preset", "strict"], &["-u", "app"], &["--init"], &["--cap-drop", "ALL"]] {
        let held = env.hold(flags)?;
        let processes = [vec![held.init], host::descendants(held.init)].concat();
        for pid in processes {
            let status = host::status(pid);
            check_eq!(status.get("Seccomp").map(String::as_str), Some("2"), "{flags:?}");
            check_eq!(status.get("NoNewPrivs").map(String::as_str), Some("1"), "{flags:?}");
        }
        held.end()?.ok()?;
    }
    Ok(())
}

fn groups_are_cleared(env: &Env) -> Outcome {
    // The caller is in groups of its own, which must not appear inside.
    let script = format!("exec {} --root {} run --rm busybox id -G", s(&env.hardrun), s(&env.root));
    let run = Run::new("setpriv").args(["--groups", "4,24,27,1000", "sh", "-c", &script]);
    env.needs("setpriv")?;
    run.go()?.ok()?.says("0")?;
    let held = env.hold(&["-u", "1234:77"])?;
    let groups = host::status(held.init).get("Groups").cloned().unwrap_or_default();
    let map = host::id_map(held.init, "gid_map")?;
    held.end()?.ok()?;
    for gid in groups.split_whitespace().filter_map(|g| g.parse::<u64>().ok()) {
        check!(map.iter().any(|m| (m.outside..m.outside + m.count).contains(&gid)), "host group {gid} inside");
    }
    Ok(())
}

fn no_descriptor_comes_along(env: &Env) -> Outcome {
    let run = Run::new(std::env::current_exe()?).args(["helper", "with-fd", "5", "/", s(&env.hardrun)]).args([
        "--root",
        s(&env.root),
        "run",
        "--rm",
        "-i",
        env.probe_image()?,
        "/probe",
        "probe",
        "fds",
    ]);
    // What systemd's socket activation announces must not open the way for descriptors 3 and up.
    let out = run.env("LISTEN_FDS", "3").env("LISTEN_PID", "1").stdin("").go()?.ok()?;
    let numbers: Vec<String> = out.out().lines().filter_map(|l| Some(l.split(' ').next()?.to_owned())).collect();
    check_eq!(numbers, vec!["0", "1", "2"], "{}", out.told());
    // With --init pid 1 is hardrun's own program: it must not keep what the launcher had open either.
    for flags in [&[][..], &["--init"]] {
        let held = env.hold(flags)?;
        let all = [vec![held.init], host::descendants(held.init)].concat();
        let look = || all.iter().map(|pid| host::descriptors(*pid)).collect::<Outcome<Vec<_>>>();
        // The first process closes them right after it has started the command.
        let few = |fds: &BTreeMap<u32, String>| fds.keys().all(|fd| *fd <= 2);
        wait_for(Duration::from_secs(2), || look().ok().filter(|all| all.iter().all(few)));
        let inside = look()?;
        held.end()?.ok()?;
        for fds in inside {
            check!(fds.keys().all(|fd| *fd <= 2), "{flags:?}: {fds:?}");
            check!(fds.values().all(|t| t.starts_with("pipe:") || t == "/dev/null" || t == "/null"), "{fds:?}");
        }
    }
    Ok(())
}

fn environment_and_umask_are_clean(env: &Env) -> Outcome {
    let line = format!("umask 0; exec {} --root {} run --rm probe /probe probe state", s(&env.hardrun), s(&env.root));
    let run = Run::new("sh").args(["-c", &line]).env("LD_PRELOAD", "").env("MARK", "x").env("NOTIFY_SOCKET", "/x");
    let state = run.go()?.ok()?.fields();
    check_eq!(state["umask"], "0022");
    let vars: BTreeSet<&str> = state.keys().filter_map(|k| k.strip_prefix("env.")).collect();
    check_eq!(vars, BTreeSet::from(["HOME", "HOSTNAME", "PATH"]));
    Ok(())
}

fn a_session_of_its_own(env: &Env) -> Outcome {
    let state = env.probe(&[], &["state"])?.ok()?.fields();
    check_eq!((state["pid"].as_str(), state["session"].as_str()), ("1", "1"));
    check_eq!(state["cwd"], "/");
    let held = env.hold(&[])?;
    let session = |pid: i32| host::stat_fields(pid).and_then(|f| f.get(3).cloned());
    check!(session(held.init) != session(std::process::id() as i32), "the caller's session");
    // No terminal comes along.
    check_eq!(host::stat_fields(held.init).and_then(|f| f.get(4).cloned()), Some("0".to_owned()));
    held.end()?.ok()?;
    Ok(())
}

fn has(m: &Mount, option: &str) -> bool {
    m.options.contains(option)
}

fn root_is_nosuid_nodev(env: &Env) -> Outcome {
    let held = env.hold(&[])?;
    let mounts = host::mounts(held.init)?;
    held.end()?.ok()?;
    let Some(root) = mounts.iter().find(|m| m.target == "/") else { return crate::harness::fail("no root mount") };
    check!(has(root, "nosuid") && has(root, "nodev"), "{root:?}");
    check!(has(root, "rw"), "{root:?}");
    check_eq!(root.fstype, "overlay");
    let held = env.hold(&["--read-only"])?;
    let mounts = host::mounts(held.init)?;
    held.end()?.ok()?;
    check!(mounts.iter().any(|m| m.target == "/" && has(m, "ro")), "{mounts:?}");
    Ok(())
}

fn every_mount_is_private(env: &Env) -> Outcome {
    let dir = env.dir("private")?;
    let bind = format!("{}:/m", dir.display());
    let held = env.hold(&["-v", &bind, "--tmpfs", "/t"])?;
    let mounts = host::mounts(held.init)?;
    held.end()?.ok()?;
    for m in &mounts {
        check!(m.tags.is_empty(), "{} is {:?}", m.target, m.tags);
    }
    check!(mounts.iter().any(|m| m.target == "/m") && mounts.iter().any(|m| m.target == "/t"));
    // And nothing of it shows outside.
    let ours = host::mounts(std::process::id() as i32)?;
    check!(!ours.iter().any(|m| m.target.starts_with(s(&env.root))), "mounts of the container are in our namespace");
    Ok(())
}

fn binds_are_nosuid_nodev(env: &Env) -> Outcome {
    let dir = env.dir("nosuid")?;
    let held = env.hold(&["-v", &format!("{}:/m", dir.display()), "-v", "/usr/share:/share"])?;
    let mounts = host::mounts(held.init)?;
    held.end()?.ok()?;
    for target in ["/m", "/share"] {
        let m = mounts.iter().find(|m| m.target == target);
        check!(m.is_some_and(|m| has(m, "nosuid") && has(m, "nodev")), "{m:?}");
    }
    // Masks below /proc and /sys are empty read-only folders and /dev/null: no program can be put there.
    let kernels = ["/dev", "/proc/", "/sys/"];
    for m in mounts.iter().filter(|m| !kernels.iter().any(|k| m.target.starts_with(k))) {
        check!(has(m, "nosuid"), "{} may carry setuid files: {:?}", m.target, m.options);
    }
    Ok(())
}

fn kernel_paths_are_masked(env: &Env) -> Outcome {
    // The list at the end of the practices; what this kernel does not have cannot be open.
    let secret = [
        "/proc/kcore",
        "/proc/kallsyms",
        "/proc/key-users",
        "/proc/keys",
        "/proc/interrupts",
        "/proc/config.gz",
        "/proc/iomem",
        "/proc/ioports",
        "/proc/slabinfo",
        "/proc/vmallocinfo",
        "/proc/kmsg",
        "/proc/timer_list",
        "/proc/sched_debug",
        "/proc/kpagecount",
        "/proc/kpageflags",
        "/proc/vmcore",
        "/sys/kernel/notes",
        "/sys/kernel/vmcoreinfo",
        "/sys/firmware/acpi/tables/DSDT",
        "/sys/kernel/debug/sched/debug",
    ];
    for flags in [&[][..], &["-u", "app"], &["--preset", "strict"]] {
        let out = env.probe(flags, &[&["open-for-reading"], &secret[..]].concat())?.ok()?;
        for (path, result) in out.fields() {
            check!(result != "open", "{path} is readable with {flags:?}");
        }
    }
    // One that is read-only otherwise, a file.
    env.sh(&["--security-opt", "mask=/proc/sysrq-trigger"], "! test -s /proc/sysrq-trigger")?.ok()?;
    let levers = [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/kernel/hostname",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/irq/default_smp_affinity",
        "/proc/mtrr",
        "/proc/bus/pci/devices",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/kernel/mm/ksm/run",
        "/sys/fs/cgroup/devices/devices.allow",
        "/sys/fs/cgroup/pids/cgroup.procs",
    ];
    let out = env.probe(&[], &[&["open-for-writing"], &levers[..]].concat())?.ok()?;
    for (path, result) in out.fields() {
        check!(result != "open", "{path} is writable");
    }
    let paths = env.probe(&[], &["paths"])?.ok()?.out();
    let writable: Vec<&str> = paths.lines().filter_map(|l| l.strip_prefix("w /sys")).collect();
    check!(writable.is_empty(), "writable below /sys: {writable:?}");
    Ok(())
}

fn dev_is_minimal(env: &Env) -> Outcome {
    let out = env.sh(&[], "ls /dev; echo --; find /dev -type b; find /dev/pts -type c")?.ok()?.out();
    let (names, others) = out.split_once("--\n").unwrap_or((&out, ""));
    // kcore is a link to /proc/kcore, which is masked, on kernels that have it.
    let allowed = BTreeSet::from([
        "console", "core", "fd", "kcore", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero",
    ]);
    let extra: Vec<&str> = names.lines().filter(|n| !allowed.contains(n)).collect();
    check!(extra.is_empty(), "/dev has {extra:?}");
    check!(!others.contains("/dev/s") && !others.contains("/dev/v"), "block devices: {others:?}");
    // A node can be neither made nor opened.
    let out = env.sh(&[], "mknod /tmp/sda b 8 0; mknod /tmp/mem c 1 1; ls /tmp | wc -l")?.ok()?;
    check_eq!(out.out().trim(), "0");
    Ok(())
}

fn loopback_only_and_up(env: &Env) -> Outcome {
    let script = "ls /sys/class/net; (echo hello | nc -l -p 80 &) ; sleep 0.3; nc 127.0.0.1 80 < /dev/null";
    // A port below 1024 needs no capability inside.
    env.sh(&["-u", "app", "--network", "none"], script)?.ok()?.says("lo\nhello")?;
    env.sh(&["-u", "app"], script)?.ok()?.says("eth0\nlo\nhello")?;
    Ok(())
}

fn setuid_programs_gain_nothing(env: &Env) -> Outcome {
    let image = env.fixtures.busybox_with("setuid", |root| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::copy(root.join("bin/busybox"), root.join("srv/id"))?;
        std::fs::set_permissions(root.join("srv/id"), std::fs::Permissions::from_mode(0o4755))
    })?;
    let root = env.dir("root")?;
    env.at(&root, &["import", s(&image), "setuid"]).go()?.ok()?;
    let run = env.at(&root, &["run", "--rm", "-u", "app", "setuid", "/srv/id"]);
    let out = run.go()?;
    check!(out.out().contains("uid=1000") && !out.out().contains("euid=0"), "{}", out.told());
    Ok(())
}

fn a_user_keeps_no_capability(env: &Env) -> Outcome {
    let held = env.hold(&["-u", "app"])?;
    let sets = host::capabilities(held.init);
    held.end()?.ok()?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        check_eq!(sets[set], 0, "{set}");
    }
    Ok(())
}

/// The filter's loading takes a capability then, which neither a profile nor a label grants.
fn with_new_privileges_all_else_holds(env: &Env) -> Outcome {
    let flags = ["--security-opt", "no-new-privileges=false", "--allow", "new-privileges", "--cap-drop", "ALL"];
    let script = "grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/self/status";
    let want = "CapBnd:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2";
    env.sh(&flags, script)?.ok()?.says(want)?;
    env.sh(&[&flags[..], &["--init"]].concat(), script)?.ok()?.says(want)?;
    let kept = super::lifecycle::Kept::run(env, &flags, &["sleep", "100"])?;
    kept.exec(&[], &["sh", "-c", script]).go()?.ok()?.says(want)?;
    Ok(())
}

/// With hardrun alone in its mount namespace, the container's could get the number of the one that a start leaves, and be taken for it.
fn in_a_mount_namespace_of_the_callers(env: &Env) -> Outcome {
    env.needs("unshare")?;
    let (exe, root) = (env.hardrun.display(), env.root.display());
    let inside = "echo up; exec cat";
    let line = format!(
        "readlink /proc/self/ns/mnt >&2; exec {exe} --root {root} run --rm -i --network none busybox sh -c '{inside}'"
    );
    let mut front = Run::new("unshare").args(["-m", "sh", "-c", &line]).open_stdin().start()?;
    let up = wait_for(Duration::from_secs(20), || host::container_init(front.pid()));
    let own = host::namespace(front.pid(), "mnt")?;
    let held = host::descriptors(front.pid())?;
    front.close_stdin();
    let out = front.finish()?.ok()?;
    let callers = out.err().lines().next().unwrap_or_default().to_owned();
    check!(up.is_some() && callers.starts_with("mnt:["), "{}", out.told());
    check!(callers != own, "the supervisor is in its caller's mount namespace");
    check!(held.values().any(|h| *h == callers), "{callers} is not held: {held:?}");
    Ok(())
}
