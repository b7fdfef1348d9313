use super::*;
use crate::plan::Override;
use crate::policy::{self, testkit};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn store() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(Some(&dir.path().join("store")));
    (dir, paths)
}

fn launch(name: &str) -> Entry {
    let mut draft = testkit::draft();
    draft.image.reference = name.into();
    let plan = Plan { version: 1, draft, overrides: vec![], fallbacks: vec![], site_policy: None };
    Entry::launch(&plan, &plan.digest()).remove(0)
}

fn filled(paths: &Paths, count: usize) -> PathBuf {
    for n in 0..count {
        append(paths, launch(&format!("image{n}"))).unwrap();
    }
    paths.audit_log()
}

fn edit(path: &PathBuf, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn problems(path: &std::path::Path) -> Vec<(u64, String)> {
    verify(path).unwrap().problems.into_iter().map(|p| (p.line, p.what)).collect()
}

#[test]
fn a_log_that_was_only_appended_to_is_intact_and_private() {
    let (_dir, paths) = store();
    let log = filled(&paths, 5);
    let report = verify(&log).unwrap();
    assert!(report.intact(), "{report:?}");
    assert_eq!(report.lines, 5);
    for file in [log.clone(), append::head_path(&log)] {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let mut images = Vec::new();
    records(&log, |l| {
        images.push(l.record.unwrap().image);
        Ok(())
    })
    .unwrap();
    assert_eq!(images, ["image0", "image1", "image2", "image3", "image4"]);
}

#[test]
fn no_log_is_an_empty_log() {
    let (_dir, paths) = store();
    assert!(verify(&paths.audit_log()).unwrap().intact());
}

#[test]
fn every_way_to_change_the_log_names_its_line() {
    type Change = fn(&mut Vec<String>);
    let cases: [(&str, Change, u64, &str); 6] = [
        ("edited", |l| l[2] = l[2].replace("image2", "imageX"), 3, "changed"),
        ("removed", |l| drop(l.remove(2)), 3, "1 lines are missing"),
        ("first removed", |l| drop(l.remove(0)), 1, "1 lines are missing"),
        ("put in twice", |l| l.insert(3, l[1].clone()), 4, "put in"),
        ("swapped", |l| l.swap(1, 2), 2, "missing in between"),
        ("nonsense", |l| l.insert(1, "{}".into()), 2, "not a line"),
    ];
    for (name, change, line, what) in cases {
        let (_dir, paths) = store();
        let log = filled(&paths, 5);
        edit(&log, change);
        let found = problems(&log);
        assert!(found.first().is_some_and(|(l, w)| *l == line && w.contains(what)), "{name}: {found:?}");
    }
}

#[test]
fn a_cut_end_shows_before_and_after_the_next_line() {
    let (_dir, paths) = store();
    let log = filled(&paths, 5);
    edit(&log, |l| l.truncate(3));
    let found = problems(&log);
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains("2 lines at the end are gone"), "{found:?}");
    append(&paths, launch("later")).unwrap();
    let report = verify(&log).unwrap();
    assert_eq!(report.recorded.len(), 1, "{report:?}");
    assert!(report.recorded[0].what.contains("cut"));
    assert!(report.problems[0].what.contains("2 lines are missing"), "{report:?}");
}

#[test]
fn a_removed_log_or_head_shows() {
    let (_dir, paths) = store();
    let log = filled(&paths, 3);
    std::fs::remove_file(append::head_path(&log)).unwrap();
    assert!(problems(&log)[0].1.contains("head file is missing"));
    append(&paths, launch("later")).unwrap();
    let report = verify(&log).unwrap();
    assert!(report.problems.is_empty() && report.recorded[0].line == 4, "{report:?}");
    std::fs::remove_file(&log).unwrap();
    assert!(problems(&log)[0].1.contains("5 lines at the end are gone"));
}

#[test]
fn a_half_written_line_is_noticed_and_recorded() {
    let (_dir, paths) = store();
    let log = filled(&paths, 2);
    let whole = std::fs::read_to_string(&log).unwrap();
    let half = &whole.lines().last().unwrap()[..40];
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(half.as_bytes()).unwrap();
    assert_eq!(problems(&log)[0].0, 3);
    append(&paths, launch("after")).unwrap();
    let report = verify(&log).unwrap();
    assert_eq!(report.lines, 5, "two, the half, the note, the new one");
    assert_eq!(report.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3]);
    assert!(report.recorded[0].what.contains("half-written line of 40 bytes"), "{report:?}");
}

#[test]
fn a_writer_that_died_before_the_head_loses_nothing() {
    let (_dir, paths) = store();
    let log = filled(&paths, 2);
    let head = std::fs::read(append::head_path(&log)).unwrap();
    append(&paths, launch("third")).unwrap();
    std::fs::write(append::head_path(&log), &head).unwrap();
    assert!(verify(&log).unwrap().intact());
    append(&paths, launch("fourth")).unwrap();
    let report = verify(&log).unwrap();
    assert!(report.intact() && report.lines == 4, "{report:?}");

    // The same with the newline missing.
    let head = std::fs::read(append::head_path(&log)).unwrap();
    append(&paths, launch("fifth")).unwrap();
    std::fs::write(append::head_path(&log), &head).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    append(&paths, launch("sixth")).unwrap();
    let report = verify(&log).unwrap();
    assert!(report.intact() && report.lines == 6, "{report:?}");
}

