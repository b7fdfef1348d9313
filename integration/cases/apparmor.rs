//! AppArmor in force, seen from inside and in the kernel: `integration/vm` boots machines that have it.

use super::lifecycle::Kept;
use crate::harness::env::{needs_user_namespaces, s, wait_for};
use crate::harness::{Env, Outcome, Run, fail, host, skip};
use crate::{cases, check, check_eq};
use sha2::{Digest, Sha256};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

cases!("apparmor":
    is_enforced_in_exec_too, with_init_the_first_process_is_confined, refuses_what_landlock_does_not,
    a_reload_changes_nothing, another_text_under_its_name_does_not_stay, denials_of_others_are_not_told, a_profile_that_leads_to_another, comes_back_after_it_was_removed, goes_with_its_last_user, denials_are_explained,
    a_profile_of_the_sites_own, @alone what_was_compiled_is_taken_up, @alone confines_where_the_kernel_stacks,
    @alone who_runs_hardrun_may_have_a_profile, one_that_hears_no_signal_ends, a_profile_that_complains_by_now, @alone a_host_that_complains,
    comes_to_containers_of_before, every_preset_starts,
);

const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

pub fn needs_apparmor() -> Outcome {
    if host::has_apparmor() { Ok(()) } else { skip("no AppArmor here") }
}

fn label(pid: i64) -> Outcome<String> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/attr/current"))?.trim().to_owned())
}

/// A preset with a rule that no other case has, so that its profile is the case's own; /etc may not be changed.
fn preset(env: &Env, case: &str) -> Outcome<PathBuf> {
    let file = env.dir("apparmor")?.join(format!("{case}.toml"));
    let text = format!(
        "description = \"declared\"\n[paths]\nall = true\ndeny = [{{ path = \"/etc/**\", access = \"w\" }}, \
         {{ path = \"/srv/{case}\", access = \"r\" }}]\n"
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

fn loaded(profile: &str) -> Outcome<bool> {
    Ok(std::fs::read_to_string(PROFILES)?.lines().any(|line| line == format!("{profile} (enforce)")))
}

/// The profile of a container, as its first process has it.
fn profile_of(kept: &Kept<'_>) -> Outcome<String> {
    let first = label(kept.number("pid")?)?;
    let name = first.strip_suffix(" (enforce)").unwrap_or_default();
    check!(name.starts_with("hardrun-") && loaded(name)?, "{first}");
    Ok(name.to_owned())
}

const CHMOD: [&str; 3] = ["chmod", "600", "/etc/passwd"];

fn is_enforced_in_exec_too(env: &Env) -> Outcome {
    needs_apparmor()?;
    let kept = Kept::run(env, &[], &["sleep", "100"])?;
    let first = format!("{} (enforce)", profile_of(&kept)?);
    for (flags, file) in
        [(&[][..], "/proc/self/attr/current"), (&[], "/proc/1/attr/current"), (&["-t"], "/proc/self/attr/current")]
    {
        let second = kept.exec(flags, &["cat", file]).go()?.ok()?.out();
        check_eq!(second.trim(), first, "{file}");
    }
    // The way out of a profile, and what it alone refuses to root of a container with every capability that may be granted.
    let out = kept.exec(&[], &["sh", "-c", "echo changeprofile unconfined > /proc/self/attr/current"]).go()?;
    check!(out.code != 0, "{}", out.told());
    let flags = ["--security-opt", "apparmor=unconfined", "--allow", "apparmor-unconfined"];
    let out = env.sh(&flags, "cat /proc/self/attr/current")?.ok()?.out();
    check_eq!(out.trim(), "unconfined");
    Ok(())
}

/// It is hardrun's own code, and never executes anything that a profile could come into force at.
fn with_init_the_first_process_is_confined(env: &Env) -> Outcome {
    needs_apparmor()?;
    let kept = Kept::run(env, &["--init"], &["sleep", "100"])?;
    let profile = profile_of(&kept)?;
    let first = kept.number("pid")? as i32;
    let below = wait_for(Duration::from_secs(20), || host::descendants(first).first().copied());
    check_eq!(label(below.unwrap_or(first).into())?, format!("{profile} (enforce)"), "the command");
    kept.exec(&[], &["cat", "/proc/self/attr/current"]).go()?.ok()?.says(&format!("{profile} (enforce)"))?;
    let file = preset(env, "init")?;
    let kept = Kept::run(env, &["--init", "--preset", s(&file)], &["sleep", "100"])?;
    check!(profile_of(&kept)? != profile, "the preset's is another one");
    kept.exec(&[], &CHMOD).go()?.exits(1)?.complains(&["Permission denied"])?;
    Ok(())
}

/// Landlock has no word for modes, and says nothing of a file's way through a program loader.
fn refuses_what_landlock_does_not(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "chmod")?;
    let words = |flags: &[&str]| {
        env.verb(&["run", "--rm", "--network", "none", "--preset", s(&file)])
            .args(flags)
            .arg("busybox")
            .args(CHMOD)
            .go()
    };
    words(&[])?.exits(1)?.complains(&["Permission denied"])?;
    // The same without the profile: what refused it is the profile.
    let out = words(&["--security-opt", "apparmor=unconfined", "--allow", "apparmor-unconfined"])?;
    // Before Linux 6.2 such a preset does not start without the profile.
    check!(out.code == 0 || out.err().contains("cannot be enforced here"), "{}", out.told());
    Ok(())
}

fn a_reload_changes_nothing(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "reload")?;
    let kept = Kept::run(env, &["--preset", s(&file)], &["sleep", "100"])?;
    let profile = profile_of(&kept)?;
    let text = kept.verb(&["apparmor", "show"]).go()?.ok()?.stdout;
    Run::new("apparmor_parser").arg("--replace").stdin(text).go()?.ok()?;
    check_eq!(profile_of(&kept)?, profile);
    kept.exec(&[], &CHMOD).go()?.exits(1)?.complains(&["Permission denied"])?;
    Ok(())
}

