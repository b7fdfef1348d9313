//! What the built-in filter answers, asked of its code.

use super::*;
use crate::plan::Sourced;
use simulate::{Call, run};

pub(super) fn plan(opened: &[&str], no_setid: bool) -> SeccompPlan {
    SeccompPlan {
        profile: Sourced::default(SeccompProfile::Builtin),
        only: None,
        opened: opened.iter().map(|s| (*s).to_owned()).collect(),
        shut: BTreeSet::new(),
        no_setid: Sourced::default(no_setid),
    }
}

pub(super) fn filter(opened: &[&str], no_setid: bool) -> Vec<u8> {
    compile(&plan(opened, no_setid), &Host::default()).unwrap().unwrap()
}

fn ask(filter: &[u8], nr: i64, args: [u64; 6]) -> Action {
    run(filter, &Call::native(nr as u32, args)).unwrap().0
}

fn errno(errno: i32) -> Action {
    Action::Errno(errno as u16)
}

/// High halves that the kernel drops from an `int`.
const HIGH: [u64; 4] = [0, 1 << 32, 1 << 63, 0xffff_ffff << 32];

#[test]
fn code_and_table_agree_on_every_call_number() {
    for (opened, no_setid) in [(&[][..], false), (&[], true), (&["io-uring", "mount"], false)] {
        let policy = policy(&plan(opened, no_setid), &Host::default()).unwrap().unwrap();
        let code = bpf::assemble(&policy).unwrap();
        for nr in (0..1200).chain([1 << 30, (1 << 30) + 1, u32::MAX - 1, u32::MAX]) {
            let got = run(&code, &Call::native(nr, [0; 6])).unwrap().0;
            match policy.calls.get(&nr) {
                None => assert_eq!(got, errno(libc::ENOSYS), "call {nr}"),
                Some(body) if body.clauses.is_empty() => assert_eq!(got, body.otherwise, "call {nr}"),
                Some(_) => {}
            }
        }
    }
}

