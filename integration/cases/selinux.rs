//! SELinux in force, seen from inside and by the host: `integration/vm` boots a machine that has Debian's policy and the module in
//! `docs/selinux`.

use super::lifecycle::Kept;
use crate::harness::{Env, Outcome, Run, host, skip};
use crate::{cases, check, check_eq};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

cases!("selinux":
    is_enforced_with_categories_of_its_own, exec_and_init_carry_the_label, files_have_the_containers_label,
    a_file_of_another_type_is_out_of_reach, containers_do_not_reach_each_others_files, relabelled_for_all_or_for_one,
    volumes_are_shared, a_type_of_the_callers, without_is_refused, denials_are_explained,
    @alone a_device_wants_the_administrators_word, @alone a_host_that_only_watches, @alone a_type_that_the_policy_only_watches, a_caller_that_does_not_see_it, containers_of_before_are_made_anew,
);

fn needs_selinux() -> Outcome {
    match std::fs::read_to_string("/sys/fs/selinux/enforce").unwrap_or_default().trim() {
        "1" => Ok(()),
        _ => skip("no SELinux in force here"),
    }
}

fn label(pid: i64) -> Outcome<String> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/attr/current"))?.trim_end_matches(['\0', '\n']).to_owned())
}

/// The label of a file on the host.
fn of_file(path: &Path) -> Outcome<String> {
    let mut found = [0; 512];
    let n = rustix::fs::lgetxattr(path, "security.selinux", &mut found[..])?;
    Ok(String::from_utf8_lossy(&found[..n]).trim_end_matches('\0').to_owned())
}

const PROCESS: &str = "system_u:system_r:container_t:s0:";
const FILE: &str = "system_u:object_r:container_file_t:s0";

/// The categories of a running container, as its first process has them.
fn categories(kept: &Kept<'_>) -> Outcome<String> {
    let first = label(kept.number("pid")?)?;
    match first.strip_prefix(PROCESS) {
        Some(pair) => Ok(pair.to_owned()),
        None => crate::harness::fail(format!("the first process is {first}")),
    }
}

fn is_enforced_with_categories_of_its_own(env: &Env) -> Outcome {
    needs_selinux()?;
    let mut pairs = BTreeSet::new();
    for _ in 0..3 {
        let kept = Kept::run(env, &[], &["sleep", "100"])?;
        let pair = categories(&kept)?;
        check!(pair.matches(',').count() == 1 && pair.starts_with('c'), "{pair}");
        kept.verb(&["inspect", "-f", "{{.ProcessLabel}} {{.MountLabel}}"])
            .go()?
            .ok()?
            .says(&format!("{PROCESS}{pair} {FILE}:{pair}"))?;
        pairs.insert(pair);
    }
    check_eq!(pairs.len(), 3, "two containers have the same pair: {pairs:?}");
    Ok(())
}

fn exec_and_init_carry_the_label(env: &Env) -> Outcome {
    needs_selinux()?;
    for flags in [&[][..], &["--init"]] {
        let kept = Kept::run(env, flags, &["sleep", "100"])?;
        let first = label(kept.number("pid")?)?;
        check_eq!(first, format!("{PROCESS}{}", categories(&kept)?));
        for below in host::descendants(kept.number("pid")? as i32) {
            check_eq!(label(below.into())?, first, "below the first process");
        }
        for tty in [&[][..], &["-t"]] {
            let inside = kept.exec(tty, &["cat", "/proc/self/attr/current"]).go()?.ok()?.out();
            check_eq!(inside.trim_matches(['\0', '\n', '\r']), first, "exec {tty:?}");
        }
        let out = kept
            .exec(&[], &["sh", "-c", "echo -n unconfined_u:unconfined_r:unconfined_t:s0 > /proc/self/attr/exec; ls /"]);
        let out = out.go()?;
        check!(out.err().contains("denied") || out.code != 0, "{}", out.told());
    }
    Ok(())
}

