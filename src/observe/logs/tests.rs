use super::*;
use crate::error::Result;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn writer(folder: &Path) -> LogWriter {
    LogWriter::new(folder, None, 1)
}

/// Stdout and stderr.
fn shown(folder: &Path, query: &Query) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    show(folder, query, &mut Sink { stdout: &mut stdout, stderr: &mut stderr }).unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn lines_go_to_their_streams_with_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = writer(dir.path()).with_attributes([("k".to_owned(), "v".to_owned())].into());
    log.write(Stream::Stdout, b"a\r\nb\tc\x01\xff\xc3\xa9<&>\npart");
    log.write(Stream::Stderr, b"\"two\"\\\n");
    log.write(Stream::Stdout, b"ial\n\nend");
    log.finish();
    let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(text.starts_with(r#"{"log":"a\r\n","stream":"stdout","attrs":{"k":"v"},"time":"2"#), "{text}");
    let all = shown(dir.path(), &Query::default());
    assert_eq!(all, ("a\r\nb\tc\x01\u{fffd}é<&>\npartial\n\nend".into(), "\"two\"\\\n".into()));
    let details = Query { details: true, tail: Some(1), ..Query::default() };
    assert_eq!(shown(dir.path(), &details).0, "k=v end");
}

#[test]
fn times_and_tails() {
    let dir = tempfile::tempdir().unwrap();
    let line = |n: u32| format!("{{\"log\":\"{n}\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:0{n}.5Z\"}}\n");
    std::fs::write(dir.path().join("json.log.1"), (0..3).map(line).collect::<String>()).unwrap();
    std::fs::write(dir.path().join("json.log"), (3..6).map(line).collect::<String>() + "{\"log\":\"torn").unwrap();
    let moment = |second: u32| Some(format!("2024-01-01T00:00:0{second}.5Z").parse().unwrap());
    let ask = |tail, since, until| shown(dir.path(), &Query { tail, since, until, ..Query::default() }).0;
    for (tail, wanted) in [
        (None, "012345"),
        (Some(9), "012345"),
        (Some(6), "012345"),
        (Some(4), "2345"),
        (Some(3), "345"),
        (Some(1), "5"),
        (Some(0), ""),
    ] {
        assert_eq!(ask(tail, None, None).replace('\n', ""), wanted, "{tail:?}");
    }
    assert_eq!(ask(None, moment(2), moment(4)), "2\n3\n4\n");
    assert_eq!(ask(Some(2), moment(2), None), "4\n5\n");
    let timestamps = Query { timestamps: true, tail: Some(1), ..Query::default() };
    assert_eq!(shown(dir.path(), &timestamps).0, "2024-01-01T00:00:05.500000000Z 5\n");
    // A writer that comes back does not glue its first entry to the torn one.
    writer(dir.path()).write(Stream::Stdout, b"6\n");
    assert_eq!(ask(Some(1), None, None), "6\n");
}

#[test]
fn following_loses_nothing_while_files_turn() {
    let dir = tempfile::tempdir().unwrap();
    let running = AtomicBool::new(true);
    let mut log = LogWriter::new(dir.path(), Some(20_000), 5);
    log.write(Stream::Stdout, b"line 0\n");
    let us = std::process::id() as i32;
    let text = std::thread::scope(|scope| {
        let follower = scope.spawn(|| -> Result<String> {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let mut sink = Sink { stdout: &mut stdout, stderr: &mut stderr };
            let alive = || Ok(running.load(Ordering::SeqCst).then_some(us));
            follow(dir.path(), &Query::default(), &mut sink, alive)?;
            Ok(String::from_utf8(stdout).unwrap())
        });
        for n in 1..2000 {
            log.write(Stream::Stdout, format!("line {n}\n").as_bytes());
            if n % 100 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        log.write(Stream::Stdout, b"end");
        log.finish();
        running.store(false, Ordering::SeqCst);
        std::fs::write(dir.path().join("status.json"), "{}").unwrap();
        follower.join().unwrap().unwrap()
    });
    // Twice as much as is kept was written; what was dropped before it was read may be missing, nothing else.
    assert!(text.ends_with("line 1999\nend"), "{}", text.len());
    let numbers: Vec<u32> = text.lines().filter_map(|l| l.strip_prefix("line ")).map(|n| n.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] > pair[0]), "in order and once each");
    assert_eq!(numbers[0], 0);
}

#[test]
fn following_ends_with_a_supervisor_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    writer(dir.path()).write(Stream::Stdout, b"only\n");
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id() as i32;
    let text = std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let mut sink = Sink { stdout: &mut stdout, stderr: &mut stderr };
            let alive = || {
                Ok(std::fs::read_to_string(format!("/proc/{pid}/stat"))
                    .ok()
                    .filter(|s| !s.contains(") Z"))
                    .map(|_| pid))
            };
            follow(dir.path(), &Query::default(), &mut sink, alive).unwrap();
            String::from_utf8(stdout).unwrap()
        });
        std::thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        let text = follower.join().unwrap();
        child.wait().unwrap();
        text
    });
    assert_eq!(text, "only\n");
}

#[test]
fn attributes_are_those_asked_for() {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let options = map(&[("labels", "a,none"), ("env", "X")]);
    let env = ["X=1", "Y=2", "X=3"];
    assert_eq!(
        attributes(&options, &map(&[("a", "1"), ("b", "2")]), &env, BTreeMap::new()).unwrap(),
        map(&[("a", "1"), ("X", "3")])
    );
    let none = BTreeMap::new();
    assert!(attributes(&none, &map(&[("a", "1")]), &env, BTreeMap::new()).unwrap().is_empty());
    let tag = || -> BTreeMap<String, crate::observe::format::Value> { [("Name".to_owned(), "web".into())].into() };
    let of = |options: &[(&str, &str)]| attributes(&map(options), &map(&[("ab", "1"), ("b", "2")]), &env, tag());
    assert_eq!(of(&[("labels-regex", "^a"), ("env-regex", "^X$")]).unwrap(), map(&[("ab", "1"), ("X", "3")]));
    assert_eq!(of(&[("tag", "{{.Name}}/x")]).unwrap(), map(&[("tag", "web/x")]));
    assert!(of(&[("tag", "{{.Nope}}")]).is_err() && of(&[("labels-regex", "(")]).is_err());
}

proptest! {
    /// However it is read, what is shown is what was written; bytes that are not UTF-8 are replaced.
    #[test]
    fn whatever_is_written_is_shown(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path());
        for piece in &pieces {
            log.write(Stream::Stdout, piece);
        }
        log.finish();
        let wanted: String = pieces.concat().split_inclusive(|b| *b == b'\n').map(String::from_utf8_lossy).collect();
        prop_assert_eq!(shown(dir.path(), &Query::default()).0, wanted);
    }
}
