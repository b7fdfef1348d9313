//! Limits.

use super::Notes;
use super::reader::{int, invalid, list, non_empty, one_of, switch, uint, unread, value, with};
use crate::cli::flags::ResourceFlags;
use crate::error::{Error, Kind, Result};
use crate::request::size::parse_memory_swap;
use crate::request::{DeviceValue, Refusal, Request, ResourcesRequest, Size};

/// Below it nothing starts; docker's engine has the same floor.
const MIN_MEMORY: i64 = 6 << 20;

pub fn resolve(flags: ResourceFlags, request: &mut Request, notes: &mut Notes) -> Result<()> {
    let ResourceFlags {
        blkio_weight,
        blkio_weight_device,
        cgroup_conf,
        cgroup_parent,
        cgroups,
        cpu_count,
        cpu_percent,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpu_shares,
        cpus,
        cpuset_cpus,
        cpuset_mems,
        device_read_bps,
        device_read_iops,
        device_write_bps,
        device_write_iops,
        io_maxbandwidth,
        io_maxiops,
        kernel_memory,
        memory,
        memory_reservation,
        memory_swap,
        memory_swappiness,
        oom_kill_disable,
        oom_score_adj,
        pids_limit,
        rdt_class,
        shm_size,
        ulimit,
    } = flags;

    windows_only("--cpu-count", int("--cpu-count", cpu_count)?)?;
    windows_only("--cpu-percent", int("--cpu-percent", cpu_percent)?)?;
    windows_only("--io-maxbandwidth", value::<Size>("--io-maxbandwidth", io_maxbandwidth)?)?;
    windows_only("--io-maxiops", uint("--io-maxiops", io_maxiops, u64::MAX)?)?;
    if value::<Size>("--kernel-memory", kernel_memory)?.is_some_and(|s| s.0 != 0) {
        notes
            .notice("--kernel-memory does nothing: Linux took the limit away; --memory counts the kernel's memory too");
    }
    notes.not_applicable("--rdt-class", &non_empty(rdt_class), "hardrun does not use Intel RDT");
    request.process.oom_score_adj = int("--oom-score-adj", oom_score_adj)?.map(oom_score).transpose()?;
    request.process.ulimits = list("--ulimit", ulimit)?;
    let cgroups = one_of("--cgroups", cgroups, &["enabled", "disabled", "no-conmon", "split"])?;
    if cgroups == Some("split") {
        notes.unsupported("--cgroups=split is not carried out: every container has a cgroup of its own");
    }
    request.resources = ResourcesRequest {
        memory: positive(value::<Size>("-m, --memory", memory)?),
        memory_reservation: positive(value::<Size>("--memory-reservation", memory_reservation)?),
        memory_swap: with("--memory-swap", memory_swap, parse_memory_swap)?.filter(|n| *n != 0),
        memory_swappiness: int("--memory-swappiness", memory_swappiness)?.filter(|n| *n != -1),
        oom_kill_disable: switch("--oom-kill-disable", oom_kill_disable)?.unwrap_or(false),
        pids_limit: int("--pids-limit", pids_limit)?,
        cpus: value("--cpus", cpus)?,
        cpu_period: int("--cpu-period", cpu_period)?.filter(|n| *n != 0),
        cpu_quota: int("--cpu-quota", cpu_quota)?.filter(|n| *n != 0),
        cpu_rt_period: int("--cpu-rt-period", cpu_rt_period)?.filter(|n| *n != 0),
        cpu_rt_runtime: int("--cpu-rt-runtime", cpu_rt_runtime)?.filter(|n| *n != 0),
        cpu_shares: int("-c, --cpu-shares", cpu_shares)?.filter(|n| *n != 0),
        cpuset_cpus: with("--cpuset-cpus", non_empty(cpuset_cpus), unread(cpuset))?,
        cpuset_mems: with("--cpuset-mems", non_empty(cpuset_mems), unread(cpuset))?,
        blkio_weight: uint("--blkio-weight", blkio_weight, u64::from(u16::MAX))?.and_then(|n| u16::try_from(n).ok()),
        blkio_weight_device: super::reader::each("--blkio-weight-device", blkio_weight_device, DeviceValue::weight)?,
        read_bps: super::reader::each("--device-read-bps", device_read_bps, DeviceValue::bytes)?,
        write_bps: super::reader::each("--device-write-bps", device_write_bps, DeviceValue::bytes)?,
        read_iops: super::reader::each("--device-read-iops", device_read_iops, DeviceValue::operations)?,
        write_iops: super::reader::each("--device-write-iops", device_write_iops, DeviceValue::operations)?,
        // 0 is docker's word for its default.
        shm_size: positive(value::<Size>("--shm-size", shm_size)?).and_then(|n| u64::try_from(n).ok()),
        cgroup_parent: non_empty(cgroup_parent),
        cgroups_disabled: cgroups == Some("disabled"),
        cgroup_conf: super::reader::each("--cgroup-conf", cgroup_conf, |w| match w.split_once('=') {
            Some((key, _)) if !key.is_empty() => Ok(w.to_owned()),
            _ => Err("KEY=VALUE is wanted"),
        })?,
    };
    agree(&request.resources)
}

