//! What a container meets by default under docker, podman and hardrun: the table in the README, made by the same probe
//! in all three and by the kernel's own copy of each filter.

use crate::harness::filter::{self, Call, Verdict};
use crate::harness::{Env, Outcome, Run, fail, host, raw, skip};
use crate::probe::FAMILIES;
use crate::{cases, check};
use std::collections::{BTreeMap, BTreeSet};

cases!("surface": @alone the_readmes_table_is_what_is_measured, hardrun_is_stricter_than_docker);

const BEGIN: &str = "<!-- surface: made by `integration/bench surface --write` -->";
const END: &str = "<!-- surface: end -->";

/// What one engine's default container is.
struct Surface {
    engine: String,
    capabilities: BTreeMap<String, u64>,
    no_new_privs: bool,
    calls: Vec<(String, Verdict)>,
    i386: usize,
    x32: usize,
    families: BTreeSet<&'static str>,
    creatable: BTreeSet<String>,
    writable: usize,
    readable: usize,
    host_id: u64,
}

pub fn print(env: &Env, write: bool) -> Outcome {
    let table = table(&all(env)?);
    print!("{table}");
    if write {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let text = std::fs::read_to_string(path)?;
        let Some((before, _, after)) = split(&text) else { return fail(format!("README.md has no line {BEGIN}")) };
        std::fs::write(path, format!("{before}{BEGIN}\n{table}{END}{after}"))?;
    }
    Ok(())
}

fn split(text: &str) -> Option<(&str, &str, &str)> {
    super::table_between(text, BEGIN, END)
}

fn all(env: &Env) -> Outcome<[Surface; 3]> {
    Ok([docker(env)?, podman(env)?, hardrun(env)?])
}

fn hardrun(env: &Env) -> Outcome<Surface> {
    let version = Run::new(&env.hardrun).arg("--version").go()?.ok()?.out();
    // "hardrun version 0.1.0, libcontainer …"
    let version = version.split(',').next().unwrap_or_default().replace("version ", "");
    let held = env.hold(&[])?;
    let seen = look(version.trim(), held.init, |words| env.probe(&[], words).and_then(|o| o.ok()).map(|o| o.out()));
    held.end()?;
    seen
}

fn docker(env: &Env) -> Outcome<Surface> {
    let docker = env.peers.docker(env)?;
    let version = docker.run(&["version", "-f", "docker {{.Server.Version}}"]).go()?.ok()?.out();
    let id = docker.run(&["run", "-d", "--network", "none", "busybox", "sleep", "600"]).go()?.ok()?.out();
    let pid = docker.run(&["inspect", "-f", "{{.State.Pid}}", id.trim()]).go()?.ok()?.out();
    let probe = |words: &[&str]| {
        let run = docker.run(&["run", "--rm", "--network", "none", "probe", "/probe", "probe"]);
        run.args(words).go()?.ok().map(|o| o.out())
    };
    let seen = look(version.trim(), pid.trim().parse()?, probe);
    docker.run(&["rm", "-f", id.trim()]).go()?.ok()?;
    seen
}

fn podman(env: &Env) -> Outcome<Surface> {
    let podman = env.peers.podman(env)?;
    let version = podman.command(&["version", "-f", "podman {{.Client.Version}}"]).go()?.ok()?.out();
    let words = podman.run_command();
    let start = || Run::new(&words[0]).args(&words[1..]).args(["--network", "none", "--pull", "never"]);
    let id = start().args(["-d", "localhost/busybox", "sleep", "600"]).go()?.ok()?.out();
    let pid = podman.command(&["inspect", "-f", "{{.State.Pid}}", id.trim()]).go()?.ok()?.out();
    let probe = |words: &[&str]| {
        start().args(["--rm", "localhost/probe", "/probe", "probe"]).args(words).go()?.ok().map(|o| o.out())
    };
    let seen = look(version.trim(), pid.trim().parse()?, probe);
    podman.command(&["rm", "-f", "-t", "0", id.trim()]).go()?.ok()?;
    seen
}

