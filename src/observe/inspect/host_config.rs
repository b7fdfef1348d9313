//! What a container gets of the host: docker's `HostConfig`. Words are as they were typed; limits, paths and protections are
//! those in force, whoever asked for them.

use crate::plan::{BlkioDevice, Draft, LogDriverPlan, Source, Sourced};
use crate::request::RestartPolicy;
use crate::state::{Record, Words};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub fn host_config(record: &Record) -> Value {
    let (draft, words) = (&record.plan.draft, &record.words);
    let mut config = Map::new();
    let mut put = |part: Value| {
        if let Value::Object(part) = part {
            config.extend(part);
        }
    };
    put(of_the_run(draft, words));
    put(isolation(draft, words));
    put(resources(draft));
    if !words.tmpfs.is_empty() {
        put(json!({ "Tmpfs": words.tmpfs }));
    }
    if !words.mounts.is_empty() {
        put(json!({ "Mounts": mounts(draft) }));
    }
    let sysctls: BTreeMap<_, _> =
        draft.sysctls.iter().filter(|(_, s)| typed(&s.source)).map(|(k, s)| (k, &s.value)).collect();
    if !sysctls.is_empty() {
        put(json!({ "Sysctls": sysctls }));
    }
    if !draft.annotations.is_empty() {
        put(json!({ "Annotations": draft.annotations }));
    }
    if let Some(init) = words.init {
        put(json!({ "Init": init }));
    }
    Value::Object(config)
}

fn of_the_run(draft: &Draft, words: &Words) -> Value {
    let log = &draft.log.value;
    let driver = match log.driver {
        LogDriverPlan::JsonFile => "json-file",
        LogDriverPlan::Local => "local",
        LogDriverPlan::None => "none",
    };
    let network = &draft.network;
    let restart = draft.restart.value;
    json!({
        "Binds": list(&words.binds),
        "ContainerIDFile": words.cidfile,
        "LogConfig": { "Type": driver, "Config": log.options },
        "NetworkMode": words.network_mode,
        "PortBindings": port_bindings(draft),
        "RestartPolicy": {
            "Name": restart.name(),
            "MaximumRetryCount": match restart { RestartPolicy::OnFailure { max } => max, _ => 0 },
        },
        "AutoRemove": draft.remove,
        "VolumeDriver": words.volume_driver,
        "VolumesFrom": list(&words.volumes_from),
        "Dns": network.dns,
        "DnsOptions": network.dns_options,
        "DnsSearch": network.dns_search,
        "ExtraHosts": list(&words.extra_hosts),
        "GroupAdd": list(&words.group_add),
        "Links": list(&words.links),
        "PublishAllPorts": words.publish_all,
        "Runtime": "hardrun",
        "ConsoleSize": [0, 0],
        "Isolation": "",
    })
}

fn isolation(draft: &Draft, words: &Words) -> Value {
    json!({
        "CapAdd": list(&words.cap_add),
        "CapDrop": list(&words.cap_drop),
        "CgroupnsMode": words.cgroupns_mode,
        "IpcMode": words.ipc_mode,
        "Cgroup": "",
        "PidMode": words.pid_mode,
        "Privileged": draft.asked.privileged,
        "ReadonlyRootfs": draft.root.readonly.value,
        "SecurityOpt": security_opt(draft, words),
        "UTSMode": words.uts_mode,
        "UsernsMode": words.userns_mode,
        "OomScoreAdj": draft.process.oom_score_adj.value,
        "MaskedPaths": list(&draft.masked_paths.value),
        "ReadonlyPaths": list(&draft.readonly_paths.value),
    })
}

/// As typed, and `no-new-privileges` where it is in force without a word: docker's answer for a container of the same
/// confinement, which is what audits look for.
fn security_opt(draft: &Draft, words: &Words) -> Value {
    let mut options = words.security_opt.clone();
    if draft.process.no_new_privileges.value && !options.iter().any(|o| o.starts_with("no-new-privileges")) {
        options.push("no-new-privileges".into());
    }
    list(&options)
}

