//! The audit log when it is put aside, and when whoever does that is killed in the middle.

use crate::harness::env::s;
use crate::harness::{Env, Outcome, Run};
use crate::{cases, check, check_eq};
use std::path::Path;

cases!("audit": the_chain_goes_on_over_a_rotation, a_rotation_that_is_killed_loses_nothing);

/// One more line.
fn launch(env: &Env, root: &Path) -> Outcome {
    env.at(root, &["run", "--rm", "--network", "none", "busybox", "true"]).go()?.ok().map(drop)
}

/// All lines, oldest first.
fn lines(env: &Env, root: &Path) -> Outcome<Vec<String>> {
    let shown = env.at(root, &["audit-log", "show", "--format", "json"]).go()?.ok()?.out();
    Ok(shown.lines().map(str::to_owned).collect())
}

fn verified(env: &Env, root: &Path, flags: &[&str]) -> Outcome<bool> {
    let out = env.at(root, &["audit-log", "verify"]).args(flags).go()?;
    check!(out.code <= 1, "{}", out.told());
    Ok(out.code == 0)
}

fn the_chain_goes_on_over_a_rotation(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let rotate = || env.at(&root, &["audit-log", "rotate"]).go();
    let nothing = rotate()?.ok()?;
    check!(nothing.out().is_empty() && nothing.err().contains("nothing to put aside"), "{}", nothing.told());
    launch(env, &root)?;
    launch(env, &root)?;
    let before = lines(env, &root)?;
    let first = rotate()?.ok()?.out();
    let (file, hash) = first.trim().split_once(' ').unwrap_or_default();
    check_eq!(file, format!("{}/audit.log.1", s(&root)));
    check_eq!(lines(env, &root)?, before, "what is put aside is shown as before");
    launch(env, &root)?;
    let second = rotate()?.ok()?.out();
    check!(second.starts_with(&format!("{}/audit.log.2 ", s(&root))), "{second}");
    launch(env, &root)?;
    let after = lines(env, &root)?;
    check!(after.len() > before.len() && after[..before.len()] == before, "{after:?}");
    check!(verified(env, &root, &[])?, "the chain is broken");
    // Moved away: the rest follows the hash that was printed, and no other.
    let away = env.dir("away")?.join("audit.log.1");
    std::fs::rename(file, &away)?;
    check!(!verified(env, &root, &[])?, "a file is gone and nobody says so");
    check!(verified(env, &root, &["--after", hash])?, "the rest does not follow");
    check!(!verified(env, &root, &["--after", &"0".repeat(64)])?, "it follows anything");
    std::fs::rename(&away, file)?;
    let text = std::fs::read_to_string(file)?;
    std::fs::write(file, text.replacen("busybox", "busybex", 1))?;
    check!(!verified(env, &root, &[])?, "a changed line of a file that was put aside is not seen");
    Ok(())
}

/// At each of its calls: what is left is the old log, or the new one with the old beside it.
fn a_rotation_that_is_killed_loses_nothing(env: &Env) -> Outcome {
    env.needs("strace")?;
    let root = env.own_root()?;
    launch(env, &root)?;
    let log = s(&root).to_owned() + "/audit.log";
    let (mut expected, mut aside, mut killed) = (lines(env, &root)?, 0, 0);
    for call in ["flock", "fsync", "rename", "pwrite64"] {
        for at in 1..=2 {
            // Killed when it makes the call for the first, the second time. `-P`: of calls on the log alone.
            let inject = format!("inject={call}:signal=KILL:when={at}");
            let own = [s(&env.hardrun), "--root", s(&root), "audit-log", "rotate"];
            let traced = Run::new("strace").args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
            let paths = [log.as_str(), &format!("{log}.head"), &format!("{log}.{}", aside + 1)];
            let traced = paths.iter().fold(traced, |run, path| run.args(["-P", path]));
            let out = traced.args(own).unset("HARDRUN_ROOT").go()?;
            check!(out.code == 0 || out.code == 137, "{call} {at}: {}", out.told());
            killed += usize::from(out.code == 137);
            aside = std::fs::read_dir(&root)?
                .flatten()
                .filter_map(|e| e.file_name().to_str()?.strip_prefix("audit.log.")?.parse::<u32>().ok())
                .max()
                .unwrap_or(0);
            check_eq!(lines(env, &root)?, expected, "{call} {at}");
            launch(env, &root)?;
            let now = lines(env, &root)?;
            check!(now.len() > expected.len() && now[..expected.len()] == expected, "{call} {at}: {now:?}");
            check!(verified(env, &root, &[])?, "{call} {at}: {}", env.at(&root, &["audit-log", "verify"]).go()?.told());
            expected = now;
        }
    }
    // Before and after the file is put aside, and between that and the new head.
    check!(aside > 0 && killed >= 4, "{aside} files were put aside, {killed} rotations killed");
    // And with nobody in the way.
    env.at(&root, &["audit-log", "rotate"]).go()?.ok()?;
    launch(env, &root)?;
    check!(verified(env, &root, &[])?, "the chain is broken");
    Ok(())
}
