//! Volumes and images mounted into a container.
//!
//! A volume keeps ids on disk as the container sees them, so that another container, with another range, sees the same.
//! Its folder lies below one that only root may enter, so a setuid file in it is out of reach for the host's users.

mod meta;
mod options;
mod quota;

pub use meta::{
    Described, Pairs, Pruned, Volume, Wanted, anonymous_name, check_name, create, data, ensure, get, list, meta_file,
    options_in, prune, remove, remove_anonymous, size, users,
};
pub use options::{Backing, parse as parse_options};

use super::Stage;
use super::root;
use crate::error::{Context, Error, Result};
use crate::plan::{MountKind, MountPlan};
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Stage a volume or an image's root under the name `at`.
pub fn stage(
    stage: &Stage,
    at: &str,
    mount: &MountPlan,
    rootfs: &Path,
    base: u32,
    userns: Option<BorrowedFd<'_>>,
    label: Option<&str>,
) -> Result<PathBuf> {
    match &mount.kind {
        MountKind::Volume { source, name, copy_up, subpath, labels } => {
            ensure(source, &Wanted { anonymous: name.is_none(), labels: labels.clone(), ..Wanted::default() })?;
            if *copy_up {
                super::copyup::copy_up(rootfs, &mount.destination, source, base)?;
            }
            if let Some(label) = label {
                crate::selinux::relabel_if_other(source, &crate::selinux::shared(label))?;
            }
            let folder = open_folder(source, subpath.as_deref())?;
            let at = stage.folder(at)?;
            map(&folder, &at, mount, userns)?;
            Ok(at)
        }
        MountKind::Image { layers } => {
            let lower = format!("{at}l");
            let at = stage.folder(at)?;
            root::mount_layers_read_only(stage, &lower, layers, userns, label, &at)?;
            Ok(at)
        }
        other => Err(Error::runner(format!("{other:?} is not a volume"))),
    }
}

fn open_folder(source: &Path, subpath: Option<&str>) -> Result<OwnedFd> {
    let attempt = || format!("open the volume {}", source.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(CWD, source, flags, Mode::empty()).context(attempt)?;
    match subpath {
        None => Ok(folder),
        // What a container wrote into a volume may be a link; it is followed inside the volume only.
        Some(sub) => openat2(&folder, sub, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
            .context(|| format!("open {sub} in the volume {}", source.display())),
    }
}

fn map(folder: &OwnedFd, at: &Path, mount: &MountPlan, userns: Option<BorrowedFd<'_>>) -> Result<()> {
    let attempt = || format!("mount the volume on {}", mount.destination);
    let tree = clone_tree(folder, false).context(attempt)?;
    let mut set = Attributes::NOSUID | Attributes::NODEV;
    if mount.readonly.value {
        set |= Attributes::RDONLY;
    }
    set_attributes(&tree, set, userns, false).context(attempt)?;
    attach(&tree, at).context(attempt)
}
