//! Holds the parsing against what docker says to the same words: see `docker.tsv`.

use crate::cli::RunArgs;
use crate::error::Error;
use crate::request::{Env, Request};
use clap::FromArgMatches;
use std::path::Path;

/// One line of the table.
struct Case<'a> {
    words: &'a str,
    verdict: &'a str,
    /// `client` or `engine`
    who: &'a str,
    said: &'a str,
    /// What hardrun says instead: `ok`, or a part of its message.
    ours: Option<&'a str>,
}

fn cases() -> Vec<Case<'static>> {
    let lines = include_str!("docker.tsv").lines().filter(|l| !l.starts_with("# "));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let column = |i: usize| columns.get(i).copied().unwrap_or_default();
            assert!(columns.len() < 5 || columns.len() == 6, "a difference needs its reason: {line}");
            Case {
                words: column(0),
                verdict: column(1),
                who: column(2),
                said: column(3),
                ours: columns.get(4).copied(),
            }
        })
        .collect()
}

/// The files that the table's words name.
fn files(folder: &Path) {
    for (name, bytes) in [
        ("ok.env", &b"A=1\n# c\n\nB\nHOME\n  C=2 \nQ=\"x y\"\n"[..]),
        ("bom.env", b"\xef\xbb\xbfA=1\n"),
        ("ws.env", b"A=1\nb c=2\n"),
        ("ws2.env", b"A 1\n"),
        ("empty.env", b"=x\n"),
        ("bad.env", b"\xff\xfe=1\n"),
        ("sp.env", b" =x\n"),
        ("ok.lab", b"l1=v\nl2\n"),
        ("ws.lab", b"a b=c\n"),
        ("prof.json", b"{}"),
        ("notjson.json", b"no"),
    ] {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

fn resolve(words: &str, folder: &Path) -> Result<Request, Error> {
    let words = words.replace("FOLDER", &folder.display().to_string());
    let argv = std::iter::once("run".to_owned()).chain(shlex::split(&words).unwrap());
    let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
    let mut matches = command.try_get_matches_from(argv).map_err(|e| crate::cli::translate_usage(&e, "hardrun run"))?;
    let args = RunArgs::from_arg_matches_mut(&mut matches).unwrap();
    Request::resolve(args, &Env { vars: vec![("HOME".into(), "/root".into())], cwd: folder.to_owned() })
}

#[test]
fn docker_and_hardrun_agree() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let words = case.words;
        let (verdict, text) = match resolve(words, folder.path()) {
            Ok(_) => ("ok".to_owned(), String::new()),
            Err(e) => (e.kind.exit_code().to_string(), e.chain().join(": ")),
        };
        let folded = |text: &str| text.to_lowercase().replace("\\\"", "\"");
        let (expected, part) = match case.ours {
            None => (case.verdict, case.said),
            Some("ok") => ("ok", ""),
            Some(part) if case.verdict == "ok" => ("125", part),
            Some(part) => (case.verdict, part),
        };
        let said = case.said.replace("FOLDER", &folder.path().display().to_string());
        let part = if part == case.said { said.as_str() } else { part };
        if verdict != expected || !folded(&text).contains(&folded(part)) {
            wrong.push(format!("{words}\n    expected {expected}: {part}\n    got      {verdict}: {text}"));
        }
    }
    assert!(cases.len() > 550, "the table has {} lines", cases.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Measured: `docker create` ends with 125 where its client refuses a value, with 1 where its engine does.
#[test]
fn who_refuses_decides_the_exit_code_of_create() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|c| c.verdict == "125") {
        let Err(error) = resolve(case.words, folder.path()) else { continue };
        // Devices: that client does now what an older one left to the engine. Unsupported ones: a warning with docker.
        let exit = if case.who == "engine" && !case.words.starts_with("--device") { 1 } else { 125 };
        let judged = error.engine_as_verb();
        if judged.kind.exit_code() != exit {
            wrong.push(format!("{}: {} instead of {exit}: {}", case.words, judged.kind.exit_code(), judged.message));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
