//! The one Landlock question that the crate does not answer in public: which ABI the kernel speaks.

/// Highest Landlock ABI of the running kernel; 0 where it has none or it is switched off at boot.
pub fn abi() -> u32 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with a null attribute, size 0 and the VERSION flag the call only returns a number (Linux 5.13).
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, VERSION) };
    u32::try_from(answer).unwrap_or(0)
}
