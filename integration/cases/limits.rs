//! Limits that a container feels, and those it has by default.

use super::lifecycle::Kept;
use crate::harness::{Env, Outcome, Run, Stop, host, skip};
use crate::{cases, check, check_eq};
use std::path::{Path, PathBuf};

cases!("limits":
    memory_is_felt, memory_in_the_cgroup, pids_are_felt, cpu_quota, cpuset, ulimits, shm_size, sysctls,
    defaults_are_set, rlimits_of_the_caller_stay_outside, a_failed_update_takes_all_back, an_update_needs_a_group_of_the_controller,
    @alone a_cpuset_that_a_group_above_lacks,
);

/// Kernel files of a controller that this machine may not have.
fn value(pid: i32, controller: &str, v1: &str, v2: &str) -> Outcome<String> {
    match host::cgroup_value(pid, controller, v1, v2) {
        Err(Stop::Fail(why)) if why.contains("is in no cgroup") => skip(why),
        other => other,
    }
}

fn memory_is_felt(env: &Env) -> Outcome {
    let out = env.sh(&["-m", "32m"], "head -c 200m /dev/zero | tail -c 200m | wc -c")?;
    check!(out.code != 0 || out.out().trim() != "209715200", "200 MiB went into 32\n{}", out.told());
    let out = env.verb(&["run", "--rm", "-m", "16m", "busybox", "sh", "-c", "exec tail -c 200m /dev/zero"]).go()?;
    check_eq!(out.code, 137, "{}", out.told());
    // What is in a tmpfs is memory too.
    let out = env.sh(&["-m", "32m", "--tmpfs", "/t:size=100m"], "head -c 80m /dev/zero > /t/x; echo $?; true")?;
    check!(!out.out().starts_with('0'), "80 MiB of tmpfs went into 32\n{}", out.told());
    Ok(())
}

fn memory_in_the_cgroup(env: &Env) -> Outcome {
    let held = env.hold(&["-m", "64m"])?;
    let limit = value(held.init, "memory", "memory.limit_in_bytes", "memory.max");
    let dir = host::cgroup_dir(held.init, "memory");
    held.end()?.ok()?;
    check_eq!(limit?, (64 << 20).to_string());
    check!(!dir?.exists(), "the cgroup is still there");
    Ok(())
}

fn pids_are_felt(env: &Env) -> Outcome {
    let held = env.hold(&["--pids-limit", "20"])?;
    let limit = value(held.init, "pids", "pids.max", "pids.max");
    held.end()?.ok()?;
    check_eq!(limit?, "20");
    let script = "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all";
    let out = env.sh(&["--pids-limit", "20"], script)?;
    check!(out.err().contains("fork") && !out.out().contains("all"), "{}", out.told());
    Ok(())
}

fn cpu_quota(env: &Env) -> Outcome {
    let held = env.hold(&["--cpus", "0.5", "-c", "512"])?;
    let quota = value(held.init, "cpu", "cpu.cfs_quota_us", "cpu.max");
    let shares = value(held.init, "cpu", "cpu.shares", "cpu.weight");
    held.end()?.ok()?;
    let quota = quota?;
    check!(quota == "50000" || quota.starts_with("50000 "), "{quota}");
    let shares = shares?;
    check!(["512", "59"].contains(&shares.as_str()), "{shares}");
    Ok(())
}

fn cpuset(env: &Env) -> Outcome {
    env.sh(&["--cpuset-cpus", "0"], "grep Cpus_allowed_list /proc/self/status | cut -f2")?.ok()?.says("0")?;
    env.sh(&["--cpuset-cpus", "4000"], "true")?.exits(125)?;
    Ok(())
}

