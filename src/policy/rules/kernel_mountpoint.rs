use super::prelude::*;
use crate::policy::sensitive::pattern::components;
use std::path::Path;

pub const RULE: Rule = Rule {
    id: "kernel-mountpoint",
    severity: Severity::Critical,
    summary: "something mounted over the container's /, /proc, /sys or /dev",
    risk: "the launcher writes security settings through these folders: a mount there redirects the writes",
    instead: "another destination: -v PATH:/mnt/PATH",
    example: "-v /srv/fake:/proc/sys IMAGE",
    overriding: Override::Never("the confinement itself is set up through these folders"),
    references: &["CVE-2019-16884", "CVE-2025-31133", "CVE-2025-52881"],
    check,
};

/// Places below /dev that are no devices.
const OPEN: &[&str] = &["shm", "mqueue", "hugepages", "log"];

/// Whether nothing but the launcher itself may mount at this path of a container.
pub fn reserved(destination: &Path) -> bool {
    let path = components(destination);
    match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => true,
        ["proc" | "sys", ..] => true,
        ["dev"] => true,
        ["dev", place, ..] => !OPEN.contains(place),
        _ => false,
    }
}

/// By name. What an image's symlinks make of the name is looked at when its root is mounted.
fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft
        .mounts
        .iter()
        .filter(|mount| reserved(Path::new(&mount.destination)))
        .map(|mount| Finding::new(RULE.id, mount.asked.clone()).detail(format!("destination {}", mount.destination)))
        .collect()
}
