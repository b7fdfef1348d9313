//! The Linux part of the spec: namespaces, resources, paths, devices.

use super::Staged;
use crate::error::{Context, Error, Result};
use crate::plan::{
    BlkioDevice, DevicePlan, Draft, Namespace, NetworkMode, Plan, ResourcesPlan, SeLinux, Sourced, UserNamespace,
};
use oci_spec::runtime::{
    Linux, LinuxBlockIo, LinuxBlockIoBuilder, LinuxBuilder, LinuxCpu, LinuxCpuBuilder, LinuxDevice, LinuxDeviceBuilder,
    LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxMemory, LinuxMemoryBuilder, LinuxNamespace,
    LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPids, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
    LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
};
use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The control group that containers' own are made below, unless `--cgroup-parent` says another.
pub const CGROUP_PARENT: &str = "hardrun";

/// Absolute, so that libcontainer does not derive one from the launcher's own cgroup.
pub fn cgroups_path(draft: &Draft) -> String {
    let parent = draft.asked.cgroup_parent.as_deref().unwrap_or(CGROUP_PARENT);
    format!("/{}/{}", parent.trim_matches('/'), draft.id)
}

pub fn linux(plan: &Plan, staged: &Staged) -> Result<Linux> {
    let draft = &plan.draft;
    let mut builder = LinuxBuilder::default()
        .namespaces(namespaces(draft, staged)?)
        .resources(resources(draft)?)
        .cgroups_path(cgroups_path(draft))
        .masked_paths(draft.masked_paths.value.clone())
        .readonly_paths(draft.readonly_paths.value.clone())
        .devices(made_devices(draft, staged)?)
        .rootfs_propagation("private");
    if let SeLinux::Labels { mount, .. } = &draft.selinux.value
        && !staged.labelled
    {
        builder = builder.mount_label(mount.clone());
    }
    if !draft.sysctls.is_empty() {
        let sysctls: HashMap<String, String> =
            draft.sysctls.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
        builder = builder.sysctl(sysctls);
    }
    builder.build().context(|| "describe the Linux part".into())
}

