//! What a preset's `system-calls` names: sets of calls that do one thing.
//!
//! A set is the unit of least privilege here, not a call: which of its variants a program makes is decided by its C
//! library and its version (`open` or `openat`, `poll` or `ppoll`, `clone` or `fork`), and a list of single calls that was
//! measured under one library stops the program under the next. Every call of the groups that are open by default is
//! in exactly one set; whoever wants less names single calls.

/// Name, what needs it, and the kernel's names of its calls.
pub type Set = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip] // lists of calls stay lists
pub static SETS: &[Set] = &[
    ("start", "what a C library does in any program, from exec to exit: memory, descriptors, looking at files, its own ids and signals", &[
        "execve", "exit", "exit_group", "brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "membarrier",
        "map_shadow_stack", "mseal", "arch_prctl", "prctl", "set_tid_address", "set_robust_list", "get_robust_list",
        "rseq", "futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "sched_yield", "prlimit64",
        "getrlimit", "getrandom", "uname", "uretprobe", "uprobe",
        "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close", "close_range", "dup", "dup2",
        "dup3", "fcntl", "ioctl", "pipe", "pipe2", "poll", "ppoll",
        "open", "openat", "openat2", "stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat",
        "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd",
        "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid",
        "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "tgkill",
        "clock_gettime", "gettimeofday", "time",
    ]),
    // -- processes
    ("children", "making threads and child processes and waiting for them", &[
        "clone", "clone3", "fork", "vfork", "wait4", "waitid", "execveat", "pidfd_open",
    ]),
    ("sessions", "sessions and process groups: shells, daemons, supervisors", &["setsid", "getsid", "setpgid", "getpgid", "getpgrp"]),
    ("send-signals", "signals to other processes: a master to its workers", &[
        "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "process_mrelease",
    ]),
    ("signal-waiting", "waiting for signals: masters, shells, event loops", &[
        "rt_sigsuspend", "rt_sigtimedwait", "rt_sigpending", "pause", "signalfd", "signalfd4",
    ]),
    ("domains", "asking for or changing the execution domain: setarch, some JVMs and Lisps", &["personality"]),
    ("read-ids", "saved ids and groups", &["getresuid", "getresgid", "getgroups"]),
    ("set-ids", "becoming another user: su, sudo, servers that drop root", &[
        "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
    ]),
    ("capabilities", "reading and dropping one's own capabilities", &["capget", "capset"]),
    // -- time
    ("sleep", "sleeping, and the resolution of clocks", &["nanosleep", "clock_nanosleep", "clock_getres"]),
    ("timers", "interval timers, as signals or descriptors", &[
        "getitimer", "setitimer", "alarm", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun",
        "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    ]),
    ("clock-state", "whether the host's clock is in step", &["adjtimex", "clock_adjtime"]),
    // -- readiness
    ("events", "event loops: epoll, select, eventfd", &[
        "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
        "select", "pselect6",
    ]),
    ("file-watches", "being told of changes of files", &["inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"]),
    // -- files
    ("file-names", "making, renaming and removing files and folders", &[
        "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
        "symlink", "symlinkat",
    ]),
    ("file-sizes", "setting a file's length, reserving room", &["truncate", "ftruncate", "fallocate"]),
    ("file-modes", "modes of files", &["chmod", "fchmod", "fchmodat", "fchmodat2", "umask"]),
    ("file-owners", "owners of files", &["chown", "lchown", "fchown", "fchownat"]),
    ("file-times", "times of files", &["utime", "utimes", "futimesat", "utimensat"]),
    ("file-attributes", "extended attributes", &[
        "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "getxattr", "lgetxattr", "fgetxattr", "getxattrat", "listxattr",
        "llistxattr", "flistxattr", "listxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
    ]),
    ("file-systems", "size and kind of a file system", &["statfs", "fstatfs"]),
    ("special-files", "fifos and sockets by name (devices need a capability that nobody gets)", &["mknod", "mknodat"]),
    ("folders", "changing the working folder", &["chdir", "fchdir"]),
    ("file-locks", "locks on whole files", &["flock"]),
    ("flushing", "having what was written on the disk: databases", &[
        "fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync",
    ]),
    ("read-ahead", "telling the kernel what will be read, and asking what it holds", &[
        "fadvise64", "readahead", "mincore", "cachestat",
    ]),
    ("vector-io", "reading and writing several pieces at a place", &["preadv", "pwritev", "preadv2", "pwritev2"]),
    ("send-file", "copying between descriptors inside the kernel: web servers, cp", &["sendfile", "copy_file_range", "splice", "tee"]),
    // -- memory
    ("memory-locks", "keeping memory from being swapped", &["mlock", "mlock2", "munlock", "mlockall", "munlockall"]),
    ("memory-files", "files without a name", &["memfd_create"]),
    ("memory-keys", "protection keys: JavaScript engines, hardened C libraries", &["pkey_alloc", "pkey_free", "pkey_mprotect"]),
    // -- the machine
    ("affinity", "on which processors one runs, and how many there are", &["sched_getaffinity", "sched_setaffinity", "getcpu"]),
    ("priorities", "nice values and schedulers", &[
        "getpriority", "setpriority", "ioprio_get", "ioprio_set", "sched_getparam", "sched_setparam", "sched_getscheduler",
        "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "sched_getattr",
        "sched_setattr",
    ]),
    ("set-limits", "setting limits by the old call; the new one is needed to start", &["setrlimit"]),
    ("usage", "time and memory used so far, load and memory of the host", &["getrusage", "times", "sysinfo"]),
    // -- sockets; [sockets] says of which families
    ("sockets", "sockets of the kinds that [sockets] leaves: connecting, sending, receiving", &[
        "socket", "connect", "getsockname", "getpeername", "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg",
        "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
    ]),
    ("socket-pairs", "two connected unix sockets: a parent and its children", &["socketpair"]),
    ("serving", "serving: bind, listen, accept", &["bind", "listen", "accept", "accept4"]),
    // -- between processes
    ("shared-memory", "System V shared memory", &["shmget", "shmat", "shmctl", "shmdt"]),
    ("semaphores", "System V semaphores", &["semget", "semop", "semtimedop", "semctl"]),
    ("sysv-queues", "System V message queues", &["msgget", "msgsnd", "msgrcv", "msgctl"]),
];

/// The calls of the set `name`.
pub fn set(name: &str) -> Option<&'static [&'static str]> {
    SETS.iter().find(|(known, ..)| *known == name).map(|(.., calls)| *calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::builtin::{GROUPS, Group, WIDER};
    use std::collections::BTreeSet;

    /// Groups that are small enough to be named as they are.
    const WHOLE: [&str; 3] = ["message-queues", "async-io", "sandboxing"];

    #[test]
    fn every_call_that_is_open_by_default_is_in_exactly_one_set() {
        let mut seen = BTreeSet::new();
        for (name, doc, calls) in SETS {
            assert!(doc.len() > 10, "{name} says too little");
            for call in *calls {
                assert!(seen.insert(*call), "{call} is in two sets");
            }
        }
        let open = GROUPS.iter().filter(|g| g.open && !WHOLE.contains(&g.name)).flat_map(Group::calls);
        let open: BTreeSet<&str> = open.map(|c| c.name).collect();
        let missing: Vec<_> = open.difference(&seen).collect();
        assert!(missing.is_empty(), "in no set: {missing:?}");
        if cfg!(target_arch = "x86_64") {
            let unknown: Vec<_> = seen.difference(&open).collect();
            assert!(unknown.is_empty(), "not open by default: {unknown:?}");
        }
    }

    #[test]
    fn a_name_means_one_thing() {
        let groups: BTreeSet<&str> = GROUPS.iter().map(|g| g.name).chain(WIDER.iter().map(|(n, _)| *n)).collect();
        let calls: BTreeSet<&str> = GROUPS.iter().flat_map(Group::calls).map(|c| c.name).collect();
        let mut seen = BTreeSet::new();
        for (name, ..) in SETS {
            assert!(seen.insert(*name), "{name} twice");
            assert!(!groups.contains(name), "{name} is a group too");
            assert!(!calls.contains(name), "{name} is a call too");
        }
    }
}
