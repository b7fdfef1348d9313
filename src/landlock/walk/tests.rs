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
    Files { allow: parse(allow), deny: parse(deny), lenient: false }
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