/// Who takes away the profiles that the host has no file of takes a container's as well: what is started next in it has it again.
fn comes_back_after_it_was_removed(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "removed")?;
    let kept = Kept::run(env, &["--preset", s(&file)], &["sleep", "100"])?;
    let profile = profile_of(&kept)?;
    std::fs::write("/sys/kernel/security/apparmor/.remove", &profile)?;
    check!(!loaded(&profile)?);
    let second = kept.exec(&[], &["cat", "/proc/self/attr/current"]).go()?.ok()?.out();
    check_eq!(second.trim(), format!("{profile} (enforce)"));
    kept.exec(&[], &CHMOD).go()?.exits(1)?;
    std::fs::write("/sys/kernel/security/apparmor/.remove", &profile)?;
    kept.verb(&["restart", "-t", "0"]).limit(120).go()?.ok()?;
    check_eq!(profile_of(&kept)?, profile);
    Ok(())
}

/// Who loads another text under the profile's name changes what the processes that run may do; what is started next has the container's.
fn another_text_under_its_name_does_not_stay(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "replaced")?;
    let flags = ["--preset", s(&file)];
    let kept = Kept::run(env, &flags, &["sleep", "100"])?;
    let profile = profile_of(&kept)?;
    let weak = format!(
        "profile {profile} flags=(attach_disconnected) {{\n  file,\n  network,\n  capability,\n  signal,\n  unix,\n}}\n"
    );
    let replace = || Run::new("apparmor_parser").arg("--replace").stdin(weak.clone()).go()?.ok();
    replace()?;
    kept.exec(&[], &CHMOD).go()?.exits(1)?;
    replace()?;
    let other = Kept::run(env, &flags, &["sleep", "100"])?;
    check_eq!(profile_of(&other)?, profile);
    // What the first one's processes may do is the profile's again.
    let digests = std::fs::read_dir("/sys/kernel/security/apparmor/policy/profiles")?.flatten().count();
    check!(digests > 0, "the kernel shows what it has of profiles");
    other.exec(&[], &CHMOD).go()?.exits(1)?;
    Ok(())
}

