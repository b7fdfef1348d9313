//! The container's group on cgroup v2, and its limits, made by the launcher instead of libcontainer.
//!
//! libcontainer (0.7.0) fails where two starts make the parent's folder at once, switches controllers on in groups that are
//! systemd's, takes a swap limit of 0 for none, and judges no devices. A group that is there already it only puts its process into.

use super::cgroup::Placement;
use super::limits::Setting;
use super::{device_program, limits, systemd};
use crate::error::{Context, Error, Result};
use crate::facts::Systemd;
use crate::plan::{BlkioDevice, Draft, Plan, ResourcesPlan, Sourced};
use crate::spec;
use crate::sys::bpf::{attach_device_program, device_programs, program_id};
use oci_spec::runtime::LinuxDeviceCgroup;
use std::path::{Path, PathBuf};

/// Controllers of the limits that a plan can hold.
const CONTROLLERS: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];
/// The supervisor's own group in a scope: a group with controllers for those below it has no processes itself.
const SUPERVISOR: &str = "supervisor";

/// The group of a container in a scope of its own.
pub fn path_in_scope(draft: &Draft) -> Option<String> {
    let slice = draft.slice()?;
    let above = crate::rootless::current().map(|r| crate::rootless::manager_group(r.uid)).unwrap_or_default();
    Some(format!("{above}{}/{}/{}", systemd::slice_path(slice), systemd::scope_name(&draft.id), draft.id))
}

/// Make the container's group below `mount`: in a scope that systemd delegates, with the launcher beside it, or, without
/// systemd, below a folder of hardrun's. Its path below the mount.
pub fn make(mount: &Path, draft: &Draft) -> Result<String> {
    let below = |path: &str| mount.join(path.trim_start_matches('/'));
    let scope = match draft.slice().filter(|_| Systemd::look() == Systemd::Reachable) {
        Some(slice) => match own_scope(mount, &draft.id, slice) {
            Ok(scope) => Some(scope),
            Err(e) => {
                crate::ui::note(&format!(
                    "{}; the container's control group is made without systemd",
                    e.chain().join(": ")
                ));
                None
            }
        },
        None => None,
    };
    match scope {
        Some(scope) => in_scope(mount, &scope, draft),
        None => {
            let path = spec::cgroups_path(draft);
            let mut parents: Vec<_> = below(&path).ancestors().skip(1).map(Path::to_owned).collect();
            parents.truncate(path.matches('/').count());
            make_group(mount, path, &parents)
        }
    }
}

/// The same in a scope of the caller's own systemd, for a user who may write nowhere else. `None`: `--cgroup-parent` names what is no
/// slice.
pub fn make_in_scope(mount: &Path, draft: &Draft) -> Result<Option<String>> {
    let Some(slice) = draft.slice() else { return Ok(None) };
    let scope = own_scope(mount, &draft.id, slice)?;
    in_scope(mount, &scope, draft).map(Some)
}

fn in_scope(mount: &Path, scope: &str, draft: &Draft) -> Result<String> {
    make_group(mount, format!("{scope}/{}", draft.id), &[mount.join(scope.trim_start_matches('/'))])
}

fn make_group(mount: &Path, path: String, parents: &[PathBuf]) -> Result<String> {
    let folder = mount.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(&folder).context(|| format!("make the cgroup {path}"))?;
    for parent in parents.iter().rev() {
        enable(parent)?;
    }
    Ok(path)
}

/// The scope that the launcher is in: of a start before this one, or one that systemd makes now.
fn own_scope(mount: &Path, id: &str, slice: &str) -> Result<String> {
    let own = std::fs::read_to_string("/proc/self/cgroup").context(|| "read /proc/self/cgroup".into())?;
    let name = systemd::scope_name(id);
    let before = own
        .lines()
        .find_map(|l| l.strip_prefix("0::"))
        .and_then(|path| path.strip_suffix(SUPERVISOR)?.strip_suffix('/'));
    if let Some(scope) = before.filter(|scope| scope.ends_with(&format!("/{name}"))) {
        return Ok(scope.to_owned());
    }
    let scope = systemd::enter_scope(id, slice)?;
    let folder = mount.join(scope.trim_start_matches('/')).join(SUPERVISOR);
    std::fs::create_dir_all(&folder).context(|| format!("make the cgroup {scope}/{SUPERVISOR}"))?;
    std::fs::write(folder.join("cgroup.procs"), "0").context(|| format!("enter the cgroup {scope}/{SUPERVISOR}"))?;
    Ok(scope)
}

/// Give the groups below `folder` the controllers that it has.
fn enable(folder: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))
    };
    let (there, on) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let has = |list: &str, name: &str| list.split_whitespace().any(|c| c == name);
    for name in CONTROLLERS.into_iter().filter(|name| has(&there, name) && !has(&on, name)) {
        // What is refused (in the group of a container that hardrun runs in, say) shows where a limit of the plan needs it.
        let _ = std::fs::write(folder.join("cgroup.subtree_control"), format!("+{name}"));
    }
    Ok(())
}

/// The container's folder in the unified hierarchy.
pub fn folder(group: &Placement) -> Option<PathBuf> {
    let hierarchy = group.hierarchies.iter().find(|h| h.v2)?;
    Some(hierarchy.mount.join(group.path.trim_start_matches('/')))
}

