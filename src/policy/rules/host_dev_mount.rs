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
    let mut out = Vec::new();
    for (mount, matches) in mount::binds(draft, facts) {
        let whole = matches.iter().any(|m| m.class == PathClass::Root);
        let Some(why) = matches.iter().find(|m| m.class == PathClass::Devices).filter(|_| !whole) else { continue };
        let finding = mount::finding(RULE.id, mount, why);
        let MountKind::Bind { source, directory, .. } = &mount.kind else { continue };
        out.push(match source.to_str() {
            // Browsers in containers are started like this: they want a larger /dev/shm, not the host's.
            Some("/dev/shm") => finding.instead("--shm-size 2g"),
            Some(node) if !directory => finding.instead(format!("--device {node}")),
            _ => finding,
        });
    }
    out
}
