//! The mounts part of the spec: the kernel's file systems, then the plan's mounts in their order.

use super::Staged;
use crate::error::{Context, Error, Result};
use crate::plan::{MountKind, MountPlan, Namespace, NetworkMode, Plan, SeLinux, UserNamespace};
use oci_spec::runtime::{Mount, MountBuilder};
use std::path::PathBuf;

/// Size of /dev itself: room for the links and the mount points, not for files.
const DEV_SIZE: &str = "size=64k";

const PTS: [&str; 6] = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];

/// Whether the group that terminals are given to, 5, is not among the container's.
fn few_ids(plan: &Plan) -> bool {
    matches!(plan.draft.namespaces.user.value, UserNamespace::Private { size, .. } if size <= 5)
}

pub fn all(plan: &Plan, staged: &Staged) -> Result<Vec<Mount>> {
    let draft = &plan.draft;
    let planned = |destination: &str| draft.mounts.iter().any(|m| m.destination == destination);
    // procfs shows the pid namespace of its mounter, and only its owner may mount it: with the host's, the host's mount is
    // bound. Masked and read-only paths lie on top as ever.
    let proc = match draft.namespaces.pid.value {
        Namespace::Host => build("/proc", "bind", "/proc".into(), words(&["nosuid", "noexec", "nodev", "rbind"]))?,
        _ => kernel("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])?,
    };
    let label = match &draft.selinux.value {
        SeLinux::Labels { mount, .. } if staged.labelled => vec![format!("context={mount}")],
        _ => Vec::new(),
    };
    let labelled = |destination: &str, kind: &str, source: &str, options: &[&str]| {
        build(destination, kind, source.into(), [words(options), label.clone()].concat())
    };
    let mut mounts = vec![
        proc,
        labelled("/dev", "tmpfs", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", DEV_SIZE, "nr_inodes=1k"])?,
        labelled("/dev/pts", "devpts", "devpts", if few_ids(plan) { &PTS[..5] } else { &PTS })?,
    ];
    // sysfs shows the network of its mounter, so it can only be mounted by the owner of the network namespace.
    if draft.namespaces.network.value == NetworkMode::Host {
        mounts.push(build("/sys", "bind", "/sys".into(), words(&["nosuid", "noexec", "nodev", "rro", "rbind"]))?);
    } else {
        mounts.push(kernel("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])?);
        if staged.cgroup2 && draft.namespaces.cgroup.value == Namespace::Private {
            mounts.push(kernel(
                "/sys/fs/cgroup",
                "cgroup",
                "cgroup",
                &["nosuid", "noexec", "nodev", "relatime", "ro"],
            )?);
        }
    }
    let own_ipc = draft.namespaces.ipc.value != Namespace::Host;
    if own_ipc {
        mounts.push(kernel("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?);
        // `--ipc none`: without one.
        if let Some(shm) = &draft.resources.shm_size
            && !planned("/dev/shm")
        {
            let size = format!("size={}", shm.value);
            mounts.push(labelled("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size])?);
        }
    }
    if let Namespace::Container(name) = &draft.namespaces.ipc.value
        && !planned("/dev/shm")
    {
        let printed = || format!("/proc/<process of container {name}>/root/dev/shm").into();
        let source = staged.shared_memory.clone().unwrap_or_else(printed);
        mounts.push(build("/dev/shm", "bind", source, words(&["nosuid", "noexec", "nodev", "bind"]))?);
    }
    if !own_ipc && !planned("/dev/shm") {
        mounts.push(build("/dev/shm", "bind", "/dev/shm".into(), words(&["nosuid", "noexec", "nodev", "rbind"]))?);
    }
    for ((mount, source), placed) in draft.mounts.iter().zip(&staged.mounts).zip(&staged.placed) {
        if !placed {
            mounts.push(planned_mount(mount, source.as_ref(), &label)?);
        }
    }
    for (device, source) in draft.devices.iter().zip(staged.devices.iter().flatten()) {
        // Not nodev: it is a device that was asked for, and nothing but it is mounted.
        mounts.push(build(&device.value.container, "bind", source.clone(), words(&["nosuid", "noexec", "bind"]))?);
    }
    Ok(mounts)
}

fn kernel(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<Mount> {
    build(destination, kind, PathBuf::from(source), words(options))
}

fn words(options: &[&str]) -> Vec<String> {
    options.iter().map(|o| (*o).to_string()).collect()
}

fn build(destination: &str, kind: &str, source: PathBuf, options: Vec<String>) -> Result<Mount> {
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options)
        .build()
        .context(|| format!("describe the mount on {destination}"))
}

/// Options come from a closed set: libcontainer ignores those it does not know, and its plain `ro` leaves submounts
/// writable, so read-only is always `rro`.
fn planned_mount(mount: &MountPlan, source: Option<&PathBuf>, label: &[String]) -> Result<Mount> {
    let mut options = vec!["nosuid".to_string(), "nodev".to_string()];
    if mount.noexec {
        options.push("noexec".into());
    }
    if let MountKind::Tmpfs { size, mode, uid, gid } = &mount.kind {
        if mount.readonly.value {
            options.push("ro".into());
        }
        options.extend([format!("mode={mode:o}"), format!("uid={uid}"), format!("gid={gid}")]);
        if *size > 0 {
            options.push(format!("size={size}"));
        }
        options.extend_from_slice(label);
        return build(&mount.destination, "tmpfs", "tmpfs".into(), options);
    }
    if mount.readonly.value {
        options.push("rro".into());
    }
    let recursive = matches!(&mount.kind, MountKind::Bind { recursive: true, .. });
    options.push(if recursive { "rbind" } else { "bind" }.into());
    let source = source.ok_or_else(|| Error::runner(format!("the mount on {} was not staged", mount.destination)))?;
    build(&mount.destination, "bind", source.clone(), options)
}

/// Source of a mount when a spec is only printed.
pub fn printed_source(mount: &MountPlan) -> Option<PathBuf> {
    match &mount.kind {
        MountKind::Bind { source, .. } | MountKind::Volume { source, .. } => Some(source.clone()),
        MountKind::Tmpfs { .. } => None,
        MountKind::File { .. } => Some(PathBuf::from("files").join(mount.destination.trim_start_matches('/'))),
        MountKind::Image { .. } => Some(PathBuf::from("images").join(mount.destination.trim_start_matches('/'))),
    }
}
