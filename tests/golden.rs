//! Golden cases: `tests/golden/<case>/` holds a command line and what comes of it.
//!
//! - `argv`: the words after `hardrun run`, as a shell reads them.
//! - `facts.json`: the host and the image, laid over `tests/golden/facts.json` key by key; may be left out.
//! - `plan.json`, `config.json`: the whole plan and the OCI spec made from it.
//! - `says`: what goes to stderr, or the error, or the refusal. There are no plan and spec where nothing may start.
//!
//! `BLESS=1 cargo test --test golden` writes what comes out; read the difference before it is committed.

use clap::FromArgMatches;
use hardrun::cli::RunArgs;
use hardrun::error::{Error, Result};
use hardrun::facts::{BindSeen, Facts};
use hardrun::image::store::Image;
use hardrun::plan::draft::{self, Found, Host, Inputs, Kind};
use hardrun::plan::{Plan, Sourced};
use hardrun::request::{Env, Request};
use hardrun::spec::{Staged, to_oci};
use hardrun::state::Paths;
use hardrun::{policy, preset};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// Everything about the host and the image that a case depends on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    facts: Facts,
    paths: BTreeMap<PathBuf, GivenPath>,
    files: BTreeMap<PathBuf, String>,
    image: oci_spec::image::ImageConfiguration,
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenPath {
    /// Where it leads, symlinks followed; itself where it is left out.
    path: Option<PathBuf>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    kind: Kind,
    #[serde(default)]
    seen: BindSeen,
}

impl Host for Given {
    fn look(&self, path: &Path) -> Result<Option<Found>> {
        Ok(self.paths.get(path).map(|given| Found {
            path: given.path.clone().unwrap_or_else(|| path.components().collect()),
            uid: given.uid,
            gid: given.gid,
            kind: given.kind,
        }))
    }
    fn seen(&self, source: &Path, _: &Facts) -> BindSeen {
        self.paths.get(source).map(|given| given.seen.clone()).unwrap_or_default()
    }
    fn devices_below(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let below = |p: &&PathBuf| p.starts_with(folder) && *p != folder;
        Ok(self.paths.keys().filter(below).cloned().collect())
    }
    fn read(&self, path: &Path) -> Result<String> {
        Ok(self.files.get(path).cloned().unwrap_or_default())
    }
    fn hostname(&self) -> String {
        "thehost".into()
    }
}

/// What came of a case, by file name.
type Outcome = BTreeMap<&'static str, String>;

fn request(argv: &str, given: &Given) -> Result<Request> {
    let words = shlex::split(argv).ok_or_else(|| Error::runner("argv cannot be read as a shell reads it"))?;
    let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
    let matches = command
        .try_get_matches_from(std::iter::once("run".to_owned()).chain(words))
        .map_err(|e| Error::runner(e.to_string()))?;
    let args = RunArgs::from_arg_matches(&matches).map_err(|e| Error::runner(e.to_string()))?;
    let vars = given.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Request::resolve(args, &Env { vars, cwd: "/home/me/project".into() })
}

fn decide(folder: &Path, argv: &str, given: &Given) -> Result<Outcome> {
    let request = request(argv, given)?;
    let image = Image {
        name: format!("{}:latest", request.image),
        manifest_digest: format!("sha256:{}", "1".repeat(64)),
        config_digest: format!("sha256:{}", "2".repeat(64)),
        config: given.image.clone(),
        healthcheck: None,
        // The folder with the image's passwd and group, relative so that plans do not depend on where the tests run.
        layers: vec![Path::new("tests/golden/layer").to_owned()],
        index_digest: None,
        repositories: vec![],
        signatures: vec![],
    };
    assert!(folder.is_dir());
    let draft = draft::resolve(Inputs {
        request: &request,
        image: &image,
        preset: &preset::load(request.own.preset.as_deref().unwrap_or("default"))?,
        facts: &given.facts,
        paths: &Paths::new(None),
        host: given,
        id: ID,
        name: request.lifecycle.name.as_deref().unwrap_or("calm_hopper"),
    })?;
    let verdict = policy::judge(&draft, &given.facts, &request.own.allow)?;
    if !verdict.passed() {
        return Ok(Outcome::from([("says", policy::render::text(&verdict))]));
    }
    let mut says = String::new();
    for line in request.unsupported.iter().chain(&draft.notices).chain(&verdict.unused_lines()) {
        says.push_str(&format!("{line}\n"));
    }
    let plan = Plan::new(draft, verdict.overridden, &given.facts);
    sourced(&plan);
    let mut config = serde_json::to_value(to_oci(&plan, &Staged::for_printing(&plan))?).unwrap();
    // The OCI types keep capabilities in a set without an order.
    for list in config["process"]["capabilities"].as_object_mut().expect("five sets").values_mut() {
        list.as_array_mut().expect("a list of names").sort_by_key(|name| name.to_string());
    }
    Ok(Outcome::from([("plan.json", pretty(&plan)), ("config.json", pretty(&config)), ("says", says)]))
}

