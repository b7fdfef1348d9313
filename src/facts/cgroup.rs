//! Which cgroup version is mounted, with which controllers, and which limits they can set.

use super::{CgroupVersion, Limit};
use crate::error::{Context as _, Result};
use crate::rootless::Rootless;
use rustix::fs::{Access, StatFs, access, statfs};
use std::collections::BTreeSet;
use std::path::Path;

const CGROUP: u64 = 0x0027_e0eb;
const CGROUP2: u64 = 0x6367_7270;

/// Controllers that carry limits; others (`freezer`, `net_cls`, …) do not interest a plan.
const CONTROLLERS: &[&str] = &["blkio", "cpu", "cpuset", "devices", "io", "memory", "pids"];

/// Limit, file in the controller's folder on cgroup v1: the kernel makes the file only if it can set the limit.
const V1: &[(Limit, &str, &str)] = &[
    (Limit::Memory, "memory", "memory.limit_in_bytes"),
    (Limit::MemoryReservation, "memory", "memory.soft_limit_in_bytes"),
    (Limit::Swap, "memory", "memory.memsw.limit_in_bytes"),
    (Limit::Swappiness, "memory", "memory.swappiness"),
    (Limit::CpuQuota, "cpu", "cpu.cfs_quota_us"),
    (Limit::CpuShares, "cpu", "cpu.shares"),
    (Limit::CpuRealtime, "cpu", "cpu.rt_runtime_us"),
    (Limit::Cpuset, "cpuset", "cpuset.cpus"),
    // The weight of the CFQ scheduler, gone since Linux 5.0. BFQ's blkio.bfq.weight is a file that no runtime writes here.
    (Limit::BlkioWeight, "blkio", "blkio.weight"),
    (Limit::BlkioThrottle, "blkio", "blkio.throttle.read_bps_device"),
    (Limit::Devices, "devices", "devices.deny"),
];

/// Where a host has its hierarchies.
pub const ROOT: &str = "/sys/fs/cgroup";

#[derive(Debug, PartialEq, Eq)]
pub struct Cgroup {
    pub version: CgroupVersion,
    pub controllers: Vec<String>,
    pub limits: BTreeSet<Limit>,
}

/// Whether the unified hierarchy is mounted on [`ROOT`]: then it is the only one that containers are put into.
pub fn is_v2() -> bool {
    statfs(ROOT).is_ok_and(|s: StatFs| s.f_type as u64 == CGROUP2)
}

/// Look at what is mounted on `root` (`/sys/fs/cgroup`). One statfs a hierarchy is far cheaper than mountinfo, which
/// the kernel writes out mount by mount on a host with hundreds of them.
pub fn look(root: &Path) -> Result<Cgroup> {
    let magic = |path: &Path| statfs(path).map(|s: StatFs| s.f_type as u64);
    match magic(root) {
        Ok(CGROUP2) => v2(root),
        Ok(_) => {
            let unified = magic(&root.join("unified")) == Ok(CGROUP2);
            let controllers: Vec<String> = CONTROLLERS
                .iter()
                .filter(|name| magic(&root.join(name)) == Ok(CGROUP))
                .map(|name| (*name).to_owned())
                .collect();
            let version = match (controllers.is_empty(), unified) {
                (true, _) => CgroupVersion::None,
                (false, true) => CgroupVersion::Hybrid,
                (false, false) => CgroupVersion::V1,
            };
            let there = |controller: &str, file: &str| {
                controllers.iter().any(|c| c == controller)
                    && access(root.join(controller).join(file), Access::EXISTS).is_ok()
            };
            let mut limits: BTreeSet<Limit> =
                V1.iter().filter(|(_, controller, file)| there(controller, file)).map(|(limit, ..)| *limit).collect();
            // pids.max exists only below the root of its hierarchy.
            if controllers.iter().any(|c| c == "pids") {
                limits.insert(Limit::Pids);
            }
            Ok(Cgroup { version, controllers, limits })
        }
        Err(rustix::io::Errno::NOENT) => {
            Ok(Cgroup { version: CgroupVersion::None, controllers: Vec::new(), limits: BTreeSet::new() })
        }
        Err(e) => Err(e).context(|| format!("cannot look at {}", root.display())),
    }
}

/// What an ordinary user can set: on cgroup v2, the controllers that its own systemd was given. Devices are judged by a program that only
/// root may load.
pub fn delegated(root: &Path, version: CgroupVersion, rootless: &Rootless) -> Cgroup {
    let none = Cgroup { version, controllers: Vec::new(), limits: BTreeSet::new() };
    if version != CgroupVersion::V2 || rootless.bus.is_none() {
        return none;
    }
    let manager = root.join(crate::rootless::manager_group(rootless.uid).trim_start_matches('/'));
    let Ok(text) = std::fs::read_to_string(manager.join("cgroup.controllers")) else { return none };
    let mut found = from_v2(&text, access("/proc/swaps", Access::EXISTS).is_ok(), false);
    found.limits.remove(&Limit::Devices);
    found
}

fn v2(root: &Path) -> Result<Cgroup> {
    let file = root.join("cgroup.controllers");
    let text = std::fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
    // Without CONFIG_SWAP there is no /proc/swaps and no memory.swap.max.
    let swap = access("/proc/swaps", Access::EXISTS).is_ok();
    // io.weight is made by the cost model (Linux 5.4), io.bfq.weight by the BFQ scheduler; both only below the root.
    let weight = access(root.join("io.cost.qos"), Access::EXISTS).is_ok();
    Ok(from_v2(&text, swap, weight))
}

/// Limits by controller on cgroup v2, where the files only exist below the root.
fn from_v2(text: &str, swap: bool, weight: bool) -> Cgroup {
    let controllers: Vec<String> =
        text.split_whitespace().filter(|c| CONTROLLERS.contains(c)).map(str::to_owned).collect();
    // Devices are a BPF program on v2: no controller.
    let mut limits = BTreeSet::from([Limit::Devices]);
    for controller in &controllers {
        match controller.as_str() {
            "memory" => {
                limits.extend([Limit::Memory, Limit::MemoryReservation]);
                if swap {
                    limits.insert(Limit::Swap);
                }
            }
            "pids" => {
                limits.insert(Limit::Pids);
            }
            "cpu" => limits.extend([Limit::CpuQuota, Limit::CpuShares]),
            "cpuset" => {
                limits.insert(Limit::Cpuset);
            }
            "io" => {
                limits.insert(Limit::BlkioThrottle);
                if weight {
                    limits.insert(Limit::BlkioWeight);
                }
            }
            _ => {}
        }
    }
    Cgroup { version: CgroupVersion::V2, controllers, limits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_has_no_real_time_cpu_and_no_swappiness() {
        let found = from_v2("cpuset cpu io memory hugetlb pids rdma misc\n", true, false);
        assert_eq!(found.controllers, ["cpuset", "cpu", "io", "memory", "pids"]);
        assert!(found.limits.contains(&Limit::Swap));
        assert!(found.limits.contains(&Limit::BlkioThrottle));
        for absent in [Limit::CpuRealtime, Limit::Swappiness, Limit::BlkioWeight] {
            assert!(!found.limits.contains(&absent), "{absent:?}");
        }
    }

    #[test]
    fn a_host_without_cgroups_has_none_and_no_limits() {
        let dir = tempfile::tempdir().unwrap();
        let found = look(dir.path()).unwrap();
        assert_eq!(found, Cgroup { version: CgroupVersion::None, controllers: vec![], limits: BTreeSet::new() });
        assert_eq!(look(&dir.path().join("missing")).unwrap().version, CgroupVersion::None);
    }
}
