use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "paths-unmasked",
    severity: Severity::Critical,
    summary: "kernel files that are hidden or read-only by default, open",
    risk: "kernel memory, timers and settings under /proc and /sys can be read or written",
    instead: "leave systempaths=unconfined out",
    example: "--security-opt systempaths=unconfined IMAGE",
    overriding: Override::Loosens(
        "the masked and read-only paths under /proc and /sys are open; user namespace and filter stay on",
    ),
    references: &["PSS baseline procMount", "CVE-2025-31133"],
    check,
};

/// What no container may find open: Docker's own list. hardrun's default list is longer.
pub const MASKED: &[&str] = &[
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

/// What no container may find writable.
pub const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let masked = &draft.masked_paths;
    let readonly = &draft.readonly_paths;
    let covered = |path: &str, lists: &[&Vec<String>]| {
        lists.iter().any(|list| list.iter().any(|have| std::path::Path::new(path).starts_with(have)))
    };
    let mut out = Vec::new();
    let open: Vec<&str> = MASKED.iter().copied().filter(|p| !covered(p, &[&masked.value])).collect();
    if !open.is_empty() {
        let what = asked(masked, "--security-opt", "systempaths=unconfined");
        out.push(Finding::new(RULE.id, what).detail(format!("not hidden: {}", open.join(", "))));
    }
    let open: Vec<&str> = READONLY.iter().copied().filter(|p| !covered(p, &[&readonly.value, &masked.value])).collect();
    if !open.is_empty() {
        let what = asked(readonly, "--security-opt", "systempaths=unconfined");
        out.push(Finding::new(RULE.id, what).detail(format!("writable: {}", open.join(", "))));
    }
    out
}