/// Everything that it sees has its label: by it the files are its own.
fn files_have_the_containers_label(env: &Env) -> Outcome {
    needs_selinux()?;
    let kept = Kept::run(env, &["--tmpfs", "/t"], &["sh", "-c", "touch /t/x /root/x /dev/shm/x; sleep 100"])?;
    let pair = categories(&kept)?;
    kept.exec(&[], &["ls", "/t/x", "/root/x", "/dev/shm/x"]).go()?.ok()?;
    let root = PathBuf::from(format!("/proc/{}/root", kept.number("pid")?));
    for name in ["t/x", "root/x", "dev/shm/x", "etc/passwd", "bin/busybox", "etc/hosts"] {
        check_eq!(of_file(&root.join(name))?, format!("{FILE}:{pair}"), "/{name}");
    }
    Ok(())
}

/// A folder of the host, bound: its label says that it is not the container's.
fn bound(env: &Env) -> Outcome<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = env.dir("bound")?;
    std::fs::write(folder.join("file"), "the host's\n")?;
    for path in [folder.clone(), folder.join("file")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    }
    Ok(folder)
}

fn a_file_of_another_type_is_out_of_reach(env: &Env) -> Outcome {
    needs_selinux()?;
    let folder = bound(env)?;
    // Whoever owns it and whatever its mode: by type.
    Run::new("chcon").args(["-t", "container_file_t"]).arg(&folder).go()?.ok()?;
    Run::new("chcon").args(["-t", "shadow_t"]).arg(folder.join("file")).go()?.ok()?;
    let bind = format!("{}:/b", folder.display());
    for line in ["cat /b/file", "echo x >> /b/file"] {
        let out = env.sh(&["-v", &bind], line)?.exits(1)?.complains(&["Permission denied"])?;
        check!(!out.out().contains("host"), "{}", out.told());
    }
    Ok(())
}

fn containers_do_not_reach_each_others_files(env: &Env) -> Outcome {
    needs_selinux()?;
    let folder = bound(env)?;
    let own = format!("{}:/b:Z", folder.display());
    let one = Kept::run(env, &["-v", &own], &["sh", "-c", "echo one > /b/own; cat /b/file; sleep 100"])?;
    one.exec(&[], &["cat", "/b/own", "/b/file"]).go()?.ok()?.says("one\nthe host's")?;
    let pair = categories(&one)?;
    check_eq!(of_file(&folder.join("own"))?, format!("{FILE}:{pair}"));
    // Same type, other categories.
    let bind = format!("{}:/b", folder.display());
    for line in ["cat /b/own", "cat /b/file", "echo x >> /b/own", "ls /b"] {
        env.sh(&["-v", &bind], line)?.exits(1)?.complains(&["Permission denied"])?;
    }
    Ok(())
}

fn relabelled_for_all_or_for_one(env: &Env) -> Outcome {
    needs_selinux()?;
    let folder = bound(env)?;
    let (all, one) = (format!("{}:/b:z", folder.display()), format!("{}:/b:Z", folder.display()));
    for _ in 0..2 {
        env.sh(&["-v", &all], "cat /b/file && echo more >> /b/shared")?.ok()?;
        check_eq!(of_file(&folder.join("file"))?, FILE);
        check_eq!(of_file(&folder.join("shared"))?, FILE, "what a container makes there is for all as well");
    }
    let kept = Kept::run(env, &["-v", &one], &["sleep", "100"])?;
    check_eq!(of_file(&folder.join("file"))?, format!("{FILE}:{}", categories(&kept)?));
    // The host's own is not relabelled: it would not come up again.
    env.sh(&["-v", "/usr:/b:z,ro"], "true")?.exits(125)?.complains(&["not relabelled"])?;
    check!(!of_file(Path::new("/usr"))?.contains("container"));
    Ok(())
}

