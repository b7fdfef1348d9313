use super::*;

#[test]
fn an_access_is_letters_in_one_order() {
    assert_eq!(Access::parse("xlkwrm").unwrap().to_string(), "mrwklx");
    assert_eq!(Access::parse("rix").unwrap().allowing(), "rix");
    for bad in ["", "q", "a", "px", "Ux", "r w"] {
        assert!(Access::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pattern_is_absolute_and_closed() {
    for good in ["/", "/a/**", "/{a,b}/{,**}", "@{PROC}/{[^1-9],[^1-9][^0-9]}/** w", "/a b"] {
        Pattern::parse(good).unwrap();
    }
    for bad in
        ["", "a", "/a/../b", "/./a", "/{a", "/a}", "/[a", "/a]", "@{NO}/a", "@{PROC", "/[z-a]", "/[]", "/a\"b", "/a\nb"]
    {
        assert!(Pattern::parse(bad).is_err(), "{bad:?}");
    }
    assert!(Pattern::parse(&"/{a,b}".repeat(20)).is_err(), "two to the twentieth");
}

#[test]
fn sockets_and_further_rules_are_from_a_closed_set() {
    for good in ["inet tcp", "raw", "packet", "inet6"] {
        SocketRule::parse(good).unwrap();
    }
    for bad in ["", "inet tcp x", "tcp inet", "inet,\n  capability sys_admin"] {
        assert!(SocketRule::parse(bad).is_err(), "{bad}");
    }
    assert!(AppArmorRule::parse("deny mount").unwrap().denies());
    for bad in ["", "file", "deny", "mount options=rw", "audit deny deny mount", "capability sys_admin"] {
        assert!(AppArmorRule::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn patterns_match_as_apparmors_do() {
    let is = |pattern: &str, path: &str| Pattern::parse(pattern).unwrap().matches(path);
    for (pattern, path) in [
        ("/a", "/a"),
        ("/a/*", "/a/b"),
        ("/a/**", "/a/b/c/"),
        ("/a/{,**}", "/a/"),
        ("/a*", "/a"),
        ("/{a,b{c,d}}/x", "/bd/x"),
        ("/[a-c]?", "/bz"),
        ("/[^a-c]", "/d"),
        ("@{PROC}/@{pid}/stat", "/proc/12/stat"),
        ("/**/x", "/a/b/x"),
        ("/a//b", "/a/b"),
    ] {
        assert!(is(pattern, path), "{pattern} {path}");
    }
    for (pattern, path) in [
        ("/a", "/a/"),
        ("/a/*", "/a/"),
        ("/a/**", "/a/"),
        ("/a/*", "/a/b/c"),
        ("/a/*", "/a/b/"),
        ("/a?", "/a/"),
        ("/[a-c]", "/d"),
        ("/[^a-c]", "/a"),
        ("@{PROC}/@{pid}/stat", "/proc/self/stat"),
    ] {
        assert!(!is(pattern, path), "{pattern} {path}");
    }
}

#[test]
fn the_base_is_made_of_patterns() {
    let all: Vec<_> = base::rules().collect();
    assert_eq!(all.len(), base::BASE.len());
    let may = |path: &str, access: Access| all.iter().any(|(p, a)| a.contains(access) && p.matches(path));
    assert!(may("/lib64/ld-linux-x86-64.so.2", Access::EXECUTE) && may("/lib/ld-musl-x86_64.so.1", Access::EXECUTE));
    assert!(may("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", Access::EXECUTE));
    assert!(may("/dev/null", Access::WRITE) && may("/etc/ssl/certs/ca.pem", Access::READ));
    for secret in ["/etc/shadow", "/etc/ssl/private/key.pem", "/root/.ssh/id", "/bin/sh", "/usr/bin/id", "/var/lib/x"] {
        assert!(!may(secret, Access::READ), "{secret}");
    }
    assert!(!may("/usr/lib/git-core/git", Access::EXECUTE) && !may("/etc/passwd", Access::WRITE));
}

#[test]
fn a_pattern_moves_with_what_it_matches() {
    let pattern = |text: &str| Pattern::parse(text).unwrap();
    for (text, from, to, hit, missed) in [
        ("/data/*.key", "/data", "/alias", "/alias/x.key", "/alias/x"),
        ("/data/sub/**", "/data/sub/deep", "/a", "/a/x/y", "/b"),
        ("/data/sub/file", "/data", "", "/sub/file", "/sub/other"),
        ("/file", "/file", "/b", "/b", "/b/x"),
        ("/**/x", "/data", "/a", "/a/b/x", "/a/b/y"),
        ("/**", "", "/host", "/host/x", "/x"),
    ] {
        let moved = pattern(text).moved(from, to).unwrap();
        assert!(moved.matches(hit) && !moved.matches(missed), "{text} {from} {to}");
    }
    assert!(pattern("/data/file").moved("/dat", "/a").is_none());
    assert!(pattern("/data/file").moved("/other", "/a").is_none());
}

#[test]
fn what_may_not_be_written_but_emptied_stops_the_start() {
    use crate::plan::Landlock;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("declared.toml");
    let stops = |access: &str, abi: u32, readonly: bool| {
        let text = format!(
            "description = \"\"\n[paths]\nall = true\ndeny = [{{ path = \"/srv/file\", access = \"{access}\" }}]\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut draft = crate::plan::draft::tests::draft_of_file(&file, false).unwrap();
        draft.landlock.value = Landlock::Ruleset { abi };
        draft.root.readonly.value = readonly;
        draft.mounts.clear();
        gaps(&draft).iter().any(|g| g.stops && g.missing.contains("truncate"))
    };
    assert!(stops("w", 2, false) && stops("rw", 2, false));
    assert!(!stops("w", 3, false) && !stops("r", 2, false) && !stops("w", 2, true));
}

proptest::proptest! {
    /// A pattern without wildcards stands for itself, however the path is cut while it is followed.
    #[test]
    fn a_cursor_does_not_care_where_a_path_is_cut(path in "(/[a-z]{1,4}){1,4}/?", cut in 0usize..20) {
        let pattern = Pattern::parse(&path).unwrap();
        let (head, tail) = path.as_bytes().split_at(cut.min(path.len()));
        let cursor = pattern.cursors().next().unwrap();
        let end = cursor.step(head).and_then(|c| c.step(tail));
        proptest::prop_assert!(end.is_some_and(|c| c.matches() && !c.goes_on()));
        let longer = path + "x";
        proptest::prop_assert!(Pattern::parse("/**").unwrap().matches(&longer));
    }

    /// No text makes the parser panic, and what is taken is written back as it was.
    #[test]
    fn any_text_is_a_pattern_or_an_error(text in "[/a{},*?\\[\\]^@-]{0,24}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            proptest::prop_assert_eq!(pattern.to_string(), text);
            pattern.matches("/a/b");
        }
    }
}