/// Folders of sysfs that are there to be mounted on (debugfs, tracefs, securityfs, bpf, pstore). The kernel keeps them
/// empty (`sysfs_create_mount_point`), so in a sysfs that was mounted for the container there is nothing to mask.
const EMPTY_IN_SYSFS: [&str; 5] =
    ["/sys/fs/bpf", "/sys/fs/pstore", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing"];

/// Whether the kernel has nothing at `path` in this container. With the host's network /sys is the host's, with all that
/// is mounted below it.
pub fn empty_in_sysfs(draft: &Draft, path: &str) -> bool {
    draft.namespaces.network.value != NetworkMode::Host && EMPTY_IN_SYSFS.contains(&path)
}

/// Leave the masks over what is empty out of a spec: each costs a file system (50 µs). The read-back looks whether it is.
pub fn leave_out_empty(draft: &Draft, linux: &mut Linux) {
    let masked = linux.masked_paths().iter().flatten().filter(|p| !empty_in_sysfs(draft, p)).cloned().collect();
    linux.set_masked_paths(Some(masked));
}

fn namespaces(draft: &Draft, staged: &Staged) -> Result<Vec<LinuxNamespace>> {
    let wanted = &draft.namespaces;
    let mut list = vec![namespace(LinuxNamespaceType::Mount, None)?];
    for (kind, mode) in [
        (LinuxNamespaceType::Pid, &wanted.pid),
        (LinuxNamespaceType::Ipc, &wanted.ipc),
        (LinuxNamespaceType::Uts, &wanted.uts),
        (LinuxNamespaceType::Cgroup, &wanted.cgroup),
    ] {
        match &mode.value {
            Namespace::Private => list.push(namespace(kind, None)?),
            Namespace::Host => {}
            Namespace::Container(name) => list.push(joined(kind, name, staged)?),
        }
    }
    match &wanted.network.value {
        NetworkMode::None | NetworkMode::Bridge | NetworkMode::Named(_) => {
            list.push(namespace(LinuxNamespaceType::Network, staged.network.as_deref())?);
        }
        NetworkMode::Host => {}
        NetworkMode::Container(name) => list.push(joined(LinuxNamespaceType::Network, name, staged)?),
    }
    if let UserNamespace::Private { .. } = wanted.user.value {
        list.push(namespace(LinuxNamespaceType::User, staged.userns.as_deref())?);
    }
    Ok(list)
}

/// A namespace of another container: by the descriptor that the launcher holds, or, printed, by what it is.
fn joined(kind: LinuxNamespaceType, name: &str, staged: &Staged) -> Result<LinuxNamespace> {
    let short = match kind {
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Ipc => "ipc",
        other => {
            return Err(Error::runner(format!("cannot join the {other} namespace of {name}"))
                .hint("of another container's namespaces, network, pid and ipc can be joined"));
        }
    };
    let printed = || format!("/proc/<process of container {name}>/ns/{short}").into();
    let path = staged.joined.get(short).cloned().unwrap_or_else(printed);
    namespace(kind, Some(&path))
}

fn namespace(kind: LinuxNamespaceType, path: Option<&Path>) -> Result<LinuxNamespace> {
    let mut builder = LinuxNamespaceBuilder::default().typ(kind);
    if let Some(path) = path {
        builder = builder.path(path);
    }
    builder.build().context(|| format!("describe the {kind} namespace"))
}

/// The limits alone, for a container that runs; its devices stay as they are.
pub fn limits(resources: &ResourcesPlan) -> Result<LinuxResources> {
    let attempt = || "describe the resources".to_string();
    let mut builder = LinuxResourcesBuilder::default().memory(memory(resources, false)?).cpu(cpu(resources)?);
    if let Some(pids) = pids(resources)? {
        builder = builder.pids(pids);
    }
    if let Some(block) = block_io(resources)? {
        builder = builder.block_io(block);
    }
    let mut limits = builder.build().context(attempt)?;
    limits.set_devices(None);
    Ok(limits)
}

fn pids(wanted: &ResourcesPlan) -> Result<Option<LinuxPids>> {
    let Some(pids) = &wanted.pids else { return Ok(None) };
    let limit = if pids.value <= 0 { -1 } else { pids.value };
    LinuxPidsBuilder::default().limit(limit).build().map(Some).context(|| "describe the resources".into())
}

/// The limits of a start: with the rules for devices, and what cannot be changed later.
pub fn resources(draft: &Draft) -> Result<LinuxResources> {
    let wanted = &draft.resources;
    let attempt = || "describe the resources".to_string();
    let mut builder = LinuxResourcesBuilder::default()
        .devices(device_rules(draft)?)
        .memory(memory(wanted, draft.asked.oom_kill_disable)?)
        .cpu(cpu(wanted)?);
    if let Some(pids) = pids(wanted)? {
        builder = builder.pids(pids);
    }
    if let Some(block) = block_io(wanted)? {
        builder = builder.block_io(block);
    }
    builder.build().context(attempt)
}

fn memory(wanted: &ResourcesPlan, oom_kill_disable: bool) -> Result<LinuxMemory> {
    let mut builder = LinuxMemoryBuilder::default();
    if let Some(v) = &wanted.memory {
        builder = builder.limit(v.value);
    }
    if let Some(v) = &wanted.memory_swap {
        builder = builder.swap(v.value);
    }
    if let Some(v) = &wanted.memory_reservation {
        builder = builder.reservation(v.value);
    }
    if let Some(v) = &wanted.memory_swappiness {
        builder = builder.swappiness(v.value);
    }
    if oom_kill_disable {
        builder = builder.disable_oom_killer(true);
    }
    builder.build().context(|| "describe the memory limits".into())
}

fn cpu(wanted: &ResourcesPlan) -> Result<LinuxCpu> {
    let mut builder = LinuxCpuBuilder::default();
    if let Some(v) = &wanted.cpu_quota {
        builder = builder.quota(v.value);
    }
    if let Some(v) = &wanted.cpu_period {
        builder = builder.period(v.value);
    }
    if let Some(v) = &wanted.cpu_shares {
        builder = builder.shares(v.value);
    }
    if let Some(v) = &wanted.cpu_rt_period {
        builder = builder.realtime_period(v.value);
    }
    if let Some(v) = &wanted.cpu_rt_runtime {
        builder = builder.realtime_runtime(v.value);
    }
    if let Some(v) = &wanted.cpuset_cpus {
        builder = builder.cpus(v.value.clone());
    }
    if let Some(v) = &wanted.cpuset_mems {
        builder = builder.mems(v.value.clone());
    }
    builder.build().context(|| "describe the cpu limits".into())
}

fn block_io(wanted: &ResourcesPlan) -> Result<Option<LinuxBlockIo>> {
    let lists =
        [&wanted.blkio_weight_device, &wanted.read_bps, &wanted.write_bps, &wanted.read_iops, &wanted.write_iops];
    if wanted.blkio_weight.is_none() && lists.iter().all(|l| l.is_empty()) {
        return Ok(None);
    }
    let attempt = || "describe the block device limits".to_string();
    let throttle = |list: &[Sourced<BlkioDevice>]| -> Result<Vec<LinuxThrottleDevice>> {
        list.iter()
            .map(|d| {
                LinuxThrottleDeviceBuilder::default()
                    .major(d.value.major)
                    .minor(d.value.minor)
                    .rate(d.value.value)
                    .build()
                    .context(attempt)
            })
            .collect()
    };
    let mut weights = Vec::new();
    for d in &wanted.blkio_weight_device {
        let weight = u16::try_from(d.value.value).context(attempt)?;
        weights.push(
            LinuxWeightDeviceBuilder::default()
                .major(d.value.major)
                .minor(d.value.minor)
                .weight(weight)
                .build()
                .context(attempt)?,
        );
    }
    let mut builder = LinuxBlockIoBuilder::default()
        .weight_device(weights)
        .throttle_read_bps_device(throttle(&wanted.read_bps)?)
        .throttle_write_bps_device(throttle(&wanted.write_bps)?)
        .throttle_read_iops_device(throttle(&wanted.read_iops)?)
        .throttle_write_iops_device(throttle(&wanted.write_iops)?);
    if let Some(weight) = &wanted.blkio_weight {
        builder = builder.weight(weight.value);
    }
    Ok(Some(builder.build().context(attempt)?))
}

/// Deny every device, then let through the harmless ones that every container has: null, zero, full, random, urandom,
/// tty, console, ptmx and pts.
fn device_rules(draft: &Draft) -> Result<Vec<LinuxDeviceCgroup>> {
    let mut rules = vec![rule(false, LinuxDeviceType::A, None, None, "rwm")?];
    for minor in [3, 5, 7, 8, 9] {
        rules.push(rule(true, LinuxDeviceType::C, Some(1), Some(minor), "rwm")?);
    }
    for minor in [0, 1, 2] {
        rules.push(rule(true, LinuxDeviceType::C, Some(5), Some(minor), "rwm")?);
    }
    rules.push(rule(true, LinuxDeviceType::C, Some(136), None, "rwm")?);
    for device in &draft.devices {
        let (kind, major, minor) = numbers(&device.value.host)?;
        rules.push(rule(true, kind, Some(major), Some(minor), &device.value.access)?);
    }
    for text in &draft.device_cgroup_rules {
        rules.push(parse_rule(&text.value)?);
    }
    Ok(rules)
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> Result<LinuxDeviceCgroup> {
    let mut builder = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
    if let Some(major) = major {
        builder = builder.major(major);
    }
    if let Some(minor) = minor {
        builder = builder.minor(minor);
    }
    builder.build().context(|| "describe a device rule".into())
}

/// `c 10:229 rwm`, with `*` for any number.
fn parse_rule(text: &str) -> Result<LinuxDeviceCgroup> {
    let bad = || Error::runner(format!("invalid device cgroup rule {text:?}: expected TYPE MAJOR:MINOR ACCESS"));
    let mut words = text.split_whitespace();
    let (kind, numbers, access) =
        (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(bad()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
    let number = |t: &str| if t == "*" { Ok(None) } else { t.parse().map(Some).map_err(|_| bad()) };
    rule(true, kind, number(major)?, number(minor)?, access)
}

fn numbers(path: &Path) -> Result<(LinuxDeviceType, i64, i64)> {
    let m = std::fs::metadata(path).context(|| format!("look at the device {}", path.display()))?;
    let kind = if m.file_type().is_block_device() {
        LinuxDeviceType::B
    } else if m.file_type().is_char_device() {
        LinuxDeviceType::C
    } else {
        return Err(Error::runner(format!("{} is not a device", path.display())));
    };
    Ok((kind, i64::from(rustix::fs::major(m.rdev())), i64::from(rustix::fs::minor(m.rdev()))))
}

/// Nodes for libcontainer to make. In a user namespace it binds the host's node at the *container's* path instead:
/// `--device /dev/null:/dev/shm/x` would be the host's /dev/shm/x, judged by nobody. There they are mounts, see `mounts`.
fn made_devices(draft: &Draft, staged: &Staged) -> Result<Vec<LinuxDevice>> {
    match staged.devices {
        Some(_) => Ok(Vec::new()),
        None => draft.devices.iter().map(|d| device(&d.value)).collect(),
    }
}

fn device(device: &DevicePlan) -> Result<LinuxDevice> {
    let (kind, major, minor) = numbers(&device.host)?;
    LinuxDeviceBuilder::default()
        .path(&device.container)
        .typ(kind)
        .major(major)
        .minor(minor)
        .build()
        .context(|| format!("describe the device {}", device.container))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_in_a_sysfs_of_its_own_are_mount_points_left_unmasked() {
        let mut draft = crate::policy::testkit::draft();
        let all: Vec<String> =
            ["/proc/kcore", "/sys/firmware", "/sys/fs/bpf", "/sys/kernel/debug"].map(Into::into).into();
        let mut left = |mode: NetworkMode| {
            draft.namespaces.network.value = mode;
            let mut linux = LinuxBuilder::default().masked_paths(all.clone()).build().unwrap();
            leave_out_empty(&draft, &mut linux);
            linux.masked_paths().clone().unwrap()
        };
        assert_eq!(left(NetworkMode::None), ["/proc/kcore", "/sys/firmware"]);
        assert_eq!(left(NetworkMode::Host), all);
    }
}
