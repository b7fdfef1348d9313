//! Facts and probes → what an operator should know about this host, layer by layer.

mod ordinary;

use super::kernel::filesystem_name;
use super::probe::Probe;
use super::{CgroupVersion, Enforcement, Facts, Limit, Systemd};
use crate::plan::Landlock;
use serde::Serialize;

/// One layer of isolation, or one thing that a layer needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub layer: String,
    pub state: State,
    /// What was found.
    pub found: String,
    /// What takes the layer's place where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// What brings the layer, as commands or boot options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Present,
    /// Missing, and something takes its place.
    Replaced,
    /// Missing, and containers are weaker or cannot start.
    Missing,
    /// No question on this host: nothing is weaker without it.
    NotUsed,
}

/// What the cheap facts do not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Probes that failed, with the reason.
    pub failed: Vec<(Probe, String)>,
    /// The overlay that was tried is fuse-overlayfs's.
    pub fuse_overlay: bool,
    /// statfs magic of the storage folder.
    pub filesystem: u64,
    /// The storage folder.
    pub storage: String,
    /// Programs that were found where a launch looks for them: `nft`, `pasta`.
    pub programs: Vec<String>,
    /// Sysctls that were read, as `/proc/sys` has them with dots.
    pub sysctls: std::collections::BTreeMap<String, String>,
    /// The kernel's list of security modules, in its order; empty where it cannot be read.
    pub modules: Vec<String>,
    /// What keeps AppArmor's profiles from being compiled and loaded, and what brings that.
    pub apparmor_trouble: Option<(String, String)>,
    /// SELinux's policy has types for containers.
    pub selinux_types: bool,
    /// It makes that of processes permissive.
    pub selinux_permissive: bool,
}

impl Check {
    fn present(layer: &str, found: impl Into<String>) -> Check {
        Check { layer: layer.into(), state: State::Present, found: found.into(), instead: None, remedy: None }
    }
    fn not_used(layer: &str, found: &str) -> Check {
        Check { state: State::NotUsed, ..Check::present(layer, found) }
    }
    fn replaced(layer: &str, found: impl Into<String>, instead: &str, remedy: impl Into<String>) -> Check {
        Check {
            layer: layer.into(),
            state: State::Replaced,
            found: found.into(),
            instead: Some(instead.into()),
            remedy: Some(remedy.into()),
        }
    }
    fn missing(layer: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check {
            layer: layer.into(),
            state: State::Missing,
            found: found.into(),
            instead: None,
            remedy: Some(remedy.into()),
        }
    }
}

impl Seen {
    fn failed(&self, probe: Probe) -> Option<&str> {
        self.failed.iter().find(|(p, _)| *p == probe).map(|(_, why)| why.as_str())
    }
    /// The boot option that adds `name` to the modules that are on. It is the whole list: with one, `security=` has no effect.
    fn with_module(&self, name: &str, first: bool) -> String {
        // Always on, and not to be listed.
        let mut list: Vec<&str> = self.modules.iter().map(String::as_str).filter(|m| *m != "capability").collect();
        if EXCLUSIVE.contains(&name) {
            list.retain(|m| !EXCLUSIVE.contains(m));
        }
        if list.is_empty() {
            // Debian's, with what a list must not switch off.
            list = vec!["landlock", "lockdown", "yama", "integrity", "apparmor", "bpf"];
            list.retain(|m| *m != name);
        }
        let at = if first { 0 } else { list.iter().position(|m| *m == "bpf").unwrap_or(list.len()) };
        list.insert(at, name);
        format!("lsm={}", list.join(","))
    }
    fn has(&self, program: &str) -> bool {
        self.programs.iter().any(|p| p == program)
    }
}

/// Of these a kernel starts the first one in its list alone (`LSM_FLAG_EXCLUSIVE`).
const EXCLUSIVE: [&str; 3] = ["apparmor", "selinux", "smack"];

/// The limits that a run may ask for on both versions of control groups.
const LIMITS: [Limit; 8] = [
    Limit::Memory,
    Limit::Swap,
    Limit::Pids,
    Limit::CpuQuota,
    Limit::CpuShares,
    Limit::Cpuset,
    Limit::BlkioThrottle,
    Limit::BlkioWeight,
];

