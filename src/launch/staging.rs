//! Everything that is mounted in the container, put where it is mounted from.

use super::cgroup::Placement;
use super::handoff::Handoff;
use crate::error::Result;
use crate::plan::{DevicePlan, Draft, MountKind, SeLinux, Sourced};
use crate::spec::Staged;
use crate::state::Folder;
use crate::storage::binds::{Bind, Binder, Ids, make_missing};
use crate::storage::{Stage, destination, devices, files, root};
use crate::sys::userns;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

pub(super) fn stage_mounts(
    handoff: &Handoff,
    stage: &Stage,
    folder: &Folder,
    base: Option<u32>,
    userns: Option<&OwnedFd>,
    group: &Placement,
) -> Result<Staged> {
    let draft = &handoff.record.plan.draft;
    let owner = base.unwrap_or(0);
    // The host's file systems are not an ordinary user's to map.
    let mapped = userns.filter(|_| crate::rootless::current().is_none()).map(|ns| ns.as_fd());
    let label = match &draft.selinux.value {
        SeLinux::Labels { mount, .. } => Some(mount.as_str()),
        SeLinux::Disabled | SeLinux::Unavailable => None,
    };
    let volatile = draft.remove;
    let rootfs = root::mount_root(stage, &draft.image.layers, mapped, owner, &folder.path, volatile, label)?;
    root::refuse_redirected(&rootfs)?;
    for mount in &draft.mounts {
        destination::refuse_redirected_mount(&rootfs, &mount.destination, &mount.asked)?;
        destination::make_dangling(&rootfs, mount, owner)?;
    }
    for device in &draft.devices {
        destination::refuse_redirected_device(&rootfs, &device.value.container)?;
    }
    destination::refuse_redirected_workdir(&rootfs, &draft.process.cwd.value)?;
    let mut binder = Binder::new(Ids::of(base, &draft.process.user.value));
    let mut mounts = Vec::new();
    for (n, mount) in draft.mounts.iter().enumerate() {
        let name = format!("m{n}");
        let staged: Option<PathBuf> = match &mount.kind {
            MountKind::Tmpfs { .. } => None,
            MountKind::File { content, mode } => {
                let file = stage.owned_file(&name, content.as_bytes(), *mode, owner)?;
                if let Some(label) = label {
                    crate::selinux::relabel(&file, label)?;
                }
                Some(file)
            }
            MountKind::Bind { source, uid, gid, create, relabel, .. } => {
                if *create {
                    make_missing(source, *uid, *gid)?;
                }
                if let Some(label) = relabel {
                    crate::selinux::relabel(source, label)?;
                }
                Bind::of(mount).map(|bind| binder.stage(stage, &name, &bind)).transpose()?
            }
            MountKind::Volume { .. } | MountKind::Image { .. } => {
                Some(crate::storage::volumes::stage(stage, &name, mount, &rootfs, owner, mapped, label)?)
            }
        };
        mounts.push(staged);
    }
    let devices = match userns {
        Some(_) => Some(stage_devices(draft, stage)?),
        None => None,
    };
    root::make_workdir(&rootfs, &draft.process.cwd.value, owner)?;
    let placed = files::place(&rootfs, &draft.mounts, &mounts, owner)?;
    Ok(Staged {
        root: rootfs,
        mounts,
        placed,
        devices,
        userns: userns.map(userns::path),
        network: None,
        joined: Default::default(),
        shared_memory: None,
        // Without a group of its own there is nothing to show but that of whoever started it.
        cgroup2: group.hierarchies.iter().all(|h| h.v2) && (crate::rootless::current().is_none() || !group.is_own()),
        // The process enters it by itself, before execve.
        apparmor: None,
        labelled: true,
    })
}

fn stage_devices(draft: &Draft, stage: &Stage) -> Result<Vec<PathBuf>> {
    let stage_one =
        |(n, device): (usize, &Sourced<DevicePlan>)| devices::stage(stage, &format!("d{n}"), &device.value.host);
    draft.devices.iter().enumerate().map(stage_one).collect()
}