/// The host's view of a container's first process, and the probe's view from inside.
fn look(engine: &str, pid: i32, probe: impl Fn(&[&str]) -> Outcome<String>) -> Outcome<Surface> {
    let filters = raw::filters(pid)?;
    let call = |arch, number| filter::verdict(&filters, Call { arch, number, first: None });
    let allowed = |arch, bit: u32| (0..460).filter(|n| call(arch, n | bit) != Verdict::Denied).count();
    let socket = |family: usize| {
        let call = Call { arch: filter::X86_64, number: libc::SYS_socket as u32, first: Some(family as u64) };
        filter::verdict(&filters, call) != Verdict::Denied
    };
    let made = probe(&["sockets"])?;
    let creatable = made.lines().filter_map(|l| l.strip_suffix(" open")?.strip_prefix("family-"));
    let paths = probe(&["paths"])?;
    let count = |prefix: &str| paths.lines().filter(|l| l.starts_with(prefix)).count();
    let root = host::id_map(pid, "uid_map")?.into_iter().find(|m| m.inside == 0);
    Ok(Surface {
        engine: engine.to_owned(),
        capabilities: host::capabilities(pid),
        no_new_privs: host::status(pid).get("NoNewPrivs").is_some_and(|v| v == "1"),
        calls: filter::calls().into_iter().map(|(n, name)| (name, call(filter::X86_64, n))).collect(),
        i386: allowed(filter::I386, 0),
        x32: allowed(filter::X86_64, filter::X32),
        families: FAMILIES.iter().filter(|(n, _)| socket(*n)).map(|(_, name)| *name).collect(),
        creatable: creatable.filter(|f| *f != "alg-high").map(str::to_owned).collect(),
        writable: count("w "),
        readable: count("r "),
        host_id: root.map_or(u64::MAX, |m| m.outside),
    })
}

impl Surface {
    fn calls_with(&self, verdict: Verdict) -> usize {
        self.calls.iter().filter(|(_, v)| *v == verdict).count()
    }
}

type Cell = fn(&Surface) -> String;

const ROWS: &[(&str, Cell)] = &[
    ("capabilities, bounding", |s| s.capabilities["CapBnd"].count_ones().to_string()),
    ("capabilities, permitted", |s| s.capabilities["CapPrm"].count_ones().to_string()),
    ("capabilities, effective", |s| s.capabilities["CapEff"].count_ones().to_string()),
    ("capabilities, inheritable", |s| s.capabilities["CapInh"].count_ones().to_string()),
    ("capabilities, ambient", |s| s.capabilities["CapAmb"].count_ones().to_string()),
    (
        "capabilities act on",
        |s| if s.host_id == 0 { "the host's ids".into() } else { "the container's own ids".into() },
    ),
    ("no_new_privs", |s| if s.no_new_privs { "on".into() } else { "off".into() }),
    ("x86_64 calls allowed, with any arguments", |s| s.calls_with(Verdict::Allowed).to_string()),
    ("x86_64 calls allowed, with some arguments", |s| s.calls_with(Verdict::Conditional).to_string()),
    ("x86_64 calls denied", |s| s.calls_with(Verdict::Denied).to_string()),
    ("32-bit calls (i386) allowed", |s| s.i386.to_string()),
    ("x32 calls allowed", |s| s.x32.to_string()),
    ("socket families that the filter lets through", |s| {
        if s.families.len() > 6 {
            format!("{} of {}", s.families.len(), FAMILIES.len())
        } else {
            s.families.iter().copied().collect::<Vec<_>>().join(", ")
        }
    }),
    ("socket families made on this kernel", |s| s.creatable.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    (WRITABLE, |s| s.writable.to_string()),
    (READABLE, |s| s.readable.to_string()),
    (
        "host id of the container's root",
        |s| if s.host_id == 0 { "0".into() } else { "one of a range of its own".into() },
    ),
];

const WRITABLE: &str = "files below /proc and /sys that open for writing";
const READABLE: &str = "files below /proc and /sys that open for reading";

fn table(all: &[Surface]) -> String {
    let mut text = String::from("\n| a default container as root |");
    all.iter().for_each(|s| text.push_str(&format!(" {} |", s.engine)));
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(all.len())));
    for (name, cell) in ROWS {
        let cells: Vec<String> = all.iter().map(cell).collect();
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    text.push('\n');
    text
}

