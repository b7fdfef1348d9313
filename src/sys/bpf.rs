//! Programs for the kernel's BPF machine: loading one that judges device access, and attaching it to a control group.

use super::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// One instruction as the kernel has it: operation, registers (source high, destination low), offset, constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u8,
    pub registers: u8,
    pub offset: i16,
    pub constant: i32,
}

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_QUERY: libc::c_long = 16;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE_ATTACH: u32 = 6;
/// Programs of groups above are asked too, and so are others of the same group.
const ALLOW_MULTI: u32 = 2;

/// The beginning of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes what is missing for zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// `union bpf_attr` for BPF_PROG_QUERY, with all that later kernels write to.
#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    later: [u64; 4],
}

/// Have the kernel check and keep a program that judges device access (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15).
pub fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let load = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the attribute and what it points to (instructions with their count, a NUL-terminated licence) live until the
    // call returns; the kernel only reads them, and copies.
    let fd = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) })?;
    // SAFETY: the descriptor is new and nobody else's; the kernel makes it close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Attach a loaded program to the control group (cgroup v2) whose folder is open. It goes with the group.
pub fn attach_device_program(program: impl AsFd, group: impl AsFd) -> io::Result<()> {
    let attach = Attach {
        target: group.as_fd().as_raw_fd() as u32,
        program: program.as_fd().as_raw_fd() as u32,
        kind: CGROUP_DEVICE_ATTACH,
        flags: ALLOW_MULTI,
    };
    // SAFETY: the attribute lives until the call returns, and the kernel only reads it.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>()) })?;
    Ok(())
}

/// Numbers of the programs that are attached to the control group itself whose folder is open.
pub fn device_programs(group: impl AsFd) -> io::Result<Vec<u32>> {
    // As many as the kernel lets be attached to one group (BPF_CGROUP_MAX_PROGS).
    let mut ids = [0u32; 64];
    let mut query = Query {
        target: group.as_fd().as_raw_fd() as u32,
        kind: CGROUP_DEVICE_ATTACH,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        ..Query::default()
    };
    // SAFETY: the attribute and the array that it points to, whose length it has, live until the call returns; the kernel writes the
    // numbers there, and their count and flags to the attribute.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut query, size_of::<Query>()) })?;
    Ok(ids.into_iter().take(query.count as usize).collect())
}

/// The number by which the kernel knows a loaded program.
pub fn program_id(program: impl AsFd) -> io::Result<u32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd()))?;
    let id = text.lines().find_map(|l| l.strip_prefix("prog_id:")).and_then(|id| id.trim().parse().ok());
    id.ok_or_else(|| io::Error::other("the kernel gives a program no number"))
}