/// Every check, in the order in which they are printed.
pub fn report(facts: &Facts, seen: &Seen) -> Vec<Check> {
    if let Some(rootless) = &facts.rootless {
        return ordinary::report(facts, rootless, seen);
    }
    let mut checks = vec![
        caller(facts),
        capabilities(facts),
        user_namespace(facts, seen),
        overlay(facts, seen),
        seccomp(facts, seen),
        landlock(facts, seen),
        apparmor(facts, seen),
        selinux(facts, seen),
        cgroups(facts, seen),
        scopes(facts),
        devices(facts, seen),
    ];
    checks.extend(LIMITS.map(|one| limit(facts, one)));
    checks.extend([files(facts), network(seen), rootless(seen), engines(facts)]);
    checks
}

/// Whether containers can be started here with every layer that has nothing in its place.
pub fn healthy(checks: &[Check]) -> bool {
    checks.iter().all(|c| c.state != State::Missing)
}

fn caller(facts: &Facts) -> Check {
    match facts.euid {
        0 => Check::present("caller", "root"),
        uid => Check::missing("caller", format!("uid {uid} has no place for its images"), "set HOME"),
    }
}

fn capabilities(facts: &Facts) -> Check {
    use caps::Capability::*;
    let needed = [
        CAP_SYS_ADMIN,
        CAP_SETUID,
        CAP_SETGID,
        CAP_SETPCAP,
        CAP_CHOWN,
        CAP_DAC_OVERRIDE,
        CAP_FOWNER,
        CAP_KILL,
        CAP_NET_ADMIN,
    ];
    let names = |list: &[caps::Capability]| {
        let missing: Vec<String> = list.iter().filter(|c| !facts.may(**c)).map(ToString::to_string).collect();
        missing.join(" ")
    };
    let remedy =
        "start hardrun where nothing has cut the bounding set (systemd: CapabilityBoundingSet=, containers: --cap-add)";
    let missing = names(&needed);
    if !missing.is_empty() {
        return Check::missing("caller's capabilities", format!("the bounding set lacks {missing}"), remedy);
    }
    if !facts.may(CAP_SYS_RESOURCE) {
        return Check::replaced(
            "caller's capabilities",
            "the bounding set lacks CAP_SYS_RESOURCE",
            "limits above the caller's own and negative OOM scores are cut down, with a line that says so",
            remedy,
        );
    }
    Check::present("caller's capabilities", "all that are needed")
}

fn user_namespace(facts: &Facts, seen: &Seen) -> Check {
    let layer = "user namespace";
    let instead = "no capability at all, no_new_privs, nosuid; root inside is the host's uid 0";
    if !facts.user_namespaces {
        let remedy = "sysctl -w user.max_user_namespaces=65536 (and in /etc/sysctl.d/); a kernel with CONFIG_USER_NS=y";
        return Check::replaced(layer, "switched off: user.max_user_namespaces is 0 or absent", instead, remedy);
    }
    match seen.failed(Probe::UserNamespace) {
        Some(why) => Check::replaced(
            layer,
            why,
            instead,
            "sysctl -w user.max_user_namespaces=65536; check what confines the caller",
        ),
        None => Check::present(layer, "a range of 65536 ids of its own for every container"),
    }
}

fn overlay(facts: &Facts, seen: &Seen) -> Check {
    let layer = "idmapped layers";
    let place = format!("{} on {}", filesystem_name(seen.filesystem), seen.storage);
    let remedy = format!(
        "keep images on ext4, xfs or btrfs (hardrun --root DIR; now {place}) and boot Linux 5.19 or newer (tmpfs: 6.3)"
    );
    match seen.failed(Probe::Overlay) {
        // Then every launch would fail: the cheap facts promised what trying does not hold.
        Some(why) if facts.idmapped_overlay => Check::missing(layer, why, remedy),
        Some(why) => Check::replaced(
            layer,
            why,
            "layers with the host's ids and no user namespace: no capability at all",
            remedy,
        ),
        None => Check::present(layer, format!("{place}, Linux {}", facts.kernel)),
    }
}

fn seccomp(facts: &Facts, seen: &Seen) -> Check {
    let remedy = "a kernel with CONFIG_SECCOMP_FILTER=y (every distribution's has it)";
    if !facts.seccomp {
        return Check::missing("seccomp", "the kernel has no filters: no container is started", remedy);
    }
    match seen.failed(Probe::Seccomp) {
        Some(why) => Check::missing("seccomp", why, remedy),
        None => Check::present("seccomp", "the built-in filter loads and refuses"),
    }
}