#[test]
fn two_hundred_at_once_make_one_chain() {
    let (_dir, paths) = store();
    std::thread::scope(|scope| {
        for n in 0..200 {
            let paths = &paths;
            scope.spawn(move || append(paths, launch(&format!("image{n}"))).unwrap());
        }
    });
    let report = verify(&paths.audit_log()).unwrap();
    assert!(report.intact(), "{report:?}");
    assert_eq!(report.lines, 200);
}

#[test]
fn a_log_that_others_can_write_or_that_is_a_link_is_refused() {
    let (dir, paths) = store();
    let log = filled(&paths, 1);
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(append(&paths, launch("x")).is_err());
    std::fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &log).unwrap();
    let error = append(&paths, launch("x")).unwrap_err();
    assert!(error.hint.is_some());
    assert!(!dir.path().join("elsewhere").exists(), "nothing is written through the link");
}

#[test]
fn launches_overrides_and_refusals_say_what_and_why() {
    let (_dir, paths) = store();
    let over = |asked: &str| Override {
        rule: "host-network".into(),
        asked: asked.into(),
        reason: Some("vpn".into()),
        permitted: None,
    };
    let draft = testkit::draft();
    let overrides = vec![over("--network host"), over("again")];
    let plan = Plan { version: 1, draft, overrides, fallbacks: vec![], site_policy: None };
    record_launch(&paths, &plan, &plan.digest()).unwrap();
    let draft = testkit::binds(&["/run/docker.sock:/s", "/:/host"]);
    let verdict = policy::judge(&draft, &testkit::facts(), &[]).unwrap();
    record_refusal(&paths, &draft, &verdict).unwrap();
    let mut seen = Vec::new();
    records(&paths.audit_log(), |l| {
        let r = l.record.unwrap();
        seen.push((r.event, r.rules.join(","), r.asked.len(), r.reason));
        Ok(())
    })
    .unwrap();
    assert_eq!(
        seen,
        [
            (Event::Override, "host-network".to_owned(), 2, Some("vpn".to_owned())),
            (Event::Launch, "host-network".to_owned(), 0, None),
            (Event::Refusal, "engine-socket,host-root-mount".to_owned(), 3, None),
        ]
    );
}

#[test]
fn what_is_not_a_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(verify(&path).unwrap_err().chain().join(" ").contains("not a file"));
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert!(verify(&path).is_err());
}

#[test]
fn files_that_were_put_aside_are_one_chain() {
    let (_dir, paths) = store();
    assert_eq!(rotate(&paths.audit_log()).unwrap(), None, "there is no log yet");
    let log = filled(&paths, 3);
    let (first, moved) = rotate(&log).unwrap().unwrap();
    assert!(first.ends_with("audit.log.1") && std::fs::metadata(&log).unwrap().len() == 0);
    assert_eq!(rotate(&log).unwrap(), None, "nothing is in it");
    assert_eq!(verify(&log).unwrap().last_hash, moved);
    filled(&paths, 2);
    let (second, _) = rotate(&log).unwrap().unwrap();
    assert!(second.ends_with("audit.log.2"));
    filled(&paths, 1);
    let report = verify(&log).unwrap();
    assert!(report.intact(), "{report:?}");
    assert_eq!(report.lines, 6);
    for file in [&first, &second] {
        let before = std::fs::read(file).unwrap();
        edit(file, |lines| lines[0] = lines[0].replace("image", "other"));
        assert!(!verify(&log).unwrap().intact());
        std::fs::remove_file(file).unwrap();
        assert!(!verify(&log).unwrap().intact(), "a file is gone");
        std::fs::write(file, before).unwrap();
    }
    // Moved away on purpose.
    std::fs::remove_file(&first).unwrap();
    assert!(verify_after(&log, Some(&moved)).unwrap().intact());
    assert!(!verify_after(&log, Some(&"0".repeat(64))).unwrap().intact());
}

#[test]
fn a_rotation_that_was_cut_short_goes_on() {
    let (_dir, paths) = store();
    let log = filled(&paths, 3);
    // The file is put aside, but the head was not written.
    std::fs::rename(&log, log.with_extension("log.1")).unwrap();
    filled(&paths, 2);
    let report = verify(&log).unwrap();
    assert!(report.intact(), "{report:?}");
    assert_eq!(report.lines, 5);
}

#[test]
fn a_log_that_does_not_fit_its_head_is_not_put_aside() {
    let (_dir, paths) = store();
    let log = filled(&paths, 3);
    edit(&log, |lines| drop(lines.pop()));
    assert!(rotate(&log).unwrap_err().chain().join(": ").contains("its head does not fit"));
}