fn windows_only<T>(flag: &str, value: Option<T>) -> Result<()> {
    match value {
        None => Ok(()),
        Some(_) => Err(Error::new(Kind::Engine, format!("{flag:?} is only supported on windows, and this is linux"))),
    }
}

/// 0 is "not set" in all of docker's sizes.
fn positive(size: Option<Size>) -> Option<i64> {
    size.map(|s| s.0).filter(|n| *n > 0)
}

fn oom_score(value: i64) -> Result<i32> {
    i32::try_from(value).ok().filter(|n| (-1000..=1000).contains(n)).ok_or_else(|| {
        let why = format!("invalid value {value}, range for oom score adj is [-1000, 1000]");
        invalid("--oom-score-adj", &value.to_string(), Refusal::engine(why))
    })
}

/// `0-3,5`: what the kernel's list format takes.
fn cpuset(text: &str) -> std::result::Result<String, String> {
    let number = |w: &str| w.trim().parse::<u32>().ok().filter(|n| *n < 8192 && !w.contains('+'));
    let valid = text.split(',').all(|part| match part.split_once('-') {
        Some((from, to)) => matches!((number(from), number(to)), (Some(a), Some(b)) if a <= b),
        None => number(part).is_some(),
    });
    if valid { Ok(text.replace(' ', "")) } else { Err(format!("invalid value {text} for cpuset")) }
}

/// What docker's engine says about values that are fine one by one.
fn agree(r: &ResourcesRequest) -> Result<()> {
    let fail = |text: String| Err(Error::new(Kind::Engine, text));
    if let Some(memory) = r.memory.filter(|n| *n < MIN_MEMORY) {
        return fail(format!("--memory {memory}: minimum memory limit allowed is 6MB"));
    }
    if let Some(reservation) = r.memory_reservation.filter(|n| *n < MIN_MEMORY) {
        return fail(format!("--memory-reservation {reservation}: minimum memory reservation allowed is 6MB"));
    }
    match (r.memory, r.memory_swap.filter(|n| *n > 0)) {
        (None, Some(swap)) => {
            return fail(format!(
                "--memory-swap {swap}: you should always set the Memory limit when using Memoryswap limit, see usage"
            ));
        }
        (Some(memory), Some(swap)) if swap < memory => {
            return fail(format!(
                "--memory-swap {swap}: minimum memoryswap limit should be larger than memory limit {memory}"
            ));
        }
        _ => {}
    }
    if let (Some(memory), Some(reservation)) = (r.memory, r.memory_reservation)
        && memory < reservation
    {
        return fail(format!(
            "--memory {memory}: minimum memory limit can not be less than memory reservation limit {reservation}"
        ));
    }
    if let Some(n) = r.memory_swappiness.filter(|n| !(0..=100).contains(n)) {
        return Err(Error::runner(format!(
            "--memory-swappiness: invalid value: {n}. Valid memory swappiness range is 0-100"
        )));
    }
    if let Some(cpus) = r.cpus.filter(|c| c.nano > 0) {
        if r.cpu_period.is_some() || r.cpu_quota.is_some() {
            return fail("conflicting options: --cpus cannot be used with --cpu-period or --cpu-quota".into());
        }
        if cpus.nano < 10_000_000 {
            return fail("--cpus: range of CPUs is from 0.01".into());
        }
    }
    if let Some(n) = r.cpu_period.filter(|n| !(1_000..=1_000_000).contains(n)) {
        return fail(format!(
            "--cpu-period {n}: CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        ));
    }
    if let Some(n) = r.cpu_quota.filter(|n| (1..1_000).contains(n)) {
        return fail(format!("--cpu-quota {n}: CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if let Some(n) = r.cpu_shares.filter(|n| *n < 0) {
        return fail(format!("--cpu-shares: invalid CPU shares ({n}): value must be a positive integer"));
    }
    if let Some(n) = r.blkio_weight.filter(|n| *n != 0 && !(10..=1000).contains(n)) {
        return fail(format!("--blkio-weight {n}: range of blkio weight is from 10 to 1000"));
    }
    if let (Some(period), Some(runtime)) = (r.cpu_rt_period, r.cpu_rt_runtime)
        && runtime > period
    {
        return fail(format!(
            "--cpu-rt-runtime {runtime}: cpu real-time runtime cannot be higher than cpu real-time period"
        ));
    }
    Ok(())
}