fn volumes_are_shared(env: &Env) -> Outcome {
    needs_selinux()?;
    let name = format!("it-selinux-{}", std::process::id());
    let bind = format!("{name}:/v");
    env.sh(&["-v", &bind], "echo one > /v/file")?.ok()?;
    env.sh(&["-v", &bind], "cat /v/file && echo two >> /v/file")?.ok()?.says("one")?;
    env.verb(&["volume", "rm", &name]).go()?.ok()?;
    Ok(())
}

fn a_type_of_the_callers(env: &Env) -> Outcome {
    needs_selinux()?;
    let level = ["--security-opt", "label=level:s0:c7,c8", "--security-opt", "label=type:container_t"];
    let out = env.sh(&level, "cat /proc/self/attr/current")?.ok()?.out();
    check_eq!(out.trim_matches(['\0', '\n']), format!("{PROCESS}c7,c8"));
    // One that the policy does not know is said to be that, before anything starts.
    let out = env.sh(&["--security-opt", "label=type:no_such_t"], "true")?.exits(125)?;
    out.complains(&["does not know the label", "no_such_t", "hardrun.cil"])?;
    // One that confines nothing is what label=disable is.
    env.sh(&["--security-opt", "label=type:unconfined_t"], "true")?.exits(125)?.complains(&["selinux-disabled"])?;
    Ok(())
}

fn without_is_refused(env: &Env) -> Outcome {
    needs_selinux()?;
    env.sh(&["--security-opt", "label=disable"], "true")?.exits(125)?.complains(&["--allow selinux-disabled"])?;
    let flags = ["--security-opt", "label=disable", "--allow", "selinux-disabled"];
    let out = env.sh(&flags, "cat /proc/self/attr/current")?.ok()?.out();
    check!(!out.contains("container_t"), "{out}");
    Ok(())
}

fn denials_are_explained(env: &Env) -> Outcome {
    needs_selinux()?;
    let folder = bound(env)?;
    Run::new("chcon").args(["-t", "container_file_t"]).arg(&folder).go()?.ok()?;
    Run::new("chcon").args(["-t", "shadow_t"]).arg(folder.join("file")).go()?.ok()?;
    let bind = format!("{}:/b", folder.display());
    let out = env.sh(&["-v", &bind], "cat /b/file")?.exits(1)?;
    out.complains(&["file", "(shadow_t) of cat by SELinux"])?;
    Ok(())
}

/// Where SELinux is on, what lets containers use devices, for as long as this is held.
pub(super) struct Devices(bool);

impl Devices {
    pub(super) fn on() -> Outcome<Devices> {
        let is_on = needs_selinux().is_ok();
        if is_on {
            Self::switch("1")?;
        }
        Ok(Devices(is_on))
    }

    fn switch(to: &str) -> Outcome {
        Run::new("setsebool").args(["container_use_devices", to]).limit(120).go()?.ok().map(drop)
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        if self.0 && Self::switch("0").is_err() {
            eprintln!("container_use_devices stays on");
        }
    }
}