/// Two containers with one profile, and lines that somebody has written to the log.
fn denials_of_others_are_not_told(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "others")?;
    let flags = ["--preset", s(&file)];
    let (one, two) = (Kept::run(env, &flags, &["sleep", "100"])?, Kept::run(env, &flags, &["sleep", "100"])?);
    let profile = profile_of(&one)?;
    let waits = one.exec(&[], &["sh", "-c", "sleep 3; exit 1"]).start()?;
    one.until(10, |s| s["execs"].as_array().is_some_and(|e| e.len() == 1))?;
    let out = two.exec(&[], &CHMOD).go()?.exits(1)?;
    // Without ids of its own nothing tells whose a process was that has gone.
    if needs_user_namespaces().is_ok() {
        out.complains(&["AppArmor"])?;
    }
    let forged = format!(
        "<4>audit: type=1400 audit(1.2:3): apparmor=\"DENIED\" operation=\"open\" profile=\"{profile}\" name=\"/forged\" pid=1 comm=\"x\" denied_mask=\"r\""
    );
    std::fs::write("/dev/kmsg", &forged)?;
    let out = waits.finish()?.exits(1)?;
    check!(!out.err().contains("AppArmor"), "another's is told: {}", out.told());
    Ok(())
}

/// What the parser made is loaded as it is; what is broken, or not to the kernel's liking, is compiled once more.
fn what_was_compiled_is_taken_up(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "compiled")?;
    let words = [&["run", "--rm", "--network", "none", "--preset", s(&file), "busybox"][..], &CHMOD].concat();
    let run = || env.verb(&words).limit(120).go()?.exits(1)?.complains(&["AppArmor"]);
    let folder = Path::new("/run/hardrun/apparmor-compiled");
    let all = || std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let entries = || all().filter(|path| !path.ends_with("lock"));
    for old in entries() {
        std::fs::remove_file(old)?;
    }
    run()?;
    let made: Vec<PathBuf> = entries().collect();
    let [path] = &made[..] else { return fail(format!("not exactly one entry: {made:?}")) };
    let (whole, meta) = (std::fs::read(path)?, std::fs::metadata(path)?);
    check_eq!(meta.permissions().mode() & 0o777, 0o600);
    run()?;
    check_eq!(std::fs::metadata(path)?.ino(), meta.ino(), "it was compiled again");
    // Whole as far as its digest goes, and nothing that the kernel knows.
    let strange = [&Sha256::digest(b"strange")[..], b"strange"].concat();
    for bad in [&whole[..whole.len() - 1], &strange] {
        std::fs::write(path, bad)?;
        run()?;
        check!(std::fs::read(path)? == whole, "the entry is not what it was");
    }
    check_eq!(entries().count(), 1);
    Ok(())
}

/// With `kernel.apparmor_restrict_unprivileged_unconfined` a process keeps the label that it had beside the one it changes to.
fn confines_where_the_kernel_stacks(env: &Env) -> Outcome {
    needs_apparmor()?;
    let switch = Path::new("/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined");
    let Ok(before) = std::fs::read_to_string(switch) else { return skip("this kernel does not stack (Linux 6.7)") };
    std::fs::write(switch, "1")?;
    let came = stacked(env);
    std::fs::write(switch, before)?;
    came
}

