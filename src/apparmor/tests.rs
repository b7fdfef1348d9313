use super::*;
use crate::plan::{MountPlan, Sourced};
use crate::policy::testkit;

fn accepted(profile: &Profile) {
    if !std::path::Path::new("/usr/sbin/apparmor_parser").exists() {
        eprintln!("skipped: apparmor_parser is not installed");
        return;
    }
    if let Err(e) = load::run(&profile.text, &["--skip-kernel-load", "--skip-cache", "--skip-read-cache"]) {
        panic!("{:?}\n{}", e.chain(), profile.text);
    }
}

fn tmpfs(destination: &str) -> MountPlan {
    MountPlan {
        destination: destination.into(),
        kind: MountKind::Tmpfs { size: 1, mode: 0o1777, uid: 0, gid: 0 },
        readonly: Sourced::default(false),
        noexec: true,
        asked: String::new(),
        propagation: Sourced::default("private".into()),
    }
}

#[test]
fn the_default_profile() {
    let mut draft = testkit::draft();
    draft.masked_paths.value = vec!["/proc/kcore".into(), "/sys/firmware".into()];
    draft.readonly_paths.value = vec!["/proc/sys".into()];
    let profile = profile(&draft);
    accepted(&profile);
    insta::assert_snapshot!(profile.text);
}

#[test]
fn a_read_only_root_is_written_where_a_mount_is() {
    let mut draft = testkit::draft();
    draft.root.readonly.value = true;
    draft.capabilities.value.clear();
    draft.mounts = vec![tmpfs("/tmp"), MountPlan { readonly: Sourced::default(true), ..tmpfs("/data") }];
    let profile = profile(&draft);
    accepted(&profile);
    let lines: Vec<&str> = profile.text.lines().map(str::trim).collect();
    for line in ["/ r,", "/** rmkix,", "\"/tmp\" w,", "\"/tmp/{,**}\" wlk,", "deny mount,", "deny /sys/** wl,"] {
        assert!(lines.contains(&line), "{line} is missing:\n{}", profile.text);
    }
    assert!(!profile.text.contains("/data") && !lines.contains(&"file,") && !profile.text.contains("capability"));
}

#[test]
fn paths_cannot_become_rules() {
    let mut draft = testkit::draft();
    draft.root.readonly.value = true;
    for path in
        ["/a b", "/x\" w,\n  capability sys_admin,\n  \"/y", "/[a]{b,c}*?^@{HOME}", "/ends\\", "/höhe", "/tab\there"]
    {
        draft.mounts.push(tmpfs(path));
    }
    let profile = profile(&draft);
    accepted(&profile);
    assert!(!profile.text.lines().any(|l| l.trim() == "capability sys_admin,"), "{}", profile.text);
    assert_eq!(quote("/a*b", "/**"), "\"/a\\*b/**\"");
    assert_eq!(quote("/é\n/", ""), "\"/\\303\\251\\012\"");
}

#[test]
fn what_was_opened_is_in_the_profile() {
    let mut draft = testkit::draft();
    let before = profile(&draft);
    draft.seccomp.opened =
        ["mount", "ptrace", "raw-sockets", "packet-sockets", "vsock", "sctp"].map(str::to_owned).into();
    draft.asked.writable_cgroups = true;
    draft.capabilities.value.insert("CAP_SYS_ADMIN".into());
    let after = profile(&draft);
    accepted(&after);
    for line in ["  mount,", "  network packet,", "  network inet6 raw,", "  capability sys_admin,"] {
        assert!(after.text.lines().any(|l| l == line) && !before.text.lines().any(|l| l == line), "{line}");
    }
    assert!(after.text.contains("ptrace (read, readby, trace, tracedby)") && !before.text.contains("tracedby"));
    assert_ne!(before.name, after.name);
}

#[test]
fn a_name_stands_for_a_text() {
    let mut draft = testkit::draft();
    let one = profile(&draft);
    draft.id = "cd".repeat(32);
    assert_eq!(one, profile(&draft), "another container that may do the same");
    assert_eq!(one.name.len(), "hardrun-".len() + 12);
}
