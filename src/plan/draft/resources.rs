//! Limits that cgroups set.

use super::{Inputs, lock};
use crate::error::{Error, Result};
use crate::facts::Limit;
use crate::plan::{BlkioDevice, ResourcesPlan, Source, Sourced};
use crate::preset::Key;
use crate::request::{DeviceValue, IpcMode};

/// Docker's smallest memory limit.
const LEAST_MEMORY: i64 = 6 << 20;
/// Microseconds; what docker uses for `--cpus`.
const CPU_PERIOD: u64 = 100_000;

pub(super) fn resolve(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Result<ResourcesPlan> {
    let r = &inputs.request.resources;
    let mut plan = ResourcesPlan::default();
    memory(inputs, &mut plan)?;
    pids(inputs, &mut plan)?;
    cpu(inputs, &mut plan)?;
    cpuset(inputs, &mut plan)?;
    if let Some(weight) = r.blkio_weight.filter(|w| *w != 0) {
        if !(10..=1000).contains(&weight) {
            return Err(Error::runner("range of blkio weight is from 10 to 1000"));
        }
        plan.blkio_weight = Some(Sourced::flag(weight, "--blkio-weight"));
    }
    plan.blkio_weight_device = devices(inputs, &r.blkio_weight_device, "--blkio-weight-device")?;
    plan.read_bps = devices(inputs, &r.read_bps, "--device-read-bps")?;
    plan.write_bps = devices(inputs, &r.write_bps, "--device-write-bps")?;
    plan.read_iops = devices(inputs, &r.read_iops, "--device-read-iops")?;
    plan.write_iops = devices(inputs, &r.write_iops, "--device-write-iops")?;
    plan.shm_size = shm(inputs)?;
    discard(inputs, &mut plan, notices);
    Ok(plan)
}

/// `new` where a flag decided, else `before`. Without a word on swap it follows the memory, where nobody had asked for
/// another amount before.
pub(super) fn merge(before: &ResourcesPlan, new: ResourcesPlan) -> ResourcesPlan {
    fn pick<T: Clone>(before: &Option<Sourced<T>>, new: Option<Sourced<T>>) -> Option<Sourced<T>> {
        new.filter(|n| matches!(n.source, Source::Flag(_))).or_else(|| before.clone())
    }
    fn pick_all<T: Clone>(before: &[Sourced<T>], new: Vec<Sourced<T>>) -> Vec<Sourced<T>> {
        if new.is_empty() { before.to_vec() } else { new }
    }
    let memory = pick(&before.memory, new.memory);
    let follows = before.memory_swap.as_ref().is_none_or(|s| !matches!(s.source, Source::Flag(_)));
    let memory_swap = match pick(&None, new.memory_swap) {
        Some(asked) => Some(asked),
        None if follows && memory != before.memory => {
            memory.as_ref().filter(|m| m.value > 0).map(|m| Sourced::default(m.value))
        }
        None => before.memory_swap.clone(),
    };
    ResourcesPlan {
        memory,
        memory_swap,
        memory_reservation: pick(&before.memory_reservation, new.memory_reservation),
        memory_swappiness: pick(&before.memory_swappiness, new.memory_swappiness),
        pids: pick(&before.pids, new.pids),
        cpu_quota: pick(&before.cpu_quota, new.cpu_quota),
        cpu_period: pick(&before.cpu_period, new.cpu_period),
        cpu_shares: pick(&before.cpu_shares, new.cpu_shares),
        cpu_rt_period: pick(&before.cpu_rt_period, new.cpu_rt_period),
        cpu_rt_runtime: pick(&before.cpu_rt_runtime, new.cpu_rt_runtime),
        cpuset_cpus: pick(&before.cpuset_cpus, new.cpuset_cpus),
        cpuset_mems: pick(&before.cpuset_mems, new.cpuset_mems),
        blkio_weight: pick(&before.blkio_weight, new.blkio_weight),
        blkio_weight_device: pick_all(&before.blkio_weight_device, new.blkio_weight_device),
        read_bps: pick_all(&before.read_bps, new.read_bps),
        write_bps: pick_all(&before.write_bps, new.write_bps),
        read_iops: pick_all(&before.read_iops, new.read_iops),
        write_iops: pick_all(&before.write_iops, new.write_iops),
        shm_size: before.shm_size.clone(),
    }
}

/// In bytes; `None` where there is no limit.
pub(super) fn preset_memory(inputs: &Inputs<'_>) -> Option<u64> {
    inputs.preset.memory.as_ref().map(|m| m.value.of(inputs.facts.memory))
}

fn memory(inputs: &Inputs<'_>, plan: &mut ResourcesPlan) -> Result<()> {
    let r = &inputs.request.resources;
    let held = preset_memory(inputs);
    let memory = match r.memory {
        Some(bytes) => {
            let tight = held.is_none_or(|h| bytes > 0 && bytes as u64 <= h);
            let flag = format!("--memory {bytes}");
            lock(inputs.preset, Key::Memory, &flag, tight, || format!("is {}", held.unwrap_or_default()))?;
            if bytes > 0 && bytes < LEAST_MEMORY {
                return Err(Error::runner("minimum memory limit allowed is 6MB"));
            }
            // 0 is docker's word for no limit.
            Some(Sourced::flag(if bytes == 0 { -1 } else { bytes }, "--memory"))
        }
        None => held.and_then(|bytes| {
            let source = inputs.preset.memory.as_ref()?.source.clone();
            Some(Sourced::new(i64::try_from(bytes).unwrap_or(i64::MAX), source))
        }),
    };
    let limit = memory.as_ref().map_or(-1, |m| m.value);
    plan.memory_swap = match r.memory_swap.filter(|s| *s != 0) {
        Some(swap) => {
            if limit <= 0 && swap > 0 {
                return Err(Error::runner(
                    "you should always set the memory limit when using the memoryswap limit, see usage",
                ));
            }
            if swap > 0 && swap < limit {
                return Err(Error::runner("minimum memoryswap limit should be larger than memory limit, see usage"));
            }
            let flag = format!("--memory-swap {swap}");
            let tight = held.is_none_or(|h| swap > 0 && swap as u64 <= h);
            lock(inputs.preset, Key::Memory, &flag, tight, || format!("is {}", held.unwrap_or_default()))?;
            Some(Sourced::flag(swap, "--memory-swap"))
        }
        // No swap on top: swapping moves a memory bomb to the host's disk.
        None => memory.as_ref().filter(|m| m.value > 0).map(|m| Sourced::default(m.value)),
    };
    if let Some(soft) = r.memory_reservation.filter(|s| *s != 0) {
        if soft < LEAST_MEMORY {
            return Err(Error::runner("minimum memory reservation allowed is 6MB"));
        }
        if limit > 0 && soft > limit {
            return Err(Error::runner("minimum memory limit can not be less than memory reservation limit, see usage"));
        }
        plan.memory_reservation = Some(Sourced::flag(soft, "--memory-reservation"));
    }
    if let Some(swappiness) = r.memory_swappiness.filter(|s| *s != -1) {
        let value = u64::try_from(swappiness).ok().filter(|s| *s <= 100);
        let value = value.ok_or_else(|| {
            Error::runner(format!("invalid value: {swappiness}, valid memory swappiness range is 0-100"))
        })?;
        plan.memory_swappiness = Some(Sourced::flag(value, "--memory-swappiness"));
    }
    plan.memory = memory;
    Ok(())
}

fn pids(inputs: &Inputs<'_>, plan: &mut ResourcesPlan) -> Result<()> {
    let held = inputs.preset.pids.as_ref();
    plan.pids = match inputs.request.resources.pids_limit {
        Some(limit) => {
            let tight = held.is_none_or(|h| limit > 0 && limit <= h.value);
            let say = || format!("is {}", held.map_or(0, |h| h.value));
            lock(inputs.preset, Key::Pids, &format!("--pids-limit {limit}"), tight, say)?;
            Some(Sourced::flag(if limit <= 0 { -1 } else { limit }, "--pids-limit"))
        }
        None => held.cloned(),
    };
    Ok(())
}

fn cpu(inputs: &Inputs<'_>, plan: &mut ResourcesPlan) -> Result<()> {
    let r = &inputs.request.resources;
    let held = inputs.preset.nano_cpus.as_ref();
    let quota = |nano: i64| nano.saturating_mul(CPU_PERIOD as i64) / 1_000_000_000;
    let nonzero = |n: Option<i64>| n.filter(|n| *n != 0);
    let say = || format!("is {}", held.map_or(0.0, |h| h.value as f64 / 1e9));
    match r.cpus.map(|c| c.nano).filter(|n| *n != 0) {
        Some(nano) => {
            if nonzero(r.cpu_period).is_some() {
                return Err(Error::runner("conflicting options: Nano CPUs and CPU Period cannot both be set"));
            }
            if nonzero(r.cpu_quota).is_some() {
                return Err(Error::runner("conflicting options: Nano CPUs and CPU Quota cannot both be set"));
            }
            let cpus = inputs.facts.cpus;
            if nano < 10_000_000 || nano > i64::from(cpus) * 1_000_000_000 {
                return Err(Error::runner(format!(
                    "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
                )));
            }
            let tight = held.is_none_or(|h| nano <= h.value);
            lock(inputs.preset, Key::Cpus, &format!("--cpus {}", nano as f64 / 1e9), tight, say)?;
            plan.cpu_quota = Some(Sourced::flag(quota(nano), "--cpus"));
            plan.cpu_period = Some(Sourced::flag(CPU_PERIOD, "--cpus"));
        }
        None => {
            let period = nonzero(r.cpu_period);
            if period.is_some_and(|p| !(1000..=1_000_000).contains(&p)) {
                return Err(Error::runner(
                    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
                ));
            }
            let asked = nonzero(r.cpu_quota);
            if asked.is_some_and(|q| q > 0 && q < 1000) {
                return Err(Error::runner("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
            }
            if period.is_some() || asked.is_some() {
                // A share of CPUs is a quota by its period.
                let share = asked.map_or(i64::MAX, |q| q.saturating_mul(1_000_000_000) / period.unwrap_or(100_000));
                let tight = held.is_none_or(|h| share > 0 && share <= h.value);
                lock(inputs.preset, Key::Cpus, "--cpu-quota", tight, say)?;
                plan.cpu_period = period.map(|p| Sourced::flag(p as u64, "--cpu-period"));
                plan.cpu_quota = asked.map(|q| Sourced::flag(q, "--cpu-quota"));
            } else if let Some(held) = held {
                plan.cpu_quota = Some(Sourced::new(quota(held.value), held.source.clone()));
                plan.cpu_period = Some(Sourced::new(CPU_PERIOD, held.source.clone()));
            }
        }
    }
    plan.cpu_shares = unsigned(r.cpu_shares, "--cpu-shares")?;
    plan.cpu_rt_period = unsigned(r.cpu_rt_period, "--cpu-rt-period")?;
    plan.cpu_rt_runtime = nonzero(r.cpu_rt_runtime).map(|n| Sourced::flag(n, "--cpu-rt-runtime"));
    Ok(())
}

fn unsigned(value: Option<i64>, flag: &str) -> Result<Option<Sourced<u64>>> {
    match value.filter(|v| *v != 0) {
        None => Ok(None),
        Some(v) => match u64::try_from(v) {
            Ok(v) => Ok(Some(Sourced::flag(v, flag))),
            Err(_) => Err(Error::runner(format!("invalid argument {v} for {flag}: it is negative"))),
        },
    }
}

fn cpuset(inputs: &Inputs<'_>, plan: &mut ResourcesPlan) -> Result<()> {
    let r = &inputs.request.resources;
    if let Some(list) = r.cpuset_cpus.as_ref().filter(|l| !l.is_empty()) {
        let last = inputs.facts.cpus.saturating_sub(1);
        if highest(list).is_none_or(|h| h > last) {
            return Err(Error::runner(format!(
                "requested CPUs are not available - requested {list}, available: 0-{last}"
            )));
        }
        plan.cpuset_cpus = Some(Sourced::flag(list.clone(), "--cpuset-cpus"));
    }
    if let Some(list) = r.cpuset_mems.as_ref().filter(|l| !l.is_empty()) {
        if highest(list).is_none() {
            return Err(Error::runner(format!("invalid value {list} for cpuset mems")));
        }
        plan.cpuset_mems = Some(Sourced::flag(list.clone(), "--cpuset-mems"));
    }
    Ok(())
}

/// Highest member of a list such as `0-3,7`; `None` where it is not one.
fn highest(list: &str) -> Option<u32> {
    let mut highest = None;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first {
            return None;
        }
        highest = highest.max(Some(last));
    }
    highest
}

fn devices(inputs: &Inputs<'_>, values: &[DeviceValue], flag: &str) -> Result<Vec<Sourced<BlkioDevice>>> {
    values
        .iter()
        .map(|v| {
            let (major, minor) = super::isolation::device_number(inputs, &v.path)?;
            let device = BlkioDevice { path: v.path.clone(), major: major.into(), minor: minor.into(), value: v.value };
            Ok(Sourced::flag(device, flag))
        })
        .collect()
}

/// `None`: no /dev/shm of its own (`--ipc none`, `--ipc container:NAME`).
fn shm(inputs: &Inputs<'_>) -> Result<Option<Sourced<u64>>> {
    if matches!(inputs.request.isolation.ipc, Some(IpcMode::None | IpcMode::Container(_))) {
        return Ok(None);
    }
    let held = &inputs.preset.shm_size;
    match inputs.request.resources.shm_size {
        // Docker takes 0 for its default.
        Some(size) if size > 0 => {
            let say = || format!("is {}", held.value);
            lock(inputs.preset, Key::ShmSize, &format!("--shm-size {size}"), size <= held.value, say)?;
            Ok(Some(Sourced::flag(size, "--shm-size")))
        }
        _ => Ok(Some(held.clone())),
    }
}

/// What this kernel cannot set is taken out, as docker does; a line says so where a flag asked for it. Where only the
/// preset did, the plan's fallbacks list it.
fn discard(inputs: &Inputs<'_>, plan: &mut ResourcesPlan, notices: &mut Vec<String>) {
    let missing = |limit: Limit| !inputs.facts.limits.contains(&limit);
    let mut say = |limit: Limit, flag: Option<&crate::plan::Source>| {
        if let Some(crate::plan::Source::Flag(flag)) = flag {
            let line = match &inputs.facts.rootless {
                Some(rootless) => {
                    let why = crate::plan::not_delegated(inputs.facts, rootless);
                    format!("{flag}: {why}: the {} limit is discarded", limit.name())
                }
                None => format!("{flag}: this kernel cannot set the {} limit: it is discarded", limit.name()),
            };
            // `--cpus` is a quota and a period.
            if !notices.contains(&line) {
                notices.push(line);
            }
        }
    };
    macro_rules! take {
        ($limit:expr, $($field:ident),+) => {
            if missing($limit) { $( if let Some(gone) = plan.$field.take() { say($limit, Some(&gone.source)); } )+ }
        };
    }
    macro_rules! clear {
        ($limit:expr, $($field:ident),+) => {
            if missing($limit) { $( for gone in plan.$field.drain(..) { say($limit, Some(&gone.source)); } )+ }
        };
    }
    take!(Limit::Memory, memory);
    take!(Limit::Swap, memory_swap);
    take!(Limit::MemoryReservation, memory_reservation);
    take!(Limit::Swappiness, memory_swappiness);
    take!(Limit::Pids, pids);
    take!(Limit::CpuQuota, cpu_quota, cpu_period);
    take!(Limit::CpuShares, cpu_shares);
    take!(Limit::CpuRealtime, cpu_rt_period, cpu_rt_runtime);
    take!(Limit::Cpuset, cpuset_cpus, cpuset_mems);
    take!(Limit::BlkioWeight, blkio_weight);
    clear!(Limit::BlkioWeight, blkio_weight_device);
    clear!(Limit::BlkioThrottle, read_bps, write_bps, read_iops, write_iops);
}
