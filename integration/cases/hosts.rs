//! What only some hosts have: cgroup v2, systemd, no user namespaces. `integration/vm` boots machines that do.

use super::lifecycle::Kept;
use crate::harness::env::{needs_user_namespaces, wait_for};
use crate::harness::{Env, Outcome, Run, host, skip};
use crate::{cases, check, check_eq};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

cases!("hosts":
    swap_is_switched_off, swap_is_felt, the_oom_killer_is_told_of,
    cpu_is_held_back, writes_are_held_back,
    @alone reads_are_held_back, weights_are_set, update_reaches_the_group, @alone devices_are_those_of_the_rules,
    a_scope_of_its_own, a_killed_supervisor_leaves_no_scope, starts_at_once_make_their_groups, other_hierarchies_change_nothing, no_user_namespace_means_no_capability,
);

const CGROUP: &str = "/sys/fs/cgroup";

fn needs_v2() -> Outcome {
    if Path::new(CGROUP).join("cgroup.controllers").exists() { Ok(()) } else { skip("no cgroup v2 here") }
}

fn needs_systemd(env: &Env) -> Outcome {
    needs_v2()?;
    let there = Path::new("/run/systemd/system").is_dir() && Path::new("/run/dbus/system_bus_socket").exists();
    if there { env.needs("systemctl") } else { skip("no systemd with a bus here") }
}

/// The group of a process in the unified hierarchy, as a path below it and as a folder.
fn group(pid: i64) -> Outcome<(String, PathBuf)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or_default().to_owned();
    let folder = Path::new(CGROUP).join(path.trim_start_matches('/'));
    Ok((path, folder))
}

fn read(folder: &Path, file: &str) -> Outcome<String> {
    Ok(std::fs::read_to_string(folder.join(file))?.trim().to_owned())
}

fn swap_is_switched_off(env: &Env) -> Outcome {
    needs_v2()?;
    let held = env.hold(&["-m", "64m"])?;
    let (_, folder) = group(held.init.into())?;
    let swap = read(&folder, "memory.swap.max");
    held.end()?.ok()?;
    check_eq!(swap?, "0");
    let held = env.hold(&["-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m"])?;
    let (_, folder) = group(held.init.into())?;
    let (swap, low) = (read(&folder, "memory.swap.max"), read(&folder, "memory.low"));
    held.end()?.ok()?;
    check_eq!((swap?, low?), ((32 << 20).to_string(), (32 << 20).to_string()));
    Ok(())
}

/// 48 MiB do not fit into 32, and do with the swap that was asked for; more than both together does not.
fn swap_is_felt(env: &Env) -> Outcome {
    needs_v2()?;
    let swaps = std::fs::read_to_string("/proc/swaps")?;
    if swaps.lines().count() < 2 {
        return skip("no swap is on here");
    }
    let used = |flags: &[&str], size: &str| -> Outcome<i32> {
        let run = env.verb(&["run", "--rm", "--network", "none", "-m", "32m"]).args(flags);
        Ok(run.args(["busybox", "tail", "-c", size, "/dev/zero"]).limit(120).go()?.code)
    };
    let script = "head -c 48m /dev/zero > /t/x && cat /sys/fs/cgroup/memory.swap.current";
    let tmpfs = ["-m", "32m", "--memory-swap", "96m", "--tmpfs", "/t:size=100m"];
    let out = env.sh(&tmpfs, script)?.ok()?.out();
    check!(out.trim().parse::<u64>().is_ok_and(|swapped| swapped > 8 << 20), "{out}");
    check_eq!(used(&[], "200m")?, 137, "without swap");
    check_eq!(used(&["--memory-swap", "64m"], "200m")?, 137, "beyond both");
    Ok(())
}

