//! The launcher's own executable, in a form that nobody can write to.
//!
//! A process that is being set up inside a container shows the launcher's binary as /proc/self/exe; CVE-2019-5736
//! overwrote it through that link. The launcher therefore runs from a read-only detached clone of the mount that its file
//! stands on: no path leads to it, it cannot be remounted (it is in no mount namespace), and opening it for writing
//! answers EROFS. Where the clone cannot be made (Linux before 5.12, no CAP_SYS_ADMIN) a sealed memory copy takes its place,
//! which costs a start the time and the memory of the whole file.

use super::check;
use super::mounts::{Attributes, clone_tree, set_attributes};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Which protection the executable got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    ReadOnlyClone,
    SealedMemory,
}

/// Our own executable, protected.
pub fn protected() -> io::Result<(OwnedFd, Form)> {
    let own = File::open("/proc/self/exe")?;
    Ok(match read_only_clone(&own).or_else(|_| read_only_clone(&found_again(&own)?)) {
        Ok(fd) => (fd, Form::ReadOnlyClone),
        Err(_) => (sealed_copy(own)?, Form::SealedMemory),
    })
}

fn read_only_clone(own: &File) -> io::Result<OwnedFd> {
    let tree = clone_tree(own, false)?;
    let set = Attributes::RDONLY | Attributes::NOSUID | Attributes::NODEV;
    set_attributes(&tree, set, None, false)?;
    Ok(tree)
}

/// The same file by its path. A process that has moved into another mount namespace since its start (an ordinary user's)
/// still shows its executable on a mount of the old one, which only a process over there may clone.
fn found_again(own: &File) -> io::Result<File> {
    use std::os::unix::fs::MetadataExt;
    let found = File::open(std::fs::read_link("/proc/self/exe")?)?;
    let (a, b) = (own.metadata()?, found.metadata()?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) { Ok(found) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn sealed_copy(mut own: File) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let memory = memfd_create("hardrun", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    io::copy(&mut own, &mut file)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

/// Replace this process by `exe` with these arguments and an empty environment. Returns only on failure.
pub fn exec(exe: &OwnedFd, args: &[&std::ffi::CStr]) -> io::Error {
    let mut argv: Vec<*const libc::c_char> = args.iter().map(|a| a.as_ptr()).collect();
    argv.push(std::ptr::null());
    let env: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: both arrays end in a null pointer and outlive the call; the path is a NUL-terminated constant.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_execveat,
            exe.as_raw_fd() as libc::c_long,
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_long,
        )
    });
    match result {
        Err(e) => e,
        Ok(_) => io::Error::from_raw_os_error(libc::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_copy_cannot_be_written() {
        use std::io::Write;
        let copy = sealed_copy(File::open("/proc/self/exe").unwrap()).unwrap();
        let mut writer = File::options().write(true).open(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap();
        let error = writer.write_all(b"x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}
