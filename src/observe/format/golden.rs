//! Templates over containers that docker's engine has described (`tests/formats/inspect.json`), and what docker's client printed
//! for each (`inspect.jsonl`; version 28.2.2).

use super::inspect::Inspect;
use crate::observe::shape::CONTAINER;
use serde::Deserialize;
use serde_json::Value as Json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The container's name.
    of: String,
    template: String,
    code: u8,
    out: String,
    err: String,
}

/// Where the answer differs from docker's, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("{{.Config.Labels.a}}", NEVER_NO_VALUE),
    ("{{.NetworkSettings.Networks.mynet.IPAddress}}|{{.NetworkSettings.Networks.host.IPAddress}}", NEVER_NO_VALUE),
    ("{{.Config}}", ADDRESSES),
    ("{{$}}x", ADDRESSES),
];
const NEVER_NO_VALUE: &str = "a key that is not there is an error, not `<no value>` and exit status 0";
const ADDRESSES: &str = "Go prints the address of a struct behind a pointer within another one";

#[test]
fn docker_prints_the_same() {
    let containers: Vec<Json> = serde_json::from_str(include_str!("../../../tests/formats/inspect.json")).unwrap();
    let cases = include_str!("../../../tests/formats/inspect.jsonl").lines();
    let cases: Vec<Case> = cases.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 400);
    let mut wrong = Vec::new();
    for case in &cases {
        let container = containers.iter().find(|c| c["Name"] == format!("/{}", case.of)).unwrap();
        let (code, out, err) = answer(&case.template, container);
        let same = (code, out.as_str(), err.as_str()) == (case.code, case.out.as_str(), case.err.trim_end());
        if !same && !DIFFERENT.iter().any(|(template, _)| *template == case.template) {
            wrong.push(format!(
                "{} of {}\n  docker {} {:?} {:?}\n  here   {code} {out:?} {err:?}",
                case.template, case.of, case.code, case.out, case.err
            ));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Exit status, stdout, stderr.
fn answer(template: &str, container: &Json) -> (u8, String, String) {
    match Inspect::parse(Some(template)) {
        Err(e) => (e.kind.exit_code(), String::new(), e.to_string()),
        Ok(inspect) => {
            let (out, errors) = inspect.render(&[CONTAINER.typed(Some(container))], false);
            let texts: Vec<String> = errors.iter().map(|e| e.to_string()).collect();
            // Two keys that older engines show and newer ones leave out: shown here.
            let out = out.replace("\"KernelMemory\":0,\"KernelMemoryTCP\":0,", "");
            (u8::from(!errors.is_empty()), out, texts.join("\n"))
        }
    }
}