fn stacked(env: &Env) -> Outcome {
    let file = preset(env, "stacked")?;
    let kept = Kept::run(env, &["--preset", s(&file)], &["sleep", "100"])?;
    let first = label(kept.number("pid")?)?;
    check!(first.starts_with("hardrun-") && first.ends_with("//&unconfined (enforce)"), "{first}");
    check_eq!(kept.exec(&[], &["cat", "/proc/self/attr/current"]).go()?.ok()?.out().trim(), first);
    kept.exec(&[], &CHMOD).go()?.exits(1)?.complains(&["chmod /etc/passwd (w) of chmod by AppArmor"])?;
    // Processes of one container meet as ever, and its end comes from outside.
    let script = "sleep 100 & kill -0 $! && cat /proc/$!/environ >/dev/null && kill $! && ! wait $! && echo went";
    kept.exec(&[], &["sh", "-c", script]).go()?.ok()?.says("went")?;
    kept.verb(&["stop", "-t", "20"]).go()?.ok()?;
    // A profile of the host's for that path is found where `unconfined` was, and stands first.
    let all = "file,\n  network,\n  capability,\n  signal,\n  ptrace,\n  unix,\n";
    let text = format!("profile a-it-busybox /bin/busybox flags=(attach_disconnected) {{\n  {all}}}\n");
    Run::new("apparmor_parser").arg("--replace").stdin(text.clone()).go()?.ok()?;
    let script = format!("cat /proc/self/attr/current; {script}");
    let out = env.sh(&["--preset", s(&file)], &script);
    Run::new("apparmor_parser").arg("--remove").stdin(text).go()?.ok()?;
    let out = out?.ok()?.out();
    check!(out.starts_with("a-it-busybox//&hardrun-") && out.ends_with("went\n"), "{out}");
    Ok(())
}

/// As where root's hardrun meets the profile that lets ordinary users have namespaces: it is another label than `unconfined`.
fn who_runs_hardrun_may_have_a_profile(env: &Env) -> Outcome {
    needs_apparmor()?;
    let text = format!("profile it-own {} flags=(unconfined) {{\n}}\n", env.hardrun.display());
    Run::new("apparmor_parser").arg("--replace").stdin(text.clone()).go()?.ok()?;
    let came = in_a_profile(env);
    Run::new("apparmor_parser").arg("--remove").stdin(text).go()?.ok()?;
    came
}

fn in_a_profile(env: &Env) -> Outcome {
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    check_eq!(label(kept.number("supervisor")?)?, "it-own (unconfined)");
    kept.verb(&["kill", "-s", "CONT"]).go()?.ok()?;
    kept.verb(&["stop", "-t", "1"]).limit(30).go()?.ok()?;
    kept.verb(&["inspect", "-f", "{{.State.ExitCode}}"]).go()?.ok()?.says("137")?;
    let kept = Kept::run(env, &[], &["sleep", "1000"])?;
    let (supervisor, pid) = (kept.number("supervisor")? as i32, kept.number("pid")?);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::Signal::SIGKILL)?;
    let gone = wait_for(Duration::from_secs(20), || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    check!(gone.is_some(), "the container lives on without its supervisor");
    Ok(())
}

/// The site's profile does not let it be signalled: what can be done without a signal is, and what cannot is said.
fn one_that_hears_no_signal_ends(env: &Env) -> Outcome {
    needs_apparmor()?;
    let name = format!("it-deaf-{}", std::process::id());
    let text =
        format!("profile {name} flags=(attach_disconnected) {{\n  file,\n  network,\n  capability,\n  unix,\n}}\n");
    Run::new("apparmor_parser").arg("--replace").stdin(text.clone()).go()?.ok()?;
    let came = deaf(env, &format!("apparmor={name}"));
    Run::new("apparmor_parser").arg("--remove").stdin(text).go()?.ok()?;
    came
}

fn deaf(env: &Env, option: &str) -> Outcome {
    let kept = Kept::run(env, &["--security-opt", option], &["sleep", "1000"])?;
    kept.verb(&["kill", "-s", "USR1"]).go()?.exits(1)?.complains(&["ermission denied", "signal (receive)"])?;
    kept.verb(&["stop", "-t", "1"]).limit(30).go()?.ok()?;
    kept.verb(&["inspect", "-f", "{{.State.ExitCode}}"]).go()?.ok()?.says("137")?;
    let kept = Kept::run(env, &["--security-opt", option], &["sleep", "1000"])?;
    kept.verb(&["rm", "-f"]).limit(30).go()?.ok()?;
    // Not even by its supervisor's death: the next command finds it.
    let root = env.own_root()?;
    let kept = Kept::run_at(env, &root, &["--security-opt", option], &["sleep", "1000"])?;
    let (supervisor, pid) = (kept.number("supervisor")? as i32, kept.number("pid")?);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::Signal::SIGKILL)?;
    let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    check!(wait_for(Duration::from_secs(3), gone).is_none(), "its supervisor's death reaches it");
    env.at(&root, &["run", "--rm", "--network", "none", "busybox", "true"]).go()?.ok()?;
    check!(wait_for(Duration::from_secs(10), gone).is_some(), "the container lives on");
    Ok(())
}