/// `--device` opens nothing on its own where SELinux is on.
fn a_device_wants_the_administrators_word(env: &Env) -> Outcome {
    needs_selinux()?;
    let node = Path::new("/dev/loop-control");
    let before = node.metadata()?.permissions();
    std::fs::set_permissions(node, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    let device = ["--device", "/dev/loop-control:/dev/loop-control:r", "--allow", "device"];
    let out = env.sh(&device, "cat < /dev/loop-control");
    std::fs::set_permissions(node, before)?;
    let out = out?;
    check!(out.code != 0 && out.err().contains("Permission denied"), "{}", out.told());
    out.complains(&["by SELinux"])?;
    Ok(())
}

/// `setenforce 0`: labels are set, and nothing is refused.
fn a_host_that_only_watches(env: &Env) -> Outcome {
    needs_selinux()?;
    let watched = || {
        std::fs::write("/sys/fs/selinux/enforce", "0")?;
        let kept = Kept::create(env, &[], &["sleep", "100"])?;
        let ran = [env.sh(&[], "true")?, kept.verb(&["start"]).go()?, kept.exec(&[], &["true"]).go()?];
        Outcome::Ok((ran, env.verb(&["explain", "busybox", "true"]).go()?))
    };
    let watched = watched();
    std::fs::write("/sys/fs/selinux/enforce", "1")?;
    let (ran, explained) = watched?;
    for ran in ran {
        ran.ok()?.complains(&["SELinux is in permissive mode on this host: labels refuse nothing"])?;
    }
    check!(explained.out().contains("in permissive mode on this host: labels refuse nothing"), "{}", explained.told());
    let again = env.sh(&[], "true")?.ok()?;
    check!(!again.err().contains("SELinux"), "{}", again.told());
    Ok(())
}

/// `semanage permissive -a TYPE`: the same of one type. That of all containers is told, one that was asked for is refused.
fn a_type_that_the_policy_only_watches(env: &Env) -> Outcome {
    needs_selinux()?;
    let dir = tempfile::tempdir()?;
    let module = dir.path().join("hardrun_watched.cil");
    std::fs::write(
        &module,
        "(typepermissive container_t)\n(type watched_t)\n(roletype system_r watched_t)\n(typepermissive watched_t)\n",
    )?;
    let shadow = dir.path().join("file");
    std::fs::write(&shadow, "of the host")?;
    let bind = format!("{}:/file:ro", shadow.display());
    let read = || env.sh(&["-v", &bind], "cat /file");
    let refused = read()?;
    check!(refused.code == 1 && refused.err().contains("Permission denied"), "{}", refused.told());
    let kept = Kept::create(env, &[], &["sleep", "100"])?;
    Run::new("semodule").arg("-i").arg(&module).limit(120).go()?.ok()?;
    let watched = || {
        let ran = [read()?, kept.verb(&["start"]).go()?, kept.exec(&[], &["true"]).go()?];
        let doctor = env.verb(&["doctor"]).go()?;
        let explained = env.verb(&["explain", "busybox", "true"]).go()?;
        Outcome::Ok((ran, doctor, explained, env.sh(&["--security-opt", "label=type:watched_t"], "true")?))
    };
    let watched = watched();
    Run::new("semodule").args(["-r", "hardrun_watched"]).limit(120).go()?.ok()?;
    let (ran, doctor, explained, other) = watched?;
    check!(ran[0].out() == "of the host", "nothing is refused: {}", ran[0].told());
    for ran in ran {
        ran.ok()?.complains(&["SELinux's policy makes container_t permissive: labels refuse nothing"])?;
    }
    check!(doctor.out().contains("semanage permissive -d container_t"), "{}", doctor.told());
    check!(explained.out().contains("makes container_t permissive"), "{}", explained.told());
    other.exits(125)?.complains(&["selinux-disabled", "label=type:watched_t", "permissive"])?;
    let again = read()?;
    check!(again.code == 1 && !again.err().contains("permissive"), "{}", again.told());
    Ok(())
}

/// In a mount namespace of the caller's that has no view of SELinux: it is on all the same.
fn a_caller_that_does_not_see_it(env: &Env) -> Outcome {
    needs_selinux()?;
    let line = format!(
        "umount -l /sys/fs/selinux && exec {} --root {} run --rm --network none busybox cat /proc/self/attr/current",
        env.hardrun.display(),
        env.root.display()
    );
    let out = Run::new("unshare").args(["--mount", "sh", "-c", &line]).go()?.exits(125)?;
    out.complains(&["SELinux is on", "mount -t selinuxfs selinuxfs /sys/fs/selinux"])?;
    Ok(())
}

/// As after a reboot with `security=selinux`: files without labels are not what the type lets a container use.
fn containers_of_before_are_made_anew(env: &Env) -> Outcome {
    needs_selinux()?;
    let kept = Kept::create(env, &[], &["true"])?;
    kept.made_before("selinux")?;
    kept.verb(&["start"]).go()?.exits(1)?.complains(&["SELinux has come to this host", "create it anew"])?;
    Ok(())
}
