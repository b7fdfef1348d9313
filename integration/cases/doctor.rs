//! `doctor` names what a host lacks and what brings it: on each machine of `integration/vm` something else.

use crate::harness::env::needs_user_namespaces;
use crate::harness::{Env, Outcome, Run, fail, skip};
use crate::{cases, check, check_eq};
use serde_json::Value;
use std::path::Path;

cases!("doctor":
    is_right_about_the_security_modules, is_right_about_user_namespaces, is_right_about_systemd, sees_that_there_is_no_bus, tries_apparmor, looks_for_programs_where_a_start_does,
    everything_that_is_not_there_has_a_remedy,
);

/// One check of the report: its state, and everything it says.
fn one(report: &Value, layer: &str) -> Outcome<(String, String)> {
    let checks = report["checks"].as_array().into_iter().flatten();
    match checks.into_iter().find(|c| c["layer"] == layer) {
        Some(found) => Ok((found["state"].as_str().unwrap_or_default().to_owned(), found.to_string())),
        None => fail(format!("no check is called {layer}")),
    }
}

fn report(run: Run) -> Outcome<Value> {
    let out = run.go()?;
    check!(out.code < 2, "{}", out.told());
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn doctor(env: &Env) -> Outcome<Value> {
    report(env.verb(&["doctor", "--format", "json"]))
}

fn is_right_about_the_security_modules(env: &Env) -> Outcome {
    let Ok(modules) = std::fs::read_to_string("/sys/kernel/security/lsm") else { return skip("no securityfs here") };
    let modules: Vec<&str> = modules.trim().split(',').collect();
    let report = doctor(env)?;
    // The list that a boot option has to name is the one in force, and what is missing.
    let rest: Vec<&str> = modules.iter().copied().filter(|m| *m != "capability").collect();
    for (layer, brings) in [
        ("landlock", format!("lsm=landlock,{}", rest.join(","))),
        ("apparmor", "apparmor=1 lsm=".to_owned()),
        ("selinux", "selinux-policy-default".to_owned()),
    ] {
        let (state, told) = one(&report, layer)?;
        let on = modules.contains(&layer);
        check_eq!(state == "present", on, "{told}");
        check!(on || told.contains(&brings), "{brings} is not in {told}");
        // A kernel starts the first of these two in its list, and not the other.
        let list = told.split("lsm=").nth(1).and_then(|rest| rest.split([' ', '"']).next()).unwrap_or_default();
        check!(!(list.contains("apparmor") && list.contains("selinux")), "{told}");
    }
    // Every limit that a run may ask for is spoken of.
    for limit in
        ["memory", "swap", "pids", "cpu quota", "cpu shares", "cpuset", "block io throttling", "block io weight"]
    {
        let (state, told) = one(&report, &format!("{limit} limit"))?;
        let has = report["facts"]["limits"].as_array().is_some_and(|l| {
            l.iter().any(|l| {
                l.as_str().is_some_and(|l| {
                    l.replace('-', " ").replace("blkio throttle", "block io throttling").replace("blkio", "block io")
                        == limit
                })
            })
        });
        check_eq!(state == "present", has, "{told}");
    }
    Ok(())
}

fn is_right_about_user_namespaces(env: &Env) -> Outcome {
    let (state, told) = one(&doctor(env)?, "user namespace")?;
    match needs_user_namespaces() {
        Ok(()) => check_eq!(state, "present", "{told}"),
        Err(_) => {
            check_eq!(state, "replaced", "{told}");
            check!(told.contains("sysctl -w user.max_user_namespaces="), "{told}");
        }
    }
    Ok(())
}

fn needs_v2() -> Outcome {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { Ok(()) } else { skip("no cgroup v2 here") }
}

fn is_right_about_systemd(env: &Env) -> Outcome {
    needs_v2()?;
    let report = doctor(env)?;
    let (state, told) = one(&report, "systemd scopes")?;
    let runs = Path::new("/run/systemd/system").is_dir();
    check_eq!(state, if runs { "present" } else { "not-used" }, "{told}");
    check_eq!(told.contains("one with delegation"), runs, "{told}");
    check_eq!(one(&report, "device rules")?.0, "present");
    Ok(())
}

/// As where the package dbus is not installed: from where `doctor` looks there is no socket.
fn sees_that_there_is_no_bus(env: &Env) -> Outcome {
    needs_v2()?;
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("systemd is not pid 1 here");
    }
    env.needs("unshare")?;
    let without = |words: &str| changed(env, "mount -t tmpfs none /run/dbus", words);
    let (state, told) = one(&report(without("doctor --format json"))?, "systemd scopes")?;
    check_eq!(state, "replaced", "{told}");
    check!(told.contains("systemctl start dbus.socket"), "{told}");
    // And a container starts all the same, with a line that says what it is without, each time.
    let said = ["no system bus to ask it over; the container's control group is made without systemd"];
    without("run -d --rm --network none busybox true").go()?.ok()?.complains(&said)?;
    let name = format!("doctor-without-bus-{}", std::process::id());
    without(&format!("run --name {name} --network none busybox true")).go()?.ok()?.complains(&said)?;
    without(&format!("start -a {name}")).go()?.ok()?.complains(&said)?;
    env.verb(&["rm", &name]).go()?.ok()?;
    // What is added to a container is in its group, wherever that is.
    env.verb(&["run", "-d", "--name", &name, "--network", "none", "busybox", "sleep", "100"]).go()?.ok()?;
    let out = without(&format!("exec {name} true")).go()?.ok()?;
    check!(!out.err().contains("systemd"), "{}", out.told());
    env.verb(&["rm", "-f", &name]).go()?.ok()?;
    let explained = without("explain --network none busybox true").go()?.ok()?.out();
    check!(explained.contains("missing: systemd scope"), "{explained}");
    // With the bus nothing is said.
    let out = env.sh(&["--network", "none"], "true")?.ok()?;
    check!(!out.err().contains("systemd"), "{}", out.told());
    Ok(())
}

