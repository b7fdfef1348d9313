//! The safe probes of past escapes as one list: a case that says which went wrong, and `integration table`, which
//! `integration/vm --table` makes a page of, host by host.

use super::guards;
use super::lifecycle::Kept;
use crate::harness::{Env, Outcome, Stop, host, runner};
use crate::{cases, check};
use std::collections::BTreeMap;
use std::process::ExitCode;

cases!("probes": all_are_shut);

/// What is known of one container: answers of the probe, by its names.
struct Answers {
    doors: BTreeMap<String, String>,
    sockets: BTreeMap<String, String>,
    writes: BTreeMap<String, String>,
    fds: Vec<String>,
    first: BTreeMap<String, String>,
    second: BTreeMap<String, String>,
    label: String,
}

impl Answers {
    fn take(env: &Env) -> Outcome<Answers> {
        let fields = |what: &[&str]| -> Outcome<_> { Ok(env.probe(&["--network", "none"], what)?.ok()?.fields()) };
        let files = ["open-for-writing", "/proc/1/exe", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"];
        let writes = env.probe(&["--network", "none", "--init"], &files)?.ok()?.fields();
        let fds = env.probe(&["--network", "none"], &["fds"])?.ok()?.out().lines().map(str::to_owned).collect();
        let run = env.verb(&["run", "-d", "--network", "none", env.probe_image()?, "sleep", "100"]);
        let kept = Kept::take(env, &env.root, run.go()?.ok()?)?;
        let second = kept.exec(&[], &["/probe", "probe", "state"]).go()?.ok()?.fields();
        let pid = kept.number("pid")?;
        let label = std::fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap_or_default();
        Ok(Answers {
            doors: fields(&["doors"])?,
            sockets: fields(&["sockets"])?,
            writes,
            fds,
            first: fields(&["state"])?,
            second,
            label: label.trim_end_matches(['\0', '\n']).to_owned(),
        })
    }

    fn door(&self, names: &[&str]) -> String {
        join(names.iter().map(|n| self.doors.get(*n).cloned().unwrap_or_default()))
    }

    fn socket(&self, names: &[&str]) -> String {
        join(names.iter().map(|n| self.sockets.get(*n).cloned().unwrap_or_default()))
    }

    fn write(&self, names: &[&str]) -> String {
        join(names.iter().map(|n| self.writes.get(*n).cloned().unwrap_or_default()))
    }

    /// Inheritable capabilities, no_new_privs, filter: of the first process and of an `exec`.
    fn state(&self) -> String {
        let of = |state: &BTreeMap<String, String>| {
            let value = |key: &str| state.get(&format!("status.{key}")).cloned().unwrap_or_default();
            let inherited = u64::from_str_radix(&value("CapInh"), 16).map_or("?".to_owned(), |mask| mask.to_string());
            format!("{inherited} {} {}", value("NoNewPrivs"), value("Seccomp"))
        };
        join([of(&self.first), of(&self.second)].into_iter())
    }
}

/// Answers one after the other; those that are the same once.
fn join(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.dedup();
    words.join(", ")
}

/// One row: which escape, what is tried, what came of it, and whether that is as promised.
struct Row {
    escape: &'static str,
    tried: &'static str,
    came: String,
    shut: bool,
}

/// Answers that come from no code of the call itself.
fn refused(came: &str) -> bool {
    let fine =
        ["EPERM", "ENOSYS", "EACCES", "EROFS", "ENOENT", "ETXTBSY", "EAFNOSUPPORT", "EPROTONOSUPPORT", "signal-31"];
    !came.is_empty() && came.split(", ").all(|answer| fine.contains(&answer))
}

/// A case of `guards` that looks from the host.
fn held(env: &Env, case: fn(&Env) -> Outcome) -> Outcome<(String, bool)> {
    match case(env) {
        Ok(()) => Ok(("held".to_owned(), true)),
        Err(Stop::Fail(why)) => Ok((format!("FAILED: {}", why.lines().next().unwrap_or_default()), false)),
        Err(skipped) => Err(skipped),
    }
}

fn rows(env: &Env) -> Outcome<Vec<Row>> {
    let a = Answers::take(env)?;
    let errno = |escape, tried, came: String| Row { escape, tried, shut: refused(&came), came };
    let from_host = |escape, tried, case: fn(&Env) -> Outcome| -> Outcome<Row> {
        let (came, shut) = held(env, case)?;
        Ok(Row { escape, tried, came, shut })
    };
    let inherited = a.fds.iter().filter(|line| !["0 ", "1 ", "2 "].iter().any(|n| line.starts_with(n))).count();
    let (none, state) = (inherited == 0, a.state());
    let label = a.label.as_str();
    Ok(vec![
        errno("CVE-2019-5736", "writing to pid 1's executable (`--init`)", a.write(&["/proc/1/exe"])),
        from_host("CVE-2021-30465", "mounts on links that lead out", guards::symlinked_mount_destinations)?,
        errno(
            "CVE-2022-0492, CVE-2022-0185",
            "unshare (mnt, cgroup), fsopen, fsconfig",
            a.door(&["unshare-mnt", "unshare-cgroup", "fsopen", "fsconfig"]),
        ),
        errno(
            "CVE-2023-0386, CVE-2024-1086 and other roads through user namespaces and io_uring",
            "unshare and clone (user), io_uring_setup",
            a.door(&["unshare-user", "clone-user", "io_uring_setup"]),
        ),
        errno("CVE-2022-0847 (the flaw itself is the kernel's)", "vmsplice", a.door(&["vmsplice"])),
        Row {
            escape: "CVE-2024-21626",
            tried: "descriptors that were left open",
            came: if none { "none".into() } else { a.fds.join(", ") },
            shut: none,
        },
        from_host("CVE-2024-21626", "a working folder through one", guards::workdir_through_a_descriptor)?,
        errno(
            "CVE-2025-31133, CVE-2025-52565",
            "opening sysrq-trigger and core_pattern for writing",
            a.write(&["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"]),
        ),
        from_host("CVE-2025-52881", "links that lead into /proc", guards::links_to_the_kernels_folders_are_refused)?,
        Row {
            escape: "CVE-2025-52881",
            tried: "the label in force, read from the host",
            came: match label.split_once(':') {
                Some(_) => label.split(':').nth(2).unwrap_or_default().to_owned(),
                None if label.starts_with("hardrun-") => "hardrun-… (enforce)".to_owned(),
                None => "no module".to_owned(),
            },
            // Of the module that is in force; where there is none, nobody has a label.
            shut: match (host::has_apparmor(), host::has_selinux()) {
                (true, _) => label.starts_with("hardrun-") && label.ends_with(" (enforce)"),
                (_, true) => label.starts_with("system_u:system_r:container_t:s0:c"),
                _ => label.is_empty(),
            },
        },
        Row {
            escape: "CVE-2025-27612",
            tried: "inheritable capabilities, no_new_privs, filter; in `exec`, too",
            shut: state == "0 1 2",
            came: state,
        },
        from_host(
            "CVE-2026-41579, CVE-2026-47766",
            "an image whose /dev is a link",
            guards::a_symlinked_dev_is_refused,
        )?,
        errno("CVE-2026-31431", "sockets: AF_ALG", a.socket(&["family-alg"])),
        errno(
            "CVE-2026-43284, CVE-2026-43500",
            "sockets: RxRPC, NETLINK_XFRM",
            a.socket(&["family-rxrpc", "netlink-xfrm"]),
        ),
        errno(
            "filters gone round",
            "32-bit and x32 calls",
            a.door(&["int80-getpid", "int80-socketcall", "x32-getpid"]),
        ),
        errno("CVE-2017-5226", "TIOCSTI, TIOCLINUX", a.door(&["ioctl-tiocsti", "ioctl-tioclinux"])),
    ])
}

fn all_are_shut(env: &Env) -> Outcome {
    for row in rows(env)? {
        check!(row.shut, "{}: {}: {}", row.escape, row.tried, row.came);
    }
    Ok(())
}

/// A line a row, with tabs, and the layers of this host; not 0 where one of them is not as promised.
pub fn table() -> ExitCode {
    let shown = runner::with_env(|env| {
        let mut all = true;
        for row in rows(env)? {
            println!("probe\t{} | {}\tinside\t{}", row.escape, row.tried, row.came);
            all &= row.shut;
        }
        super::layers::table(env)?;
        if all { Ok(()) } else { crate::harness::fail("not everything is shut") }
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Fail(why) | Stop::Skip(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