fn the_oom_killer_is_told_of(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["-m", "16m"], &["tail", "-c", "200m", "/dev/zero"])?;
    kept.until_state("exited", 60)?;
    let format = ["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}"];
    kept.verb(&format).go()?.ok()?.says("true 137")?;
    check_eq!(kept.events("event=oom", "{{.Action}}")?, ["oom"]);
    // One that was killed by hand is not said to have been short of memory.
    let kept = Kept::run(env, &["-m", "16m"], &["sleep", "100"])?;
    kept.verb(&["kill"]).go()?.ok()?;
    kept.until_state("exited", 30)?;
    kept.verb(&format).go()?.ok()?.says("false 137")?;
    Ok(())
}

fn cpu_is_held_back(env: &Env) -> Outcome {
    needs_v2()?;
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu.stat";
    let out = env.sh(&["--cpus", "0.1"], script)?.ok()?.out();
    let throttled = out.lines().find_map(|l| l.strip_prefix("nr_throttled ")).and_then(|n| n.parse::<u64>().ok());
    check!(throttled.is_some_and(|n| n > 0), "{out}");
    Ok(())
}

/// The disk that the containers' folders are on, if it is one whole disk.
fn disk(env: &Env) -> Outcome<String> {
    use std::os::unix::fs::MetadataExt;
    let device = std::fs::metadata(&env.root)?.dev();
    let name = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let link = std::fs::read_link(format!("/sys/dev/block/{name}")).or_else(|_| skip("no disk below the store"))?;
    let name = Path::new("/dev").join(link.file_name().unwrap_or_default());
    if name.exists() { Ok(name.to_string_lossy().into_owned()) } else { skip("no disk below the store") }
}

fn writes_are_held_back(env: &Env) -> Outcome {
    needs_v2()?;
    let limit = format!("{}:1mb", disk(env)?);
    let script = "head -n 1 /sys/fs/cgroup/io.max; dd if=/dev/zero of=/v/x bs=64k count=64 conv=fsync 2>/dev/null";
    // A volume: what is written to the container itself is not flushed for one that is removed at its end.
    let out = env.sh(&["--device-write-bps", &limit, "-v", "/v"], script)?.ok()?;
    check!(out.out().contains("wbps=1048576"), "{}", out.told());
    check!(out.took > Duration::from_secs(3), "4 MiB at 1 MiB a second took {:?}", out.took);
    Ok(())
}

fn reads_are_held_back(env: &Env) -> Outcome {
    needs_v2()?;
    let limit = format!("{}:2mb", disk(env)?);
    let folder = env.dir("reads")?;
    std::fs::write(folder.join("file"), vec![7; 6 << 20])?;
    let bind = format!("{}:/b:ro", folder.display());
    // What is in the page cache is not read from the disk.
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
    let script = "head -n 1 /sys/fs/cgroup/io.max; cat /b/file | wc -c";
    let out = env.sh(&["--device-read-bps", &limit, "-v", &bind], script)?.ok()?;
    check!(out.out().contains("rbps=2097152") && out.out().contains("6291456"), "{}", out.told());
    check!(out.took > Duration::from_secs(2), "6 MiB at 2 MiB a second took {:?}", out.took);
    Ok(())
}

fn weights_are_set(env: &Env) -> Outcome {
    needs_v2()?;
    // Not docker's default, which is the kernel's: 1024 shares, a weight of 100.
    let out = env.sh(&["-c", "512"], "cat /sys/fs/cgroup/cpu.weight")?.ok()?;
    check_eq!(out.out().trim(), "59", "512 shares");
    let script = "cd /sys/fs/cgroup && cat io.bfq.weight 2>/dev/null || cat io.weight";
    let out = env.sh(&["--blkio-weight", "500"], script)?;
    match Path::new(CGROUP).join("io.cost.qos").exists() {
        // BFQ's own scale is docker's, 10 to 1000; the kernel's goes to 10,000.
        true => check!(matches!(out.ok()?.out().trim(), "default 4950" | "default 500"), "the weight is not set"),
        false => {
            out.complains(&["cannot set the block io weight limit: it is discarded"])?;
        }
    }
    let disk = disk(env)?;
    let limits = [("--device-read-iops", "riops=40"), ("--device-write-iops", "wiops=30")];
    for (flag, set) in limits {
        let value = format!("{disk}:{}", set.split('=').nth(1).unwrap_or_default());
        let out = env.sh(&[flag, &value], "cat /sys/fs/cgroup/io.max")?.ok()?;
        check!(out.out().contains(set), "{flag}: {}", out.told());
    }
    Ok(())
}