#[test]
#[rustfmt::skip]
fn doors_are_shut() {
    let f = filter(&[], false);
    for nr in [
        libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_userfaultfd,
        libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_bpf, libc::SYS_perf_event_open,
        libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd,
        libc::SYS_kcmp, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_move_mount,
        libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick,
        libc::SYS_mount_setattr, libc::SYS_setns, libc::SYS_vmsplice, libc::SYS_swapon, libc::SYS_reboot,
        libc::SYS_kexec_load, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_acct, libc::SYS_quotactl,
        libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at, libc::SYS_settimeofday, libc::SYS_clock_settime,
        libc::SYS_syslog, libc::SYS_chroot, libc::SYS_fanotify_init,
    ] {
        for args in [[0; 6], [1; 6], [u64::MAX; 6]] {
            assert_eq!(ask(&f, nr, args), errno(libc::EPERM), "{:?}", call_name(nr as u32));
        }
    }
    assert_eq!(ask(&f, libc::SYS_memfd_secret, [0; 6]), errno(libc::ENOSYS));
    assert_eq!(ask(&f, libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
}

#[test]
#[rustfmt::skip]
fn what_a_program_needs_is_open() {
    for f in [filter(&[], false), filter(&[], true)] {
        for nr in [
        libc::SYS_read, libc::SYS_write, libc::SYS_execve, libc::SYS_exit_group, libc::SYS_mmap, libc::SYS_futex,
        libc::SYS_rt_sigreturn, libc::SYS_wait4, libc::SYS_memfd_create, libc::SYS_seccomp, libc::SYS_rseq,
    ] {
            assert_eq!(ask(&f, nr, [0; 6]), Action::Allow, "{:?}", call_name(nr as u32));
        }
    }
}

#[test]
fn other_abis_do_not_exist() {
    let f = filter(&[], false);
    // AUDIT_ARCH_I386, ARM, and nonsense.
    for arch in [0x4000_0003, 0x4000_0028, 0] {
        for nr in 0..470 {
            let call = Call { arch, nr, args: [0; 6] };
            assert_eq!(run(&f, &call).unwrap().0, errno(libc::ENOSYS));
        }
    }
    // x32: the native number with bit 30.
    for nr in 0..600 {
        assert_eq!(ask(&f, nr | 0x4000_0000, [0; 6]), errno(libc::ENOSYS));
    }
}

#[test]
fn namespaces_are_not_made() {
    let f = filter(&[], false);
    let new = [0x20000u64, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    for flag in new {
        for rest in [0, libc::SIGCHLD as u64, libc::CLONE_VM as u64] {
            assert_eq!(ask(&f, libc::SYS_clone, [flag | rest, 0, 0, 0, 0, 0]), errno(libc::EPERM));
            assert_eq!(ask(&f, libc::SYS_unshare, [flag | rest, 0, 0, 0, 0, 0]), errno(libc::EPERM));
        }
    }
    assert_eq!(ask(&f, libc::SYS_unshare, [0x80, 0, 0, 0, 0, 0]), errno(libc::EPERM), "time namespace");
    let pthread = 0x3d_0f00;
    assert_eq!(ask(&f, libc::SYS_clone, [pthread, 0, 0, 0, 0, 0]), Action::Allow);
    let opened = filter(&["namespaces"], false);
    assert_eq!(ask(&opened, libc::SYS_clone, [0x1000_0000, 0, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(ask(&opened, libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
}

#[test]
fn terminal_requests_are_refused_whatever_the_high_half() {
    let f = filter(&[], false);
    for request in [0x5412u64, 0x541c, 0x541d, 0x5423] {
        for high in HIGH {
            assert_eq!(ask(&f, libc::SYS_ioctl, [0, request | high, 0, 0, 0, 0]), errno(libc::EPERM));
        }
    }
    for request in [libc::TCGETS, libc::TIOCGWINSZ, libc::TIOCSWINSZ, libc::TIOCSCTTY, libc::FIONREAD] {
        assert_eq!(ask(&f, libc::SYS_ioctl, [0, request, 0, 0, 0, 0]), Action::Allow);
    }
}

#[test]
fn sockets_by_list() {
    let f = filter(&[], false);
    let flags = [0, libc::SOCK_CLOEXEC as u64, (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64];
    let mut open = BTreeSet::new();
    for family in 0..64u64 {
        for kind in 0..16u64 {
            for protocol in (0..64u64).chain([115, 132, 136, 255, 256, 262, 512, 65535]) {
                for flag in flags {
                    for high in [0, 0xffff_ffff << 32] {
                        let args = [family | high, kind | flag | high, protocol | high, 0, 0, 0];
                        if ask(&f, libc::SYS_socket, args) == Action::Allow {
                            open.insert((family, kind, protocol));
                        }
                    }
                }
            }
        }
    }
    let inet: BTreeSet<_> = open.iter().filter(|(f, ..)| *f == 2 || *f == 10).map(|t| (t.1, t.2)).collect();
    assert_eq!(inet, BTreeSet::from([(1, 0), (1, 6), (2, 0), (2, 1), (2, 17), (2, 58)]));
    assert!(open.iter().filter(|t| t.0 == 16).all(|t| t.2 == 0), "netlink is ROUTE only");
    let families: BTreeSet<u64> = open.iter().map(|t| t.0).collect();
    assert_eq!(families, BTreeSet::from([1, 2, 10, 16]));
    // How they are refused decides whether programs go on.
    let socket = |family: i32, kind: i32, protocol: i32| {
        ask(&f, libc::SYS_socket, [family as u64, kind as u64, protocol as u64, 0, 0, 0])
    };
    assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT), errno(libc::EPROTONOSUPPORT));
    assert_eq!(socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP), errno(libc::EPROTONOSUPPORT));
    assert_eq!(socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP), errno(libc::EPERM));
    assert_eq!(socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0), errno(libc::EAFNOSUPPORT));
    assert_eq!(socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0), errno(libc::EAFNOSUPPORT));
}

#[test]
fn groups_widen_sockets_one_by_one() {
    for (group, args) in [
        ("raw-sockets", [libc::AF_INET, libc::SOCK_RAW, 1]),
        ("packet-sockets", [libc::AF_PACKET, libc::SOCK_RAW, 0]),
        ("socket-diag", [libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG]),
        ("netlink-events", [libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT]),
        ("sctp", [libc::AF_INET, libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP]),
        ("mptcp", [libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_MPTCP]),
        ("vsock", [libc::AF_VSOCK, libc::SOCK_STREAM, 0]),
    ] {
        let args = [args[0] as u64, args[1] as u64, args[2] as u64, 0, 0, 0];
        assert!(!ask(&filter(&[], false), libc::SYS_socket, args).permits(), "{group}");
        assert!(ask(&filter(&[group], false), libc::SYS_socket, args).permits(), "{group}");
    }
}

#[test]
fn setid_files_are_not_made() {
    let (f, lax) = (filter(&[], true), filter(&[], false));
    let tmpfile = libc::O_TMPFILE as u64;
    let create = libc::O_CREAT as u64;
    for mode in [0o4755u64, 0o2755, 0o6000, 0o104755] {
        for high in HIGH {
            let mode = mode | high;
            #[cfg(target_arch = "x86_64")]
            for (nr, args) in [
                (libc::SYS_chmod, [0, mode, 0, 0, 0, 0]),
                (libc::SYS_creat, [0, mode, 0, 0, 0, 0]),
                (libc::SYS_mknod, [0, mode, 0, 0, 0, 0]),
                (libc::SYS_open, [0, create, mode, 0, 0, 0]),
                (libc::SYS_open, [0, tmpfile, mode, 0, 0, 0]),
            ] {
                assert_eq!(ask(&f, nr, args), errno(libc::EPERM), "{:?} {args:?}", call_name(nr as u32));
                assert_eq!(ask(&lax, nr, args), Action::Allow);
            }
            for (nr, args) in [
                (libc::SYS_fchmod, [0, mode, 0, 0, 0, 0]),
                (libc::SYS_fchmodat, [0, 0, mode, 0, 0, 0]),
                (libc::SYS_fchmodat2, [0, 0, mode, 0, 0, 0]),
                (libc::SYS_mknodat, [0, 0, mode, 0, 0, 0]),
                (libc::SYS_openat, [0, 0, create | libc::O_WRONLY as u64, mode, 0, 0]),
                (libc::SYS_openat, [0, 0, tmpfile | libc::O_RDWR as u64, mode, 0, 0]),
            ] {
                assert_eq!(ask(&f, nr, args), errno(libc::EPERM), "{:?} {args:?}", call_name(nr as u32));
                assert_eq!(ask(&lax, nr, args), Action::Allow);
            }
        }
    }
    assert_eq!(ask(&f, libc::SYS_openat2, [0; 6]), errno(libc::ENOSYS));
    assert_eq!(ask(&lax, libc::SYS_openat2, [0; 6]), Action::Allow);
    for mode in [0o755u64, 0o644, 0o1777, 0o600] {
        assert_eq!(ask(&f, libc::SYS_fchmodat, [0, 0, mode, 0, 0, 0]), Action::Allow);
        assert_eq!(ask(&f, libc::SYS_openat, [0, 0, create, mode, 0, 0]), Action::Allow);
    }
    // Without O_CREAT the fourth register is whatever was there.
    let directory = libc::O_DIRECTORY as u64;
    assert_eq!(ask(&f, libc::SYS_openat, [0, 0, directory, 0o6777, 0, 0]), Action::Allow);
    // io_uring would go round it, even when a preset opened it.
    let ringed = filter(&["io-uring"], true);
    assert_eq!(ask(&ringed, libc::SYS_io_uring_setup, [0; 6]), errno(libc::EPERM));
}

#[test]
fn unconfined_still_makes_no_setid_files() {
    let mut plan = plan(&[], false);
    plan.profile.value = SeccompProfile::Unconfined;
    assert_eq!(compile(&plan, &Host::default()).unwrap(), None);
    plan.no_setid.value = true;
    let f = compile(&plan, &Host::default()).unwrap().unwrap();
    assert_eq!(ask(&f, libc::SYS_fchmod, [0, 0o4755, 0, 0, 0, 0]), errno(libc::EPERM));
    assert_eq!(ask(&f, libc::SYS_io_uring_setup, [0; 6]), errno(libc::EPERM));
    assert_eq!(ask(&f, libc::SYS_mount, [0; 6]), Action::Allow);
}

#[test]
fn every_shut_group_opens_its_calls() {
    for group in builtin::GROUPS.iter().filter(|g| !g.open) {
        let f = filter(&[group.name], false);
        for call in group.calls() {
            assert!(!ask(&filter(&[], false), call.nr.into(), [0; 6]).permits(), "{}", call.name);
            assert!(ask(&f, call.nr.into(), [0; 6]).permits(), "{}", call.name);
        }
    }
}

#[test]
fn an_unknown_group_is_an_error_that_lists_the_known() {
    let e = compile(&plan(&["io_uring"], false), &Host::default()).unwrap_err();
    assert_eq!(e.message, "no seccomp group is called \"io_uring\"");
    assert!(e.hint.unwrap().contains("io-uring"));
    assert!(compile(&plan(&["files"], false), &Host::default()).is_err(), "open groups are not for opening");
}

#[test]
fn capabilities_open_groups_that_exist() {
    for n in 0..=40 {
        let name = format!("CAP_{n}");
        assert!(groups_for_capability(&name).is_empty());
    }
    for capability in ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_PERFMON"] {
        let groups = groups_for_capability(capability);
        assert!(!groups.is_empty());
        groups.iter().for_each(|group| check_group(group).unwrap());
    }
}

#[test]
fn kernel_releases_are_read() {
    let none = BTreeSet::new();
    assert_eq!(Host::new("6.18.5-1-amd64", &none).kernel, (6, 18));
    assert_eq!(Host::new("6.1", &none).kernel, (6, 1));
    assert_eq!(Host::new("", &none).kernel, (0, 0));
}

#[test]
fn a_preset_shuts_groups() {
    let mut strict = plan(&["bpf"], false);
    strict.shut = ["sysv-ipc", "bpf"].map(str::to_owned).into();
    let f = compile(&strict, &Host::default()).unwrap().unwrap();
    assert_eq!(ask(&f, libc::SYS_shmget, [0; 6]), errno(libc::EPERM));
    assert_eq!(ask(&f, libc::SYS_bpf, [0; 6]), errno(libc::EPERM), "shut wins over opened");
    strict.shut = ["files".to_owned()].into();
    assert!(compile(&strict, &Host::default()).unwrap_err().message.contains("cannot be shut"));
    strict.shut = ["sysvipc".to_owned()].into();
    assert!(compile(&strict, &Host::default()).unwrap_err().hint.unwrap().contains("sysv-ipc"));
}