fn the_readmes_table_is_what_is_measured(env: &Env) -> Outcome {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let Ok(readme) = readme else { return skip("the project's README.md is not on this machine") };
    let Some((_, written, _)) = split(&readme) else { return fail(format!("README.md has no line {BEGIN}")) };
    let measured = table(&all(env)?);
    for (told, seen) in written.trim().lines().zip(measured.trim().lines()) {
        check!(same(told, seen), "the README says\n      {told}\n      and measured was\n      {seen}");
    }
    check!(
        written.trim().lines().count() == measured.trim().lines().count(),
        "README.md has another number of rows; run integration/bench surface --write"
    );
    Ok(())
}

/// Equal, but that machines differ in how many files their kernels show and in the other engines' versions.
fn same(told: &str, seen: &str) -> bool {
    let cells = |l: &str| l.split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    let (told, seen) = (cells(told), cells(seen));
    let close = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= a.max(b) * 0.1 + 5.0,
        _ => a == b,
    };
    match told.get(1).map(String::as_str) {
        Some(WRITABLE | READABLE) => told.len() == seen.len() && told.iter().zip(&seen).all(|(a, b)| close(a, b)),
        Some("a default container as root") => true,
        _ => told == seen,
    }
}

/// Calls that hardrun allows and Debian's docker 20.10 does not, each argued: younger than that profile (cachestat, Linux
/// 6.5; fchmodat2 and map_shadow_stack, 6.6; futex_*, 6.7), or allowed by podman's (pkey_*).
const NOT_IN_OLD_PROFILES: [&str; 9] = [
    "cachestat",
    "fchmodat2",
    "futex_requeue",
    "futex_wait",
    "futex_wake",
    "map_shadow_stack",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
];

fn hardrun_is_stricter_than_docker(env: &Env) -> Outcome {
    let ours = hardrun(env)?;
    let theirs = docker(env)?;
    for (set, bits) in &ours.capabilities {
        check!(bits & !theirs.capabilities[set] == 0, "{set}: {bits:x} is not within docker's");
    }
    check!(ours.capabilities["CapBnd"].count_ones() < theirs.capabilities["CapBnd"].count_ones(), "as many as docker");
    let looser: Vec<&str> = ours
        .calls
        .iter()
        .zip(&theirs.calls)
        .filter(|((_, a), (_, b))| a > b && *b == Verdict::Denied)
        .filter(|((name, _), _)| !NOT_IN_OLD_PROFILES.contains(&name.as_str()))
        .map(|((name, _), _)| name.as_str())
        .collect();
    check!(looser.is_empty(), "docker denies these, hardrun does not: {looser:?}");
    check!(ours.calls_with(Verdict::Denied) > theirs.calls_with(Verdict::Denied), "no more calls denied than docker");
    check!(ours.i386 == 0 && ours.x32 == 0, "{} i386 and {} x32 calls are allowed", ours.i386, ours.x32);
    let allowed = BTreeSet::from(["unix", "inet", "inet6", "netlink"]);
    check!(ours.families.is_subset(&allowed), "the filter lets {:?} through", ours.families);
    check!(ours.host_id != 0, "the container's root is the host's");
    check!(ours.writable <= theirs.writable && ours.readable < theirs.readable, "not fewer kernel files than docker");
    Ok(())
}
