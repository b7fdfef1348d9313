//! The built-in profile: every system call that a Linux 6.18 kernel has, in exactly one group.
//!
//! `open: true` groups are what a workload gets. The others are shut until a preset or `--cap-add` opens them by name;
//! their comment says what an attacker would do with them. A call that is in no group (a newer kernel's) is refused
//! with ENOSYS, so that a C library takes its older way.

use super::checks::Check;
use super::numbers::*;
use libc::*;

/// Calls that are opened and shut together.
pub struct Group {
    /// What a preset writes.
    pub name: &'static str,
    /// What needs it, or what it gives away.
    pub doc: &'static str,
    pub open: bool,
    /// What a shut call answers.
    pub errno: i32,
    pub calls: &'static [Call],
    /// Calls that newer architectures were born without.
    pub older: &'static [Call],
}

pub struct Call {
    pub name: &'static str,
    pub nr: u32,
    pub check: Check,
}

impl Group {
    pub fn calls(&self) -> impl Iterator<Item = &'static Call> {
        self.calls.iter().chain(self.older)
    }
}

/// `SYS_read` → "read": the kernel's name for it.
const fn kernel_name(constant: &'static str) -> &'static str {
    constant.split_at(4).1
}

macro_rules! calls {
    ($($sys:ident $(: $check:expr)?),* $(,)?) => {
        &[$(Call { name: kernel_name(stringify!($sys)), nr: $sys as u32, check: calls!(@ $($check)?) }),*]
    };
    (@) => { Check::None };
    (@ $check:expr) => { $check };
}

/// Calls that only x86_64 has.
#[cfg(target_arch = "x86_64")]
macro_rules! x86 {
    ($($tokens:tt)*) => { calls![$($tokens)*] };
}
#[cfg(not(target_arch = "x86_64"))]
macro_rules! x86 {
    ($($tokens:tt)*) => {
        &[]
    };
}

const fn open(name: &'static str, doc: &'static str, calls: &'static [Call], older: &'static [Call]) -> Group {
    Group { name, doc, open: true, errno: EPERM, calls, older }
}

const fn shut(
    name: &'static str,
    doc: &'static str,
    errno: i32,
    calls: &'static [Call],
    older: &'static [Call],
) -> Group {
    Group { name, doc, open: false, errno, calls, older }
}

#[rustfmt::skip] // lists of calls stay lists
pub static GROUPS: &[Group] = &[
    // -- what every program needs ------------------------------------------------------------------------------------
    open(
        "files",
        "reading and writing through descriptors: every program",
        calls![
            SYS_read, SYS_write, SYS_close, SYS_close_range, SYS_lseek, SYS_pread64, SYS_pwrite64, SYS_readv,
            SYS_writev, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_dup, SYS_dup3, SYS_pipe2, SYS_fcntl,
            SYS_flock, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range, SYS_ftruncate,
            SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_sendfile, SYS_copy_file_range, SYS_splice, SYS_tee,
            SYS_cachestat, SYS_ioctl: Check::Ioctl,
        ],
        x86![SYS_dup2, SYS_pipe],
    ),
    open(
        "paths",
        "names, metadata and attributes of files: every program",
        calls![
            SYS_openat: Check::OpenMode { flags: 2, mode: 3 }, SYS_openat2: Check::Openat2, SYS_newfstatat, SYS_fstat,
            SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_getdents64, SYS_getcwd, SYS_chdir,
            SYS_fchdir, SYS_mkdirat, SYS_mknodat: Check::Mode(2), SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_linkat,
            SYS_symlinkat, SYS_readlinkat, SYS_fchmod: Check::Mode(1), SYS_fchmodat: Check::Mode(2),
            SYS_fchmodat2: Check::Mode(2), SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_truncate, SYS_umask,
            SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_setxattrat, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr,
            SYS_getxattrat, SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_listxattrat, SYS_removexattr,
            SYS_lremovexattr, SYS_fremovexattr, SYS_removexattrat,
        ],
        x86![
            SYS_open: Check::OpenMode { flags: 1, mode: 2 }, SYS_creat: Check::Mode(1), SYS_stat, SYS_lstat, SYS_access,
            SYS_getdents, SYS_mkdir, SYS_rmdir, SYS_mknod: Check::Mode(1), SYS_unlink, SYS_rename, SYS_link,
            SYS_symlink, SYS_readlink, SYS_chmod: Check::Mode(1), SYS_chown, SYS_lchown, SYS_utime, SYS_utimes,
            SYS_futimesat,
        ],
    ),
    open(
        "memory",
        "address space: every program; pkeys and shadow stacks by hardened C libraries",
        calls![
            SYS_brk, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_msync, SYS_mincore, SYS_madvise,
            SYS_mlock, SYS_mlock2, SYS_munlock, SYS_mlockall, SYS_munlockall, SYS_membarrier,
            SYS_memfd_create, SYS_mseal, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect, SYS_map_shadow_stack,
        ],
        &[],
    ),
    open(
        "process",
        "making, ending and naming processes and threads; clone3 answers ENOSYS, for its flags are out of a filter's sight",
        calls![
            SYS_clone: Check::Clone, SYS_clone3: Check::Never(ENOSYS), SYS_execve, SYS_execveat, SYS_exit,
            SYS_exit_group, SYS_wait4, SYS_waitid, SYS_getpid, SYS_getppid, SYS_gettid, SYS_getpgid, SYS_setpgid,
            SYS_getsid, SYS_setsid, SYS_set_tid_address, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq,
            SYS_prctl: Check::Prctl, SYS_personality: Check::Personality, SYS_pidfd_open,
            SYS_pidfd_send_signal, SYS_process_mrelease,
        ],
        // uretprobe and uprobe are called by the kernel's own trampolines when the host traces a process: refused,
        // the traced program dies (Docker's filter did that until Linux 6.14 went round it).
        x86![SYS_fork, SYS_vfork, SYS_getpgrp, SYS_arch_prctl, SYS_uretprobe, SYS_uprobe],
    ),
    open(
        "identity",
        "ids and capabilities of the process itself: su, sudo, apt, servers that drop root",
        calls![
            SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups, SYS_setuid,
            SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid,
            SYS_setgroups, SYS_capget, SYS_capset,
        ],
        &[],
    ),
    open(
        "signals",
        "signals: every program",
        calls![
            SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigtimedwait,
            SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_rt_sigsuspend, SYS_sigaltstack, SYS_kill, SYS_tkill,
            SYS_tgkill, SYS_restart_syscall, SYS_signalfd4,
        ],
        x86![SYS_pause, SYS_signalfd],
    ),
    open(
        "time",
        "clocks and timers; reading the clock's state, which glibc does through adjtimex (setting needs CAP_SYS_TIME)",
        calls![
            SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getitimer,
            SYS_setitimer, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun,
            SYS_timer_delete, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_times, SYS_adjtimex,
            SYS_clock_adjtime: Check::RealtimeClock,
        ],
        x86![SYS_time, SYS_alarm],
    ),
    open(
        "waiting",
        "futexes and readiness: threads, event loops, file watchers",
        calls![
            SYS_futex, SYS_futex_waitv, SYS_futex_wake, SYS_futex_wait, SYS_futex_requeue, SYS_ppoll, SYS_pselect6,
            SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2, SYS_inotify_init1,
            SYS_inotify_add_watch, SYS_inotify_rm_watch,
        ],
        x86![SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_inotify_init],
    ),
    open(
        "scheduling",
        "priorities, affinity and limits: runtimes that size their thread pools, nice, ulimit",
        calls![
            SYS_sched_yield, SYS_sched_getparam, SYS_sched_setparam, SYS_sched_getscheduler, SYS_sched_setscheduler,
            SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_sched_getaffinity,
            SYS_sched_setaffinity, SYS_sched_getattr, SYS_sched_setattr, SYS_getpriority, SYS_setpriority,
            SYS_ioprio_get, SYS_ioprio_set, SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getrusage,
        ],
        &[],
    ),
    open(
        "information",
        "what system this is: uname, free, nproc, random numbers",
        calls![SYS_uname, SYS_sysinfo, SYS_getcpu, SYS_getrandom,],
        &[],
    ),
    open(
        "network",
        "sockets by family, type and protocol: unix, TCP, UDP and ICMP echo over IPv4 and IPv6, route look-ups",
        calls![
            SYS_socket: Check::Socket, SYS_socketpair: Check::Socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept,
            SYS_accept4, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_recvfrom,
            SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg, SYS_shutdown,
        ],
        &[],
    ),
    open(
        "sysv-ipc",
        "System V shared memory, semaphores and queues, in the container's own ipc namespace: PostgreSQL, Oracle, fakeroot",
        calls![
            SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl, SYS_msgget,
            SYS_msgsnd, SYS_msgrcv, SYS_msgctl,
        ],
        &[],
    ),
    open(
        "message-queues",
        "POSIX message queues, in the container's own ipc namespace",
        calls![SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,],
        &[],
    ),
    open(
        "async-io",
        "Linux AIO: MySQL, nginx, qemu-img",
        calls![SYS_io_setup, SYS_io_destroy, SYS_io_getevents, SYS_io_pgetevents, SYS_io_submit, SYS_io_cancel],
        &[],
    ),
    open(
        "sandboxing",
        "filters that a program puts on itself (browsers, sshd, tor): they stack, so they only take away",
        calls![SYS_seccomp, SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self,],
        &[],
    ),
    // -- shut ------------------------------------------------------------------------------------------------------
    shut(
        "chroot",
        "leaving the root with CAP_SYS_CHROOT and a directory descriptor kept open",
        EPERM,
        calls![SYS_chroot],
        &[],
    ),
    shut(
        "io-uring",
        "the source of most kernel exploits of 2021 to 2023; its operations are not seen by any filter",
        EPERM,
        calls![SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register],
        &[],
    ),
    shut(
        "userfaultfd",
        "halts the kernel in the middle of a copy: turns races into certainties",
        EPERM,
        calls![SYS_userfaultfd],
        &[],
    ),
    shut(
        "keyring",
        "kernel keyrings are not fully namespaced (CVE-2016-0728, CVE-2022-1055 sprays)",
        EPERM,
        calls![SYS_add_key, SYS_request_key, SYS_keyctl],
        &[],
    ),
    shut(
        "bpf",
        "the verifier as attack surface (CVE-2020-8835, CVE-2021-3490, CVE-2023-2163)",
        EPERM,
        calls![SYS_bpf],
        &[],
    ),
    shut(
        "perf",
        "performance counters: side channels and a long list of kernel bugs",
        EPERM,
        calls![SYS_perf_event_open],
        &[],
    ),
    shut(
        "ptrace",
        "reading and writing other processes: debuggers, strace, and whoever steals a credential from a neighbour",
        EPERM,
        calls![SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp],
        &[],
    ),
    shut(
        "mount",
        "changing the mount tree: fsconfig (CVE-2022-0185), release_agent (CVE-2022-0492), over-mounting of masks",
        EPERM,
        calls![
            SYS_mount, SYS_umount2, SYS_pivot_root, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsconfig,
            SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_open_tree_attr,
        ],
        &[],
    ),
    // ENOSYS: libmount and systemd then read /proc/self/mountinfo.
    shut(
        "mount-query",
        "listing mounts and namespaces by number, past the masked /proc",
        ENOSYS,
        calls![SYS_statmount, SYS_listmount, SYS_listns],
        &[],
    ),
    // clone looks at its flags, see Check::Clone.
    shut(
        "namespaces",
        "a user namespace hands out every capability over kernel code that root alone was meant to reach (CVE-2023-0386, CVE-2024-1086)",
        EPERM,
        calls![SYS_setns, SYS_unshare],
        &[],
    ),
    shut(
        "secret-memory",
        "memory that neither the host's tools nor the kernel can read back",
        ENOSYS,
        calls![SYS_memfd_secret],
        &[],
    ),
    shut(
        "vmsplice",
        "maps a process's pages into a pipe: half of Dirty Pipe's relatives start here",
        EPERM,
        calls![SYS_vmsplice],
        &[],
    ),
    shut("ldt", "16-bit segments on x86: CVE-2015-5157 and its kin", EPERM, &[], x86![SYS_modify_ldt]),
    shut(
        "modules",
        "kernel modules: the whole host",
        EPERM,
        calls![SYS_init_module, SYS_finit_module, SYS_delete_module],
        &[],
    ),
    shut(
        "reboot",
        "reboot and kexec: the whole host",
        EPERM,
        calls![SYS_reboot, SYS_kexec_load, SYS_kexec_file_load],
        &[],
    ),
    shut("swap", "swap files of the host", EPERM, calls![SYS_swapon, SYS_swapoff], &[]),
    shut("accounting", "process accounting of the host", EPERM, calls![SYS_acct], &[]),
    shut("quota", "disk quotas of the host", EPERM, calls![SYS_quotactl, SYS_quotactl_fd], &[]),
    shut(
        "file-handles",
        "opening files by number, past every mount (the Shocker escape of 2014)",
        EPERM,
        calls![SYS_name_to_handle_at, SYS_open_by_handle_at],
        &[],
    ),
    shut("raw-io", "I/O ports of the machine", EPERM, &[], x86![SYS_iopl, SYS_ioperm]),
    shut("clock-setting", "the host's clock", EPERM, calls![SYS_settimeofday, SYS_clock_settime], &[]),
    shut(
        "numa",
        "memory placement: a covert channel, and CVE-2020-11565; databases run without",
        EPERM,
        calls![
            SYS_mbind, SYS_get_mempolicy, SYS_set_mempolicy, SYS_set_mempolicy_home_node, SYS_migrate_pages,
            SYS_move_pages,
        ],
        &[],
    ),
    shut("syslog", "the kernel log: addresses and the host's affairs", EPERM, calls![SYS_syslog], &[]),
    shut(
        "fanotify",
        "watching file systems of the host beyond the container's own folders",
        EPERM,
        calls![SYS_fanotify_init, SYS_fanotify_mark],
        &[],
    ),
    shut("tty-hangup", "hanging up the terminal that is shared with the host", EPERM, calls![SYS_vhangup], &[]),
    shut("host-name", "the container's name, fixed at start", EPERM, calls![SYS_sethostname, SYS_setdomainname], &[]),
    shut(
        "lsm-label",
        "changing the label that a security module put on the process",
        EPERM,
        calls![SYS_lsm_set_self_attr],
        &[],
    ),
    // ENOSYS: what calls them has an older way.
    shut(
        "newest",
        "calls that Docker does not let through either and that nothing depends on yet",
        ENOSYS,
        calls![SYS_file_getattr, SYS_file_setattr, SYS_lsm_list_modules, SYS_lsm_get_self_attr, SYS_process_madvise],
        &[],
    ),
    shut(
        "legacy",
        "calls that no living program makes",
        ENOSYS,
        calls![SYS_remap_file_pages, SYS_nfsservctl, SYS_lookup_dcookie],
        x86![
            SYS_uselib, SYS_ustat, SYS_sysfs, SYS__sysctl, SYS_getpmsg, SYS_putpmsg, SYS_afs_syscall, SYS_tuxcall,
            SYS_security, SYS_vserver, SYS_epoll_ctl_old, SYS_epoll_wait_old, SYS_set_thread_area, SYS_get_thread_area,
        ],
    ),
];

/// Groups without calls of their own: they widen what `socket`, `clone` and the like let through.
pub static WIDER: &[(&str, &str)] = &[
    ("raw-sockets", "raw IPv4 and IPv6 sockets: forged packets on the container's network (ping does without)"),
    ("packet-sockets", "AF_PACKET: sniffing, and CVE-2017-7308, CVE-2020-14386"),
    ("socket-diag", "NETLINK_SOCK_DIAG: `ss`, which otherwise reads /proc/net"),
    ("netlink-events", "NETLINK_KOBJECT_UEVENT and NETLINK_GENERIC: libudev, ethtool"),
    ("sctp", "SCTP: CVE-2021-3772 and kin, a module that is loaded on first use"),
    ("mptcp", "multipath TCP; programs fall back on TCP"),
    ("vsock", "AF_VSOCK: services of the hypervisor, past every network rule"),
];

/// Groups without calls of their own that are open: shutting one narrows what `socket` lets through.
pub static SOCKETS: &[(&str, &str)] = &[
    ("unix-sockets", "AF_UNIX by address; pairs stay"),
    ("netlink-sockets", "every netlink: getaddrinfo then goes without a list of addresses"),
    ("inet-tcp", "TCP over IPv4"),
    ("inet-udp", "UDP over IPv4, name look-ups included"),
    ("inet-icmp", "ICMP echo over IPv4: ping"),
    ("inet6-tcp", "TCP over IPv6"),
    ("inet6-udp", "UDP over IPv6"),
    ("inet6-icmp", "ICMP echo over IPv6"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_call_is_in_exactly_one_group() {
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for call in GROUPS.iter().flat_map(Group::calls) {
            assert!(names.insert(call.name), "{} is listed twice", call.name);
            assert!(numbers.insert(call.nr), "{} has the number of another call", call.name);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_table_has_every_number_of_the_kernel() {
        let numbers: BTreeSet<u32> = GROUPS.iter().flat_map(Group::calls).map(|c| c.nr).collect();
        let missing: Vec<u32> = (0..=336).chain(424..=470).filter(|nr| !numbers.contains(nr)).collect();
        // create_module, get_kernel_syms and query_module are gone since Linux 2.6.
        assert_eq!(missing, [174, 177, 178]);
    }

    #[test]
    fn group_names_are_unique_and_documented() {
        let all = GROUPS.iter().map(|g| (g.name, g.doc)).chain(WIDER.iter().copied()).chain(SOCKETS.iter().copied());
        let mut seen = BTreeSet::new();
        for (name, doc) in all {
            assert!(seen.insert(name), "{name} twice");
            assert!(doc.len() > 10, "{name} says too little");
        }
    }
}
