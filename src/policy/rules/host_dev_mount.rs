use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-dev-mount",
    severity: Severity::Critical,
    summary: "the host's /dev, or a device in it, bound into the container",
    risk: "disks and kernel memory are files there; shared memory and terminals of other processes too",
    instead: "leave the mount out: the container has a minimal /dev of its own; a single device: --device /dev/NAME",
    example: "-v /dev:/dev IMAGE",
    overriding: Override::Loosens(
        "the folder is mounted with nodev: names and shared memory are there, devices do not open",
    ),
    references: &["CIS 5.6", "CIS 5.18"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::of_class(RULE.id, PathClass::Devices, draft, facts)
}