/// What keeps every container under AppArmor from being started is missing, with what brings it.
fn tries_apparmor(env: &Env) -> Outcome {
    super::apparmor::needs_apparmor()?;
    env.needs("unshare")?;
    check!(one(&doctor(env)?, "apparmor")?.0 != "missing", "AppArmor is well here");
    for (away, brings) in [
        ("umount -l /sys/kernel/security", "mount -t securityfs securityfs /sys/kernel/security"),
        ("mount -o remount,bind,ro /sys/kernel/security", "where /sys can be written"),
        ("mount -t tmpfs none /etc/apparmor.d/abi", "--force-confmiss apparmor"),
        ("mount --bind /dev/null $(readlink -f /usr/sbin/apparmor_parser)", "apt-get install --reinstall apparmor"),
        // A file that gives an error to whoever reads it.
        ("mount --bind /proc/$$/mem /sys/module/apparmor/parameters/mode", "CAP_MAC_ADMIN"),
    ] {
        let (state, told) = one(&report(changed(env, away, "doctor --format json"))?, "apparmor")?;
        check!(state == "missing" && told.contains(brings), "{away}: {told}");
    }
    // And none does start.
    changed(env, "umount -l /sys/kernel/security", "run --rm --network none busybox true").go()?.exits(125)?;
    Ok(())
}

/// hardrun, where the host was changed for it alone.
fn changed(env: &Env, change: &str, words: &str) -> Run {
    let line = format!("{change} && exec {} --root {} {words}", env.hardrun.display(), env.root.display());
    Run::new("unshare").args(["--mount", "sh", "-c", &line]).limit(120)
}

/// Where a start would not find a program, `doctor` does not either.
fn looks_for_programs_where_a_start_does(env: &Env) -> Outcome {
    env.needs("unshare")?;
    env.needs("nft")?;
    let own = env.dir("programs")?;
    std::fs::copy("/bin/true", own.join("nft"))?;
    let hidden = "for dir in /usr/sbin /sbin; do [ -x $dir/nft ] && mount -t tmpfs none $dir; done";
    let change = format!("PATH={}:$PATH && {{ {hidden}; ! command -v /usr/sbin/nft; }}", own.display());
    let (state, told) = one(&report(changed(env, &change, "doctor --format json"))?, "nft")?;
    check!(state == "missing" && told.contains("apt-get install nftables"), "{told}");
    // And the caller's PATH hides nothing.
    check_eq!(one(&report(changed(env, "PATH=/nonexistent", "doctor --format json"))?, "nft")?.0, "present");
    Ok(())
}

fn everything_that_is_not_there_has_a_remedy(env: &Env) -> Outcome {
    let report = doctor(env)?;
    for check in report["checks"].as_array().into_iter().flatten() {
        let has = |key: &str| check[key].as_str().is_some_and(|text| !text.is_empty());
        let nothing_to_do = check["state"] == "present" || check["state"] == "not-used";
        check!(nothing_to_do || has("remedy"), "{check}");
        check!(check["state"] != "replaced" || has("instead"), "{check}");
    }
    check_eq!(report["healthy"], true, "containers can be started here: {report}");
    Ok(())
}