fn ulimits(env: &Env) -> Outcome {
    let flags = ["--ulimit", "nofile=100:200", "--ulimit", "fsize=1048576"];
    env.sh(&flags, "ulimit -Sn; ulimit -Hn; head -c 2m /dev/zero > /tmp/x; stat -c %s /tmp/x")?
        .says("100\n200\n1048576")?;
    env.sh(&["--ulimit", "nofile=300:200"], "true")?.exits(125)?;
    env.sh(&["--ulimit", "nonsense=1"], "true")?.exits(125)?.complains(&["nonsense"])?;
    Ok(())
}

fn shm_size(env: &Env) -> Outcome {
    env.sh(&["--shm-size", "3m"], "df -k /dev/shm | tail -n 1 | awk '{print $2}'")?.ok()?.says("3072")?;
    env.sh(&[], "df -k /dev/shm | tail -n 1 | awk '{print $2}'; echo x > /dev/shm/x")?.ok()?.says("65536")?;
    // Docker takes 0 for its default.
    env.sh(&["--shm-size", "0"], "df -k /dev/shm | tail -n 1 | awk '{print $2}'")?.ok()?.says("65536")?;
    env.sh(&["--shm-size", "-1"], "true")?.exits(125)?;
    Ok(())
}

fn sysctls(env: &Env) -> Outcome {
    let flags = ["--sysctl", "net.ipv4.ip_local_port_range=40000 41000", "--sysctl", "kernel.shm_rmid_forced=1"];
    let script = "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced";
    env.sh(&flags, script)?.ok()?.says("40000\t41000\n1")?;
    Ok(())
}

fn defaults_are_set(env: &Env) -> Outcome {
    let held = env.hold(&[])?;
    let pids = value(held.init, "pids", "pids.max", "pids.max");
    let memory = value(held.init, "memory", "memory.limit_in_bytes", "memory.max");
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", held.init));
    held.end()?.ok()?;
    let pids = pids?;
    check!(pids.parse::<u64>().is_ok_and(|n| n <= 4096), "pids.max is {pids}");
    let total: u64 = std::fs::read_to_string("/proc/meminfo")?
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .map_or(u64::MAX, |kib: u64| kib << 10);
    let memory = memory?;
    check!(memory.parse::<u64>().is_ok_and(|n| n < total), "memory limit is {memory} of {total}");
    check!(score?.trim().parse::<i32>().is_ok_and(|n| n >= 0));
    let state = env.probe(&[], &["state"])?.ok()?.fields();
    check_eq!(state["limit.Max-core-file-size"], "0 0");
    check!(state["limit.Max-open-files"] != "unlimited unlimited");
    Ok(())
}

fn rlimits_of_the_caller_stay_outside(env: &Env) -> Outcome {
    let (exe, root) = (env.hardrun.display(), env.root.display());
    let line = format!(
        "ulimit -c unlimited 2>/dev/null; ulimit -Sn 77; exec {exe} --root {root} run --rm busybox sh -c 'ulimit -c; ulimit -Sn'"
    );
    let out = crate::harness::Run::new("sh").args(["-c", &line]).go()?.ok()?.out();
    let lines: Vec<&str> = out.lines().collect();
    check_eq!(lines[0], "0", "core");
    check!(lines[1] != "77", "the caller's soft limit of open files is inside");
    Ok(())
}

/// The quota was written before the kernel refused the memory nodes.
fn a_failed_update_takes_all_back(env: &Env) -> Outcome {
    let kept = Kept::run(env, &["-c", "512", "--cpuset-cpus", "0"], &["sleep", "1000"])?;
    let init = kept.number("pid")? as i32;
    let quota = || value(init, "cpu", "cpu.cfs_quota_us", "cpu.max");
    let before = (quota()?, value(init, "cpuset", "cpuset.mems", "cpuset.mems")?);
    kept.verb(&["update", "--cpus", "0.5", "--cpuset-mems", "5"]).go()?.exits(1)?.complains(&["cpuset.mems"])?;
    check_eq!((quota()?, value(init, "cpuset", "cpuset.mems", "cpuset.mems")?), before);
    kept.verb(&["inspect", "-f", "{{.HostConfig.NanoCpus}}"]).go()?.ok()?.says("0")?;
    kept.verb(&["update", "--cpus", "0.5", "--cpuset-mems", "0"]).go()?.ok()?;
    check!(quota()?.starts_with("50000"), "{}", quota()?);
    Ok(())
}