/// Whether containers get a ruleset here.
fn has_ruleset(facts: &Facts) -> bool {
    crate::landlock::decide(facts.landlock_abi) != Landlock::Unavailable
}

fn landlock(facts: &Facts, seen: &Seen) -> Check {
    let instead = "mount namespace, read-only and hidden paths";
    match facts.landlock_abi {
        0 => Check::replaced(
            "landlock",
            "not in this kernel, or not in its list of security modules",
            instead,
            format!(
                "boot Linux 5.19 or newer with CONFIG_SECURITY_LANDLOCK=y and landlock among the modules: {}",
                seen.with_module("landlock", true)
            ),
        ),
        abi if has_ruleset(facts) => Check::present("landlock", format!("ABI {abi}")),
        abi => Check::replaced(
            "landlock",
            format!("ABI {abi}, which is not used: with it nothing can be moved to another folder"),
            instead,
            "boot Linux 5.19 or newer",
        ),
    }
}

/// What holds in the place of a profile or a label where nothing but paths can be judged.
fn by_paths(facts: &Facts) -> &'static str {
    match has_ruleset(facts) {
        true => "a Landlock ruleset, hidden and read-only paths, seccomp",
        false => "hidden and read-only paths, seccomp",
    }
}

fn apparmor(facts: &Facts, seen: &Seen) -> Check {
    if !facts.apparmor {
        return Check::replaced(
            "apparmor",
            "not on in this kernel",
            if facts.selinux { "SELinux labels" } else { by_paths(facts) },
            format!(
                "boot a kernel with CONFIG_SECURITY_APPARMOR=y (Debian's has it) with apparmor=1 {}{}, then apt-get install apparmor",
                seen.with_module("apparmor", false),
                if facts.selinux { " (in the place of SELinux: a kernel has one of the two)" } else { "" }
            ),
        );
    }
    if let Some((why, remedy)) = &seen.apparmor_trouble {
        return Check::missing("apparmor", format!("on, and no container is started: {why}"), remedy);
    }
    match &facts.apparmor_mode {
        Enforcement::Refuses => Check::present("apparmor", "on, and apparmor_parser compiles profiles"),
        Enforcement::Unknown(why) => {
            Check::missing("apparmor", format!("on, and no container is started: {why}"), crate::apparmor::PRIVILEGED)
        }
        Enforcement::Watches(mode) => Check::replaced(
            "apparmor",
            format!("on, but in {mode} mode for all profiles: nothing is refused"),
            "the other layers",
            "echo enforce > /sys/module/apparmor/parameters/mode (and no apparmor.mode= on the kernel's command line)",
        ),
    }
}

fn selinux(facts: &Facts, seen: &Seen) -> Check {
    if facts.selinux && !seen.selinux_types {
        let found = "on, but its policy has no types for containers: none is started";
        return Check::missing("selinux", found, crate::selinux::REMEDY);
    }
    if facts.selinux {
        return match &facts.selinux_mode {
            Enforcement::Refuses if seen.selinux_permissive => Check::replaced(
                "selinux",
                "enforcing, but its policy makes container_t permissive: labels are set, and nothing is refused",
                "the other layers",
                "semanage permissive -d container_t (or remove the module that has (typepermissive container_t): semodule -l)",
            ),
            Enforcement::Refuses => {
                Check::present("selinux", "enforcing: container_t with categories of its own for every container")
            }
            Enforcement::Unknown(why) => Check::missing(
                "selinux",
                format!("on, and no container is started: {why}"),
                "start hardrun where /sys/fs/selinux can be read",
            ),
            Enforcement::Watches(mode) => Check::replaced(
                "selinux",
                format!("on, but {mode}: labels are set, and nothing is refused"),
                "the other layers",
                "setenforce 1 (and SELINUX=enforcing in /etc/selinux/config)",
            ),
        };
    }
    let instead = if facts.apparmor { "AppArmor" } else { by_paths(facts) };
    Check::replaced(
        "selinux",
        "not on here",
        instead,
        "on Fedora and its kin: enforcing=1 and package container-selinux; on Debian: apt-get install selinux-basics \
         selinux-policy-default, selinux-activate, semodule -i docs/selinux/hardrun.cil of hardrun's sources",
    )
}

