use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-sys-mount",
    severity: Severity::Critical,
    summary: "the host's /sys or control groups inside the container",
    risk: "release_agent and uevent_helper run a program as root on the host; devices and power can be switched",
    instead: "leave the mount out: the container has a read-only /sys and its own control group view",
    example: "-v /sys/fs/cgroup:/sys/fs/cgroup IMAGE",
    overriding: Override::Loosens("the host's folder is mounted where asked, read-only unless said otherwise"),
    references: &["CIS 5.6", "CVE-2022-0492"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::below(RULE.id, "/sys", PathClass::Kernel, draft, facts)
}
