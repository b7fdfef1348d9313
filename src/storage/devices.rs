//! Device nodes of the host for a container that may make none of its own.

use super::Stage;
use crate::error::{Context, Error, Result};
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use std::path::{Path, PathBuf};

/// Stage the node at `host` under `name` and return its path. Whether it can be opened is decided by its owner and mode,
/// by the device rules of the container's cgroup, and by Landlock.
///
/// # Errors
/// Anything that is not a device node.
pub fn stage(stage: &Stage, name: &str, host: &Path) -> Result<PathBuf> {
    let attempt = || format!("bind the device {}", host.display());
    let node = openat(CWD, host, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(attempt)?;
    let kind = FileType::from_raw_mode(fstat(&node).context(attempt)?.st_mode);
    if !matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        return Err(Error::runner(attempt()).because("it is not a device node"));
    }
    let tree = clone_tree(&node, false).context(attempt)?;
    let set = Attributes::NOSUID | Attributes::NOEXEC;
    set_attributes(&tree, set, None, false).context(attempt)?;
    let at = stage.file(name)?;
    attach(&tree, &at).context(attempt)?;
    Ok(at)
}
