use super::*;
use std::fs;
use std::os::unix::fs::symlink;

fn files(allow: &[(&str, &str)], deny: &[(&str, &str)], root: &Path) -> Files {
    let parse = |list: &[(&str, &str)]| {
        let one = |(pattern, access): &(&str, &str)| {
            let pattern = Pattern::parse(&format!("{}{pattern}", root.display())).unwrap();
            (pattern, Access::parse(access).unwrap())
        };
        list.iter().map(one).collect()
    };
    Files { allow: parse(allow), deny: parse(deny), lenient: false, linked: None, same: Vec::new() }
}

/// `path rights`, below `root`: r file, l list, x, w, n names.
fn lines(files: &Files, root: &Path) -> Vec<String> {
    let letters = [
        (AccessFs::ReadFile, 'r'),
        (AccessFs::ReadDir, 'l'),
        (AccessFs::Execute, 'x'),
        (AccessFs::WriteFile, 'w'),
        (AccessFs::MakeReg, 'n'),
    ];
    let one = |g: &Granted| {
        let rights: String = letters.iter().filter(|(r, _)| g.rights.contains(*r)).map(|(_, l)| l).collect();
        format!("{} {rights}", g.path.strip_prefix(root).unwrap().display())
    };
    let mut lines: Vec<String> = files.look().unwrap().grants.iter().map(one).collect();
    lines.sort();
    lines
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["usr/bin", "etc/app", "data/link"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for file in ["usr/bin/dash", "usr/bin/id", "etc/passwd", "etc/shadow", "etc/app/conf"] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    symlink("usr/bin", dir.path().join("bin")).unwrap();
    symlink("dash", dir.path().join("usr/bin/sh")).unwrap();
    dir
}

#[test]
fn a_folder_is_allowed_as_a_whole_and_a_file_alone() {
    let dir = tree();
    let f = files(&[("/etc/**", "r"), ("/usr/bin/id", "rx"), ("/data/**", "rwkl")], &[], dir.path());
    assert_eq!(lines(&f, dir.path()), ["data rlwn", "etc rl", "usr/bin/id rx"]);
}

#[test]
fn what_is_denied_below_leaves_its_siblings_and_keeps_its_name() {
    let dir = tree();
    let f = files(&[("/**", "mrwklx")], &[("/etc/shadow", "r")], dir.path());
    // Listing is for folders, which a rule over a file does not deny; names can change only where nothing is denied.
    assert_eq!(
        lines(&f, dir.path()),
        [" lxw", "data rn", "etc/app rn", "etc/passwd r", "usr rn"],
        "reading goes by siblings, writing and executing are allowed as a whole"
    );
}

#[test]
fn a_denied_link_is_denied_with_what_it_leads_to() {
    let dir = tree();
    let f = files(&[("/**", "rx")], &[("/bin/sh", "x")], dir.path());
    let lines = lines(&f, dir.path());
    assert!(lines.contains(&"usr/bin/id x".to_owned()) && lines.contains(&" rl".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|l| l.starts_with("usr/bin/dash") || l.starts_with("usr/bin x")), "{lines:?}");
}

#[test]
fn another_name_of_a_denied_file_does_not_open_the_denied_one() {
    let dir = tree();
    fs::hard_link(dir.path().join("usr/bin/dash"), dir.path().join("usr/bin/ash")).unwrap();
    let f = files(&[("/usr/**", "rx")], &[("/usr/bin/dash", "x")], dir.path());
    assert_eq!(lines(&f, dir.path()), ["usr rl", "usr/bin/id x"]);
}

#[test]
fn a_link_that_the_policy_lets_others_change_is_not_followed() {
    let dir = tree();
    symlink("../etc", dir.path().join("data/etc")).unwrap();
    symlink("etc", dir.path().join("fixed")).unwrap();
    let f = files(&[("/data/**", "rw"), ("/data/etc/app/**", "r")], &[], dir.path());
    assert_eq!(lines(&f, dir.path()), ["data rlwn"]);
    let f = files(&[("/fixed/app/**", "r")], &[], dir.path());
    assert_eq!(lines(&f, dir.path()), ["etc/app rl"]);
}

#[test]
fn the_kernels_folders_are_allowed_as_a_whole_or_not() {
    let root = Path::new("");
    let whole = |f: &Files| f.look().unwrap().grants.iter().map(|g| g.path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(whole(&files(&[("/proc/**", "r")], &[("/proc/kcore", "r")], root)), ["/proc"]);
    assert_eq!(whole(&files(&[("/proc/**", "r")], &[("/proc/**", "r")], root)), [""; 0]);
    assert_eq!(whole(&files(&[("/proc/uptime", "r")], &[], root)), ["/proc/uptime"]);
    assert_eq!(whole(&files(&[("/proc/*/status", "r")], &[], root)), [""; 0]);
}

#[test]
fn too_many_files_are_an_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..MOST_GRANTS + 1 {
        fs::write(dir.path().join(format!("{i}.so")), "").unwrap();
    }
    let e = files(&[("/*.so", "r")], &[], dir.path()).look().unwrap_err();
    assert!(e.to_string().contains("one by one"), "{e}");
}

#[test]
fn a_denied_file_is_denied_under_its_names_in_other_folders() {
    let dir = tree();
    fs::hard_link(dir.path().join("etc/shadow"), dir.path().join("data/link/h")).unwrap();
    fs::write(dir.path().join("data/link/other"), "").unwrap();
    let expected = [" l", "data/link/other r", "etc/app r", "etc/passwd r", "usr r"];
    let f = files(&[("/{,**}", "r")], &[("/etc/shadow", "r")], dir.path());
    assert_eq!(lines(&f, dir.path()), expected);
    // By list, where the denied name is not allowed anyway.
    let f = files(&[("/data/**", "r")], &[("/etc/shadow", "r")], dir.path());
    assert_eq!(lines(&f, dir.path()), ["data l", "data/link/other r"]);
}

#[test]
fn what_is_denied_with_its_folder_is_denied_under_other_names() {
    let dir = tree();
    fs::hard_link(dir.path().join("etc/app/conf"), dir.path().join("data/link/h")).unwrap();
    let f = files(&[("/{,**}", "r")], &[("/etc/app/**", "r")], dir.path());
    let got = lines(&f, dir.path());
    assert_eq!(got, ["data l", "etc/passwd r", "etc/shadow r", "usr rl"]);
}

#[test]
fn a_file_whose_names_are_all_denied_closes_nothing_else() {
    let dir = tree();
    fs::hard_link(dir.path().join("etc/app/conf"), dir.path().join("etc/app/conf2")).unwrap();
    let f = files(&[("/data/**", "r"), ("/usr/**", "r")], &[("/etc/app/**", "r")], dir.path());
    assert_eq!(lines(&f, dir.path()), ["data rl", "usr rl"]);
}

#[test]
fn another_name_is_denied_what_any_name_is() {
    let dir = tree();
    fs::hard_link(dir.path().join("etc/shadow"), dir.path().join("data/h")).unwrap();
    let f = files(&[("/{,**}", "rw")], &[("/etc/shadow", "r"), ("/data/h", "w")], dir.path());
    let got = lines(&f, dir.path());
    assert!(!got.iter().any(|l| l.starts_with("etc/shadow") || l.starts_with("data/h")), "{got:?}");
    assert!(
        !got.iter().any(|l| ["data ", "etc ", " "].iter().any(|p| l.starts_with(p) && l.contains(['r', 'w']))),
        "{got:?}"
    );
}

#[test]
fn a_folder_that_is_mounted_twice_is_denied_by_both_names() {
    let dir = tree();
    fs::create_dir(dir.path().join("alias")).unwrap();
    for name in ["data/file", "alias/file", "alias/open"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let root = dir.path().display();
    let mounts = format!("1 0 8:1 / {root} rw - x\n2 1 8:2 /d {root}/data rw - x\n3 1 8:2 /d {root}/alias rw - x\n");
    let f = files(&[("/{,**}", "r")], &[("/data/f*", "r")], dir.path());
    let looked = f.look_with(&Mounts::parse(&mounts)).unwrap();
    let granted: Vec<String> =
        looked.grants.iter().map(|g| g.path.strip_prefix(dir.path()).unwrap().display().to_string()).collect();
    assert!(granted.contains(&"alias/open".to_owned()) && granted.contains(&"usr".to_owned()), "{granted:?}");
    let reads = |path: &str| {
        looked.grants.iter().any(|g| g.path == dir.path().join(path) && g.rights.contains(AccessFs::ReadFile))
    };
    assert!(!reads("alias") && !reads("alias/file") && !reads("data") && !reads("data/file"), "{granted:?}");
    for name in ["data/file", "alias/file"] {
        assert!(looked.refused.iter().any(|r| r.path == dir.path().join(name)), "{name} is not tried");
    }
}

#[test]
fn a_folder_with_something_denied_is_not_allowed_by_a_name_that_no_mount_shows() {
    let dir = tree();
    let f = files(&[("/{,**}", "r")], &[("/etc/shadow", "r")], dir.path());
    let denied = Denied::find(&f, &Mounts::default()).unwrap();
    let grant = |name: &str, folder| Granted { path: dir.path().join(name), folder, rights: AccessFs::ReadFile.into() };
    denied.hold(&mut vec![grant("usr", true), grant("etc/passwd", false)]).unwrap();
    let e = denied.hold(&mut vec![grant("etc", true)]).unwrap_err();
    assert!(e.to_string().contains("would be open"), "{e}");
}

#[test]
fn something_is_tried_for_every_rule_that_denies() {
    let dir = tree();
    fs::create_dir(dir.path().join("many")).unwrap();
    for i in 0..40 {
        fs::write(dir.path().join(format!("many/{i}")), "").unwrap();
    }
    let f = files(&[("/{,**}", "rw")], &[("/many/*", "r"), ("/etc/app/**", "r"), ("/etc/shadow", "w")], dir.path());
    let looked = f.look().unwrap();
    for (name, write) in [("etc/app/conf", false), ("etc/shadow", true)] {
        let tried = Refused { path: dir.path().join(name), write };
        assert!(looked.refused.contains(&tried), "{name}: {:?}", looked.refused);
    }
}

#[test]
fn where_further_names_are_known_nothing_else_is_looked_at() {
    let dir = tree();
    let names = [("etc/shadow", "data/link/h"), ("etc/app/conf", "usr/conf")];
    for (name, link) in names {
        fs::hard_link(dir.path().join(name), dir.path().join(link)).unwrap();
    }
    let mounts = Mounts::parse("1 0 8:1 / / rw - x\n");
    let mut f = files(&[("/{,**}", "r")], &[("/etc/shadow", "r"), ("/etc/app/**", "r")], dir.path());
    let look = |f: &Files| {
        let looked = f.look_with(&mounts).unwrap();
        let mut paths: Vec<_> = looked.grants.into_iter().map(|g| (g.path, g.rights)).collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        (paths, looked.refused)
    };
    let without = look(&f);
    f.linked = Some(names.iter().flat_map(|(a, b)| [dir.path().join(a), dir.path().join(b)]).collect());
    assert_eq!(look(&f), without);
    let opens = |path: &Path, rights: BitFlags<AccessFs>, name: &str| {
        path == dir.path().join(name) && rights.contains(AccessFs::ReadFile)
    };
    let reads = |f: &Files, name: &str| look(f).0.iter().any(|(path, rights)| opens(path, *rights, name));
    assert!(!reads(&f, "usr") && !reads(&f, "usr/conf") && reads(&f, "usr/bin"));
    // A rule's own name is looked at all the same, what a rule takes with its folder is not.
    f.linked = Some(names.map(|(_, link)| dir.path().join(link)).into());
    assert!(reads(&f, "usr") && !reads(&f, "data/link/h"));
    // Names that were one file's, and were parted since.
    fs::remove_file(dir.path().join("data/link/h")).unwrap();
    fs::write(dir.path().join("data/link/h"), "as it was").unwrap();
    let parted = dir.path().join("data/link/h");
    let covers = |f: &Files| {
        look(f).0.iter().any(|(path, rights)| parted.starts_with(path) && rights.contains(AccessFs::ReadFile))
    };
    assert!(covers(&f));
    f.same = vec![vec![parted.clone(), dir.path().join("etc/shadow")]];
    assert!(!covers(&f));
    f.same = Vec::new();
    // What is mounted is none of the root file system.
    let text = format!("1 0 8:1 / / rw - x\n2 1 8:2 / {}/etc rw - x\n", dir.path().display());
    let looked = f.look_with(&Mounts::parse(&text)).unwrap();
    assert!(!looked.grants.iter().any(|g| opens(&g.path, g.rights, "usr")), "the mount's files were not looked at");
}
