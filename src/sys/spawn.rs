//! Starting processes by hand: descriptors under agreed numbers, sessions, children inside a container's namespaces.

use super::check;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Copies of `fds`, and of `exe`, above every number that is agreed on, so that putting one in its place never closes another. No
/// higher than that: the caller may be allowed few descriptors.
fn lift(exe: &OwnedFd, fds: &[(BorrowedFd<'_>, RawFd)]) -> io::Result<(OwnedFd, Vec<(OwnedFd, RawFd)>)> {
    let above = fds.iter().map(|(_, to)| to + 1).max().unwrap_or_default().max(3);
    let copy = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, above);
    let lifted = fds.iter().map(|(fd, to)| Ok((copy(*fd)?, *to))).collect::<io::Result<_>>()?;
    Ok((copy(exe.as_fd())?, lifted))
}

/// Put descriptors under agreed numbers, open across exec; everything else from 3 on closes at exec. Returns `exe`, which is to be
/// executed, out of their way.
pub fn place(exe: OwnedFd, fds: &[(BorrowedFd<'_>, RawFd)]) -> io::Result<OwnedFd> {
    let (copy, lifted) = lift(&exe, fds)?;
    // It may lie under a number that is agreed on: closed later, it would close what has been put there.
    drop(exe);
    super::process::cloexec_from(3)?;
    for (fd, to) in lifted {
        dup_to(&fd, to)?;
    }
    Ok(copy)
}

/// `dup2`: the copy stays open across exec.
pub fn dup_to(fd: impl AsFd, to: RawFd) -> io::Result<()> {
    let from = fd.as_fd().as_raw_fd();
    if from == to {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        return Ok(());
    }
    // SAFETY: plain integers; what was open under `to` is either an agreed number or one of the standard streams, which no
    // Rust object of this process owns.
    check(unsafe { libc::dup2(from, to) } as libc::c_long)?;
    Ok(())
}

/// Start `exe` in a session of its own with an empty environment, `fds` under their numbers, its input from /dev/null and its
/// output to `output`, else to /dev/null. Returns its process number; it is a child of the caller.
pub fn detached(
    exe: &OwnedFd,
    args: &[&CStr],
    fds: &[(BorrowedFd<'_>, RawFd)],
    output: Option<BorrowedFd<'_>>,
) -> io::Result<i32> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    let mut all: Vec<(BorrowedFd<'_>, RawFd)> = fds.to_vec();
    all.push((null.as_fd(), 0));
    all.push((output.unwrap_or(null.as_fd()), 1));
    all.push((output.unwrap_or(null.as_fd()), 2));
    let (exe, lifted) = lift(exe, &all)?;
    let pairs: Vec<(RawFd, RawFd)> = lifted.iter().map(|(fd, to)| (fd.as_raw_fd(), *to)).collect();
    let mut argv: Vec<*const libc::c_char> = args.iter().map(|a| a.as_ptr()).collect();
    argv.push(std::ptr::null());
    let env: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: between fork and execveat the child only makes async-signal-safe system calls with memory that was prepared
    // before, so it does not matter whether the caller has other threads.
    unsafe {
        let pid = check(libc::fork() as libc::c_long)?;
        if pid != 0 {
            return Ok(pid as i32);
        }
        libc::setsid();
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for (from, to) in &pairs {
            if libc::dup2(*from, *to) < 0 {
                libc::_exit(125);
            }
        }
        let fd = exe.as_raw_fd() as libc::c_long;
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_long,
        );
        libc::_exit(125)
    }
}

/// Have the kernel kill what `command` starts when the caller ends, also before it has executed anything.
pub fn die_with_caller(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let caller = rustix::process::getpid();
    let tie = move || {
        super::process::die_with_parent()?;
        match rustix::process::getppid() == Some(caller) {
            true => Ok(()),
            // It ended before the kernel was asked.
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    // SAFETY: two system calls, which allocate nothing.
    unsafe { command.pre_exec(tie) };
}

/// A process inside other namespaces, as a child of the caller: `enter` runs in a first child and joins them, `inside` in a
/// second one, which alone is in the pid namespace. Returns the second's number as the caller's pid namespace has it.
///
/// The caller has one thread. `inside` reports its own errors; where it returns, it is with an exit status.
///
/// # Errors
/// What `enter` met.
pub fn inside(enter: impl FnOnce() -> io::Result<()>, inside: impl FnOnce() -> i32) -> io::Result<i32> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: one thread, so the child may go on with Rust code.
    let first = check(unsafe { libc::fork() } as libc::c_long)?;
    if first == 0 {
        // Its memory and descriptors are the host's, while it is on its way into the container's namespaces.
        let entered = super::process::close_memory().and_then(|()| enter());
        let answer = entered.and_then(|()| {
            // CLONE_PARENT: the second child's parent is the caller, who has to wait for it.
            let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as libc::c_long;
            // SAFETY: without CLONE_VM and with a null stack this is fork(2); there is one thread.
            check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })
        });
        if matches!(answer, Ok(0)) {
            leave(inside());
        }
        let (tag, number) = match answer {
            Ok(pid) => (b'P', pid as i32),
            Err(e) => (b'E', e.raw_os_error().unwrap_or(libc::EIO)),
        };
        let mut message = vec![tag];
        message.extend_from_slice(&number.to_le_bytes());
        // A caller that is gone reads nothing.
        let _ = rustix::io::write(&write, &message);
        // SAFETY: ends the process without running what the caller registered for its own end.
        unsafe { libc::_exit(0) };
    }
    drop(write);
    let mut message = [0u8; 5];
    let length = loop {
        match rustix::io::read(&read, &mut message) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    // SAFETY: `first` is our own child and has not been waited for.
    unsafe { libc::waitpid(first as libc::pid_t, std::ptr::null_mut(), 0) };
    let number = i32::from_le_bytes([message[1], message[2], message[3], message[4]]);
    match (length, message[0]) {
        (5, b'P') => Ok(number),
        (5, b'E') => Err(io::Error::from_raw_os_error(number)),
        _ => Err(io::Error::other("the process ended on its way into the container")),
    }
}

/// End a process that was forked by hand.
fn leave(status: i32) -> ! {
    // SAFETY: ends the process without running what its parent registered for its own end.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_put_in_its_place_closes_nothing_that_waits_for_its_own() {
        // As many as an image with many layers has; 60 of them are under numbers that others are to get.
        let memory: Vec<OwnedFd> = (0..60u8)
            .map(|n| {
                let memory = rustix::fs::memfd_create("n", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
                rustix::io::write(&memory, &[n]).unwrap();
                memory
            })
            .collect();
        let top = memory.iter().map(AsRawFd::as_raw_fd).max().unwrap();
        let wanted: Vec<_> = memory.iter().rev().enumerate().map(|(n, fd)| (fd.as_fd(), top - n as RawFd)).collect();
        let (exe, lifted) = lift(&memory[7], &wanted).unwrap();
        let named = |fd: &OwnedFd| {
            let mut byte = [0u8];
            rustix::io::pread(fd, &mut byte, 0).unwrap();
            byte[0]
        };
        assert!(exe.as_raw_fd() > top && lifted.iter().all(|(fd, to)| fd.as_raw_fd() > top && *to <= top));
        assert_eq!(named(&exe), 7);
        assert!(lifted.iter().map(|(fd, _)| named(fd)).eq((0..60).rev()));
    }

    #[test]
    fn a_detached_program_has_the_descriptors_that_it_was_promised() {
        let shell: OwnedFd = std::fs::File::open("/bin/sh").unwrap().into();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (given, _keep) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let args = [c"sh", c"-c", c"ls /proc/self/fd | tr '\\n' ' '; /usr/bin/env | grep -c ^SECRET="];
        let pid = detached(&shell, &args, &[(given.as_fd(), 9)], Some(write.as_fd())).unwrap();
        drop(write);
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).unwrap();
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
        // 3 is ls's own.
        assert_eq!(text.trim(), "0 1 2 3 9 0");
    }
}
