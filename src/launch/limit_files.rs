//! What the files of a control group say, of both versions of cgroup, how the kernel rounds what is written to them, and which flag
//! each is of. Pure.

use super::limits::Setting;
use crate::plan::{ResourcesPlan, Source, Sourced};
use std::collections::{BTreeMap, BTreeSet};

/// The controller that a file is of: `io` of `io.bfq.weight`.
pub fn controller(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// What of a file a setting is about, where one file holds several.
pub fn key<'a>(file: &str, value: &'a str) -> Option<&'a str> {
    let keyed = file.starts_with("io.") || file.ends_with("_device");
    keyed.then(|| value.rsplit_once(['=', ' ']).map_or(value, |(key, _)| key))
}

/// Whether a file's text says what was written to it, rounded as the kernel rounds it.
pub fn holds(file: &str, value: &str, found: &str) -> bool {
    match file {
        "memory.max"
        | "memory.swap.max"
        | "memory.low"
        | "memory.limit_in_bytes"
        | "memory.memsw.limit_in_bytes"
        | "memory.soft_limit_in_bytes" => pages(value).is_some_and(|n| Some(n) == pages(found)),
        "cpuset.cpus" | "cpuset.mems" => numbers(value) == numbers(found),
        "memory.oom_control" => found.lines().any(|l| l.strip_prefix("oom_kill_disable ") == Some(value)),
        "cpu.shares" => value.parse::<u64>().ok().map(|n| n.clamp(2, 1 << 18)) == found.parse().ok(),
        _ => match key(file, value) {
            Some(key) => {
                entry(file, key, value[key.len()..].trim_start_matches(['=', ' '])) == entry_found(file, key, found)
            }
            None => value.split_whitespace().eq(found.split_whitespace()),
        },
    }
}

/// Whole pages; no limit is as many as the kernel can count.
fn pages(text: &str) -> Option<u64> {
    let page = rustix::param::page_size() as u64;
    let most = i64::MAX as u64 / page;
    if text == "max" || text.starts_with('-') {
        return Some(most);
    }
    text.parse::<u64>().ok().map(|n| (n / page).min(most))
}

/// What is written for a key; `None` where that means that there is no limit.
fn entry(file: &str, key: &str, value: &str) -> Option<String> {
    let operations = key.ends_with("iops") || file.contains("iops");
    let most = if operations { u64::from(u32::MAX) } else { u64::MAX };
    let unlimited = match value.parse::<u64>() {
        Ok(n) if file == "io.max" || file.starts_with("blkio.throttle.") => n >= most || n == 0,
        Ok(n) => n == 0,
        Err(_) => matches!(value, "max" | "default"),
    };
    (!unlimited).then(|| value.to_owned())
}

/// What a file has for a key: lines of `8:0 rbps=1048576 wbps=max riops=max wiops=max`, or of `8:0 300`.
fn entry_found(file: &str, key: &str, text: &str) -> Option<String> {
    let (device, name) = key.split_once(' ').map_or((key, None), |(device, name)| (device, Some(name)));
    let line = text.lines().find_map(|l| l.strip_prefix(device)?.strip_prefix(' '))?;
    let value = match name {
        Some(name) => line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?,
        None => line.trim(),
    };
    entry(file, key, value)
}

/// A list of the kernel's, `0-3,8`.
pub fn numbers(list: &str) -> BTreeSet<u32> {
    let ranges = list.trim().split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<u32>().ok()?..=to.trim().parse::<u32>().ok()?)
    });
    ranges.flatten().collect()
}

/// Device rules by type and numbers, with their access.
pub type Devices = BTreeMap<String, BTreeSet<char>>;

