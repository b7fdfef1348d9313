//! Properties of the calling process.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Be scheduled as any other process, on any processor, with an address space as random as any other's: what the caller has of
/// `nice`, `chrt`, `ionice`, `taskset` and `setarch -R` is not the workload's. `Ok(false)`: this process may not raise its priority
/// (no CAP_SYS_NICE), which stays as the caller's.
pub fn ordinary() -> io::Result<bool> {
    const ASK: libc::c_ulong = 0xffff_ffff;
    const WHOLE_PROCESS: libc::c_long = 1;
    // SAFETY: plain integers.
    if unsafe { libc::personality(ASK) } != 0 {
        // SAFETY: plain integers.
        check(unsafe { libc::personality(0) } as libc::c_long)?;
    }
    // More than any kernel has (8192); what is not there, or not this process's, is left out by the kernel.
    let all = [u64::MAX; 128];
    // SAFETY: the kernel reads as many bytes as it is told, or fewer.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, std::mem::size_of_val(&all), all.as_ptr()) })?;
    // SAFETY: plain integers. A kernel without priorities for its disks has none to reset.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHOLE_PROCESS, 0, 0) };
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call; the rest are plain integers.
    let reset = unsafe {
        let policy = libc::sched_getscheduler(0);
        (policy == libc::SCHED_OTHER || libc::sched_setscheduler(0, libc::SCHED_OTHER, &parameters) == 0)
            && (libc::getpriority(libc::PRIO_PROCESS, 0) == 0 || libc::setpriority(libc::PRIO_PROCESS, 0, 0) == 0)
    };
    match reset {
        true => Ok(true),
        false => match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => Ok(false),
            e => Err(e),
        },
    }
}

/// The process of a pidfd by its number, which is its own for as long as it has not been reaped. `None`: it has.
pub fn number_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = text.lines().find_map(|l| l.strip_prefix("Pid:")).and_then(|p| p.trim().parse::<i32>().ok());
    pid.filter(|p| *p > 0)
}

/// Leave every supplementary group (libcontainer does not when the container asks for none).
pub fn clear_groups() -> io::Result<()> {
    // SAFETY: a length of 0 makes the kernel ignore the pointer.
    check(unsafe { libc::setgroups(0, std::ptr::null()) } as libc::c_long)?;
    Ok(())
}

/// Have the kernel kill this process when its parent ends. Lost when credentials change, so it is set after that.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: plain system call with integer arguments.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) } as libc::c_long)?;
    Ok(())
}

/// Become the parent of what is left behind by processes below this one, as long as this one lives. Survives execve, and is not
/// inherited. Linux 3.4.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: plain system call with integer arguments.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } as libc::c_long)?;
    Ok(())
}

/// Nobody without CAP_SYS_PTRACE over the namespace that this program was started in may trace the process, or look into
/// its memory and descriptors through /proc. execve takes it back.
pub fn close_memory() -> io::Result<()> {
    // SAFETY: plain system call with integer arguments.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } as libc::c_long)?;
    Ok(())
}

/// Set the name that `ps` shows, at most 15 bytes.
pub fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the pointer is to a NUL-terminated string; the kernel copies at most 16 bytes. The name is cosmetic.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Close every descriptor from `first` on. Linux 5.9.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called first thing in the launcher, and by the init process, which never returns to what owns one: no
    // Rust object uses a descriptor of the range afterwards.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })?;
    Ok(())
}

/// Mark every descriptor from `first` on close-on-exec. Linux 5.11.
pub fn cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: only flags change.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// Every signal's disposition back to the default and none blocked: an ignored SIGPIPE or a blocked SIGCHLD of the
/// caller would otherwise reach the workload through execve.
pub fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP | 32 | 33) {
            continue;
        }
        // SAFETY: SIG_DFL is always a valid disposition; 32 and 33 belong to the C library.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()) as libc::c_long)?;
    }
    Ok(())
}

/// Hear the signals that end a program, also where the caller has them ignored (a job in the background of a script):
/// docker's client passes them on all the same. SIGHUP stays as it is, for `nohup`.
pub fn hear_interrupts() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: SIG_DFL is always a valid disposition.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// As many descriptors as this process may have. Where that fails, fewer are enough for most, and those who come when there are none
/// wait.
pub fn all_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Whether a signal is ignored by this process.
pub fn ignores(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks without changing anything; the answer is written to memory of the right size, and zeroes are a valid
    // value of it where the kernel does not know the signal.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// A new, empty session keyring: the caller's keys are not the workload's (CVE-2016-0728 and its like need keyctl, which
/// the filter refuses besides). A kernel without keyrings answers ENOSYS, which is as good.
pub fn fresh_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    match check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) }) {
        Ok(_) => Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        Err(e) => Err(e),
    }
}

/// User and group that the kernel checks file access with, for the calling thread; returns a guard that restores root.
pub fn files_as(uid: u32, gid: u32) -> io::Result<FsIds> {
    // SAFETY: setfsuid and setfsgid take plain integers; they report the previous id and never fail visibly, so the
    // result is read back with an invalid id, which changes nothing.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        if libc::setfsuid(u32::MAX) as u32 != uid || libc::setfsgid(u32::MAX) as u32 != gid {
            libc::setfsuid(0);
            libc::setfsgid(0);
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
    }
    Ok(FsIds(()))
}

/// Restores the file-access ids to root when dropped.
pub struct FsIds(());

impl Drop for FsIds {
    fn drop(&mut self) {
        // SAFETY: plain integers. Going back to the real ids always succeeds.
        unsafe {
            libc::setfsuid(0);
            libc::setfsgid(0);
        }
    }
}

/// Replace the process image by `file`.
pub fn execve(file: &std::ffi::CStr, args: &[*const libc::c_char], env: &[*const libc::c_char]) -> io::Error {
    debug_assert!(args.last().is_some_and(|p| p.is_null()) && env.last().is_some_and(|p| p.is_null()));
    // SAFETY: both arrays end in a null pointer and their strings are alive in the caller.
    unsafe { libc::execve(file.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// fork(2) in the single-threaded pid 1 of a container. `Ok(0)` is the child.
pub fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: the caller has one thread, so the child may go on with Rust code.
    Ok(check(unsafe { libc::fork() } as libc::c_long)? as libc::pid_t)
}

/// Borrow a descriptor by its number: for one that crossed a fork, where no Rust object came along.
pub fn borrow(fd: std::os::fd::RawFd) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: the number is not -1; a descriptor that is not open makes the next system call on it fail with EBADF.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}

/// Own a descriptor that was inherited through exec under an agreed number.
pub fn inherit(fd: std::os::fd::RawFd) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    rustix::io::fcntl_setfd(borrow(fd), rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open (checked above), and the caller asks once for each agreed number, first thing after exec.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) })
}

/// Send any signal number, real-time ones included.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: plain integers.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Set a variable of our own environment. Only for the first steps of the program, before there is a second thread.
pub fn set_variable(name: &str, value: &std::ffi::OsStr) {
    // SAFETY: the caller is the only thread: nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}
