//! What an ordinary user's containers have here, layer by layer.

use super::{Check, LIMITS, Seen, by_paths, engines, files, landlock, seccomp};
use crate::facts::probe::Probe;
use crate::facts::{CgroupVersion, Facts, Limit};
use crate::rootless::{Rootless, ids, trouble};

pub(super) fn report(facts: &Facts, rootless: &Rootless, seen: &Seen) -> Vec<Check> {
    let mut checks = vec![caller(rootless), user_namespace(seen), overlay(seen, facts), owners()];
    checks.extend([seccomp(facts, seen), landlock(facts, seen), labels("apparmor", facts), labels("selinux", facts)]);
    checks.push(cgroups(facts, rootless));
    checks.extend(LIMITS.map(|one| limit(facts, rootless, one)));
    checks.push(files(facts));
    checks.extend(network(seen));
    checks.push(engines(facts));
    checks
}

fn caller(rootless: &Rootless) -> Check {
    let (uid, count) = (rootless.uid, rootless.ids.count());
    match rootless.ids.is_single() {
        false => Check::present("caller", format!("uid {uid}, an ordinary user with {count} ids")),
        true => Check::replaced(
            "caller",
            format!("uid {uid}, an ordinary user without subordinate ids, or without newuidmap and newgidmap"),
            "one id: no other users inside, every file of an image is root's there, the caller's groups are kept",
            ids::remedy(uid),
        ),
    }
}

fn user_namespace(seen: &Seen) -> Check {
    let layer = "user namespace";
    match seen.failed(Probe::UserNamespace) {
        None => {
            Check::present(layer, "one for each container, in one of the user's own; root inside is the user outside")
        }
        Some(why) => {
            let remedy = match trouble::switch() {
                Some(switch) => trouble::remedy(switch),
                None => "where hardrun runs in a container or a sandbox, that has to allow user namespaces".to_owned(),
            };
            Check::missing(layer, why, remedy)
        }
    }
}

fn overlay(seen: &Seen, facts: &Facts) -> Check {
    let kernels = "boot Linux 5.11 or newer, with the store on ext4, xfs, btrfs or tmpfs (hardrun --root DIR)";
    match seen.failed(Probe::Overlay) {
        None if seen.fuse_overlay => {
            let found = "the kernel takes no writable folder from the store's file system";
            Check::replaced("overlay", found, "fuse-overlayfs, slower", kernels)
        }
        None => Check::present("overlay", format!("the kernel's, mounted by the user, Linux {}", facts.kernel)),
        Some(why) if seen.has("fuse-overlayfs") => Check::missing(
            "overlay",
            why,
            format!("{kernels}; for fuse-overlayfs, as root: modprobe fuse; chmod 666 /dev/fuse"),
        ),
        Some(why) => Check::missing("overlay", why, format!("{kernels}, or: apt-get install fuse-overlayfs")),
    }
}

fn owners() -> Check {
    Check::replaced(
        "idmapped layers",
        "the host's file systems are root's to map",
        "layers are unpacked with the user's ids; in bound folders the user's files are the container's root's",
        "run hardrun as root",
    )
}

fn labels(layer: &str, facts: &Facts) -> Check {
    Check::replaced(layer, "profiles and labels are root's to load", by_paths(facts), "run hardrun as root")
}

fn cgroups(facts: &Facts, rootless: &Rootless) -> Check {
    if !facts.limits.is_empty() {
        return Check::present("cgroups", format!("delegated by systemd: {}", facts.cgroup_controllers.join(" ")));
    }
    Check::replaced(
        "cgroups",
        crate::plan::not_delegated(facts, rootless),
        "no group of the container's own: no limits (a line says so where one was asked for), no pause",
        way_to_a_group(facts, rootless),
    )
}

fn way_to_a_group(facts: &Facts, rootless: &Rootless) -> String {
    match facts.cgroup {
        CgroupVersion::V2 => format!(
            "log in by a session of systemd's, or: loginctl enable-linger {}; as root, for a bus in it: apt-get install dbus-user-session",
            rootless.uid
        ),
        _ => "boot with systemd.unified_cgroup_hierarchy=1".to_owned(),
    }
}

fn limit(facts: &Facts, rootless: &Rootless, limit: Limit) -> Check {
    let layer = format!("{} limit", limit.name());
    if facts.limits.contains(&limit) {
        return Check::present(&layer, "can be set");
    }
    let instead = match limit {
        Limit::Memory => "nothing: a memory bomb is ended by the host's OOM killer, this container first",
        Limit::Swap => "nothing",
        Limit::Pids => "ulimit -u of the user, for all that it runs",
        _ => super::without(limit).unwrap_or("nothing"),
    };
    let remedy = match facts.limits.is_empty() {
        // The cost model that carries it is root's to set up, disk by disk.
        _ if limit == Limit::BlkioWeight => "run hardrun as root".to_owned(),
        true => way_to_a_group(facts, rootless),
        false => {
            "in a file of /etc/systemd/system/user@.service.d: [Service] Delegate=cpu cpuset io memory pids".to_owned()
        }
    };
    Check::replaced(&layer, "cannot be set", instead, remedy)
}

fn network(seen: &Seen) -> Vec<Check> {
    let pasta = match seen.has("pasta") {
        true => Check::present("pasta", "installed"),
        false => Check::replaced(
            "pasta",
            "not found",
            "containers reach each other, and are reached at published ports, but have no way out",
            "apt-get install passt",
        ),
    };
    let mut checks = vec![super::network(seen), pasta];
    if std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
        let remedy = "as root: modprobe tun; chmod 666 /dev/net/tun (udev's own mode)";
        checks.push(Check::replaced("/dev/net/tun", "this user cannot open it", "containers have no way out", remedy));
    }
    checks
}
