//! fuse-overlayfs, where the kernel's own overlay cannot be had by an ordinary user: the store is on a file system that it takes no
//! writable folder from (another overlay, NFS).

use crate::error::{Context, Error, Result};
use crate::sys::mounts::{Attributes, set_attributes};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::path::Path;
use std::process::{Command, Stdio};

/// Mount `options`, as overlay's, on `root`. The program goes on in the background, in the caller's mount namespace, and ends with the
/// mount. `why` is what the kernel said.
pub fn mount(root: &Path, options: &str, why: Error) -> Result<()> {
    let Some(program) = crate::net::find_program("fuse-overlayfs") else {
        return Err(why.hint("keep the store on another file system (--root), or: apt install fuse-overlayfs"));
    };
    let attempt = || format!("mount the root with {}", program.display());
    let output = Command::new(&program)
        // Not the starter alone: the container's users are others.
        .args(["-o", &format!("{options},allow_other")])
        .arg(root)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context(attempt)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("it failed without a word");
        return Err(Error::runner(attempt()).because(format!("{said} (the kernel's own: {})", why.chain().join(": "))));
    }
    let mounted =
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).context(attempt)?;
    set_attributes(&mounted, Attributes::NOSUID | Attributes::NODEV, None, false).context(attempt)?;
    crate::ui::note(
        "the kernel's overlay cannot use the file system of the store: fuse-overlayfs takes its place, slower",
    );
    Ok(())
}