/// Where systemd is pid 1, control groups are its to write.
fn scopes(facts: &Facts) -> Check {
    let layer = "systemd scopes";
    if facts.cgroup != CgroupVersion::V2 {
        return Check::not_used(layer, "not used with cgroup version 1");
    }
    match facts.systemd {
        Systemd::Reachable => Check::present(layer, "one with delegation for every container"),
        Systemd::WithoutBus => Check::replaced(
            layer,
            "systemd is pid 1, and there is no system bus to ask it over",
            "groups below /hardrun, which systemd does not know of",
            "apt-get install dbus; systemctl start dbus.socket",
        ),
        Systemd::None => Check::not_used(layer, "not needed: systemd is not pid 1, groups are made below /hardrun"),
    }
}

fn devices(facts: &Facts, seen: &Seen) -> Check {
    let layer = "device rules";
    if facts.cgroup != CgroupVersion::V2 {
        let has = facts.limits.contains(&Limit::Devices);
        return match has {
            true => Check::present(layer, "the devices controller"),
            false => Check::missing(layer, "no devices controller", "boot a kernel with CONFIG_CGROUP_DEVICE=y"),
        };
    }
    match seen.failed(Probe::Devices) {
        Some(why) => Check::missing(
            layer,
            why,
            "boot a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_CGROUP_BPF=y, and keep bpf() from nobody who starts hardrun",
        ),
        None => Check::present(layer, "a BPF program for every container"),
    }
}

fn cgroups(facts: &Facts, seen: &Seen) -> Check {
    let version = match facts.cgroup {
        CgroupVersion::V1 => "version 1",
        CgroupVersion::V2 => "version 2",
        CgroupVersion::Hybrid => "version 1 with an empty version 2 beside it (hybrid)",
        CgroupVersion::None => {
            return Check::missing(
                "cgroups",
                "no hierarchy is mounted: no container can be limited",
                "mount -t cgroup2 none /sys/fs/cgroup (systemd does it)",
            );
        }
    };
    match seen.failed(Probe::Cgroup) {
        Some(why) => Check::missing("cgroups", why, "run where /sys/fs/cgroup can be written"),
        None => Check::present("cgroups", format!("{version}: {}", facts.cgroup_controllers.join(" "))),
    }
}

fn limit(facts: &Facts, limit: Limit) -> Check {
    let layer = format!("{} limit", limit.name());
    if facts.limits.contains(&limit) {
        return Check::present(&layer, "can be set");
    }
    let unified = facts.cgroup == CgroupVersion::V2;
    // The controller, and what a kernel has it by.
    let (controller, config) = match limit {
        Limit::Memory => ("memory", "MEMCG"),
        Limit::Swap if unified => ("memory", "MEMCG=y and CONFIG_SWAP"),
        Limit::Swap => ("memory", "MEMCG_SWAP"),
        Limit::Pids => ("pids", "CGROUP_PIDS"),
        Limit::CpuShares => ("cpu", "FAIR_GROUP_SCHED"),
        Limit::Cpuset => ("cpuset", "CPUSETS"),
        Limit::BlkioThrottle if unified => ("io", "BLK_DEV_THROTTLING"),
        Limit::BlkioThrottle => ("blkio", "BLK_DEV_THROTTLING"),
        Limit::BlkioWeight => ("io", "BLK_CGROUP_IOCOST"),
        _ => ("cpu", "CFS_BANDWIDTH"),
    };
    let remedy = match limit {
        Limit::Swap if !unified => "boot with swapaccount=1".to_owned(),
        Limit::Memory if !unified => "boot with cgroup_enable=memory".to_owned(),
        // Version 1 had it with a scheduler that is gone since Linux 5.0.
        Limit::BlkioWeight if !unified => {
            format!("boot a kernel with CONFIG_{config}=y with systemd.unified_cgroup_hierarchy=1")
        }
        _ => format!(
            "boot a kernel with CONFIG_{config}=y without cgroup_disable={controller}; in a container or a unit, \
             give that the controller {controller}"
        ),
    };
    match without(limit) {
        Some(instead) => Check::replaced(&layer, "cannot be set", instead, remedy),
        None => Check::missing(&layer, "cannot be set", remedy),
    }
}

/// What there is of a limit where the kernel cannot set it, but for memory and processes.
fn without(limit: Limit) -> Option<&'static str> {
    match limit {
        Limit::Memory | Limit::Pids => None,
        Limit::Swap => Some("the memory limit alone"),
        Limit::Cpuset => Some("all processors, and memory of all nodes"),
        Limit::BlkioThrottle => Some("nothing: the disk is as fast as it is"),
        Limit::BlkioWeight => Some("an equal share of the disk"),
        _ => Some("a fair share of the scheduler"),
    }
}