/// On cgroup v1 a container is in the groups that its limits needed at the start.
fn an_update_needs_a_group_of_the_controller(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let out = kept.verb(&["update", "--cpus", "0.5"]).go()?;
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        out.ok()?;
    } else {
        out.exits(1)?.complains(&["started without a limit of the cpu controller", "start it again"])?;
        kept.verb(&["stop", "-t", "0"]).go()?.ok()?;
        kept.verb(&["update", "--cpus", "0.5"]).go()?.ok()?;
        kept.verb(&["start"]).go()?.ok()?;
    }
    let quota = value(kept.number("pid")? as i32, "cpu", "cpu.cfs_quota_us", "cpu.max")?;
    check!(quota.starts_with("50000"), "{quota}");
    Ok(())
}

/// A parent for containers that has the first processor only; it goes at the end.
struct Narrow(PathBuf, String);

impl Narrow {
    fn make() -> Outcome<Narrow> {
        let root = Path::new("/sys/fs/cgroup");
        let (v2, name) = (root.join("cgroup.controllers").exists(), format!("it-narrow-{}", std::process::id()));
        let narrow = Narrow(if v2 { root.to_path_buf() } else { root.join("cpuset") }.join(&name), name);
        if v2 {
            std::fs::write(root.join("cgroup.subtree_control"), "+cpuset")
                .or_else(|_| skip("no cpuset controller here"))?;
        }
        std::fs::create_dir(&narrow.0).or_else(|_| skip("no cpuset hierarchy here"))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            std::fs::write(narrow.0.join(file), "0")?;
        }
        Ok(narrow)
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        // hardrun has made one in every hierarchy of v1 that limits of its containers are in.
        let others = ["memory", "pids", "devices"].map(|h| Path::new("/sys/fs/cgroup").join(h).join(&self.1));
        for folder in others.iter().chain([&self.0]) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// On cgroup v2 the kernel takes the set without an error, and the parent's is in force instead.
fn a_cpuset_that_a_group_above_lacks(env: &Env) -> Outcome {
    let cpus = Run::new("nproc").arg("--all").go()?.ok()?.out();
    if cpus.trim() == "1" {
        return skip("one processor only");
    }
    let narrow = Narrow::make()?;
    let parent = ["--cgroup-parent", &narrow.1, "--allow", "cgroup-parent"];
    let on = |cpus: &'static str| [&parent[..], &["--cpuset-cpus", cpus]].concat();
    let says = ["--cpuset-cpus: ", "cpuset.cpus", &narrow.1, "has 0 only"];
    env.sh(&on("1"), "true")?.exits(125)?.complains(&says)?;
    env.sh(&on("0-1"), "true")?.exits(125)?.complains(&["cpuset.cpus"])?;
    env.sh(&on("0"), "grep Cpus_allowed_list /proc/self/status | cut -f2")?.ok()?.says("0")?;
    let flags = [&["run", "-d", "--network", "none"][..], &on("0"), &["busybox", "sleep", "1000"]].concat();
    let id = env.verb(&flags).go()?.ok()?.out();
    let updated = env.verb(&["update", "--cpuset-cpus", "1", id.trim()]).go();
    let shown = env.verb(&["inspect", "-f", "{{.HostConfig.CpusetCpus}}", id.trim()]).go();
    env.verb(&["rm", "-f", id.trim()]).go()?.ok()?;
    updated?.exits(1)?.complains(&["cpuset.cpus"])?;
    shown?.ok()?.says("0")?;
    Ok(())
}
