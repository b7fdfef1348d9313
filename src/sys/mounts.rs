//! Detached mounts: clone a tree by descriptor, change its attributes, put it somewhere. Linux 5.2 (`open_tree`,
//! `move_mount`) and 5.12 (`mount_setattr`, idmapped mounts).

use super::check;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// What [`set_attributes`] can set; the names are the kernel's.
pub struct Attributes;

impl Attributes {
    pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
}

const EMPTY: &CStr = c"";

/// A detached copy of the mount that `file` (an `O_PATH` descriptor will do) stands on, rooted at `file`.
pub fn clone_tree(file: impl AsFd, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE as libc::c_long | libc::OPEN_TREE_CLOEXEC as libc::c_long;
    flags |= libc::AT_EMPTY_PATH as libc::c_long;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_long;
    }
    // SAFETY: the path is a NUL-terminated constant, the descriptor is borrowed for the call; the kernel keeps neither.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_open_tree, file.as_fd().as_raw_fd() as libc::c_long, EMPTY.as_ptr(), flags)
    })?;
    // SAFETY: open_tree returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Set attributes of a mount, any of [`Attributes`] or'ed, of all mounts below it too when `recursive`, and map its ids through `userns` if given.
/// Mapping works once on a mount that is still detached (Linux 5.12; the file system must support it).
pub fn set_attributes(mount: impl AsFd, set: u64, userns: Option<BorrowedFd<'_>>, recursive: bool) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: set | if userns.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 },
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `attr` outlives the call and its size is passed; the path is a NUL-terminated constant.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd() as libc::c_long,
            EMPTY.as_ptr(),
            flags as libc::c_long,
            &attr as *const libc::mount_attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// Attach a detached mount at `target`, whose last component is not followed if it is a symlink.
pub fn attach(mount: impl AsFd, target: &Path) -> io::Result<()> {
    use rustix::mount::MoveMountFlags;
    rustix::mount::move_mount(mount.as_fd(), "", rustix::fs::CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(())
}

/// Attach a detached mount at what `target` is a descriptor of.
pub fn attach_to(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    use rustix::mount::MoveMountFlags;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount.as_fd(), "", target.as_fd(), "", flags)?;
    Ok(())
}
