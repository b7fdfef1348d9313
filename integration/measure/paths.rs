//! What a declared path policy costs at a start and at an `exec`, where much is denied on a wide root.

use super::sample;
use crate::cases::paths::NGINX;
use crate::harness::env::s;
use crate::harness::{Env, Outcome, Run};
use std::path::Path;

/// Files below one denied folder.
const FILES: usize = 30_000;

struct Row {
    name: &'static str,
    start: Vec<String>,
    exec: Vec<String>,
    micros: [Vec<u64>; 2],
}

pub fn print(env: &Env, rounds: usize) -> Outcome {
    let root = env.dir("root")?;
    let (image, bound) = (env.dir("wide")?.join("wide.tar"), env.dir("bound")?);
    std::fs::copy(env.fixtures.debian()?, &image)?;
    fill(&bound.join("many"))?;
    // One file with a second name outside: what makes a sweep look at everything else, too.
    std::fs::create_dir(bound.join("srv"))?;
    std::fs::hard_link(bound.join("many/0/0"), bound.join("srv/other"))?;
    Run::new("tar").args(["-C", s(&bound), "--numeric-owner", "-rf", s(&image), "many", "srv"]).go()?.ok()?;
    env.at(&root, &["import", s(&image), "wide"]).limit(300).go()?.ok()?;

    let all = "description = \"x\"\n[paths]\nall = true\n";
    let deny = |pattern: &str| format!("{all}deny = [{{ path = \"{pattern}\", access = \"mrwklx\" }}]\n");
    let volume = format!("{}:/data", s(&bound));
    let policies = [
        ("no policy", "description = \"x\"\n".to_owned(), ""),
        ("all is allowed", all.to_owned(), ""),
        ("a folder with 30,000 files is denied", deny("/many/**"), ""),
        ("each of them by a wildcard", deny("/many/*/*"), ""),
        ("the same in a bound folder", deny("/data/many/**"), volume.as_str()),
        ("the documentation's nginx profile", format!("description = \"x\"\n{NGINX}"), ""),
    ];
    let mut rows = Vec::new();
    let mut kept = Vec::new();
    for (name, text, volume) in &policies {
        let preset = env.dir("preset")?.join("p.toml");
        std::fs::write(&preset, text)?;
        let mut flags = vec!["--network", "none", "--preset", s(&preset)];
        if !volume.is_empty() {
            flags.extend(["-v", volume]);
        }
        let run = env.at(&root, &["run", "-d"]).args(&flags).args(["wide", "sleep", "3600"]).go()?.ok()?;
        let id = run.out().trim().to_owned();
        let words = |verb: &[&str], rest: &[&str]| {
            let own = [s(&env.hardrun), "--root", s(&root)];
            own.iter().chain(verb).chain(rest).map(|w| (*w).to_owned()).collect::<Vec<_>>()
        };
        let start = words(&[&["run", "--rm"], flags.as_slice()].concat(), &["wide", "/bin/true"]);
        rows.push(Row { name, start, exec: words(&["exec", &id], &["/bin/true"]), micros: Default::default() });
        kept.push(id);
    }
    let measured = measure(&mut rows, rounds);
    for id in kept {
        env.at(&root, &["rm", "-f", &id]).go()?.ok()?;
    }
    measured?;
    table(&mut rows, rounds);
    Ok(())
}

fn fill(folder: &Path) -> Outcome {
    for n in 0..FILES {
        let below = folder.join((n % 30).to_string());
        std::fs::create_dir_all(&below)?;
        std::fs::write(below.join((n / 30).to_string()), "")?;
    }
    Ok(())
}

fn measure(rows: &mut [Row], rounds: usize) -> Outcome {
    // Each in its turn, so that a slow moment of the machine falls on all; the first round is not counted.
    for round in 0..=rounds {
        for row in rows.iter_mut() {
            for (words, into) in [&row.start, &row.exec].into_iter().zip(&mut row.micros) {
                let (micros, _) = sample(row.name, "time", words)?;
                if round > 0 {
                    into.push(micros);
                }
            }
        }
    }
    Ok(())
}

fn table(rows: &mut [Row], rounds: usize) {
    println!("`true` in a Debian root with a folder of {FILES} files, {rounds} rounds, median in milliseconds:");
    println!("{:<40} {:>8} {:>8} {:>8} {:>8}", "", "start", "more", "exec", "more");
    let mut base = None;
    for row in rows {
        let [start, exec] = row.micros.each_mut().map(|m| super::median(m) as f64 / 1000.0);
        let (s, e) = *base.get_or_insert((start, exec));
        println!("{:<40} {start:>8.1} {:>8.1} {exec:>8.1} {:>8.1}", row.name, start - s, exec - e);
    }
}