/// What is let through when all rules are written, as `devices.list` has it (cgroup v1).
pub fn devices_planned(settings: &[Setting]) -> Devices {
    let mut list = Devices::new();
    for (file, rule) in settings.iter().filter(|(file, _)| controller(file) == "devices") {
        let all = rule.starts_with('a');
        match *file {
            // Whatever numbers it has, it is about all, and leaves nothing to add.
            "devices.allow" if all => list = devices_found("a *:* rwm"),
            "devices.deny" if all => list.clear(),
            "devices.allow" if list.keys().any(|k| k.starts_with('a')) => {}
            "devices.allow" => devices_found(rule).into_iter().for_each(|(k, v)| list.entry(k).or_default().extend(v)),
            _ => {}
        }
    }
    list
}

pub fn devices_found(list: &str) -> Devices {
    let line = |l: &str| l.trim().rsplit_once(' ').map(|(what, access)| (what.to_owned(), access.chars().collect()));
    list.lines().filter_map(line).collect()
}

/// Who asked for a setting: the flag, or where else it is from.
pub fn who(file: &str, value: &str, r: &ResourcesPlan) -> String {
    fn of<T>(v: &Option<Sourced<T>>) -> Option<&Source> {
        v.as_ref().map(|v| &v.source)
    }
    let key = key(file, value).unwrap_or_default();
    let source = match file {
        "memory.max" | "memory.limit_in_bytes" => of(&r.memory),
        "memory.swap.max" | "memory.memsw.limit_in_bytes" => of(&r.memory_swap),
        "memory.low" | "memory.soft_limit_in_bytes" => of(&r.memory_reservation),
        "memory.swappiness" => of(&r.memory_swappiness),
        "pids.max" => of(&r.pids),
        "cpu.max" => of(&r.cpu_quota).or(of(&r.cpu_period)),
        "cpu.cfs_quota_us" => of(&r.cpu_quota),
        "cpu.cfs_period_us" => of(&r.cpu_period),
        "cpu.weight" | "cpu.shares" => of(&r.cpu_shares),
        "cpu.rt_period_us" => of(&r.cpu_rt_period),
        "cpu.rt_runtime_us" => of(&r.cpu_rt_runtime),
        "cpuset.cpus" => of(&r.cpuset_cpus),
        "cpuset.mems" => of(&r.cpuset_mems),
        "memory.oom_control" => return "--oom-kill-disable".into(),
        "devices.allow" | "devices.deny" => return "device rules".into(),
        "blkio.weight" => of(&r.blkio_weight),
        _ if key == "default" => of(&r.blkio_weight),
        _ => of_device(file, key, r),
    };
    match source {
        Some(Source::Flag(flag)) => flag.clone(),
        Some(other) => other.to_string(),
        None => "what was set before".to_owned(),
    }
}

