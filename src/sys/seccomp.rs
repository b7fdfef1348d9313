//! seccomp(2): putting a filter on the calling process.

use std::io;

/// Instructions are eight bytes: `struct sock_filter`.
const INSTRUCTION: usize = 8;

/// Put `filter`, an array of `struct sock_filter`, on the calling thread. It cannot be taken off again.
///
/// Allocates nothing and takes no lock, so it may run between fork and exec. The caller has no_new_privs set or holds
/// CAP_SYS_ADMIN in its user namespace; without either the kernel answers EACCES.
pub fn load(filter: &[u8]) -> io::Result<()> {
    let count = filter.len() / INSTRUCTION;
    let Ok(len) = u16::try_from(count) else { return Err(io::Error::from_raw_os_error(libc::EINVAL)) };
    if len == 0 || !filter.len().is_multiple_of(INSTRUCTION) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which are that many bytes and outlive the call; it
    // writes nothing. The pointer is never read here, so its alignment does not matter.
    let rc = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0usize, std::ptr::from_ref(&program))
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asking the kernel, not the simulator.
#[cfg(test)]
pub mod probe {
    use std::io::{self, Read};
    use std::os::fd::{FromRawFd, IntoRawFd};

    /// One system call: number and arguments. Pointers may be to the caller's memory.
    pub type Call = (i64, [u64; 6]);

    /// What every call answers in a child that has loaded `filter`: its result, or the errno negated.
    pub fn ask(filter: &[u8], calls: &[Call]) -> Vec<i64> {
        in_child(calls.len(), |n| {
            if n == 0 {
                // SAFETY: plain system call with integer arguments.
                let rc = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
                if rc != 0 || super::load(filter).is_err() {
                    return i64::MIN;
                }
            }
            let (nr, a) = calls[n];
            // SAFETY: the tests pass integers and pointers to live memory; the child ends right after.
            let rc = unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) };
            if rc == -1 { -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { rc }
        })
    }

    /// What `getpid` answers through the 32-bit door (int 0x80) in a child that has loaded `filter`.
    #[cfg(target_arch = "x86_64")]
    pub fn through_int80(filter: &[u8]) -> i64 {
        in_child(1, |_| {
            // SAFETY: plain system call with integer arguments.
            let rc = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            if rc != 0 || super::load(filter).is_err() {
                return i64::MIN;
            }
            let answer: i64;
            // SAFETY: number 20 is getpid in the 32-bit table: no arguments; r8 to r11 are clobbered on old kernels.
            unsafe {
                std::arch::asm!("int 0x80", inlateout("rax") 20i64 => answer,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _);
            }
            i64::from(answer as i32)
        })[0]
    }

    /// Fork; the child writes `count` answers and ends without running anything of the test harness.
    fn in_child(count: usize, mut answer: impl FnMut(usize) -> i64) -> Vec<i64> {
        let (reader, writer) = io::pipe().expect("a pipe");
        let end = writer.into_raw_fd();
        // SAFETY: the child makes system calls only (no allocation, no lock) and leaves through _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            for n in 0..count {
                let value = answer(n);
                // SAFETY: eight bytes of a local are written to our end of the pipe.
                unsafe { libc::write(end, (&raw const value).cast(), 8) };
            }
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: the parent's copy of the writing end, taken from its owner above.
        drop(unsafe { std::fs::File::from_raw_fd(end) });
        let mut bytes = Vec::new();
        let mut reader = reader;
        reader.read_to_end(&mut bytes).expect("the child's answers");
        let mut status = 0;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(status, 0, "the child died");
        bytes.chunks_exact(8).map(|b| i64::from_ne_bytes(b.try_into().expect("eight bytes"))).collect()
    }
}
