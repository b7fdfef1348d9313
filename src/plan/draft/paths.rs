//! Paths below /proc and /sys that a container does not see, or sees read-only.

use crate::plan::Sourced;
use crate::request::{Request, SecurityOpt};
use std::path::Path;

/// Hidden. Docker's list, and what else describes the host's memory, hardware, keys or kernel to whoever reads it.
pub const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    // What the kernel was built with and booted with: boot secrets, disk ids, mitigations.
    "/proc/bootconfig",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/execdomains",
    // Timing of the host's interrupts: keystrokes and other tenants' activity (Linux 6.16 docs, CVE-2018-18281 class).
    "/proc/interrupts",
    "/proc/softirqs",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/kallsyms",
    "/proc/kcore",
    // Key quotas of all users of the host; names of the caller's keys (CVE-2016-0728 class).
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/pagetypeinfo",
    "/proc/sched_debug",
    "/proc/schedstat",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/devices/virtual/powercap",
    "/sys/devices/virtual/thermal",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/fs/pstore",
    "/sys/hypervisor",
    "/sys/kernel/boot_params",
    "/sys/kernel/btf",
    "/sys/kernel/debug",
    "/sys/kernel/notes",
    "/sys/kernel/security",
    "/sys/kernel/slab",
    "/sys/kernel/tracing",
    "/sys/kernel/vmcoreinfo",
    "/sys/module",
];

/// Read-only. /sys itself is mounted read-only besides.
pub const READONLY: &[&str] = &[
    "/proc/bus",
    "/proc/driver",
    "/proc/dynamic_debug",
    "/proc/fs",
    "/proc/irq",
    "/proc/mtrr",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/sysvipc",
    "/proc/tty",
];

/// Prefix match as podman has it: `--security-opt unmask=/proc/kcore:/sys/*`.
fn unmasked(path: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|p| match p.strip_suffix('*') {
        _ if p == "ALL" => true,
        Some(prefix) => path.starts_with(prefix),
        None => p == path,
    })
}

fn list(request: &Request, base: &[&str], besides: Vec<String>, mask: bool) -> Sourced<Vec<String>> {
    let mut paths: Vec<String> = base.iter().map(|p| (*p).to_owned()).collect();
    let mut touched = false;
    for opt in &request.isolation.security_opts {
        match opt {
            SecurityOpt::SystempathsUnconfined => {
                paths.clear();
                touched = true;
            }
            SecurityOpt::Unmask(patterns) => {
                let before = paths.len();
                paths.retain(|p| !unmasked(p, patterns));
                touched |= paths.len() != before;
            }
            SecurityOpt::Mask(more) if mask => {
                paths.extend(more.iter().filter(|p| !paths.contains(p)).cloned().collect::<Vec<_>>());
                touched = true;
            }
            _ => {}
        }
    }
    // Secrets inside bound folders: no flag uncovers these, only asking for the path by name.
    paths.extend(besides);
    if touched { Sourced::flag(paths, "--security-opt") } else { Sourced::default(paths) }
}

/// What is covered for the mounts' and for the preset's sake, without what is on the list anyway.
pub(super) fn besides(mut of_mounts: Vec<String>, of_preset: Vec<String>, list: &[&str]) -> Vec<String> {
    let listed = |path: &str| list.iter().any(|held| Path::new(path).starts_with(held));
    of_mounts.extend(of_preset.into_iter().filter(|path| !listed(path)));
    of_mounts
}

pub(super) fn masked(request: &Request, besides: Vec<String>) -> Sourced<Vec<String>> {
    list(request, MASKED, besides, true)
}

pub(super) fn readonly(request: &Request, besides: Vec<String>) -> Sourced<Vec<String>> {
    list(request, READONLY, besides, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MaskedPaths` and `ReadonlyPaths` of docker 28.
    const DOCKER_MASKED: &[&str] = &[
        "/proc/asound",
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ];
    const DOCKER_READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

    #[test]
    fn nothing_that_docker_hides_is_seen() {
        for path in DOCKER_MASKED {
            assert!(MASKED.contains(path), "{path}");
        }
        for path in DOCKER_READONLY {
            assert!(READONLY.contains(path), "{path}");
        }
    }

    #[test]
    fn unmasking_takes_away_what_it_names_and_says_which_flag() {
        let mut request = Request::default();
        assert_eq!(masked(&request, vec![]).source.to_string(), "default");
        request.isolation.security_opts = vec![SecurityOpt::Unmask(vec!["/proc/kcore".into(), "/sys/fs/*".into()])];
        let list = masked(&request, vec!["/src/.env".into()]);
        assert_eq!(list.source.to_string(), "flag --security-opt");
        assert!(!list.value.contains(&"/proc/kcore".to_owned()) && !list.value.contains(&"/sys/fs/bpf".to_owned()));
        assert!(list.value.contains(&"/proc/keys".to_owned()) && list.value.contains(&"/src/.env".to_owned()));
        request.isolation.security_opts = vec![SecurityOpt::SystempathsUnconfined];
        assert!(masked(&request, vec![]).value.is_empty() && readonly(&request, vec![]).value.is_empty());
    }
}
