//! System calls by number and by other ABIs, and the kernel's copy of a process's seccomp filter: what no safe crate
//! offers. The only `unsafe` of the tests.

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::time::{Duration, Instant};

/// `syscall(2)`; the value, or the errno.
pub fn syscall(number: i64, args: [usize; 6]) -> Result<i64, i32> {
    // SAFETY: callers pass numbers, or pointers to live buffers as large as the call at hand reads or writes.
    let value = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]) };
    if value == -1 { Err(Errno::last_raw()) } else { Ok(value) }
}

/// A call through the 32-bit door `int 0x80`, with the i386 number.
#[cfg(target_arch = "x86_64")]
pub fn int80(number: u32, args: [u32; 3]) -> Result<i32, i32> {
    let mut value = number;
    // SAFETY: rbx is saved by hand because LLVM keeps it; callers pass numbers only, so the kernel touches no memory.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, {first:e}", "int 0x80", "pop rbx",
            first = in(reg) args[0], inout("eax") value, in("ecx") args[1], in("edx") args[2],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let value = value as i32;
    if (-4095..0).contains(&value) { Err(-value) } else { Ok(value) }
}

/// How a try in a child of its own ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It went through.
    Open,
    Errno(i32),
    /// The filter, or something else, killed it.
    Signal(i32),
    /// It was still at it after a second: it went through, and waits.
    Waits,
}

impl std::fmt::Display for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tried::Open => f.write_str("open"),
            Tried::Errno(n) => write!(f, "{:?}", Errno::from_raw(*n)),
            Tried::Signal(n) => write!(f, "signal-{n}"),
            Tried::Waits => f.write_str("waits"),
        }
    }
}

/// Try something in a child, so that a call that kills or changes its process harms nothing else.
pub fn in_child(try_it: impl FnOnce() -> Result<i64, i32>) -> Tried {
    // SAFETY: the probe has one thread, so the child may do what the parent could.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let code = match try_it() {
                Ok(_) => 0,
                Err(errno) => errno.clamp(1, 255),
            };
            // SAFETY: leaves without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => ended(child),
        Err(e) => Tried::Errno(e as i32),
    }
}

fn ended(child: Pid) -> Tried {
    let since = Instant::now();
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, 0)) => return Tried::Open,
            Ok(WaitStatus::Exited(_, errno)) => return Tried::Errno(errno),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Tried::Signal(signal as i32),
            Err(e) => return Tried::Errno(e as i32),
            _ if since.elapsed() > Duration::from_secs(1) => {
                let _ = nix::sys::signal::kill(child, nix::sys::signal::SIGKILL);
                let _ = waitpid(child, None);
                return Tried::Waits;
            }
            _ => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// One instruction of classic BPF, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// PTRACE_SECCOMP_GET_FILTER (Linux 4.4, needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE).
const GET_FILTER: libc::c_uint = 0x420c;

/// The filters of a running process as the kernel has them, the one that was loaded last first.
pub fn filters(pid: i32) -> Result<Vec<Vec<Instruction>>, Errno> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: SEIZE and INTERRUPT take no memory.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none) })?;
    waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL))?;
    let read = read_filters(pid);
    // SAFETY: as above; the process goes on as before.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, none, none) })?;
    read
}

fn read_filters(pid: i32) -> Result<Vec<Vec<Instruction>>, Errno> {
    let mut all = Vec::new();
    loop {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: with a null pointer only the length is returned.
        let length = unsafe { libc::ptrace(GET_FILTER, pid, all.len(), none) };
        let length = match Errno::result(length) {
            Ok(n) => n as usize,
            Err(Errno::ENOENT) => return Ok(all),
            // Without any filter the first answer is EINVAL.
            Err(Errno::EINVAL) if all.is_empty() => return Ok(all),
            Err(e) => return Err(e),
        };
        let mut filter = vec![Instruction::default(); length];
        // SAFETY: the buffer has the length that the kernel just named for this filter, which cannot change.
        Errno::result(unsafe { libc::ptrace(GET_FILTER, pid, all.len(), filter.as_mut_ptr()) })?;
        all.push(filter);
    }
}
