//! Limits on a host with cgroup v1 hierarchies, set by the launcher instead of libcontainer.
//!
//! libcontainer writes its process's number to `cgroup.procs`, for which the kernel stops all forks and exits of the host
//! and waits for an RCU grace period: 6 ms a start, more than all the rest. A single-threaded process that moves
//! *itself* by writing `0` to `tasks` needs none of that (0.03 ms). So the launcher goes into the group, lets libcontainer
//! build the container there, sets the limits while the container waits, and goes back. libcontainer sees no hierarchy
//! that it could write to.

use super::cgroup::{self, Hierarchy, Placement};
use super::limits::Setting;
use crate::error::{Context, Error, Result};
use crate::facts::cgroup::ROOT;
use crate::plan::ResourcesPlan;
use crate::storage::Stage;
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use libcontainer::error::LibcontainerError;
use oci_spec::runtime::{Linux, LinuxResources};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Name of [`decoy`]'s folder on the stage.
const DECOY: &str = "cgroup";

/// Take every hierarchy out of the launcher's own mount namespace, and hold those that set a limit for this container
/// by descriptors. In the others the container stays in its launcher's group.
pub fn take_over(path: String, all: &[Hierarchy], resources: &ResourcesPlan) -> Result<Placement> {
    let attempt = || format!("take the cgroup hierarchies out of {ROOT}");
    let wanted = wanted_controllers(resources);
    let mut placement = Placement { path, hierarchies: Vec::new(), held: Vec::new() };
    for hierarchy in all.iter().filter(|h| !h.v2 && h.controllers.iter().any(|c| wanted.contains(&c.as_str()))) {
        let tree = clone(&hierarchy.mount)?;
        let mount = PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd()));
        placement.hierarchies.push(Hierarchy { mount, ..hierarchy.clone() });
        placement.held.push(tree);
    }
    let base = match all.iter().find(|h| h.v2) {
        Some(unified) => {
            let tree = clone(&unified.mount)?;
            set_attributes(&tree, Attributes::RDONLY, None, false).context(attempt)?;
            tree
        }
        None => clone(Path::new(ROOT))?,
    };
    rustix::mount::unmount(ROOT, rustix::mount::UnmountFlags::DETACH).context(attempt)?;
    attach(&base, Path::new(ROOT)).context(attempt)?;
    Ok(placement)
}

/// Name a group for libcontainer that is none: a folder of the stage, with a `cgroup.procs` that it may write to.
///
/// Where it finds a v1 layout it opens /proc and reads mountinfo anew for each of its twelve controllers (350 calls, a
/// millisecond), only to learn that there are none. A unified hierarchy at [`ROOT`], which is mounted read-only, it takes
/// for all it needs to know. Where there is no unified hierarchy to show, the path is not looked at.
pub fn decoy(stage: &Stage, linux: &mut Linux) -> Result<()> {
    let folder = stage.folder(DECOY)?;
    stage.file(&format!("{DECOY}/cgroup.procs"))?;
    // Relative to ROOT, whatever it begins with.
    linux.set_cgroups_path(Some(Path::new("/../../..").join(folder.strip_prefix("/").unwrap_or(&folder))));
    Ok(())
}

/// Why libcontainer could not build the container. After a failure it tries in vain to remove the folder of [`decoy`],
/// which goes with the stage: that is nothing to tell.
pub fn reason(stage: &Stage, error: &LibcontainerError) -> String {
    let text = error.to_string();
    match text.split_once(". error during cleanup: ") {
        Some((reason, cleanup)) if cleanup.contains(&*stage.path(DECOY).to_string_lossy()) => reason.to_owned(),
        _ => text,
    }
}

fn clone(path: &Path) -> Result<OwnedFd> {
    let attempt = || format!("hold the cgroup hierarchy at {}", path.display());
    let folder =
        openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).context(attempt)?;
    clone_tree(&folder, false).context(attempt)
}