fn of_device<'a>(file: &str, key: &str, r: &'a ResourcesPlan) -> Option<&'a Source> {
    let (device, name) = key.split_once(' ').unwrap_or((key, ""));
    let list = match (file, name) {
        ("io.max", "rbps") | ("blkio.throttle.read_bps_device", _) => &r.read_bps,
        ("io.max", "wbps") | ("blkio.throttle.write_bps_device", _) => &r.write_bps,
        ("io.max", "riops") | ("blkio.throttle.read_iops_device", _) => &r.read_iops,
        ("io.max", "wiops") | ("blkio.throttle.write_iops_device", _) => &r.write_iops,
        _ => &r.blkio_weight_device,
    };
    list.iter().find(|d| format!("{}:{}", d.value.major, d.value.minor) == device).map(|d| &d.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_rounds_is_as_it_was_asked() {
        for (file, value, found) in [
            ("memory.max", "67108865", "67108864"),
            ("memory.max", "max", "max"),
            ("memory.max", "9223372036854775807", "max"),
            ("memory.swap.max", "0", "0"),
            ("memory.limit_in_bytes", "-1", "9223372036854771712"),
            ("memory.oom_control", "1", "oom_kill_disable 1\nunder_oom 0\noom_kill 0"),
            ("cpu.shares", "1", "2"),
            ("cpu.max", "max 100000", "max 100000"),
            ("cpuset.cpus", "0,1,2,5", "0-2,5"),
            ("cpuset.cpus", "", ""),
            (
                "io.max",
                "8:0 rbps=1048576",
                "7:0 rbps=1 wbps=1 riops=max wiops=max\n8:0 rbps=1048576 wbps=max riops=max wiops=max",
            ),
            ("io.max", "8:0 rbps=max", ""),
            ("io.max", "8:0 riops=5000000000", "8:0 rbps=1 wbps=max riops=max wiops=max"),
            ("io.weight", "default 4950", "default 4950\n8:0 300"),
            ("io.weight", "8:0 300", "default 100\n8:0 300"),
            ("io.bfq.weight", "8:0 default", "default 100"),
            ("blkio.throttle.read_bps_device", "8:0 1000", "8:0 1000"),
            ("blkio.throttle.read_bps_device", "8:0 0", ""),
            ("blkio.weight", "500", "500"),
        ] {
            assert!(holds(file, value, found), "{file} {value:?} {found:?}");
        }
    }

    #[test]
    fn what_did_not_take_effect_is_seen() {
        for (file, value, found) in [
            ("memory.max", "67108864", "max"),
            ("memory.low", "67108864", "0"),
            ("memory.limit_in_bytes", "67108864", "9223372036854771712"),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0"),
            ("pids.max", "100", "max"),
            ("cpu.shares", "512", "1024"),
            ("cpu.max", "50000 100000", "max 100000"),
            ("cpu.max", "50000 100000", ""),
            ("cpu.weight", "59", "100"),
            ("cpuset.cpus", "1", ""),
            ("cpuset.cpus", "0-1", "0"),
            ("io.max", "8:0 rbps=1048576", ""),
            ("io.max", "8:0 rbps=1048576", "8:0 rbps=max wbps=1048576 riops=max wiops=max"),
            ("io.max", "8:0 rbps=1048576", "8:01 rbps=1048576 wbps=max riops=max wiops=max"),
            ("io.max", "8:0 rbps=max", "8:0 rbps=1 wbps=max riops=max wiops=max"),
            ("io.weight", "8:0 300", "default 300"),
            ("blkio.throttle.read_bps_device", "8:0 1000", "8:16 1000"),
        ] {
            assert!(!holds(file, value, found), "{file} {value:?} {found:?}");
        }
    }

    #[test]
    fn lists_of_processors_are_taken_apart() {
        assert_eq!(numbers(" 0-2,5\n"), [0, 1, 2, 5].into());
        assert_eq!(numbers("\n"), BTreeSet::new());
    }

    #[test]
    fn files_name_their_controller_and_what_they_are_about() {
        assert_eq!(
            ["io.bfq.weight", "blkio.throttle.read_bps_device", "pids.max"].map(controller),
            ["io", "blkio", "pids"]
        );
        assert_eq!(key("io.max", "8:0 rbps=1"), Some("8:0 rbps"));
        assert_eq!(key("io.weight", "default 1"), Some("default"));
        assert_eq!(key("blkio.throttle.read_bps_device", "8:0 1"), Some("8:0"));
        assert_eq!(key("cpu.max", "1 2"), None);
    }

    #[test]
    fn device_rules_are_the_kernels_list_in_any_order() {
        let rules = |rules: &[(&'static str, &str)]| -> Devices {
            devices_planned(&rules.iter().map(|(f, v)| (*f, (*v).to_owned())).collect::<Vec<_>>())
        };
        let (allow, deny) = ("devices.allow", "devices.deny");
        let planned = rules(&[(deny, "a *:* rwm"), (allow, "c 1:3 rwm"), (allow, "c 10:229 r"), (allow, "c 10:229 w")]);
        assert_eq!(planned, devices_found("c 10:229 rw\nc 1:3 rwm\n"));
        assert_ne!(planned, devices_found("c 10:229 r\nc 1:3 rwm\n"));
        assert_ne!(planned, devices_found("a *:* rwm\n"));
        let all = rules(&[(deny, "a *:* rwm"), (allow, "c 1:3 rwm"), (allow, "a 1:2 r"), (allow, "c 1:5 rwm")]);
        assert_eq!(all, devices_found("a *:* rwm"));
    }
}