fn files(facts: &Facts) -> Check {
    let hard = facts.nofile_hard;
    if hard >= 1024 {
        Check::present("open files", format!("a container can have {}", hard.min(65536)))
    } else {
        Check::missing(
            "open files",
            format!("the caller's hard limit is {hard}"),
            "ulimit -Hn 65536 (LimitNOFILE= in a unit)",
        )
    }
}

/// Without it a run that asks for no network of its own does not start.
fn network(seen: &Seen) -> Check {
    match seen.has("nft") {
        true => Check::present("nft", "installed"),
        false => Check::missing(
            "nft",
            "not found: only containers without a network (--network none) start",
            "apt-get install nftables",
        ),
    }
}

/// Whether others than root may make user namespaces: not needed by root's containers, a risk of its own for the host.
fn rootless(seen: &Seen) -> Check {
    let layer = "unprivileged user namespaces";
    let off = [
        ("kernel.unprivileged_userns_clone", "0"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
        ("user.max_user_namespaces", "0"),
    ];
    for (key, value) in off {
        if seen.sysctls.get(key).map(String::as_str) == Some(value) {
            return Check::present(
                layer,
                format!("off for others than root ({key}={value}): not needed by root's containers"),
            );
        }
    }
    Check::present(layer, "on for every user of the host; containers cannot make them whatever this says")
}

fn engines(facts: &Facts) -> Check {
    let sockets: Vec<String> = facts.engine_sockets.iter().map(|p| p.display().to_string()).collect();
    match sockets.is_empty() {
        true => Check::present("control sockets", "none on this host"),
        false => Check::present("control sockets", format!("kept out of containers: {}", sockets.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::draft::tests::facts;

    fn seen() -> Seen {
        Seen {
            filesystem: 0xef53,
            storage: "/var/lib/hardrun".into(),
            programs: ["nft", "pasta"].map(str::to_owned).into(),
            modules: ["capability", "lockdown", "yama", "bpf"].map(str::to_owned).into(),
            selinux_types: true,
            selinux_permissive: false,
            ..Seen::default()
        }
    }

    fn state(checks: &[Check], layer: &str) -> State {
        checks.iter().find(|c| c.layer == layer).unwrap().state
    }

    #[test]
    fn a_host_without_apparmor_is_healthy_and_told_what_takes_its_place() {
        let checks = report(&facts(), &seen());
        assert!(healthy(&checks));
        let apparmor = checks.iter().find(|c| c.layer == "apparmor").unwrap();
        assert_eq!(apparmor.state, State::Replaced);
        assert!(apparmor.instead.as_ref().unwrap().contains("Landlock"));
        assert!(apparmor.remedy.as_ref().unwrap().contains("apt-get install apparmor"));
    }

    #[test]
    fn whatever_is_not_present_has_a_remedy() {
        let mut f = facts();
        (f.euid, f.bounding, f.landlock_abi, f.user_namespaces, f.seccomp) = (1000, 0, 0, false, false);
        f.limits.clear();
        f.cgroup = CgroupVersion::None;
        f.nofile_hard = 10;
        let checks = report(&f, &Seen { failed: vec![(Probe::Overlay, "no".into())], ..Seen::default() });
        assert!(!healthy(&checks));
        for c in checks.iter().filter(|c| !matches!(c.state, State::Present | State::NotUsed)) {
            assert!(c.remedy.as_ref().is_some_and(|r| !r.is_empty()), "{}", c.layer);
        }
        assert_eq!(state(&checks, "seccomp"), State::Missing);
        assert_eq!(state(&checks, "user namespace"), State::Replaced);
    }

    #[test]
    fn a_promise_that_trying_does_not_hold_is_missing_and_not_replaced() {
        let failed = vec![(Probe::Overlay, "mount: EINVAL".to_owned())];
        let checks = report(&facts(), &Seen { failed: failed.clone(), ..seen() });
        assert_eq!(state(&checks, "idmapped layers"), State::Missing);
        let mut f = facts();
        f.idmapped_overlay = false;
        assert_eq!(state(&report(&f, &Seen { failed, ..seen() }), "idmapped layers"), State::Replaced);
    }

    fn remedy(facts: &Facts, seen: &Seen, layer: &str) -> String {
        let checks = report(facts, seen);
        checks.into_iter().find(|c| c.layer == layer).and_then(|c| c.remedy).unwrap_or_default()
    }

    #[test]
    fn boot_options_keep_the_modules_that_are_on() {
        let mut f = facts();
        (f.landlock_abi, f.apparmor) = (0, false);
        assert!(remedy(&f, &seen(), "landlock").ends_with(": lsm=landlock,lockdown,yama,bpf"));
        assert!(remedy(&f, &seen(), "apparmor").contains("apparmor=1 lsm=lockdown,yama,apparmor,bpf,"));
        let other = Seen { modules: ["capability", "yama", "selinux", "bpf"].map(str::to_owned).into(), ..seen() };
        assert!(remedy(&f, &other, "apparmor").contains("apparmor=1 lsm=yama,apparmor,bpf,"));
        f.selinux = true;
        assert!(remedy(&f, &other, "apparmor").contains("lsm=yama,apparmor,bpf (in the place of SELinux"));
        f.selinux = false;
        let unknown = Seen { modules: vec![], ..seen() };
        assert!(remedy(&f, &unknown, "apparmor").contains("lsm=landlock,lockdown,yama,integrity,apparmor,bpf,"));
    }

    #[test]
    fn selinux_wants_types_and_a_mode_that_refuses() {
        let mut f = facts();
        f.selinux = true;
        assert_eq!(state(&report(&f, &seen()), "selinux"), State::Present);
        let watched = Seen { selinux_permissive: true, ..seen() };
        assert_eq!(state(&report(&f, &watched), "selinux"), State::Replaced);
        assert!(remedy(&f, &watched, "selinux").contains("semanage permissive -d container_t"));
        f.selinux_mode = Enforcement::Watches("permissive".into());
        assert!(remedy(&f, &seen(), "selinux").contains("setenforce 1"));
        let bare = Seen { selinux_types: false, ..seen() };
        assert_eq!(state(&report(&f, &bare), "selinux"), State::Missing);
        assert!(remedy(&f, &bare, "selinux").contains("hardrun.cil"));
    }

    #[test]
    fn groups_want_a_bus_to_systemd_and_a_program_for_devices() {
        let mut f = facts();
        f.cgroup = CgroupVersion::V2;
        assert_eq!(state(&report(&f, &seen()), "systemd scopes"), State::NotUsed, "without systemd none is needed");
        f.systemd = Systemd::WithoutBus;
        assert!(remedy(&f, &seen(), "systemd scopes").contains("dbus"));
        let failed = vec![(Probe::Devices, "bpf: EPERM".to_owned())];
        let old = Seen { failed, ..seen() };
        assert_eq!(state(&report(&f, &old), "device rules"), State::Missing);
        assert!(remedy(&f, &old, "device rules").contains("CONFIG_CGROUP_BPF=y"));
    }

    #[test]
    fn apparmor_that_would_stop_every_launch_is_missing() {
        let mut f = facts();
        f.apparmor = true;
        assert_eq!(state(&report(&f, &seen()), "apparmor"), State::Present);
        let trouble = Some(("there is no apparmor_parser".to_owned(), "apt-get install apparmor".to_owned()));
        let checks = report(&f, &Seen { apparmor_trouble: trouble, ..seen() });
        assert_eq!(state(&checks, "apparmor"), State::Missing);
        assert!(!healthy(&checks));
        f.apparmor_mode = Enforcement::Watches("complain".into());
        assert!(remedy(&f, &seen(), "apparmor").contains("echo enforce"));
        f.apparmor_mode = Enforcement::Unknown("read the mode: EIO".into());
        let checks = report(&f, &seen());
        assert_eq!(state(&checks, "apparmor"), State::Missing, "no container is started then");
        assert!(remedy(&f, &seen(), "apparmor").contains("CAP_MAC_ADMIN"));
    }

    #[test]
    fn an_abi_of_landlock_that_no_container_gets_is_not_present() {
        let mut f = facts();
        for (abi, there) in [(0, false), (1, false), (2, true), (7, true)] {
            f.landlock_abi = abi;
            let checks = report(&f, &seen());
            assert_eq!(state(&checks, "landlock") == State::Present, there, "ABI {abi}");
            assert!(there || remedy(&f, &seen(), "landlock").starts_with("boot Linux 5.19 or newer"), "ABI {abi}");
            let apparmor = checks.iter().find(|c| c.layer == "apparmor").unwrap();
            assert_eq!(apparmor.instead.as_ref().unwrap().contains("Landlock"), there, "ABI {abi}");
        }
    }
}