/// Judged when it was made, and once more when it starts and when something is executed in it.
fn a_profile_that_complains_by_now(env: &Env) -> Outcome {
    needs_apparmor()?;
    let name = format!("it-later-{}", std::process::id());
    let load = |flags: &str| {
        let rules = "file,\n  network,\n  capability,\n  signal,\n  unix,\n";
        let text = format!("profile {name} flags=(attach_disconnected{flags}) {{\n  {rules}}}\n");
        Run::new("apparmor_parser").arg("--replace").stdin(text).go()?.ok()
    };
    load("")?;
    let kept = Kept::run(env, &["--security-opt", &format!("apparmor={name}")], &["sleep", "1000"])?;
    load(",complain")?;
    kept.exec(&[], &["true"]).go()?.exits(125)?.complains(&["apparmor-weaker", "complain"])?;
    kept.exec(&["--allow", "apparmor-weaker"], &["true"]).go()?.ok()?;
    kept.verb(&["kill"]).go()?.ok()?;
    kept.verb(&["start"]).go()?.exits(1)?.complains(&["apparmor-weaker", "complain"])?;
    load("")?;
    kept.verb(&["start"]).go()?.ok()?;
    Run::new("sh").args(["-c", &format!("printf {name} > /sys/kernel/security/apparmor/.remove")]).go()?.ok()?;
    // A name that holds `unconfined` is one like others: what of it is in complain mode counts.
    let name = format!("not-unconfined-{}", std::process::id());
    let flags = "flags=(attach_disconnected,complain)";
    let text =
        format!("profile {name} flags=(attach_disconnected) {{\n  file,\n  profile part {flags} {{ file, }}\n}}\n");
    Run::new("apparmor_parser").arg("--replace").stdin(text).go()?.ok()?;
    let out = env.sh(&["--security-opt", &format!("apparmor={name}")], "true")?;
    Run::new("sh").args(["-c", &format!("printf {name} > /sys/kernel/security/apparmor/.remove")]).go()?.ok()?;
    out.exits(125)?.complains(&["apparmor-weaker", "complain"])?;
    Ok(())
}

/// A container that was created before there was AppArmor, as after a reboot with `apparmor=1`: it is not left without.
fn comes_to_containers_of_before(env: &Env) -> Outcome {
    needs_apparmor()?;
    let kept = Kept::create(env, &[], &["sleep", "100"])?;
    kept.made_before("apparmor")?;
    kept.verb(&["start"]).go()?.ok()?.complains(&["AppArmor has come to this host"])?;
    let first = label(kept.number("pid")?)?;
    check!(first.starts_with("hardrun-"), "{first}");
    let again = kept.verb(&["restart", "-t", "0"]).go()?.ok()?;
    check!(!again.err().contains("AppArmor"), "it was not kept: {}", again.told());
    let second = label(kept.number("pid")?)?;
    check_eq!(second, first);
    Ok(())
}

