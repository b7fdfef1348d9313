//! Every way known to leave a setuid or setgid file in a folder.

use crate::harness::raw::{Tried, in_child, syscall};
use std::ffi::CString;

const MODE: usize = 0o4755;
const GROUP: usize = 0o2755;
const AT_CWD: usize = libc::AT_FDCWD as isize as usize;

/// `way result` lines; the files are named after the ways, so that the host can see which took.
pub fn print(dir: &str) {
    let name = |way: &str| CString::new(format!("{dir}/{way}")).expect("no zero byte in a path");
    let plain = |way: &str| {
        let path = name(way);
        std::fs::write(format!("{dir}/{way}"), "x").expect("the folder is writable");
        path
    };
    let show = |way: &str, t: Tried| println!("{way} {t}");
    let create = (libc::O_CREAT | libc::O_WRONLY) as usize;

    let p = plain("chmod");
    show("chmod", in_child(|| syscall(libc::SYS_chmod, [p.as_ptr() as usize, MODE, 0, 0, 0, 0])));
    let p = plain("chmod-gid");
    show("chmod-gid", in_child(|| syscall(libc::SYS_chmod, [p.as_ptr() as usize, GROUP, 0, 0, 0, 0])));
    let p = plain("fchmod");
    show(
        "fchmod",
        in_child(|| {
            let fd = syscall(libc::SYS_open, [p.as_ptr() as usize, libc::O_WRONLY as usize, 0, 0, 0, 0])?;
            syscall(libc::SYS_fchmod, [fd as usize, MODE, 0, 0, 0, 0])
        }),
    );
    let p = plain("fchmodat");
    show("fchmodat", in_child(|| syscall(libc::SYS_fchmodat, [AT_CWD, p.as_ptr() as usize, MODE, 0, 0, 0])));
    let p = plain("fchmodat2");
    show("fchmodat2", in_child(|| syscall(452, [AT_CWD, p.as_ptr() as usize, MODE, 0, 0, 0])));
    // The 64-bit register with bits above the 32 that the kernel looks at.
    let p = plain("chmod-high");
    show("chmod-high", in_child(|| syscall(libc::SYS_chmod, [p.as_ptr() as usize, MODE | 1 << 40, 0, 0, 0, 0])));
    let p = plain("x32-chmod");
    show("x32-chmod", in_child(|| syscall(libc::SYS_chmod | 0x4000_0000, [p.as_ptr() as usize, MODE, 0, 0, 0, 0])));

    let p = name("open");
    show("open", in_child(|| syscall(libc::SYS_open, [p.as_ptr() as usize, create, MODE, 0, 0, 0])));
    let p = name("openat");
    show("openat", in_child(|| syscall(libc::SYS_openat, [AT_CWD, p.as_ptr() as usize, create, MODE, 0, 0])));
    let p = name("creat");
    show("creat", in_child(|| syscall(libc::SYS_creat, [p.as_ptr() as usize, MODE, 0, 0, 0, 0])));
    let p = name("mknod");
    let regular = libc::S_IFREG as usize | MODE;
    show("mknod", in_child(|| syscall(libc::SYS_mknod, [p.as_ptr() as usize, regular, 0, 0, 0, 0])));
    let p = name("mknodat");
    show("mknodat", in_child(|| syscall(libc::SYS_mknodat, [AT_CWD, p.as_ptr() as usize, regular, 0, 0, 0])));
    let p = name("mkdir");
    show("mkdir", in_child(|| syscall(libc::SYS_mkdir, [p.as_ptr() as usize, GROUP, 0, 0, 0, 0])));
    let p = name("mkdirat");
    show("mkdirat", in_child(|| syscall(libc::SYS_mkdirat, [AT_CWD, p.as_ptr() as usize, GROUP, 0, 0, 0])));
    let p = name("openat2");
    let how = [create as u64, MODE as u64, 0];
    show(
        "openat2",
        in_child(|| syscall(libc::SYS_openat2, [AT_CWD, p.as_ptr() as usize, how.as_ptr() as usize, 24, 0, 0])),
    );
    show(
        "tmpfile",
        in_child(|| {
            let folder = CString::new(dir).expect("no zero byte in a path");
            let to = name("tmpfile");
            let flags = (libc::O_TMPFILE | libc::O_RDWR) as usize;
            let fd = syscall(libc::SYS_openat, [AT_CWD, folder.as_ptr() as usize, flags, MODE, 0, 0])?;
            let from = CString::new(format!("/proc/self/fd/{fd}")).expect("no zero byte in a path");
            let follow = libc::AT_SYMLINK_FOLLOW as usize;
            syscall(libc::SYS_linkat, [AT_CWD, from.as_ptr() as usize, AT_CWD, to.as_ptr() as usize, follow, 0])
        }),
    );
    // A socket takes the mode of its inode with it when it is bound to a name.
    show(
        "socket",
        in_child(|| {
            let fd = syscall(libc::SYS_socket, [1, 1, 0, 0, 0, 0])?;
            syscall(libc::SYS_fchmod, [fd as usize, 0o4777, 0, 0, 0, 0])
        }),
    );
}
