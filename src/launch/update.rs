//! `update`: other limits for a container that runs.

use super::cgroup::Placement;
use super::cgroup_v1;
use crate::error::{Context, Error, Result};
use crate::plan::{ResourcesPlan, Sourced};

/// Write the limits to the container's cgroup.
///
/// # Errors
/// What the kernel does not take: a limit below what is in use, a CPU that is not there.
pub fn apply(group: &Placement, resources: &ResourcesPlan) -> Result<()> {
    if group.is_own() {
        return cgroup_v1::limit(group, &crate::spec::limits(resources)?);
    }
    let hierarchy = group.hierarchies.iter().find(|h| h.v2);
    let hierarchy =
        hierarchy.ok_or_else(|| Error::verb("this host has no cgroups: there is nothing to set limits with"))?;
    let folder = hierarchy.mount.join(group.path.trim_start_matches('/'));
    for (file, value) in unified(resources) {
        std::fs::write(folder.join(file), &value).context(|| format!("set {file} to {value}"))?;
    }
    Ok(())
}

/// The files of cgroup v2, in an order in which each step is allowed. Pure.
fn unified(r: &ResourcesPlan) -> Vec<(&'static str, String)> {
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
        files.push(("cpu.weight", weight(shares).to_string()));
    }
    if let Some(cpus) = &r.cpuset_cpus {
        files.push(("cpuset.cpus", cpus.value.clone()));
    }
    if let Some(nodes) = &r.cpuset_mems {
        files.push(("cpuset.mems", nodes.value.clone()));
    }
    if let Some(weight) = &r.blkio_weight {
        files.push(("io.weight", format!("default {}", weight.value)));
    }
    files
}

/// Shares as a weight, 1..10000: the curve of runc (1.3) and libcontainer, on which docker's default of 1024 is the kernel's
/// default of 100.
fn weight(shares: u64) -> u64 {
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
            ..ResourcesPlan::default()
        };
        let expected = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "33554432"),
            ("pids.max", "max"),
            ("cpu.max", "50000 100000"),
            ("cpu.weight", "100"),
        ];
        let got = unified(&resources);
        assert_eq!(got.iter().map(|(f, v)| (*f, v.as_str())).collect::<Vec<_>>(), expected);
    }
}