fn update_reaches_the_group(env: &Env) -> Outcome {
    needs_v2()?;
    let kept = Kept::run(env, &["-m", "64m"], &["sleep", "100"])?;
    let (_, folder) = group(kept.number("pid")?)?;
    kept.verb(&["update", "-m", "128m", "--pids-limit", "77", "--cpus", "0.5", "-c", "512"]).go()?.ok()?;
    check_eq!(read(&folder, "memory.max")?, (128 << 20).to_string());
    check_eq!(read(&folder, "memory.swap.max")?, "0");
    check_eq!(read(&folder, "pids.max")?, "77");
    check_eq!(read(&folder, "cpu.max")?, "50000 100000");
    check_eq!(read(&folder, "cpu.weight")?, "59", "512 shares");
    kept.verb(&["pause"]).go()?.ok()?;
    check!(read(&folder, "cgroup.events")?.contains("frozen 1"));
    kept.verb(&["unpause"]).go()?.ok()?;
    check!(read(&folder, "cgroup.events")?.contains("frozen 0"));
    Ok(())
}

/// A device is granted with the access asked for: the node's mode would allow more.
fn devices_are_those_of_the_rules(env: &Env) -> Outcome {
    needs_v2()?;
    let _selinux = super::selinux::Devices::on()?;
    let node = Path::new("/dev/loop-control");
    let Ok(before) = node.metadata().map(|m| m.permissions()) else { return skip("no /dev/loop-control here") };
    std::fs::set_permissions(node, std::fs::Permissions::from_mode(0o666))?;
    let script = "(: < /dev/loop-control) && echo read; (: 3<> /dev/loop-control) && echo write; echo x > /dev/null && echo null";
    let tried = ["r", "rw"].map(|access| {
        let device = format!("/dev/loop-control:/dev/loop-control:{access}");
        env.sh(&["--device", &device, "--allow", "device"], script)
    });
    std::fs::set_permissions(node, before)?;
    let [reading, both] = tried;
    check_eq!(reading?.ok()?.out(), "read\nnull\n");
    check_eq!(both?.ok()?.out(), "read\nwrite\nnull\n");
    Ok(())
}

fn a_scope_of_its_own(env: &Env) -> Outcome {
    needs_systemd(env)?;
    let kept = Kept::run(env, &["-m", "64m"], &["sleep", "100"])?;
    let (init, supervisor) = (group(kept.number("pid")?)?, group(kept.number("supervisor")?)?);
    let scope = format!("/hardrun.slice/hardrun-{}.scope", kept.id);
    check_eq!((init.0, supervisor.0), (format!("{scope}/{}", kept.id), format!("{scope}/supervisor")));
    let unit = format!("hardrun-{}.scope", kept.id);
    let show = |property: &str| -> Outcome<String> {
        let out = Run::new("systemctl").args(["show", "--value", "-p", property, &unit]).go()?.ok()?.out();
        Ok(out.trim().to_owned())
    };
    check_eq!(show("Delegate")?, "yes");
    check_eq!(show("ControlGroup")?, scope);
    // systemd writes its own groups anew, and lets this one alone.
    Run::new("systemctl").arg("daemon-reload").limit(120).go()?.ok()?;
    check_eq!(read(&init.1, "memory.max")?, (64 << 20).to_string());
    kept.exec(&[], &["true"]).go()?.ok()?;
    kept.verb(&["restart", "-t", "1"]).limit(120).go()?.ok()?;
    check!(group(kept.number("pid")?)?.0.ends_with(&format!("{scope}/{}", kept.id)), "after a restart");
    kept.verb(&["kill"]).go()?.ok()?;
    let folder = Path::new(CGROUP).join(scope.trim_start_matches('/'));
    let gone = wait_for(Duration::from_secs(20), || (!folder.exists()).then_some(()));
    check!(gone.is_some(), "{} is still there", folder.display());
    Ok(())
}