/// `apparmor.mode=complain`: the kernel calls every profile enforced, and refuses nothing.
fn a_host_that_complains(env: &Env) -> Outcome {
    needs_apparmor()?;
    let mode = Path::new("/sys/module/apparmor/parameters/mode");
    let before = std::fs::read_to_string(mode)?;
    let file = env.dir("complains")?.join("denying.toml");
    let text = "[paths]\nall = true\ndeny = [{ path = \"/proc/*/environ\", access = \"r\" }]\n";
    std::fs::write(&file, format!("description = \"denying\"\n{text}"))?;
    let denying = ["--preset", s(&file)];
    let before_it = Kept::create(env, &denying, &["true"])?;
    std::fs::write(mode, "complain")?;
    let watched = || {
        let kept = Kept::create(env, &[], &["sleep", "100"])?;
        let ran = [
            env.sh(&[], "true")?,
            kept.verb(&["start"]).go()?,
            kept.exec(&[], &["true"]).go()?,
            kept.verb(&["restart", "-t", "0"]).go()?,
        ];
        // What the profile alone would deny is denied by nothing, before and after.
        let denied = [env.sh(&denying, "true")?, before_it.verb(&["start"]).go()?];
        Outcome::Ok((ran, env.verb(&["explain", "busybox", "true"]).go()?, denied))
    };
    let watched = watched();
    let doctor = env.verb(&["doctor"]).go();
    std::fs::write(mode, before.trim())?;
    let (ran, explained, denied) = watched?;
    for (denied, status) in denied.into_iter().zip([125, 1]) {
        denied.exits(status)?.complains(&["/proc/*/environ", "cannot be enforced here"])?;
    }
    before_it.verb(&["start", "-a"]).go()?.ok()?;
    for ran in ran {
        ran.ok()?.complains(&["AppArmor is in complain mode"])?;
    }
    check!(explained.out().contains("in complain mode on this host: profiles refuse nothing"), "{}", explained.told());
    let doctor = doctor?.ok()?.out();
    check!(doctor.contains("echo enforce > /sys/module/apparmor/parameters/mode"), "{doctor}");
    let again = env.sh(&[], "true")?.ok()?;
    check!(!again.err().contains("AppArmor"), "{}", again.told());
    Ok(())
}

fn goes_with_its_last_user(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "last")?;
    let flags = ["--preset", s(&file)];
    let (one, two) = (Kept::run(env, &flags, &["sleep", "100"])?, Kept::run(env, &flags, &["sleep", "100"])?);
    let profile = profile_of(&one)?;
    check_eq!(profile_of(&two)?, profile, "who may do the same shares it");
    one.verb(&["kill"]).go()?.ok()?;
    one.until_state("exited", 30)?;
    check!(loaded(&profile)?, "the other one has it still");
    two.verb(&["kill"]).go()?.ok()?;
    let text = Path::new("/run/hardrun/apparmor").join(&profile);
    let gone = wait_for(Duration::from_secs(20), || (!loaded(&profile).ok()? && !text.exists()).then_some(()));
    check!(gone.is_some(), "{profile} is in the kernel still, or its text in {}", text.display());
    Ok(())
}

/// The kernel's log has the profile and the operation, and a command that failed says what it was.
fn denials_are_explained(env: &Env) -> Outcome {
    needs_apparmor()?;
    let file = preset(env, "denials")?;
    let told = "chmod /etc/passwd (w) of chmod by AppArmor";
    let words = ["run", "--rm", "--network", "none", "--preset", s(&file), "busybox"];
    env.verb(&words).args(CHMOD).go()?.exits(1)?.complains(&[told, "hardrun apparmor show"])?;
    let kept = Kept::run(env, &["--preset", s(&file)], &["sleep", "100"])?;
    let profile = profile_of(&kept)?;
    kept.exec(&[], &CHMOD).go()?.exits(1)?.complains(&[told, &profile])?;
    let log = Run::new("dmesg").go()?.ok()?.out();
    let line = log.lines().rev().find(|l| l.contains(&format!("profile=\"{profile}\""))).unwrap_or_default();
    check!(line.contains("DENIED") && line.contains("operation=\"chmod\""), "{line}");
    // What did not fail is not spoken of.
    let out = kept.exec(&[], &["sh", "-c", "chmod 600 /etc/passwd 2>/dev/null; true"]).go()?.ok()?;
    check!(!out.err().contains("AppArmor"), "{}", out.told());
    Ok(())
}