/// Controllers that this container needs.
fn wanted_controllers(r: &ResourcesPlan) -> Vec<&'static str> {
    let mut wanted = vec!["devices", "memory", "pids"];
    let cpu = r.cpu_quota.is_some() || r.cpu_period.is_some() || r.cpu_shares.is_some();
    if cpu || r.cpu_rt_period.is_some() || r.cpu_rt_runtime.is_some() {
        wanted.push("cpu");
    }
    if r.cpuset_cpus.is_some() || r.cpuset_mems.is_some() {
        wanted.push("cpuset");
    }
    let throttles = [&r.blkio_weight_device, &r.read_bps, &r.write_bps, &r.read_iops, &r.write_iops];
    if r.blkio_weight.is_some() || throttles.iter().any(|t| !t.is_empty()) {
        wanted.push("blkio");
    }
    wanted
}

/// The launcher's way back.
#[must_use]
pub struct Visit {
    /// `tasks` files of the groups that it came from.
    home: Vec<PathBuf>,
}

/// Make the container's groups and move the calling process into them.
pub fn enter(placement: &Placement) -> Result<Visit> {
    let own = std::fs::read_to_string("/proc/self/cgroup").context(|| "read /proc/self/cgroup".into())?;
    let mut home = Vec::new();
    for hierarchy in &placement.hierarchies {
        let group = group(hierarchy, placement);
        std::fs::create_dir_all(&group).context(|| format!("make the cgroup {}", placement.path))?;
        if hierarchy.controllers.iter().any(|c| c == "cpuset") {
            inherit_cpuset(&hierarchy.mount, &placement.path)?;
        }
        let controller = hierarchy.controllers.first().map_or("", String::as_str);
        let from = super::readback::member_of(&own, controller, false)
            .ok_or_else(|| Error::runner(format!("find the launcher's own {controller} cgroup")))?;
        home.push(hierarchy.mount.join(from.trim_start_matches('/')).join("tasks"));
        move_here(&group.join("tasks"))?;
    }
    Ok(Visit { home })
}

impl Visit {
    /// Go back to where the launcher was, so that it is neither limited nor counted.
    pub fn leave(self) -> Result<()> {
        self.home.iter().try_for_each(|tasks| move_here(tasks))
    }
}

fn move_here(tasks: &Path) -> Result<()> {
    write(tasks, "0")
}

fn group(hierarchy: &Hierarchy, placement: &Placement) -> PathBuf {
    hierarchy.mount.join(placement.path.trim_start_matches('/'))
}

/// A new cpuset group has no CPUs and no memory nodes, and takes no process before it has: each level gets its parent's.
fn inherit_cpuset(mount: &Path, path: &str) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mut at = mount.to_path_buf();
        let mut inherited = read(&at.join(file))?;
        for part in path.split('/').filter(|p| !p.is_empty()) {
            at.push(part);
            let own = read(&at.join(file))?;
            if own.is_empty() {
                write(&at.join(file), &inherited)?;
            } else {
                inherited = own;
            }
        }
    }
    Ok(())
}