fn resources(draft: &Draft) -> Value {
    let r = &draft.resources;
    let nano = cpus(draft);
    let throttles = |devices: &[Sourced<BlkioDevice>]| -> Value {
        devices.iter().map(|d| json!({ "Path": d.value.path, "Rate": d.value.value })).collect::<Vec<_>>().into()
    };
    let weights: Vec<Value> =
        r.blkio_weight_device.iter().map(|d| json!({ "Path": d.value.path, "Weight": d.value.value })).collect();
    let devices: Vec<Value> = draft
        .devices
        .iter()
        .map(|d| &d.value)
        .map(|d| json!({ "PathOnHost": d.host, "PathInContainer": d.container, "CgroupPermissions": d.access }))
        .collect();
    let rules: Vec<&str> = draft.device_cgroup_rules.iter().map(|r| r.value.as_str()).collect();
    // Docker lists what overrides the engine's own; all that are in force are under `Hardrun`.
    let ulimits = draft.process.rlimits.iter().filter(|(_, l)| typed(&l.source));
    let number = |n: u64| i64::try_from(n).unwrap_or(-1);
    let ulimits: Vec<Value> = ulimits
        .map(|(name, l)| json!({ "Name": name, "Hard": number(l.value.hard), "Soft": number(l.value.soft) }))
        .collect();
    json!({
        "ShmSize": value(&r.shm_size),
        "CpuShares": value(&r.cpu_shares),
        "Memory": value(&r.memory),
        "NanoCpus": nano,
        "CgroupParent": draft.asked.cgroup_parent.clone().unwrap_or_default(),
        "BlkioWeight": value(&r.blkio_weight),
        "BlkioWeightDevice": weights,
        "BlkioDeviceReadBps": throttles(&r.read_bps),
        "BlkioDeviceWriteBps": throttles(&r.write_bps),
        "BlkioDeviceReadIOps": throttles(&r.read_iops),
        "BlkioDeviceWriteIOps": throttles(&r.write_iops),
        "CpuPeriod": if nano == 0 { value(&r.cpu_period) } else { 0 },
        "CpuQuota": if nano == 0 { value(&r.cpu_quota) } else { 0 },
        "CpuRealtimePeriod": value(&r.cpu_rt_period),
        "CpuRealtimeRuntime": value(&r.cpu_rt_runtime),
        "CpusetCpus": r.cpuset_cpus.as_ref().map(|c| c.value.as_str()).unwrap_or_default(),
        "CpusetMems": r.cpuset_mems.as_ref().map(|c| c.value.as_str()).unwrap_or_default(),
        "Devices": devices,
        "DeviceCgroupRules": if rules.is_empty() { Value::Null } else { json!(rules) },
        "DeviceRequests": null,
        "KernelMemory": 0,
        "KernelMemoryTCP": 0,
        "MemoryReservation": value(&r.memory_reservation),
        "MemorySwap": value(&r.memory_swap),
        "MemorySwappiness": r.memory_swappiness.as_ref().map(|s| s.value),
        "OomKillDisable": draft.asked.oom_kill_disable,
        "PidsLimit": r.pids.as_ref().map(|p| p.value),
        "Ulimits": ulimits,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    })
}

/// Billionths of a CPU, unless it was asked for as a quota by its period.
fn cpus(draft: &Draft) -> i64 {
    let r = &draft.resources;
    match (&r.cpu_quota, &r.cpu_period) {
        (Some(quota), _) if quota.source == Source::Flag("--cpu-quota".into()) => 0,
        (Some(quota), Some(period)) if quota.value > 0 && period.value > 0 => {
            quota.value.saturating_mul(1_000_000_000) / i64::try_from(period.value).unwrap_or(i64::MAX)
        }
        _ => 0,
    }
}

/// Docker's form of what was published: by container port, as text. Without an address it is 127.0.0.1's.
fn port_bindings(draft: &Draft) -> Value {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in &draft.network.publish {
        let host_port = match (port.host_port, port.host_port_last) {
            (Some(first), Some(last)) => format!("{first}-{last}"),
            (Some(port), None) => port.to_string(),
            (None, _) => String::new(),
        };
        let ip = port.host_ip.as_deref().unwrap_or("127.0.0.1");
        let key = format!("{}/{}", port.container_port, port.protocol);
        map.entry(key).or_default().push(json!({ "HostIp": ip, "HostPort": host_port }));
    }
    json!(map)
}

/// What `--mount` asked for.
fn mounts(draft: &Draft) -> Vec<Value> {
    let points = crate::observe::mounts::mount_points(draft);
    let asked =
        |destination: &str| draft.mounts.iter().any(|m| m.destination == destination && m.asked.starts_with("--mount"));
    let shown = points.iter().filter(|m| asked(&m.destination)).map(|m| {
        let mut mount = Map::new();
        mount.insert("Type".into(), json!(m.r#type));
        if !m.name_or_source().is_empty() {
            mount.insert("Source".into(), json!(m.name_or_source()));
        }
        mount.insert("Target".into(), json!(m.destination));
        if !m.rw {
            mount.insert("ReadOnly".into(), json!(true));
        }
        Value::Object(mount)
    });
    shown.collect()
}

fn typed(source: &Source) -> bool {
    matches!(source, Source::Flag(_))
}

/// Docker's 0 where there is none.
fn value<T: Copy + Into<i128>>(limit: &Option<Sourced<T>>) -> i64 {
    limit.as_ref().map_or(0, |l| i64::try_from(l.value.into()).unwrap_or(i64::MAX))
}

/// `null` where there is nothing.
fn list(words: &[String]) -> Value {
    if words.is_empty() { Value::Null } else { json!(words) }
}