/// What its rules say cannot be seen, but no_new_privs keeps a process from getting anything weaker by them.
fn a_profile_that_leads_to_another(env: &Env) -> Outcome {
    needs_apparmor()?;
    let name = format!("it-leads-{}", std::process::id());
    let rest = "/** rwmlk,\n  network,\n  capability,\n  signal,\n  unix,\n";
    let text = format!(
        "profile {name} flags=(attach_disconnected) {{\n  {rest}  /bin/** ix,\n  /b px -> {name}-weak,\n  change_profile -> {name}-weak,\n}}\n\
         profile {name}-entry flags=(attach_disconnected) {{\n  {rest}  /bin/busybox px -> {name}-weak,\n}}\n\
         profile {name}-weak flags=(attach_disconnected,complain) {{\n  {rest}}}\n"
    );
    let child = format!(
        "profile {name}-part flags=(attach_disconnected) {{\n  {rest}  profile x flags=(complain) {{\n  }}\n}}\n"
    );
    Run::new("apparmor_parser").arg("--replace").stdin(text.clone() + &child).go()?.ok()?;
    let option = format!("apparmor={name}");
    let script = "cp /bin/busybox /b; /b cat /proc/self/attr/current || echo not by exec; echo changeprofile NAME-weak > /proc/self/attr/current || echo not by asking";
    let out = env.sh(&["--security-opt", &option], &script.replace("NAME", &name));
    let entry = env.sh(&["--security-opt", &format!("{option}-entry")], "true");
    let part = env.sh(&["--security-opt", &format!("{option}-part")], "true");
    Run::new("apparmor_parser").arg("--remove").stdin(text + &child).go()?.ok()?;
    let out = out?;
    check!(out.out().contains("not by exec") && out.out().contains("not by asking"), "{}", out.told());
    entry?.exits(126)?.complains(&["operation not permitted", "leads"])?;
    part?.exits(125)?.complains(&["--allow apparmor-weaker", "complain"])?;
    Ok(())
}

/// Its rules take the place of the built-in ones.
fn a_profile_of_the_sites_own(env: &Env) -> Outcome {
    needs_apparmor()?;
    let name = format!("it-own-{}", std::process::id());
    let text = format!(
        "profile {name} flags=(attach_disconnected) {{\n  file,\n  network,\n  capability,\n  signal,\n  unix,\n  deny /etc/group r,\n}}\n"
    );
    Run::new("apparmor_parser").arg("--replace").stdin(text.clone()).go()?.ok()?;
    let option = format!("apparmor={name}");
    let out = env.sh(&["--security-opt", &option], "cat /proc/self/attr/current; cat /etc/group");
    Run::new("apparmor_parser").arg("--remove").stdin(text).go()?.ok()?;
    let out = out?.exits(1)?.complains(&["Permission denied"])?;
    check_eq!(out.out().trim(), format!("{name} (enforce)"));
    env.sh(&["--security-opt", &option], "true")?.exits(125)?.complains(&[&name])?;
    Ok(())
}

/// What a preset denies does not keep the container from being started: the profile holds before the command runs.
fn every_preset_starts(env: &Env) -> Outcome {
    needs_apparmor()?;
    let listed = env.verb(&["preset", "list"]).go()?.ok()?.out();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    check!(names.contains(&"batch") && names.len() > 10, "{listed}");
    for name in names {
        let words = ["run", "--rm", "--network", "none", "--preset", name, "busybox", "echo", "here"];
        env.verb(&words).go()?.ok()?.says("here")?;
    }
    let deny = env.dir("denies")?.join("denies.toml");
    std::fs::write(&deny, "description = \"no sockets\"\n[sockets]\nallow = []\ndeny = [\"unix\", \"netlink\"]\n")?;
    let kept = Kept::run(env, &["--preset", s(&deny)], &["sleep", "100"])?;
    kept.exec(&[], &["echo", "there"]).go()?.ok()?.says("there")?;
    Ok(())
}
