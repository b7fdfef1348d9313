//! What the running kernel answers to a child that has loaded the filter. Needs no root.

use super::tests::{filter, plan};
use super::*;
use crate::sys::seccomp::{load, probe};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const EPERM: i64 = -(libc::EPERM as i64);
const ENOSYS: i64 = -(libc::ENOSYS as i64);

#[test]
fn the_kernel_takes_the_filter_and_shuts_the_doors() {
    let tiocsti_with_a_high_bit = 0x5412u64 | 1 << 32;
    let calls: &[(probe::Call, i64)] = &[
        ((libc::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0]), EPERM),
        ((libc::SYS_userfaultfd, [0; 6]), EPERM),
        ((libc::SYS_keyctl, [0; 6]), EPERM),
        ((libc::SYS_bpf, [0; 6]), EPERM),
        ((libc::SYS_perf_event_open, [0; 6]), EPERM),
        ((libc::SYS_ptrace, [0; 6]), EPERM),
        ((libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]), EPERM),
        ((libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), EPERM),
        ((libc::SYS_clone3, [0; 6]), ENOSYS),
        ((libc::SYS_fsopen, [0; 6]), EPERM),
        ((libc::SYS_mount, [0; 6]), EPERM),
        ((libc::SYS_memfd_secret, [0; 6]), ENOSYS),
        ((libc::SYS_vmsplice, [0; 6]), EPERM),
        ((libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]), EPERM),
        ((libc::SYS_ioctl, [0, tiocsti_with_a_high_bit, 0, 0, 0, 0]), EPERM),
        ((libc::SYS_socket, [38, 5, 0, 0, 0, 0]), -(libc::EAFNOSUPPORT as i64)),
        ((libc::SYS_socket, [38 | 1 << 32, 5, 0, 0, 0, 0]), -(libc::EAFNOSUPPORT as i64)),
        ((libc::SYS_socket, [33, 2, 0, 0, 0, 0]), -(libc::EAFNOSUPPORT as i64)),
        ((libc::SYS_socket, [17, 3, 0, 0, 0, 0]), -(libc::EAFNOSUPPORT as i64)),
        ((libc::SYS_socket, [16, 3, 6, 0, 0, 0]), -(libc::EPROTONOSUPPORT as i64)),
        ((libc::SYS_socket, [2, 1, 132, 0, 0, 0]), -(libc::EPROTONOSUPPORT as i64)),
        ((libc::SYS_socket, [2, 3, 1, 0, 0, 0]), EPERM),
        // Numbers that no kernel has, and getpid through x32.
        ((9999, [0; 6]), ENOSYS),
        ((0x4000_0000 | libc::SYS_getpid, [0; 6]), ENOSYS),
    ];
    let asked: Vec<probe::Call> = calls.iter().map(|(call, _)| *call).collect();
    let got = probe::ask(&filter(&[], false), &asked);
    assert_eq!(got.len(), calls.len());
    for ((call, expected), got) in calls.iter().zip(got) {
        assert_eq!(got, *expected, "{:?} {:x?}", call_name(call.0 as u32), call);
    }
}

#[test]
fn what_is_open_works() {
    let calls: &[probe::Call] = &[
        (libc::SYS_getpid, [0; 6]),
        (libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
        (libc::SYS_socket, [2, 1 | libc::SOCK_CLOEXEC as u64, 6, 0, 0, 0]),
        (libc::SYS_socket, [10, 2 | libc::SOCK_NONBLOCK as u64, 17, 0, 0, 0]),
        (libc::SYS_socket, [16, 3, 0, 0, 0, 0]),
        (libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
        (libc::SYS_sched_yield, [0; 6]),
    ];
    for (call, got) in calls.iter().zip(probe::ask(&filter(&[], true), calls)) {
        assert!(got >= 0, "{call:x?} answered {got}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_32_bit_door_is_shut() {
    assert_eq!(probe::through_int80(&filter(&[], false)), ENOSYS);
}

#[test]
fn no_setuid_file_appears_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| std::ffi::CString::new(dir.path().join(name).to_str().unwrap()).unwrap();
    let (old, new, made, plain, folder) = (file("old"), file("new"), file("made"), file("plain"), file("folder"));
    fs::write(dir.path().join("old"), "").unwrap();
    let p = |c: &std::ffi::CString| c.as_ptr() as u64;
    let at = libc::AT_FDCWD as u64;
    let (create, tmpfile) = (libc::O_CREAT as u64 | 1, libc::O_TMPFILE as u64 | 1);
    let this = file("");
    let calls: &[(probe::Call, i64)] = &[
        ((libc::SYS_fchmodat, [at, p(&old), 0o4755, 0, 0, 0]), EPERM),
        ((libc::SYS_fchmodat2, [at, p(&old), 0o2755, 0, 0, 0]), EPERM),
        ((libc::SYS_fchmodat2, [at, p(&old), 0o6755 | 1 << 40, 0, 0, 0]), EPERM),
        ((libc::SYS_openat, [at, p(&new), create, 0o4755, 0, 0]), EPERM),
        ((libc::SYS_openat, [at, p(&this), tmpfile, 0o4755, 0, 0]), EPERM),
        ((libc::SYS_openat2, [at, p(&new), 0, 24, 0, 0]), ENOSYS),
        ((libc::SYS_mknodat, [at, p(&made), 0o104_755, 0, 0, 0]), EPERM),
        ((libc::SYS_fchmodat, [at, p(&old), 0o1750, 0, 0, 0]), 0),
        ((libc::SYS_mknodat, [at, p(&plain), 0o100_640, 0, 0, 0]), 0),
        // Left open: the kernel itself takes these bits out.
        ((libc::SYS_mkdirat, [at, p(&folder), 0o6755, 0, 0, 0]), 0),
    ];
    let asked: Vec<probe::Call> = calls.iter().map(|(call, _)| *call).collect();
    for ((call, expected), got) in calls.iter().zip(probe::ask(&filter(&[], true), &asked)) {
        assert_eq!(got, *expected, "{:?} {:x?}", call_name(call.0 as u32), call);
    }
    for name in ["old", "plain", "folder"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o6000, 0, "{name} has mode {mode:o}");
    }
    assert!(!dir.path().join("new").exists() && !dir.path().join("made").exists());
}

#[test]
fn docker_profiles_are_taken_by_the_kernel() {
    let mut plan = plan(&[], false);
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["sched_yield"],"action":"SCMP_ACT_ERRNO",
        "errnoRet":95},{"names":["getpriority"],"action":"SCMP_ACT_ERRNO",
        "args":[{"index":0,"op":"SCMP_CMP_GT","value":4294967296}]}]}"#;
    plan.profile.value = SeccompProfile::File { path: "p.json".into(), json: json.to_owned() };
    let filter = compile(&plan, &Host::default()).unwrap().unwrap();
    let calls = [
        (libc::SYS_sched_yield, [0; 6]),
        (libc::SYS_getpriority, [0; 6]),
        (libc::SYS_getpriority, [(1 << 32) + 1, 0, 0, 0, 0, 0]),
    ];
    let got = probe::ask(&filter, &calls);
    assert_eq!((got[0], got[1] > 0, got[2]), (-95, true, EPERM));
}

#[test]
fn what_is_no_filter_is_refused_before_the_kernel_sees_it() {
    for bad in [&[][..], &[0; 7], &[0; 12], &vec![0; 8 * 65_536]] {
        assert_eq!(load(bad).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
