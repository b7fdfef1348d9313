//! `doctor` names what a host lacks and what brings it: on each machine of `integration/vm` something else.

use crate::harness::env::needs_user_namespaces;
use crate::harness::{Env, Outcome, Run, fail, skip};
use crate::{cases, check, check_eq};
use serde_json::Value;
use std::path::Path;

cases!("doctor":
    is_right_about_the_security_modules, is_right_about_user_namespaces, is_right_about_systemd, sees_that_there_is_no_bus,
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
    check_eq!(state, "present", "{told}");
    let runs = Path::new("/run/systemd/system").is_dir();
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
    let line = format!(
        "mount -t tmpfs none /run/dbus && exec {} --root {} doctor --format json",
        env.hardrun.display(),
        env.root.display()
    );
    let (state, told) = one(&report(Run::new("unshare").args(["--mount", "sh", "-c", &line]))?, "systemd scopes")?;
    check_eq!(state, "replaced", "{told}");
    check!(told.contains("systemctl start dbus.socket"), "{told}");
    // And a container starts all the same, with a line that says what it is without.
    let line = format!(
        "mount -t tmpfs none /run/dbus && exec {} --root {} run --rm --network none busybox true",
        env.hardrun.display(),
        env.root.display()
    );
    Run::new("unshare").args(["--mount", "sh", "-c", &line]).limit(120).go()?.ok()?;
    Ok(())
}

fn everything_that_is_not_there_has_a_remedy(env: &Env) -> Outcome {
    let report = doctor(env)?;
    for check in report["checks"].as_array().into_iter().flatten() {
        let has = |key: &str| check[key].as_str().is_some_and(|text| !text.is_empty());
        check!(check["state"] == "present" || has("remedy"), "{check}");
        check!(check["state"] != "replaced" || has("instead"), "{check}");
    }
    check_eq!(report["healthy"], true, "containers can be started here: {report}");
    Ok(())
}
