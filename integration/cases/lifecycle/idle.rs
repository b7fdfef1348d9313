//! What a supervisor costs that has nothing to do.

use super::Kept;
use crate::harness::{Env, Outcome, host};
use crate::{cases, check, check_eq};
use std::time::Duration;

cases!("lifecycle::idle": @alone sleeps_and_is_small);

/// KiB of memory that the kernel cannot take back: what the process has written to. Pages of its text come from the page cache, can be
/// dropped at any time, and are shared with every other hardrun; that they count as private while nobody else has mapped them says
/// nothing about this process.
fn private(pid: i32) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let lines = text.lines().filter(|l| l.starts_with("Private_Dirty:") || l.starts_with("Private_Hugetlb:"));
    Ok(lines.filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).sum())
}

fn sleeps_and_is_small(env: &Env) -> Outcome {
    // Alone, and with all that a supervisor can hold: a network with its name server, a published port, limits, a log.
    quiet(&Kept::run(env, &["--restart", "always"], &["sleep", "1000"])?)?;
    let flags = ["run", "-d", "-i", "-t", "-p", "127.0.0.1::80", "--restart", "always", "--health-cmd", "true"];
    let run = env.verb(&flags).args(["--health-interval", "1h", "busybox", "sleep", "1000"]);
    quiet(&Kept::take(env, &env.root, run.go()?.ok()?)?)
}

fn quiet(kept: &Kept<'_>) -> Outcome {
    // A command that comes and goes, so that what it needs once is there.
    kept.exec(&[], &["true"]).go()?.ok()?;
    std::thread::sleep(Duration::from_millis(500));
    let supervisor = kept.number("supervisor")? as i32;
    let switches = || {
        let status = host::status(supervisor);
        (status.get("voluntary_ctxt_switches").cloned(), status.get("Threads").cloned())
    };
    let before = switches();
    std::thread::sleep(Duration::from_secs(2));
    check_eq!(switches(), before, "an idle supervisor woke up");
    check_eq!(before.1.as_deref(), Some("1"));
    let kib = private(supervisor)?;
    check!(kib <= 3 * 1024, "the supervisor has {kib} KiB of memory of its own");
    Ok(())
}
