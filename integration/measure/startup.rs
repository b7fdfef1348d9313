//! How long `true` takes from the command line to its exit status, side by side in one run, each in its turn so that a
//! slow moment of the machine falls on all.

use super::{bundle, median, sample};
use crate::harness::env::s;
use crate::harness::{Env, Outcome, Stop};

struct Contestant {
    name: &'static str,
    argv: Vec<String>,
    /// Which helper times it: `time-v1` hides the unified hierarchy, which Debian's crun refuses beside v1.
    timer: &'static str,
    micros: Vec<u64>,
    kib: Vec<u64>,
}

pub fn print(env: &Env, rounds: usize) -> Outcome {
    let mut all = contestants(env)?;
    // Not counted: caches fill, images unpack, filters compile.
    for _ in 0..2 {
        for c in &all {
            sample(c.name, c.timer, &c.argv)?;
        }
    }
    for round in 0..rounds {
        let count = all.len();
        for at in 0..count {
            let c = &mut all[(round + at) % count];
            let (micros, kib) = sample(c.name, c.timer, &c.argv)?;
            c.micros.push(micros);
            c.kib.push(kib);
        }
    }
    table(&mut all, rounds);
    Ok(())
}

fn words(program: &str, args: &[&str]) -> Vec<String> {
    std::iter::once(program).chain(args.iter().copied()).map(str::to_owned).collect()
}

fn contestants(env: &Env) -> Outcome<Vec<Contestant>> {
    let mut all = Vec::new();
    let mut add = |name, timer, argv| {
        all.push(Contestant { name, argv, timer, micros: Vec::new(), kib: Vec::new() });
    };
    add("fork and exec alone", "time", words("busybox", &["true"]));
    let root = env.dir("root")?;
    env.at(&root, &["import", s(&env.fixtures.busybox()?), "busybox:latest"]).go()?.ok()?;
    let run = ["run", "--rm", "--network", "none", "busybox", "true"];
    add("hardrun", "time", [words(s(&env.hardrun), &["--root", s(&root)]), words(run[0], &run[1..])].concat());
    let missing = |name: &str, stop: Stop| match stop {
        Stop::Fail(why) | Stop::Skip(why) => println!("not measured: {name}: {why}"),
    };
    match bundle::from_docker(env) {
        Ok(bundle) => {
            for name in ["crun", "runc"] {
                let state = env.dir(name)?;
                let argv = words(name, &["--root", s(&state), "run", "--bundle", s(&bundle), "bench"]);
                match env.needs(name) {
                    Ok(()) => add(name, if name == "crun" { "time-v1" } else { "time" }, argv),
                    Err(stop) => missing(name, stop),
                }
            }
        }
        Err(stop) => missing("crun and runc on docker's bundle", stop),
    }
    match env.peers.podman(env) {
        Ok(podman) => {
            let mut argv = podman.run_command();
            argv.extend(words("--rm", &["--network", "none", "--pull", "never", "localhost/busybox", "true"]));
            add("podman", "time", argv);
        }
        Err(stop) => missing("podman", stop),
    }
    match env.peers.docker(env) {
        Ok(docker) => {
            let mut argv = docker.command();
            argv.extend(words("run", &["--rm", "--network", "none", "busybox", "true"]));
            add("docker", "time", argv);
        }
        Err(stop) => missing("docker", stop),
    }
    Ok(all)
}

fn table(all: &mut [Contestant], rounds: usize) {
    let figures: Vec<(&str, u64, u64, u64, u64)> = all
        .iter_mut()
        .map(|c| {
            let middle = median(&mut c.micros);
            (c.name, middle, c.micros[0], c.micros[c.micros.len() * 9 / 10], *c.kib.iter().max().unwrap_or(&0))
        })
        .collect();
    let own = figures.iter().find(|f| f.0 == "hardrun").map_or(1, |f| f.1) as f64;
    println!("`true` in a busybox container without a network, {rounds} rounds, milliseconds:");
    println!("{:<22} {:>8} {:>8} {:>8} {:>14} {:>12}", "", "median", "least", "90 %", "÷ hardrun", "peak, KiB");
    for (name, middle, least, most, kib) in &figures {
        let ms = |micros: u64| micros as f64 / 1000.0;
        println!(
            "{name:<22} {:>8.1} {:>8.1} {:>8.1} {:>14.2} {kib:>12}",
            ms(*middle),
            ms(*least),
            ms(*most),
            *middle as f64 / own
        );
    }
    println!("peak: the largest resident set of the process that was started and of those it waited for");
}
