//! Doors of the kernel that are shut in a container, each tried with arguments that could do no harm were it open.

use crate::harness::raw::{in_child, int80, syscall};

const NONE: usize = 0;
/// An address that no process has mapped.
const NOWHERE: usize = 1;
const BAD_FD: usize = usize::MAX;

/// One `name result` line a door.
pub fn print() {
    for (name, number, args) in calls() {
        println!("{name} {}", in_child(|| syscall(number, args)));
    }
    for (name, flag) in NAMESPACES {
        println!("unshare-{name} {}", in_child(|| syscall(libc::SYS_unshare, [*flag, 0, 0, 0, 0, 0])));
        // clone(2) takes the low byte, where CLONE_NEWTIME is, for the child's signal: only unshare and clone3 know it.
        if *name != "time" {
            println!("clone-{name} {}", in_child(|| clone(*flag)));
        }
    }
    println!("int80-getpid {}", in_child(|| int80(20, [0; 3]).map(i64::from)));
    // socketcall(SYS_SOCKET, …): the way around filters on socket(2).
    println!("int80-socketcall {}", in_child(|| int80(102, [1, 1, 0]).map(i64::from)));
    println!("x32-getpid {}", in_child(|| syscall(libc::SYS_getpid | 0x4000_0000, [0; 6])));
    terminal();
}

const NAMESPACES: &[(&str, usize)] = &[
    ("user", libc::CLONE_NEWUSER as usize),
    ("mnt", libc::CLONE_NEWNS as usize),
    ("pid", libc::CLONE_NEWPID as usize),
    ("net", libc::CLONE_NEWNET as usize),
    ("ipc", libc::CLONE_NEWIPC as usize),
    ("uts", libc::CLONE_NEWUTS as usize),
    ("cgroup", libc::CLONE_NEWCGROUP as usize),
    ("time", 0x80),
];

/// clone(2) as fork with a new namespace; the child leaves at once.
fn clone(flag: usize) -> Result<i64, i32> {
    let value = syscall(libc::SYS_clone, [flag | libc::SIGCHLD as usize, 0, 0, 0, 0, 0])?;
    if value == 0 {
        std::process::exit(0);
    }
    Ok(value)
}

/// ioctl(2) of the terminal that types for others, and with bits above the 32 that the kernel looks at.
fn terminal() {
    let byte = b'x';
    let at = &raw const byte as usize;
    let ioctl = |request: usize| in_child(move || syscall(libc::SYS_ioctl, [0, request, at, 0, 0, 0]));
    println!("ioctl-tiocsti {}", ioctl(0x5412));
    println!("ioctl-tiocsti-high {}", ioctl(0x1_0000_5412));
    println!("ioctl-tioclinux {}", ioctl(0x541c));
}