/// A key order of its own: maps of the OCI types have none.
fn pretty<T: serde::Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap();
    format!("{}\n", serde_json::to_string_pretty(&value).unwrap())
}

/// Every decision has a source: whatever is not one of these has to be a [`Sourced`].
fn sourced(plan: &Plan) {
    const PLAIN: &[&str] = &[
        "/annotations",
        "/asked",
        "/cidfile",
        "/id",
        "/image",
        "/labels",
        "/mounts",
        "/name",
        "/network",
        "/notices",
        "/pidfile",
        "/remove",
        "/seccomp/opened",
        "/seccomp/shut",
        "/stdio",
    ];
    fn walk(path: &str, value: &Value, naked: &mut Vec<String>) {
        if PLAIN.contains(&path) || value.is_null() {
            return;
        }
        match value {
            Value::Object(map) if map.contains_key("source") && map.contains_key("value") => {}
            Value::Object(map) => map.iter().for_each(|(k, v)| walk(&format!("{path}/{k}"), v, naked)),
            Value::Array(list) => list.iter().for_each(|v| walk(path, v, naked)),
            _ => naked.push(path.to_owned()),
        }
    }
    let mut naked = Vec::new();
    walk("", &serde_json::to_value(&plan.draft).unwrap(), &mut naked);
    assert!(naked.is_empty(), "without a source: {naked:?}");
}

/// `over` on top of `base`, objects key by key.
fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Lines of `now` that are not in `then` and the reverse, enough to see what changed.
fn difference(then: &str, now: &str) -> String {
    let missing = then.lines().filter(|l| !now.lines().any(|n| n == *l)).map(|l| format!("  - {l}"));
    let added = now.lines().filter(|l| !then.lines().any(|t| t == *l)).map(|l| format!("  + {l}"));
    missing.chain(added).take(30).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_case_comes_out_as_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::env::set_current_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let bless = std::env::var_os("BLESS").is_some();
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&golden).unwrap().map(|e| e.unwrap().path()).filter(|p| p.join("argv").exists()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "the cases were not found");
    let mut wrong = Vec::new();
    for folder in cases {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut given = json(&golden.join("facts.json"));
        if folder.join("facts.json").exists() {
            overlay(&mut given, json(&folder.join("facts.json")));
        }
        let given: Given = serde_json::from_value(given).unwrap_or_else(|e| panic!("{name}/facts.json: {e}"));
        let argv = std::fs::read_to_string(folder.join("argv")).unwrap();
        let outcome = decide(&folder, &argv, &given).unwrap_or_else(|e| {
            let hint = e.hint.as_ref().map(|h| format!("hint: {h}\n")).unwrap_or_default();
            Outcome::from([("says", format!("error {}: {}\n{hint}", e.kind.exit_code(), e.chain().join(": ")))])
        });
        for file in ["plan.json", "config.json", "says"] {
            let path = folder.join(file);
            let then = std::fs::read_to_string(&path).ok();
            let now = outcome.get(file).cloned();
            if then == now {
                continue;
            }
            match (bless, &now) {
                (true, Some(text)) => std::fs::write(&path, text).unwrap(),
                (true, None) => std::fs::remove_file(&path).unwrap(),
                (false, _) => {
                    let lines = difference(&then.unwrap_or_default(), &now.unwrap_or_default());
                    wrong.push(format!("{name}/{file}\n{lines}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n\nBLESS=1 writes these down", wrong.join("\n\n"));
}

#[test]
fn a_value_without_a_source_would_be_seen() {
    let naked = serde_json::json!({ "x": { "value": 1, "source": "default" }, "y": 2 });
    let fine = serde_json::to_value(Sourced::default(1)).unwrap();
    assert!(fine.get("source").is_some() && fine.get("value").is_some());
    assert!(naked["y"].get("source").is_none());
}
