//! The kernel's answers, each on a thread of its own: a domain ends with it.

use super::*;
use crate::plan::{MountPlan, Sourced};
use crate::policy::testkit;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Run `inside` under `rules`; `None` where this kernel has no Landlock.
fn confined<T: Send>(rules: &Rules, inside: impl FnOnce() -> T + Send) -> Option<T> {
    let abi = crate::sys::landlock::abi();
    if abi < FIRST {
        eprintln!("skipped: this kernel has no Landlock");
        return None;
    }
    let rules = Rules { abi: abi.min(7), ..rules.clone() };
    let run = move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        rules.apply().unwrap();
        inside()
    };
    Some(std::thread::scope(|s| s.spawn(run).join().unwrap()))
}

fn base() -> Rules {
    let grant = |path: &str, right| Grant { path: path.into(), right };
    Rules {
        abi: 7,
        writes_by_list: false,
        device_nodes: false,
        grants: vec![grant("/", Right::Rename), grant("/dev", Right::WriteDevices)],
        own_abstract_sockets: false,
        files: None,
        listen: None,
        connect: None,
    }
}

fn null_device(at: &Path) -> io::Result<()> {
    mknod(at, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(1, 3)).map_err(io::Error::from)
}

#[test]
fn a_writable_root_stays_usable_and_makes_no_devices() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    confined(&base(), || {
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        fs::write(a.join("file"), "text").unwrap();
        fs::rename(a.join("file"), b.join("file")).unwrap();
        fs::hard_link(b.join("file"), a.join("link")).unwrap();
        std::os::unix::fs::symlink("file", b.join("sym")).unwrap();
        assert_eq!(fs::read_to_string(b.join("sym")).unwrap(), "text");
        fs::remove_dir_all(&a).unwrap();
        fs::write("/dev/null", "x").unwrap();
        fs::write("/proc/thread-self/comm", "renamed").unwrap();
        assert_eq!(null_device(&b.join("null")).unwrap_err().kind(), ErrorKind::PermissionDenied);
        mknod(&b.join("fifo"), SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0).unwrap();
    });
}

#[test]
fn the_mount_tree_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mount = confined(&base(), || {
        nix::mount::mount(Some("none"), dir.path(), Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>)
    });
    if let Some(mount) = mount {
        assert_eq!(mount.unwrap_err(), nix::errno::Errno::EPERM);
    }
}

