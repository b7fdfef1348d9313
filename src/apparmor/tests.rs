use super::*;
use crate::plan::{MountPlan, Sourced};
use crate::policy::testkit;
use std::path::Path;

fn accepted(profile: &Profile) {
    if !std::path::Path::new("/usr/sbin/apparmor_parser").exists() {
        eprintln!("skipped: apparmor_parser is not installed");
        return;
    }
    if let Err(e) = load::compile(&profile.text) {
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
    assert_eq!(one.name.len(), "hardrun-".len() + 32);
}

#[test]
fn a_stack_with_unconfined_is_as_good_as_the_profile() {
    for (label, profile, good) in [
        ("hardrun-1", "hardrun-1", true),
        ("hardrun-1//&unconfined", "hardrun-1", true),
        ("unconfined//&zone", "zone", true),
        ("unconfined", "unconfined", true),
        ("unconfined", "hardrun-1", false),
        ("hardrun-1", "unconfined", false),
        ("hardrun-1//&hardrun-2", "hardrun-1", false),
        ("hardrun-12", "hardrun-1", false),
        ("hardrun-1//unconfined", "hardrun-1", false),
        ("", "hardrun-1", false),
    ] {
        assert_eq!(is_label_of(label, profile), good, "{label} for {profile}");
    }
}

/// The example of Docker's documentation ("AppArmor security profiles for Docker", docker-nginx), in a preset's words.
const NGINX: &str = r#"
description = "the documentation's nginx"
capabilities = ["CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID", "NET_BIND_SERVICE"]
apparmor-rules = ["umount", "deny mount"]

[sockets]
allow = ["inet tcp", "inet udp", "inet icmp"]
deny = ["raw", "packet"]

[paths]
all = true
allow = [{ path = "/var/run/nginx.pid", access = "w" }, { path = "/usr/sbin/nginx", access = "ix" }]
audit = [{ path = "/**", access = "w" }]
deny = [
    { path = "/bin/**", access = "wl" },
    { path = "/boot/**", access = "wl" },
    { path = "/dev/**", access = "wl" },
    { path = "/etc/**", access = "wl" },
    { path = "/home/**", access = "wl" },
    { path = "/lib/**", access = "wl" },
    { path = "/lib64/**", access = "wl" },
    { path = "/media/**", access = "wl" },
    { path = "/mnt/**", access = "wl" },
    { path = "/opt/**", access = "wl" },
    { path = "/proc/**", access = "wl" },
    { path = "/root/**", access = "wl" },
    { path = "/sbin/**", access = "wl" },
    { path = "/srv/**", access = "wl" },
    { path = "/tmp/**", access = "wl" },
    { path = "/sys/**", access = "wl" },
    { path = "/usr/**", access = "wl" },
    { path = "/bin/dash", access = "mrwklx" },
    { path = "/bin/sh", access = "mrwklx" },
    { path = "/usr/bin/top", access = "mrwklx" },
    { path = "@{PROC}/*", access = "w" },
    { path = "@{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/**", access = "w" },
    { path = "@{PROC}/sys/[^k]**", access = "w" },
    { path = "@{PROC}/sys/kernel/{?,??,[^s][^h][^m]**}", access = "w" },
    { path = "@{PROC}/sysrq-trigger", access = "rwklx" },
    { path = "@{PROC}/mem", access = "rwklx" },
    { path = "@{PROC}/kmem", access = "rwklx" },
    { path = "@{PROC}/kcore", access = "rwklx" },
    { path = "/sys/[^f]*/**", access = "wklx" },
    { path = "/sys/f[^s]*/**", access = "wklx" },
    { path = "/sys/fs/[^c]*/**", access = "wklx" },
    { path = "/sys/fs/c[^g]*/**", access = "wklx" },
    { path = "/sys/fs/cg[^r]*/**", access = "wklx" },
    { path = "/sys/firmware/**", access = "rwklx" },
    { path = "/sys/kernel/security/**", access = "rwklx" },
]
"#;

/// Its lines, in its order; `deny network raw`, which takes netlink along, is the families that a program could have.
const NGINX_LINES: &str = "network inet tcp,
network inet udp,
network inet icmp,
deny network inet raw,
deny network inet6 raw,
deny network packet raw,
deny network packet,
file,
umount,
deny /bin/** wl,
deny /boot/** wl,
deny /dev/** wl,
deny /etc/** wl,
deny /home/** wl,
deny /lib/** wl,
deny /lib64/** wl,
deny /media/** wl,
deny /mnt/** wl,
deny /opt/** wl,
deny /proc/** wl,
deny /root/** wl,
deny /sbin/** wl,
deny /srv/** wl,
deny /tmp/** wl,
deny /sys/** wl,
deny /usr/** wl,
audit /** w,
/var/run/nginx.pid w,
/usr/sbin/nginx ix,
deny /bin/dash mrwklx,
deny /bin/sh mrwklx,
deny /usr/bin/top mrwklx,
capability chown,
capability dac_override,
capability setuid,
capability setgid,
capability net_bind_service,
deny @{PROC}/* w,
deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w,
deny @{PROC}/sys/[^k]** w,
deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
deny @{PROC}/sysrq-trigger rwklx,
deny @{PROC}/mem rwklx,
deny @{PROC}/kmem rwklx,
deny @{PROC}/kcore rwklx,
deny mount,
deny /sys/[^f]*/** wklx,
deny /sys/f[^s]*/** wklx,
deny /sys/fs/[^c]*/** wklx,
deny /sys/fs/c[^g]*/** wklx,
deny /sys/fs/cg[^r]*/** wklx,
deny /sys/firmware/** rwklx,
deny /sys/kernel/security/** rwklx,";

fn declared(text: &str, apparmor: bool) -> crate::error::Result<Draft> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("declared.toml");
    std::fs::write(&file, text).unwrap();
    crate::plan::draft::tests::draft_of_file(&file, apparmor)
}

#[test]
fn the_documentations_nginx_is_said_line_for_line() {
    let draft = declared(NGINX, true).unwrap();
    let profile = profile(&draft);
    accepted(&profile);
    // What a preset denies is said in the kernel's log besides.
    let text = profile.text.replace("audit deny ", "deny ");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for line in NGINX_LINES.lines() {
        assert!(lines.contains(&line), "{line} is missing:\n{}", profile.text);
    }
    // What it means on a root where /bin is a link.
    assert!(lines.contains(&"deny /usr/bin/sh mrwklx,"), "{}", profile.text);
    assert!(!lines.contains(&"deny umount,") && !lines.contains(&"network inet stream,"), "{}", profile.text);
}

/// A profile's lines as a preset, each by its own words.
fn preset_of(lines: &str) -> String {
    let mut lists: std::collections::BTreeMap<&str, Vec<String>> = Default::default();
    let mut all = false;
    for line in lines.lines().map(|l| l.trim().trim_end_matches(',')) {
        let words: Vec<&str> = line.split(' ').collect();
        let rule = |path: &str, access: &str| format!("{{ path = \"{path}\", access = \"{access}\" }}");
        let (list, entry) = match words.as_slice() {
            ["file"] => {
                all = true;
                continue;
            }
            ["capability", name] => ("capabilities", format!("\"{}\"", name.to_uppercase())),
            ["network", kind @ ..] => ("sockets-allow", format!("\"{}\"", kind.join(" "))),
            ["deny", "network", kind @ ..] => ("sockets-deny", format!("\"{}\"", kind.join(" "))),
            ["deny", path, access] if path.starts_with(['/', '@']) => ("deny", rule(path, access)),
            ["audit", path, access] => ("audit", rule(path, access)),
            [path, access] if path.starts_with('/') => ("allow", rule(path, access)),
            _ => ("apparmor-rules", format!("\"{line}\"")),
        };
        lists.entry(list).or_default().push(entry);
    }
    let list = |name: &str| lists.get(name).map(|entries| entries.join(", ")).unwrap_or_default();
    format!(
        "description = \"x\"\ncapabilities = [{}]\napparmor-rules = [{}]\n[sockets]\nallow = [{}]\ndeny = [{}]\n\
         [paths]\nall = {all}\nallow = [{}]\naudit = [{}]\ndeny = [{}]\n",
        list("capabilities"),
        list("apparmor-rules"),
        list("sockets-allow"),
        list("sockets-deny"),
        list("allow"),
        list("audit"),
        list("deny"),
    )
}

#[test]
fn a_profile_becomes_a_preset_and_the_same_profile_again() {
    let by_hand = declared(NGINX, true).unwrap();
    let made = declared(&preset_of(NGINX_LINES), true).unwrap();
    assert_eq!(profile(&made).text, profile(&by_hand).text);
    accepted(&profile(&made));
    // And what is printed becomes the preset once more: nothing of it is lost on the way.
    let text = profile(&made).text;
    let said = text.replace("audit deny ", "deny ");
    let mut own: Vec<&str> = Vec::new();
    for line in said.lines().map(str::trim).filter(|line| NGINX_LINES.lines().any(|l| l == *line)) {
        // `deny /sys/** wl` is hardrun's own line as well.
        if !own.contains(&line) {
            own.push(line);
        }
    }
    assert_eq!(own.len(), NGINX_LINES.lines().count(), "a line is missing");
    assert!(profile(&declared(&preset_of(&own.join("\n")), true).unwrap()).text == text, "another profile");
}

#[test]
fn without_apparmor_every_rule_of_it_holds_or_is_named() {
    let draft = declared(NGINX, false).unwrap();
    let gaps: Vec<String> =
        crate::paths::gaps(&draft).into_iter().map(|g| format!("{}: {}", g.rule, g.missing)).collect();
    assert_eq!(
        gaps,
        [
            "/var/run/nginx.pid w: Landlock allows to write what exists at the start; making it takes its folder",
            "audit /** w: only AppArmor writes a use into the kernel's log",
        ]
    );
}

#[test]
fn every_preset_and_the_base_are_accepted() {
    for (name, _) in crate::preset::BUILTIN {
        accepted(&profile(&crate::plan::draft::tests::draft_of_file(Path::new(name), true).unwrap()));
    }
    let text = "description = \"\"\n[paths]\nread = [\"/srv/**\", \"/a b/x\"]\nwrite = [\"@{run}/x/**\", \"@{HOME}/**\"]\nexecute = [\"/usr/bin/{a,b}*\"]\n";
    let profile = profile(&declared(text, true).unwrap());
    accepted(&profile);
    for line in
        ["/srv/{,**} r,", "\"/a b/x\" r,", "@{run}/x/{,**} rwkl,", "/usr/bin/{a,b}* mrix,", "@{run} = /run /var/run"]
    {
        assert!(profile.text.lines().any(|l| l.trim() == line), "{line} is missing:\n{}", profile.text);
    }
    assert!(!profile.text.lines().any(|l| l.trim() == "file,"));
}

#[test]
fn what_nothing_would_refuse_does_not_start() {
    let with = |deny: &str| {
        format!("description = \"\"\n[paths]\nall = true\ndeny = [{{ path = \"{deny}\", access = \"rw\" }}]\n")
    };
    for deny in ["/proc/*/environ", "/proc/self/environ", "/sys/class/*/address", "/proc/[1-9]*/**"] {
        let e = declared(&with(deny), false).unwrap_err();
        assert!(e.to_string().contains(deny) && e.hint.is_some(), "{e}");
        declared(&with(deny), true).unwrap();
    }
    for deny in ["/proc/cpuinfo", "/proc/**", "/sys/**", "/etc/*.key", "/proc/kcore", "/sys/firmware/**"] {
        declared(&with(deny), false).unwrap();
    }
    let draft = declared(&with("/proc/cpuinfo"), false).unwrap();
    assert!(draft.masked_paths.value.contains(&"/proc/cpuinfo".to_owned()));
}