type Call = (&'static str, i64, [usize; 6]);

fn calls() -> Vec<Call> {
    // Large enough for every structure below; all zero is an argument that each call rejects or ignores.
    let zeros = Box::leak(Box::new([0u64; 64])).as_ptr() as usize;
    let ptrace_attach = 16;
    let ptrace_seize = 0x4206;
    vec![
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, zeros, 0, 0, 0, 0]),
        ("io_uring_enter", libc::SYS_io_uring_enter, [BAD_FD, 0, 0, 0, 0, 0]),
        ("io_uring_register", libc::SYS_io_uring_register, [BAD_FD, 0, 0, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 6]),
        ("keyctl", libc::SYS_keyctl, [0, usize::MAX - 3, 0, 0, 0, 0]),
        ("add_key", libc::SYS_add_key, [NOWHERE, NOWHERE, NONE, 0, 0, 0]),
        ("request_key", libc::SYS_request_key, [NOWHERE, NOWHERE, NONE, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0, zeros, 72, 0, 0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [zeros, 0, BAD_FD, BAD_FD, 0, 0]),
        ("ptrace-attach", libc::SYS_ptrace, [ptrace_attach, 1, 0, 0, 0, 0]),
        ("ptrace-seize", libc::SYS_ptrace, [ptrace_seize, 1, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, zeros, 1, zeros, 1, 0]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [1, zeros, 1, zeros, 1, 0]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [BAD_FD, 0, 0, 0, 0, 0]),
        ("kcmp", libc::SYS_kcmp, [1, 1, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [NOWHERE, NOWHERE, NOWHERE, 0, NONE, 0]),
        ("umount2", libc::SYS_umount2, [NOWHERE, 0, 0, 0, 0, 0]),
        ("pivot_root", libc::SYS_pivot_root, [NOWHERE, NOWHERE, 0, 0, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [NOWHERE, 0, 0, 0, 0, 0]),
        ("fsconfig", libc::SYS_fsconfig, [BAD_FD, 0, NONE, NONE, 0, 0]),
        ("fsmount", libc::SYS_fsmount, [BAD_FD, 0, 0, 0, 0, 0]),
        ("fspick", libc::SYS_fspick, [BAD_FD, NOWHERE, 0, 0, 0, 0]),
        ("open_tree", libc::SYS_open_tree, [BAD_FD, NOWHERE, 1, 0, 0, 0]),
        ("move_mount", libc::SYS_move_mount, [BAD_FD, NOWHERE, BAD_FD, NOWHERE, 0, 0]),
        ("mount_setattr", libc::SYS_mount_setattr, [BAD_FD, NOWHERE, 0, zeros, 32, 0]),
        ("open_tree_attr", 467, [BAD_FD, NOWHERE, 0, zeros, 32, 0]),
        ("setns", libc::SYS_setns, [BAD_FD, 0, 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [zeros, 64, 0, 0, 0, 0]),
        ("memfd_secret", libc::SYS_memfd_secret, [0; 6]),
        ("vmsplice", libc::SYS_vmsplice, [BAD_FD, NONE, 0, 0, 0, 0]),
        ("modify_ldt", libc::SYS_modify_ldt, [0, zeros, 16, 0, 0, 0]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [BAD_FD, NOWHERE, 0, 0, 0, 0]),
        ("fanotify_init", libc::SYS_fanotify_init, [0; 6]),
        ("kexec_load", libc::SYS_kexec_load, [NONE, 0, NONE, 0, 0, 0]),
        ("kexec_file_load", libc::SYS_kexec_file_load, [BAD_FD, BAD_FD, 0, NONE, usize::MAX, 0]),
        ("init_module", libc::SYS_init_module, [NOWHERE, 0, NOWHERE, 0, 0, 0]),
        ("finit_module", libc::SYS_finit_module, [BAD_FD, NOWHERE, 0, 0, 0, 0]),
        ("delete_module", libc::SYS_delete_module, [NOWHERE, 0, 0, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0, 0]),
        ("swapon", libc::SYS_swapon, [NOWHERE, 0, 0, 0, 0, 0]),
        ("swapoff", libc::SYS_swapoff, [NOWHERE, 0, 0, 0, 0, 0]),
        ("acct", libc::SYS_acct, [NOWHERE, 0, 0, 0, 0, 0]),
        ("settimeofday", libc::SYS_settimeofday, [NOWHERE, NONE, 0, 0, 0, 0]),
        ("clock_settime", libc::SYS_clock_settime, [0, NOWHERE, 0, 0, 0, 0]),
        ("iopl", libc::SYS_iopl, [3, 0, 0, 0, 0, 0]),
        ("ioperm", libc::SYS_ioperm, [0, 1, 1, 0, 0, 0]),
        ("quotactl", libc::SYS_quotactl, [NONE, NOWHERE, 0, NONE, 0, 0]),
        ("syslog", libc::SYS_syslog, [3, zeros, 0, 0, 0, 0]),
        ("lookup_dcookie", libc::SYS_lookup_dcookie, [0, zeros, 0, 0, 0, 0]),
        ("uselib", libc::SYS_uselib, [NOWHERE, 0, 0, 0, 0, 0]),
        ("sethostname", libc::SYS_sethostname, [NOWHERE, 1, 0, 0, 0, 0]),
        ("personality-no-randomize", libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0]),
    ]
}
