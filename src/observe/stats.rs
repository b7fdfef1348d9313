//! What a running container uses, from its control groups; what no group of its own counts is added up over its processes.

use crate::error::Result;
use crate::launch::processes;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// One look at a container.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: Instant,
    /// Nanoseconds of CPU time so far.
    pub cpu: u64,
    /// Bytes, without what the kernel could drop at once.
    pub memory: u64,
    /// Bytes; the host's memory where there is no limit.
    pub limit: u64,
    /// Bytes that came and went over interfaces of its own.
    pub received: u64,
    pub sent: u64,
    /// Bytes from and to block devices.
    pub read: u64,
    pub written: u64,
    pub processes: u64,
}

impl Sample {
    /// Of the container whose first process is `init`.
    pub fn take(init: i32) -> Result<Sample> {
        let pids = processes::of(init)?;
        let (received, sent) = network(init);
        let (memory, limit) = memory(init)?;
        let cpu = match processes::group(init, "cpu")? {
            Some((folder, true)) => number_in(&folder, "cpu.stat", "usage_usec ") * 1000,
            _ => pids.iter().filter_map(|pid| cpu_of(*pid)).sum(),
        };
        let (read, written) = match processes::group(init, "blkio")? {
            Some((folder, false)) => blkio(&text(&folder, "blkio.throttle.io_service_bytes")),
            Some((folder, true)) => io_stat(&text(&folder, "io.stat")),
            None => pids.iter().fold((0, 0), |(read, written), pid| {
                let io = text(Path::new("/proc"), &format!("{pid}/io"));
                (read + after(&io, "read_bytes: "), written + after(&io, "write_bytes: "))
            }),
        };
        let processes = match processes::group(init, "pids")? {
            Some((folder, _)) => text(&folder, "pids.current").trim().parse().unwrap_or_default(),
            None => threads(&pids),
        };
        Ok(Sample { at: Instant::now(), cpu, memory, limit, received, sent, read, written, processes })
    }

    /// Percent of one CPU since an earlier look.
    pub fn cpu_percent(&self, before: &Sample) -> f64 {
        let passed = self.at.duration_since(before.at).as_nanos() as f64;
        if passed <= 0.0 { 0.0 } else { self.cpu.saturating_sub(before.cpu) as f64 / passed * 100.0 }
    }

    pub fn memory_percent(&self) -> f64 {
        if self.limit == 0 { 0.0 } else { self.memory as f64 / self.limit as f64 * 100.0 }
    }
}

fn memory(init: i32) -> Result<(u64, u64)> {
    let host = after(&text(Path::new("/proc"), "meminfo"), "MemTotal:") * 1024;
    let Some((folder, v2)) = processes::group(init, "memory")? else { return Ok((0, host)) };
    let (used, limit, droppable) = match v2 {
        true => ("memory.current", "memory.max", "inactive_file "),
        false => ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file "),
    };
    let used: u64 = text(&folder, used).trim().parse().unwrap_or_default();
    // `max`, or a number beyond all memory: no limit.
    let limit = text(&folder, limit).trim().parse().unwrap_or(host).min(host);
    let droppable = number_in(&folder, "memory.stat", droppable);
    Ok((if droppable < used { used - droppable } else { used }, limit))
}

/// Received and sent, over all interfaces but loopback. A container in the host's network has none of its own.
fn network(init: i32) -> (u64, u64) {
    let namespace = |who: &str| fs::read_link(format!("/proc/{who}/ns/net")).ok();
    if namespace(&init.to_string()) == namespace("self") {
        return (0, 0);
    }
    interfaces(&text(Path::new("/proc"), &format!("{init}/net/dev")))
}

fn interfaces(dev: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for (name, counters) in dev.lines().filter_map(|l| l.split_once(':')).filter(|(name, _)| name.trim() != "lo") {
        let counters: Vec<u64> = counters.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        if let (false, Some(received), Some(sent)) = (name.contains('|'), counters.first(), counters.get(8)) {
            sum = (sum.0 + received, sum.1 + sent);
        }
    }
    sum
}

/// `8:0 Read 4096`, a line a device and kind.
fn blkio(text: &str) -> (u64, u64) {
    let kind = |wanted: &str| {
        let line = |l: &str| {
            let mut words = l.split(' ').skip(1);
            (words.next() == Some(wanted)).then(|| words.next()?.parse::<u64>().ok())?
        };
        text.lines().filter_map(line).sum()
    };
    (kind("Read"), kind("Write"))
}

/// `8:0 rbytes=4096 wbytes=0 …`
fn io_stat(text: &str) -> (u64, u64) {
    let sum = |key: &str| text.split_whitespace().filter_map(|w| w.strip_prefix(key)?.parse::<u64>().ok()).sum();
    (sum("rbytes="), sum("wbytes="))
}

/// Nanoseconds of a process and of its children that it has waited for.
fn cpu_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|n| n.parse::<u64>().ok()).sum();
    Some(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second()))
}

fn threads(pids: &BTreeSet<i32>) -> u64 {
    let of = |pid: &i32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |tasks| tasks.count() as u64);
    pids.iter().map(of).sum()
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn number_in(folder: &Path, name: &str, key: &str) -> u64 {
    after(&text(folder, name), key)
}

/// The number behind `key` at the beginning of a line.
fn after(text: &str, key: &str) -> u64 {
    let number = |l: &str| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok();
    text.lines().find_map(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_kernels_files() {
        let dev = "Inter-|   Receive                                                |  Transmit\n \
                   face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n    \
                   lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  \
                   eth0:    1500      10    0    0    0     0          0         0      700       5    0    0    0     0       0          0\n";
        assert_eq!(interfaces(dev), (1500, 700));
        assert_eq!(blkio("8:0 Read 4096\n8:0 Write 1\n8:0 Total 4097\n8:16 Read 4\nTotal 5\n"), (4100, 1));
        assert_eq!(io_stat("8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n"), (11, 22));
        assert_eq!(after("cache 1\ninactive_file 7\n", "inactive_file "), 7);
        assert!(cpu_of(std::process::id() as i32).is_some() && cpu_of(i32::MAX).is_none());
    }

    #[test]
    fn percentages() {
        let at = Instant::now();
        let before =
            Sample { at, cpu: 0, memory: 25, limit: 100, received: 0, sent: 0, read: 0, written: 0, processes: 1 };
        let after = Sample { at: at + Duration::from_secs(2), cpu: 3_000_000_000, ..before };
        assert_eq!((after.cpu_percent(&before), after.memory_percent()), (150.0, 25.0));
        assert_eq!((before.cpu_percent(&after), Sample { limit: 0, ..before }.memory_percent()), (0.0, 0.0));
    }
}