fn a_killed_supervisor_leaves_no_scope(env: &Env) -> Outcome {
    needs_systemd(env)?;
    let kept = Kept::run(env, &[], &["sleep", "100"])?;
    let (_, folder) = group(kept.number("pid")?)?;
    let supervisor = kept.number("supervisor")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor as i32), nix::sys::signal::SIGKILL)?;
    let gone = wait_for(Duration::from_secs(20), || (!folder.exists()).then_some(()));
    check!(gone.is_some(), "{} is still there", folder.display());
    kept.verb(&["start"]).limit(120).go()?.ok()?;
    kept.until_state("running", 30)?;
    Ok(())
}

/// The first starts on a host all find that the parent's group is not there yet.
fn starts_at_once_make_their_groups(env: &Env) -> Outcome {
    needs_v2()?;
    let parent = format!("it-{}", std::process::id());
    let flags =
        ["run", "--rm", "--network", "none", "--cgroup-parent", &parent, "--allow", "cgroup-parent", "busybox", "true"];
    let running = (0..3).map(|_| env.verb(&flags).limit(120).start()).collect::<Outcome<Vec<_>>>()?;
    for run in running {
        run.finish()?.ok()?;
    }
    let _ = std::fs::remove_dir(Path::new(CGROUP).join(&parent));
    Ok(())
}

/// A VPN's client mounts a hierarchy of cgroup v1, somebody the unified one once more: limits and device rules are those of /sys/fs/cgroup.
fn other_hierarchies_change_nothing(env: &Env) -> Outcome {
    needs_v2()?;
    env.needs("unshare")?;
    let (first, second) = (env.dir("v1")?, env.dir("v2")?);
    let (exe, root) = (env.hardrun.display(), env.root.display());
    let mounts = format!(
        "mount -t cgroup -o none,name=it{} none {} && mount -t cgroup2 none {} && ",
        std::process::id(),
        first.display(),
        second.display()
    );
    let inside = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; (: < /dev/null) && echo null";
    let line =
        format!("{mounts} exec {exe} --root {root} run --rm --network none -m 64m --cpus 0.5 busybox sh -c '{inside}'");
    let out = Run::new("unshare").args(["-m", "sh", "-c", &line]).limit(120).go()?.ok()?;
    check_eq!(out.out(), "67108864\n50000 100000\nnull\n", "{}", out.told());
    Ok(())
}

/// Without user namespaces: no capability, no_new_privs, and a line that says what takes their place.
fn no_user_namespace_means_no_capability(env: &Env) -> Outcome {
    if needs_user_namespaces().is_ok() {
        return skip("user namespaces are on here");
    }
    let held = env.hold(&[])?;
    let (maps, capabilities) = (host::id_map(held.init, "uid_map"), host::capabilities(held.init));
    let status = host::status(held.init);
    held.end()?.ok()?;
    check_eq!(maps?[0].count, u64::from(u32::MAX), "a user namespace after all");
    check!(capabilities.values().all(|set| *set == 0), "{capabilities:?}");
    check_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
    let out = env.verb(&["explain", "busybox", "true"]).go()?;
    check!(out.out().contains("max_user_namespaces"), "{}", out.out());
    let out = env.verb(&["doctor"]).go()?;
    check!(out.out().contains("sysctl -w user.max_user_namespaces"), "{}", out.out());
    // Host root is still kept from what is the host's: nothing was bound, so nothing of it can be written.
    env.sh(&[], "echo x > /proc/sys/kernel/core_pattern")?.exits(1)?;
    Ok(())
}
