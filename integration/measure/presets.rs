//! Every built-in preset's proof, and the table of presets in the README made from it.

use super::table_between;
use crate::harness::env::s;
use crate::harness::{Env, Outcome, Stop, fail};
use serde_json::Value;

const BEGIN: &str = "<!-- presets: made by `integration/bench presets --write` -->";
const END: &str = "<!-- presets: end -->";

/// Presets without a proof of their own: what they are is in the comparison with other engines.
const WITHOUT: [&str; 2] = ["default", "strict"];

/// One preset after its proof.
struct Row {
    name: String,
    calls: usize,
    made: usize,
    capabilities: String,
    writable: String,
    score: f64,
}

/// Prove all of `names` (none: all), print the table, and with `write` put it into the README.
pub fn print(env: &Env, names: &[&str], write: bool) -> Outcome {
    let mut all = with_proofs(env)?;
    all.retain(|name| names.is_empty() || names.contains(&name.as_str()));
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for name in &all {
        eprintln!("proving {name}");
        match prove(env, name, false) {
            Ok(row) => rows.push(row),
            // The others are proved all the same.
            Err(Stop::Fail(why) | Stop::Skip(why)) => {
                eprintln!("{name}: {why}");
                failed.push(name.as_str());
            }
        }
    }
    let table = table(env, &rows)?;
    print!("{table}");
    if !failed.is_empty() {
        return fail(format!("not proved: {}", failed.join(", ")));
    }
    if write && names.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let text = std::fs::read_to_string(path)?;
        let Some((before, _, after)) = table_between(&text, BEGIN, END) else {
            return fail(format!("README.md has no line {BEGIN}"));
        };
        std::fs::write(path, format!("{before}{BEGIN}\n{table}{END}{after}"))?;
    }
    Ok(())
}

/// The program's own presets, but for those [`WITHOUT`] a proof.
pub fn with_proofs(env: &Env) -> Outcome<Vec<String>> {
    let list: Value = serde_json::from_str(&env.verb(&["preset", "list", "--format", "json"]).go()?.ok()?.out())?;
    let own = list.as_array().into_iter().flatten().filter(|p| p["path"].is_null());
    let names = own.filter_map(|p| p["name"].as_str().map(str::to_owned));
    Ok(names.filter(|name| !WITHOUT.contains(&name.as_str())).collect())
}

/// The image that a proof works with, in the shared store.
fn image(env: &Env, name: &str) -> Outcome<String> {
    let text = hardrun::preset::proof::PROOFS.iter().find(|(of, _)| *of == name).map_or("", |(_, text)| *text);
    let Some(image) = text.lines().find_map(|line| line.strip_prefix("# image: ")) else {
        return fail(format!("the proof of {name} names no image"));
    };
    let full = format!("hardrun-proof/{image}");
    if env.verb(&["image", "inspect", &full]).go()?.code != 0 {
        let tar = env.fixtures.get(&format!("{image}.tar"))?;
        env.verb(&["import", s(&tar), &full]).limit(600).go()?.ok()?;
    }
    Ok(full)
}

fn prove(env: &Env, name: &str, quick: bool) -> Outcome<Row> {
    env.needs("strace")?;
    let image = image(env, name)?;
    let mut words = vec!["preset", "test", "--format", "json", name];
    if quick {
        words.push("--quick");
    }
    let told = env.verb(&words).limit(900).go()?;
    let Ok(report) = serde_json::from_str::<Value>(&told.out()) else { return fail(told.told()) };
    let unused: Vec<&str> = report["unused"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !unused.is_empty() {
        return fail(format!("preset {name} grants what its proof never uses: {}", unused.join("; ")));
    }
    let shown = env.verb(&["preset", "show", "--format", "json", name]).go()?.ok()?;
    let preset: Value = serde_json::from_str(&shown.out())?;
    let list = |value: &Value, part: fn(&Value) -> Option<&str>| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(part).map(str::to_owned).collect()
    };
    let mut writable = list(&preset["tmpfs"], |t| t["value"]["path"].as_str());
    writable
        .extend(list(&preset["volumes"], |v| v["value"].as_str()).into_iter().map(|path| format!("{path} (volume)")));
    if preset["read-only"]["value"] != true {
        writable = vec!["everything".into()];
    }
    let capabilities = list(&preset["capabilities"]["value"], Value::as_str);
    let (calls, made) = (&report["granted-calls"], &report["calls"]);
    Ok(Row {
        name: name.to_owned(),
        calls: calls.as_u64().unwrap_or_default() as usize,
        made: made.as_array().map_or(0, Vec::len),
        capabilities: names(capabilities.iter().map(|c| c.trim_start_matches("CAP_"))),
        writable: names(writable.iter().map(String::as_str)),
        score: score(env, &["--preset", name, &image, "true"])?,
    })
}

fn names<'a>(list: impl Iterator<Item = &'a str>) -> String {
    let list: Vec<&str> = list.collect();
    if list.is_empty() { "none".into() } else { list.join(", ") }
}

/// 0 is best; of docker's default the same figure is in every answer.
fn score(env: &Env, words: &[&str]) -> Outcome<f64> {
    let told = env.verb(&["score", "--format", "json"]).args(words).go()?.ok()?;
    let value: Value = serde_json::from_str(&told.out())?;
    Ok(value["total"].as_f64().unwrap_or(f64::NAN))
}

fn table(env: &Env, rows: &[Row]) -> Outcome<String> {
    let told = env.verb(&["score", "--format", "json", "busybox", "true"]).go()?.ok()?;
    let value: Value = serde_json::from_str(&told.out())?;
    let mut text = String::from(
        "\n| preset | system calls it may make | made in its proof | capabilities | writable folders | score |\n|---|---|---|---|---|---|\n",
    );
    for Row { name, calls, made, capabilities, writable, score } in rows {
        text.push_str(&format!("| {name} | {calls} | {made} | {capabilities} | {writable} | {score:.1} |\n"));
    }
    text.push_str(&format!(
        "| docker's default | 292, and 344 of 32 bits | | 14, on the host's ids | everything | {:.1} |\n\n",
        value["docker"].as_f64().unwrap_or(f64::NAN)
    ));
    Ok(text)
}

/// The work of a preset's proof; nothing that it grants stays unused.
pub fn quick(env: &Env, name: &str) -> Outcome {
    prove(env, name, true).map(drop)
}

/// Both halves.
pub fn whole(env: &Env, name: &str) -> Outcome {
    prove(env, name, false).map(drop)
}