/// Keep the container's processes from every device but those that the rules let through.
///
/// # Errors
/// The kernel does not take the program, or does not have it afterwards; no program can be loaded, and the plan does not say so.
pub fn limit_devices(group: &Placement, rules: &[LinuxDeviceCgroup], plan: &Plan) -> Result<()> {
    // The program that judges them only root may load: an ordinary user has the host's file modes instead, and no device nodes.
    let Some(folder) = folder(group).filter(|_| crate::rootless::current().is_none()) else {
        return match limits::devices_are_left_out(plan) {
            true => Ok(()),
            false => Err(Error::runner("the container's devices cannot be limited, and its plan does not say so")
                .hint("make the container anew: it was planned where they could be")),
        };
    };
    let folder = std::fs::File::open(&folder).context(|| format!("open {}", folder.display()))?;
    let program = device_program::load(rules)?;
    let attempt = || "limit the container's devices".to_string();
    attach_device_program(&program, &folder).context(attempt)?;
    match device_programs(&folder).context(attempt)?.contains(&program_id(&program).context(attempt)?) {
        true => Ok(()),
        false => Err(Error::runner(attempt()).because("the kernel does not have the program in the container's group")),
    }
}

/// The files of cgroup v2, in an order in which each step is allowed. Pure.
pub fn settings(r: &ResourcesPlan, bfq: bool) -> Vec<Setting> {
    let number = |n: i64| if n < 0 { "max".to_owned() } else { n.to_string() };
    let value = |v: &Option<Sourced<i64>>| v.as_ref().map(|v| v.value);
    let mut files = Vec::new();
    if let Some(memory) = value(&r.memory) {
        files.push(("memory.max", number(memory)));
    }
    if let Some(total) = value(&r.memory_swap) {
        // Docker's figure is memory and swap together.
        let swap = if total < 0 { -1 } else { (total - value(&r.memory).unwrap_or(0).max(0)).max(0) };
        files.push(("memory.swap.max", number(swap)));
    }
    if let Some(reservation) = value(&r.memory_reservation) {
        files.push(("memory.low", reservation.max(0).to_string()));
    }
    if let Some(pids) = value(&r.pids) {
        files.push(("pids.max", if pids <= 0 { "max".into() } else { pids.to_string() }));
    }
    if r.cpu_quota.is_some() || r.cpu_period.is_some() {
        let period = r.cpu_period.as_ref().map_or(100_000, |p| p.value);
        let quota = value(&r.cpu_quota).filter(|q| *q > 0).map_or("max".into(), |q| q.to_string());
        files.push(("cpu.max", format!("{quota} {period}")));
    }
    if let Some(shares) = r.cpu_shares.as_ref().map(|s| s.value).filter(|s| *s > 0) {
        files.push(("cpu.weight", cpu_weight(shares).to_string()));
    }
    if let Some(cpus) = &r.cpuset_cpus {
        files.push(("cpuset.cpus", cpus.value.clone()));
    }
    if let Some(nodes) = &r.cpuset_mems {
        files.push(("cpuset.mems", nodes.value.clone()));
    }
    // The BFQ scheduler's scale is docker's, 10..1000; the cost model's goes from 1 to 10000.
    let weight = |n: u64| if bfq { n } else { 1 + (n.clamp(10, 1000) - 10) * 9999 / 990 };
    let weights = if bfq { "io.bfq.weight" } else { "io.weight" };
    if let Some(n) = &r.blkio_weight {
        files.push((weights, format!("default {}", weight(n.value.into()))));
    }
    for device in r.blkio_weight_device.iter().map(|d| &d.value) {
        files.push((weights, format!("{}:{} {}", device.major, device.minor, weight(device.value))));
    }
    let throttles: [(&str, &[Sourced<BlkioDevice>]); 4] =
        [("rbps", &r.read_bps), ("wbps", &r.write_bps), ("riops", &r.read_iops), ("wiops", &r.write_iops)];
    for (key, list) in throttles {
        for device in list.iter().map(|d| &d.value) {
            files.push(("io.max", format!("{}:{} {key}={}", device.major, device.minor, device.value)));
        }
    }
    files
}

/// Shares as a weight, 1..10000: the curve of runc (1.3) and libcontainer, on which docker's default of 1024 is the kernel's
/// default of 100.
fn cpu_weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_figures_become_those_of_cgroup_v2() {
        let resources = ResourcesPlan {
            memory: Some(Sourced::default(64 << 20)),
            memory_swap: Some(Sourced::default(96 << 20)),
            pids: Some(Sourced::default(0)),
            cpu_quota: Some(Sourced::default(50_000)),
            cpu_shares: Some(Sourced::default(1024)),
            blkio_weight: Some(Sourced::default(500)),
            write_bps: vec![Sourced::default(BlkioDevice {
                path: "/dev/sda".into(),
                major: 8,
                minor: 0,
                value: 1 << 20,
            })],
            ..ResourcesPlan::default()
        };
        let expected = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "33554432"),
            ("pids.max", "max"),
            ("cpu.max", "50000 100000"),
            ("cpu.weight", "100"),
            ("io.weight", "default 4950"),
            ("io.max", "8:0 wbps=1048576"),
        ];
        let got = settings(&resources, false);
        assert_eq!(got.iter().map(|(f, v)| (*f, v.as_str())).collect::<Vec<_>>(), expected);
    }
}
