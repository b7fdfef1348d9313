//! The lists of real command lines and what is made of them: well formed, long enough, and the README's table up to date.
//! Running them takes an engine and root: `integration compare`.

#[path = "../integration/compare/list.rs"]
mod list;
#[path = "../integration/compare/normal.rs"]
mod normal;
#[path = "../integration/compare/table.rs"]
mod table;

use list::{Expected, GROUPS, Said, Transcript, parse, scripts};
use normal::{Normaliser, as_written, differences};

#[test]
fn the_lists_are_long_and_well_formed() {
    let mut lines = 0;
    for (group, _) in GROUPS {
        let scripts = scripts(group).unwrap();
        assert!(!scripts.is_empty(), "{group}");
        lines += scripts.iter().map(|s| list::command_lines(&s.text)).sum::<usize>();
    }
    assert!(lines >= 250, "{lines} command lines");
}

#[test]
fn the_readme_has_the_table() {
    let readme = include_str!("../README.md");
    let now = table::put_into(readme, &table::table().unwrap()).unwrap();
    assert!(now == readme, "README.md is stale: run `cargo test --test integration -- compare --readme --write`");
}

#[test]
fn a_list_is_read() {
    let text =
        "# About.\n\n== one\ndocker ps\n-- limit: 5\n\n== two\ndocker rm x\n-- differs: why\nout\n! err\n$? = 1\n";
    let scripts = parse(text).unwrap();
    assert_eq!((scripts[0].name.as_str(), scripts[0].text.as_str(), scripts[0].limit), ("one", "docker ps\n", 5));
    let Expected::Differs(key, seen) = &scripts[1].expected else { panic!("{:?}", scripts[1]) };
    assert_eq!((key.as_str(), seen.told().as_str()), ("why", "out\n! err\n$? = 1\n"));
    for wrong in ["x\n== a\nb\n", "\n== a\n", "\n== a\nb\n\n== a\nb\n", "\n== a\nb\n-- nosuch: x\n"] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_done_is_written_into_a_list() {
    let seen = seen("out\n", "hardrun: no\n  hint: do\n", 1);
    let list = "# About.\n\n== one\na\n-- limit: 5\n\n== two\nb\n-- differs: old\nx\n";
    let first = list::accepted(list, "one", "newer: why", &seen).unwrap();
    assert_eq!(first, list.replace("limit: 5\n", "limit: 5\n-- newer: why\nout\n! no\n$? = 1\n"));
    let second = list::accepted(list, "two", "differs: key", &seen).unwrap();
    assert_eq!(second, list.replace("old\nx\n", "key\nout\n! no\n$? = 1\n"));
    assert!(list::accepted(list, "three", "newer: why", &seen).is_err());
}

#[test]
fn calls_are_counted() {
    let count = list::command_lines;
    assert_eq!(count("docker ps\n# docker ps\nid=$(docker run x docker y)\nA=1 docker run x\n"), 3);
    assert_eq!(count("if docker info; then docker rm -f $(docker ps -aq); fi\nx | xargs docker rm\n"), 4);
    assert_eq!(count("echo docker is a word\n"), 0);
}

fn seen(stdout: &str, stderr: &str, status: i32) -> Transcript {
    Normaliser::new(vec![("/tmp/x".into(), "DATA"), ("/tmp/x/case-1".into(), "HERE")])
        .transcript(stdout, stderr, status)
}

#[test]
fn what_differs_each_time_is_taken_out() {
    let line = |text: &str| seen(text, "", 0).stdout.join("\n");
    let (one, two) = ("0123456789ab".to_owned() + &"c".repeat(52), "f".repeat(64));
    assert_eq!(line(&format!("{one} {two} 0123456789ab sha256:{one}")), "ID1 ID2 id1 sha256:ID1");
    assert_eq!(line("0123456789abc 0123456789a"), "0123456789abc 0123456789a");
    assert_eq!(line("2026-11-28T06:39:42.301667084Z 2026-11-28 06:39:42 +0000 UTC"), "TIME TIME");
    assert_eq!(line("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z");
    assert_eq!(line("Up 2 seconds (healthy)"), "Up SECONDS (healthy)");
    assert_eq!(line("Exited (0) Less than a second ago"), "Exited (0) SECONDS ago");
    assert_eq!(line("1.98MB 388kB 23.5GiB 0B 64m"), "SIZE SIZE SIZE 0B 64m");
    assert_eq!(line("172.17.0.2/16 10.1.2.3 172.17.0.2 127.0.0.1 172.15.0.1"), "IP1/16 IP2 IP1 127.0.0.1 172.15.0.1");
    assert_eq!(line("02:42:ac:11:00:02"), "MAC");
    assert_eq!(line("0.0.0.0:49153->80/tcp 127.0.0.1:8080"), "0.0.0.0:PORT->80/tcp 127.0.0.1:8080");
    assert_eq!(line("NAMES     IMAGE  \n  indented"), "NAMES  IMAGE\n  indented");
    assert_eq!(line("/tmp/x/case-1/f /tmp/x/volumes"), "HERE/f DATA/volumes");
}

#[test]
fn messages_lose_their_sender_and_the_usage() {
    let said = |text: &str| seen("", text, 0).stderr.into_iter().map(|l| l.text).collect::<Vec<_>>();
    let old = "docker: Error response from daemon: No such image: x:1.\nSee 'docker run --help'.\n";
    let new =
        "docker: Error response from daemon: No such image: x:1\n\nRun 'docker run --help' for more information\n";
    let ours = "hardrun: no such image: x:1\n";
    assert_eq!(said(old), ["no such image: x:1"]);
    assert_eq!((said(new), said(ours)), (said(old), said(old)));
    let old = "\"docker rm\" requires at least 1 argument.\nSee 'docker rm --help'.\n\nUsage:  docker rm [OPTIONS]\n\nRemove x\nnext\n";
    let new = "docker: 'docker rm' requires at least 1 argument\n\nUsage:  docker rm [OPTIONS]\n\nSee 'docker rm --help' for more information\nnext\n";
    assert_eq!(said(old), ["'docker rm' requires at least 1 argument", "next"]);
    assert_eq!(said(new), said(old));
    assert_eq!(said("HOME is unset\nnothing...\n"), ["HOME is unset", "nothing..."]);
}

#[test]
fn transcripts_are_compared() {
    let docker = seen("a\nb\n", "docker: failed.\n", 1);
    let mut notes = Vec::new();
    let mut against = |stdout: &str, stderr: &str, status| {
        let found = differences(&docker, &seen(stdout, stderr, status), &mut notes);
        (found.join("\n"), std::mem::take(&mut notes).join("\n"))
    };
    assert_eq!(
        against("a\nb\n", "hardrun: a note\nhardrun: failed\n  hint: do\n", 1),
        ("".into(), "a note\n  hint: do".into())
    );
    assert_eq!(against("a\nc\nb\n", "failed\n", 0).0, "+  c\n-$? = 1\n+$? = 0");
    assert_eq!(against("a\nb\n", "hardrun: x: failed\n", 1).0, "");
    assert_eq!(against("a\nb\n", "hardrun: otherwise\n", 1).0, "-! failed\n+! otherwise");
    assert_eq!(against("a\nb\n", "failed\nfrom nobody\n", 1).0, "+! from nobody");
    let written = Transcript { stderr: vec![Said { text: "failed".into(), own: false }], ..docker.clone() };
    assert!(as_written(&written, &seen("a\nb\n", "hardrun: more\nhardrun: failed\n", 1)).is_empty());
    assert_eq!(as_written(&written, &seen("a\n", "", 1)), ["-  b", "-! failed"]);
}