#[test]
fn under_a_read_only_root_writes_are_by_list() {
    let (open, shut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = shut.path().join("file");
    let listed = shut.path().join("listed");
    fs::write(&file, "old").unwrap();
    fs::write(&listed, "old").unwrap();
    fs::create_dir(open.path().join("sub")).unwrap();
    let mut rules = base();
    rules.writes_by_list = true;
    for (path, right) in [
        ("/proc", Right::WriteFiles),
        (open.path().to_str().unwrap(), Right::Write),
        (listed.to_str().unwrap(), Right::Write),
    ] {
        rules.grants.push(Grant { path: path.into(), right });
    }
    confined(&rules, || {
        let refused = |r: io::Result<()>, what: &str| {
            assert_eq!(r.expect_err(what).kind(), ErrorKind::PermissionDenied, "{what}");
        };
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        refused(fs::write(&file, "new"), "writing");
        refused(OpenOptions::new().append(true).open(&file).map(drop), "appending");
        refused(fs::remove_file(&file), "removing");
        refused(fs::create_dir(shut.path().join("dir")), "a folder");
        refused(std::os::unix::fs::symlink("x", shut.path().join("sym")), "a symlink");
        refused(null_device(&open.path().join("null")), "a device");
        fs::write(&listed, "new").unwrap();
        fs::write(open.path().join("file"), "new").unwrap();
        fs::rename(open.path().join("file"), open.path().join("sub/file")).unwrap();
        fs::remove_file(open.path().join("sub/file")).unwrap();
        fs::write("/proc/thread-self/comm", "renamed").unwrap();
        fs::write("/dev/null", "x").unwrap();
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(fs::read_to_string(&listed).unwrap(), "new");
}

#[test]
fn a_domain_does_not_see_into_processes_outside() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let root = format!("/proc/{}/root", child.id());
    let seen = confined(&base(), || fs::read_link(&root));
    child.kill().unwrap();
    child.wait().unwrap();
    if let Some(seen) = seen {
        assert_eq!(seen.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach_where_asked() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    if crate::sys::landlock::abi() < 6 {
        eprintln!("skipped: scopes came with Linux 6.12");
        return;
    }
    let address = SocketAddr::from_abstract_name(format!("hardrun-test-{}", std::process::id())).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    confined(&base(), || UnixStream::connect_addr(&address).map(drop)).unwrap().unwrap();
    let scoped = Rules { own_abstract_sockets: true, ..base() };
    let error = confined(&scoped, || UnixStream::connect_addr(&address).map(drop)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let mut rules = base();
    rules.grants.push(Grant { path: "/no/such/folder".into(), right: Right::Write });
    if crate::sys::landlock::abi() >= FIRST {
        let error = rules.apply().unwrap_err();
        assert_eq!(error.message, "allow /no/such/folder with Landlock");
    }
}

#[test]
fn a_kernel_that_cannot_is_decided_before() {
    assert_eq!(decide(0), Landlock::Unavailable);
    assert_eq!(decide(1), Landlock::Unavailable, "no rename would work");
    assert_eq!(decide(7), Landlock::Ruleset { abi: 7 });
    assert_eq!(enforced(2).count(), 1);
    assert_eq!(enforced(7).count(), COVERAGE.len());
    assert!(COVERAGE.is_sorted_by_key(|c| c.abi));
}

#[test]
fn rules_follow_the_plan() {
    let mut draft = testkit::draft();
    let normal = rules(&draft).unwrap();
    assert!(!normal.writes_by_list && !normal.device_nodes && !normal.own_abstract_sockets);
    assert_eq!(normal.grants.len(), 2);

    draft.root.readonly = Sourced::default(true);
    let mount = |destination: &str, readonly| MountPlan {
        destination: destination.into(),
        kind: MountKind::Tmpfs { size: 1, mode: 0o1777, uid: 0, gid: 0 },
        readonly: Sourced::default(readonly),
        noexec: true,
        asked: String::new(),
        propagation: Sourced::default("private".into()),
    };
    draft.mounts = vec![mount("/tmp", false), mount("/data", true)];
    draft.namespaces.network = Sourced::default(NetworkMode::Host);
    draft.capabilities.value.insert("CAP_MKNOD".into());
    let strict = rules(&draft).unwrap();
    let written: Vec<&str> = strict.grants.iter().filter(|g| g.right == Right::Write).map(|g| &*g.path).collect();
    assert_eq!(written, ["/tmp"]);
    assert!(strict.writes_by_list && strict.own_abstract_sockets && strict.device_nodes);

    draft.seccomp.opened.insert("mount".into());
    assert!(rules(&draft).unwrap_err().contains("mounting"));
    draft.seccomp.opened.clear();
    draft.process.no_new_privileges.value = false;
    assert!(rules(&draft).unwrap_err().contains("gain privileges"));
    draft.process.no_new_privileges.value = true;
    draft.landlock.value = Landlock::Unavailable;
    assert!(rules(&draft).unwrap_err().contains("has no Landlock"));
}

fn declared(allow: &[(&str, &str)], deny: &[(String, &str)]) -> Rules {
    let rule = |pattern: &str, access: &str| {
        (crate::paths::Pattern::parse(pattern).unwrap(), crate::paths::Access::parse(access).unwrap())
    };
    let files = Files {
        allow: allow.iter().map(|(p, a)| rule(p, a)).collect(),
        deny: deny.iter().map(|(p, a)| rule(p, a)).collect(),
        lenient: false,
        linked: None,
        same: Vec::new(),
    };
    let grants =
        vec![Grant { path: "/".into(), right: Right::Rename }, Grant { path: "/dev".into(), right: Right::Devices }];
    Rules { files: Some(files), grants, ..base() }
}

#[test]
fn what_is_denied_below_what_is_allowed_is_refused_by_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::create_dir(at("free")).unwrap();
    fs::write(at("d/secret"), "secret").unwrap();
    fs::write(at("d/other"), "other").unwrap();
    std::os::unix::fs::symlink("secret", at("d/link")).unwrap();
    let rules = declared(&[("/{,**}", "mrwklx")], &[(at("d/secret").display().to_string(), "r")]);
    confined(&rules, || {
        let refused = |r: io::Result<()>, what: &str| {
            let kind = r.expect_err(what).kind();
            assert!(matches!(kind, ErrorKind::PermissionDenied | ErrorKind::CrossesDevices), "{what}: {kind:?}");
        };
        let read = |name: &str| fs::read(at(name)).map(drop);
        assert_eq!(fs::read_to_string(at("d/other")).unwrap(), "other");
        fs::write(at("free/new"), "new").unwrap();
        assert_eq!(fs::read_to_string(at("free/new")).unwrap(), "new");
        refused(read("d/secret"), "reading");
        refused(read("d/link"), "through a link");
        refused(fs::hard_link(at("d/secret"), at("free/hard")), "linking it to where all is allowed");
        refused(fs::rename(at("d/secret"), at("free/moved")), "moving it there");
        refused(fs::rename(at("d/secret"), at("d/renamed")), "another name in its folder");
        refused(fs::rename(at("d"), at("free/d")), "moving its folder");
        refused(fs::rename(at("d"), at("e")), "renaming its folder");
    });
}

#[test]
fn ports_that_are_not_listed_are_refused() {
    use std::net::{TcpListener, TcpStream};
    if crate::sys::landlock::abi() < 4 {
        eprintln!("skipped: ports came with Linux 6.7");
        return;
    }
    let (listed, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |l: &TcpListener| l.local_addr().unwrap().port();
    let rules = Rules { listen: Some([].into()), connect: Some([port(&listed)].into()), ..base() };
    confined(&rules, || {
        TcpStream::connect(listed.local_addr().unwrap()).unwrap();
        let refused = |r: io::Result<()>| assert_eq!(r.unwrap_err().kind(), ErrorKind::PermissionDenied);
        refused(TcpStream::connect(other.local_addr().unwrap()).map(drop));
        refused(TcpListener::bind(("127.0.0.1", 0)).map(drop));
    });
}

#[test]
fn a_ruleset_that_does_not_hold_is_an_error() {
    // A grant beside the policy that opens what the policy does not: what a mistake of ours would look like.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let mut rules = declared(&[("/{,**}", "mrwklx")], &[(dir.path().join("file").display().to_string(), "w")]);
    rules.grants.push(Grant { path: dir.path().display().to_string(), right: Right::WriteFiles });
    if crate::sys::landlock::abi() < FIRST {
        return;
    }
    let error = std::thread::scope(|s| {
        s.spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            Rules { abi: crate::sys::landlock::abi().min(7), ..rules }.apply().unwrap_err()
        })
        .join()
        .unwrap()
    });
    assert!(error.chain().join(": ").contains("can be written although nothing allows it"), "{error}");
}
