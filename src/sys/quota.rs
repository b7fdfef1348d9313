//! Project quotas: a limit on what lies below one folder, on ext4 and xfs mounted with `prjquota`. Linux 5.14
//! (`quotactl_fd`), so that no device node has to be found.

use super::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401c_5820;
/// What is made in the folder belongs to its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;
const PROJECT: u32 = 2;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
const QIF_BLIMITS: u32 = 1;
/// Limits are counted in blocks of this many bytes.
const BLOCK: u64 = 1024;

/// The kernel's `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

/// The kernel's `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Dqblk {
    bhardlimit: u64,
    bsoftlimit: u64,
    curspace: u64,
    ihardlimit: u64,
    isoftlimit: u64,
    curinodes: u64,
    btime: u64,
    itime: u64,
    valid: u32,
}

/// Put an empty folder, and with it everything that will be made below, into a project. A container cannot leave it: the
/// kernel lets nobody outside the first user namespace change a project.
pub fn set_project(folder: impl AsFd, project: u32) -> io::Result<()> {
    let fd = folder.as_fd().as_raw_fd();
    let mut attr = FsXattr::default();
    // SAFETY: the request writes one `struct fsxattr`, which `attr` is.
    check(unsafe { libc::ioctl(fd, FS_IOC_FSGETXATTR as _, &mut attr) } as libc::c_long)?;
    attr.projid = project;
    attr.xflags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the request reads one `struct fsxattr`, which `attr` is.
    check(unsafe { libc::ioctl(fd, FS_IOC_FSSETXATTR as _, &attr) } as libc::c_long)?;
    Ok(())
}

/// Bytes that a project uses, and its limit (0: none).
///
/// # Errors
/// `ESRCH` where the file system is mounted without project quotas, `ENOSYS` where it has none.
pub fn usage(any: impl AsFd, project: u32) -> io::Result<(u64, u64)> {
    let mut block = Dqblk::default();
    quotactl(any, Q_GETQUOTA, project, &mut block)?;
    Ok((block.curspace, block.bhardlimit.saturating_mul(BLOCK)))
}

/// Limit a project to so many bytes, rounded up to a kibibyte; 0 takes the limit away.
pub fn limit(any: impl AsFd, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    let mut block = Dqblk { bhardlimit: blocks, bsoftlimit: blocks, valid: QIF_BLIMITS, ..Dqblk::default() };
    quotactl(any, Q_SETQUOTA, project, &mut block)
}

fn quotactl(any: impl AsFd, command: u32, project: u32, block: &mut Dqblk) -> io::Result<()> {
    // SAFETY: both commands take one `struct if_dqblk`, which `block` is; the descriptor is borrowed for the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            any.as_fd().as_raw_fd(),
            (command << 8) | PROJECT,
            project,
            block as *mut Dqblk,
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<FsXattr>(), size_of::<Dqblk>()), (28, 72));
    }

    #[test]
    fn a_file_system_without_project_quotas_says_so() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(usage(&proc, 7).is_err() && set_project(&proc, 7).is_err());
    }
}