/// Every file to write, in order. Pure.
pub fn settings(resources: &LinuxResources) -> Vec<Setting> {
    let mut out: Vec<Setting> = Vec::new();
    for rule in resources.devices().iter().flatten() {
        let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
        out.push((file, rule.to_string()));
    }
    if let Some(memory) = resources.memory() {
        // A fresh group is unlimited, so the smaller of the two goes first.
        push(&mut out, "memory.limit_in_bytes", memory.limit());
        push(&mut out, "memory.memsw.limit_in_bytes", memory.swap());
        push(&mut out, "memory.soft_limit_in_bytes", memory.reservation());
        push(&mut out, "memory.swappiness", memory.swappiness());
        push(&mut out, "memory.oom_control", memory.disable_oom_killer().filter(|off| *off).map(u8::from));
    }
    if let Some(pids) = resources.pids() {
        let limit = pids.limit();
        out.push(("pids.max", if limit > 0 { limit.to_string() } else { "max".into() }));
    }
    if let Some(cpu) = resources.cpu() {
        push(&mut out, "cpu.shares", cpu.shares());
        push(&mut out, "cpu.cfs_period_us", cpu.period());
        push(&mut out, "cpu.cfs_quota_us", cpu.quota());
        push(&mut out, "cpu.rt_period_us", cpu.realtime_period());
        push(&mut out, "cpu.rt_runtime_us", cpu.realtime_runtime());
        push(&mut out, "cpuset.cpus", cpu.cpus().clone());
        push(&mut out, "cpuset.mems", cpu.mems().clone());
    }
    if let Some(block) = resources.block_io() {
        push(&mut out, "blkio.weight", block.weight());
        for device in block.weight_device().iter().flatten() {
            let value = device.weight().map(|w| format!("{}:{} {w}", device.major(), device.minor()));
            push(&mut out, "blkio.weight_device", value);
        }
        for (file, list) in [
            ("blkio.throttle.read_bps_device", block.throttle_read_bps_device()),
            ("blkio.throttle.write_bps_device", block.throttle_write_bps_device()),
            ("blkio.throttle.read_iops_device", block.throttle_read_iops_device()),
            ("blkio.throttle.write_iops_device", block.throttle_write_iops_device()),
        ] {
            for device in list.iter().flatten() {
                out.push((file, format!("{}:{} {}", device.major(), device.minor(), device.rate())));
            }
        }
    }
    out
}

fn push<T: ToString>(out: &mut Vec<Setting>, file: &'static str, value: Option<T>) {
    out.extend(value.map(|v| (file, v.to_string())));
}

fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).context(|| format!("read {}", name(path)))?;
    Ok(text.trim().to_owned())
}

fn write(path: &Path, value: &str) -> Result<()> {
    cgroup::write(path, value).context(|| format!("write {value:?} to the cgroup file {}", name(path)))
}

/// The file's own name: the folder is one of the launcher's descriptors and says nothing to a reader.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{
        LinuxBlockIoBuilder, LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxMemoryBuilder, LinuxPidsBuilder,
        LinuxResourcesBuilder, LinuxThrottleDeviceBuilder,
    };

    #[test]
    fn every_limit_becomes_a_file() {
        let deny = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build().unwrap();
        let rate = LinuxThrottleDeviceBuilder::default().major(8).minor(0).rate(1000u64).build().unwrap();
        let resources = LinuxResourcesBuilder::default()
            .devices(vec![deny])
            .memory(LinuxMemoryBuilder::default().limit(100).swap(200).build().unwrap())
            .pids(LinuxPidsBuilder::default().limit(7).build().unwrap())
            .cpu(LinuxCpuBuilder::default().quota(50_000).period(100_000u64).cpus("0-1").build().unwrap())
            .block_io(LinuxBlockIoBuilder::default().throttle_read_bps_device(vec![rate]).build().unwrap())
            .build()
            .unwrap();
        let text: Vec<String> = settings(&resources).into_iter().map(|(f, v)| format!("{f}={v}")).collect();
        assert_eq!(
            text,
            [
                "devices.deny=a *:* rwm",
                "memory.limit_in_bytes=100",
                "memory.memsw.limit_in_bytes=200",
                "pids.max=7",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "cpuset.cpus=0-1",
                "blkio.throttle.read_bps_device=8:0 1000",
            ]
        );
    }

    #[test]
    fn no_pids_limit_is_max() {
        let pids = LinuxPidsBuilder::default().limit(-1).build().unwrap();
        let resources = LinuxResourcesBuilder::default().devices(vec![]).pids(pids).build().unwrap();
        assert_eq!(settings(&resources), [("pids.max", "max".to_owned())]);
    }
}
