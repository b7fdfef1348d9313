//! Every decision as a table: the layer, its value, where the value is from, and what docker would have done.

use super::{
    AppArmor, BindIdmap, MountKind, MountPlan, Namespace, NetworkMode, Plan, SeLinux, SeccompProfile, Source, Sourced,
    UserNamespace,
};
use crate::seccomp;
use serde::Serialize;
use std::fmt::Write;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub layer: String,
    pub value: String,
    /// As [`Source`] displays.
    pub source: String,
    /// What `docker run` with the same flags does, on a host set up as Debian does.
    pub docker: String,
}

struct Table(Vec<Row>);

impl Table {
    fn put(&mut self, layer: &str, value: impl Into<String>, source: &Source, docker: impl Into<String>) {
        self.0.push(Row {
            layer: layer.into(),
            value: value.into(),
            source: source.to_string(),
            docker: docker.into(),
        });
    }
    /// Where a flag decided, docker would have done the same.
    fn asked<T>(&mut self, layer: &str, sourced: &Sourced<T>, value: impl Into<String>, docker: &str) {
        let docker = if matches!(sourced.source, Source::Flag(_)) { "the same" } else { docker };
        self.put(layer, value, &sourced.source, docker);
    }
}

/// All decisions of a plan.
pub fn rows(plan: &Plan, kernel: &str) -> Vec<Row> {
    let mut table = Table(Vec::new());
    let t = &mut table;
    t.put("preset", &plan.draft.preset.value, &plan.draft.preset.source, "-");
    process(t, plan);
    namespaces(t, plan);
    confinement(t, plan, kernel);
    mounts(t, plan);
    limits(t, plan);
    let d = &plan.draft;
    for (key, value) in &d.sysctls {
        t.asked(&format!("sysctl {key}"), value, &value.value, "the same");
    }
    if let Some(seconds) = &d.timeout {
        t.put("time limit", format!("{} s", seconds.value), &seconds.source, "no limit");
    }
    for o in &plan.overrides {
        let reason = o.reason.as_ref().map(|r| format!(", because: {r}")).unwrap_or_default();
        t.put("override", format!("{} for {}{reason}", o.rule, o.asked), &Source::Flag("--allow".into()), "no rule");
        if let Some(permitted) = &o.permitted {
            t.put("override permitted", format!("{} {permitted}", o.rule), &Source::Site, "no rule");
        }
    }
    if let Some(digest) = &plan.site_policy {
        t.put("judged by", format!("{} {}", crate::site::PATH, digest.get(..19).unwrap_or(digest)), &Source::Site, "-");
    }
    for f in &plan.fallbacks {
        t.put(
            &format!("missing: {}", f.layer),
            format!("{}; instead: {}", f.missing, f.instead),
            &Source::Host,
            "says nothing",
        );
    }
    table.0
}

fn process(t: &mut Table, plan: &Plan) {
    let p = &plan.draft.process;
    t.put("command", shlex_join(&p.args.value), &p.args.source, "the same");
    let u = &p.user.value;
    let groups = u.additional_gids.iter().map(|g| format!(",{g}")).collect::<String>();
    let docker = match (&p.user.source, u.uid) {
        (Source::Preset(_), _) => "0:0 (root)",
        (_, 0) => "the same, and root on the host",
        _ => "the same",
    };
    t.put("user", format!("{}:{}{groups}", u.uid, u.gid), &p.user.source, docker);
    t.put("working directory", &p.cwd.value, &p.cwd.source, "the same");
    for (source, names) in env(plan) {
        t.put("environment", names, &source, "the same");
    }
    let docker = if p.no_new_privileges.value { "off" } else { "the same" };
    t.put("no new privileges", on(p.no_new_privileges.value), &p.no_new_privileges.source, docker);
    t.asked("umask", &p.umask, format!("{:04o}", p.umask.value), "0022");
    t.asked("init", &p.init, on(p.init.value), "off");
    let signal = &p.stop_signal;
    t.put(
        "stop signal",
        format!("{} after which it has {} s", signal.value, p.stop_timeout.value),
        &signal.source,
        "the same",
    );
    t.asked("oom score", &p.oom_score_adj, p.oom_score_adj.value.to_string(), "0");
    t.asked("host name", &plan.draft.hostname, &plan.draft.hostname.value, "the same");
}

/// Names only: values may be secrets. Grouped by who set them.
fn env(plan: &Plan) -> Vec<(Source, String)> {
    let mut by: std::collections::BTreeMap<&Source, Vec<&str>> = std::collections::BTreeMap::new();
    for e in &plan.draft.process.env {
        by.entry(&e.source).or_default().push(e.value.split('=').next().unwrap_or_default());
    }
    by.into_iter().map(|(source, names)| (source.clone(), names.join(" "))).collect()
}

fn namespaces(t: &mut Table, plan: &Plan) {
    let n = &plan.draft.namespaces;
    let user = match n.user.value {
        UserNamespace::Private { size, .. } if n.user.source == Source::Host => {
            format!(
                "its own, with the {size} ids that all containers of this user have; root inside is the user outside"
            )
        }
        UserNamespace::Private { size, .. } => format!("its own, {size} ids that no other container has"),
        UserNamespace::Host => "the host's: root inside is root outside".into(),
    };
    let docker =
        if n.user.value == UserNamespace::Host { "the same" } else { "the host's: root inside is root outside" };
    t.put("user namespace", user, &n.user.source, docker);
    for (name, ns) in [("pid", &n.pid), ("ipc", &n.ipc), ("uts", &n.uts)] {
        t.asked(&format!("{name} namespace"), ns, namespace(&ns.value), "its own");
    }
    t.asked("cgroup namespace", &n.cgroup, namespace(&n.cgroup.value), "its own on cgroup v2, the host's on v1");
    let network = match &n.network.value {
        NetworkMode::None => "its own, loopback only".into(),
        NetworkMode::Bridge => "its own, on a bridge".into(),
        NetworkMode::Host => "the host's".into(),
        NetworkMode::Container(name) => format!("that of container {name}"),
        NetworkMode::Named(name) => format!("its own, on network {name}"),
    };
    t.asked("network", &n.network, network, "bridge docker0, with the other containers and a way out");
    let p = &plan.draft.network;
    if let Some(egress) = &p.egress {
        let to: Vec<String> = egress.value.iter().map(ToString::to_string).collect();
        let to = if to.is_empty() { "nowhere".to_owned() } else { format!("to {} only", to.join(", ")) };
        t.put("outgoing traffic", to, &egress.source, "anywhere");
    }
    if p.host_access {
        let source = Source::Flag("--allow-host-access".into());
        t.put("services of the host", "can be reached", &source, "can be reached");
    }
    if let Some(address) = &p.publish_address {
        t.put("publish address", &address.value, &address.source, "every address of the host");
    }
    for port in &p.publish {
        let source = Source::Flag("--publish".into());
        let docker = if port.host_ip.is_none() { "on every address of the host" } else { "the same" };
        t.put("published port", port.to_string(), &source, docker);
    }
}

fn namespace(ns: &Namespace) -> String {
    match ns {
        Namespace::Private => "its own".into(),
        Namespace::Host => "the host's".into(),
        Namespace::Container(name) => format!("that of container {name}"),
    }
}

fn confinement(t: &mut Table, plan: &Plan, kernel: &str) {
    let d = &plan.draft;
    let caps: Vec<&str> = d.capabilities.value.iter().map(|c| c.trim_start_matches("CAP_")).collect();
    let caps = if caps.is_empty() { "none".to_owned() } else { caps.join(" ") };
    t.put(
        "capabilities",
        caps,
        &d.capabilities.source,
        "14 on the host: these and NET_RAW, MKNOD, SYS_CHROOT, SETFCAP …",
    );
    let host = seccomp::Host::new(kernel, &d.capabilities.value);
    let calls = seccomp::count_allowed(&d.seccomp, &host).map(|(some, of)| format!(": {some} of {of} calls"));
    let profile = match &d.seccomp.profile.value {
        SeccompProfile::Builtin => format!("built-in{}, native calls only", calls.unwrap_or_default()),
        SeccompProfile::Unconfined => "none".into(),
        SeccompProfile::File { path, .. } => format!("{}{}", path.display(), calls.unwrap_or_default()),
    };
    t.put("seccomp", profile, &d.seccomp.profile.source, "its default profile: 295 calls, 32-bit ones too");
    let list = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    let preset = Source::Preset(d.preset.value.clone());
    if let Some(only) = &d.seccomp.only {
        t.put("system calls, listed", list(&only.value), &only.source, "-");
    }
    if !d.seccomp.opened.is_empty() {
        t.put("seccomp, opened", list(&d.seccomp.opened), &preset, "-");
    }
    if !d.seccomp.shut.is_empty() {
        t.put("seccomp, shut", list(&d.seccomp.shut), &preset, "-");
    }
    let setid = if d.seccomp.no_setid.value {
        "cannot be made: a host folder is writable"
    } else {
        "can be made on the container's own root"
    };
    t.put("setuid files", setid, &d.seccomp.no_setid.source, "can be made, in host folders too");
    let ordinary = d.namespaces.user.source == Source::Host && d.namespaces.user.value != UserNamespace::Host;
    let apparmor = match &d.apparmor.value {
        AppArmor::Builtin => "built-in profile".into(),
        AppArmor::Named(name) => name.clone(),
        AppArmor::Unconfined => "none".into(),
        AppArmor::Unavailable if ordinary => "root's to load".into(),
        AppArmor::Unavailable => "not in this kernel".into(),
    };
    t.asked("apparmor", &d.apparmor, apparmor, "docker-default where the kernel has it");
    let selinux = match &d.selinux.value {
        SeLinux::Labels { process, mount } => format!("{process}, files {mount}"),
        SeLinux::Disabled => "off for this container".into(),
        SeLinux::Unavailable => "not on here".into(),
    };
    t.asked("selinux", &d.selinux, selinux, "only where the daemon is told to");
    let landlock = match crate::landlock::rules(d) {
        Ok(rules) => {
            let enforced: Vec<&str> = crate::landlock::enforced(rules.abi).map(|c| c.enforced).collect();
            format!("ABI {}: {}", rules.abi, enforced.join("; "))
        }
        Err(why) => format!("none: {why}"),
    };
    t.put("landlock", landlock, &d.landlock.source, "never");
    declared(t, d);
    let (masked, readonly) = (&d.masked_paths, &d.readonly_paths);
    t.put("hidden paths", format!("{}", masked.value.len()), &masked.source, "12");
    t.put("read-only paths", format!("{}", readonly.value.len()), &readonly.source, "5");
    for device in &d.devices {
        let v = &device.value;
        t.asked("device", device, format!("{} as {} ({})", v.host.display(), v.container, v.access), "the same");
    }
    for rule in &d.device_cgroup_rules {
        t.asked("device rule", rule, &rule.value, "the same");
    }
}

/// What the preset says of files, ports and sockets, rule by rule.
fn declared(t: &mut Table, d: &super::Draft) {
    let listed = |numbers: &std::collections::BTreeSet<u16>| match numbers.is_empty() {
        true => "none".to_owned(),
        false => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let preset = Source::Preset(d.preset.value.clone());
    if let Some(policy) = &d.paths.policy {
        let rest = match (policy.all, policy.base) {
            (true, _) => "everything that is not denied",
            (false, true) => "what every program needs, and what follows",
            (false, false) => "what follows and nothing else",
        };
        t.put("files", rest, &preset, "everything that their modes allow");
        for rule in &policy.rules {
            t.put("files", rule.value.text(), &rule.source, "-");
        }
    }
    for (name, ports) in
        [("TCP ports to listen on", &d.paths.ports.listen), ("TCP ports to connect to", &d.paths.ports.connect)]
    {
        if let Some(ports) = ports {
            t.put(name, listed(&ports.value), &ports.source, "any");
        }
    }
    if let Some(allow) = &d.paths.sockets.allow {
        let all: Vec<String> = allow.value.iter().map(ToString::to_string).collect();
        t.put("sockets", format!("unix, {}", all.join(", ")), &allow.source, "any family but AF_VSOCK and AF_ALG");
    }
    for rule in &d.paths.sockets.deny {
        t.put("sockets", format!("deny {}", rule.value), &rule.source, "-");
    }
    for rule in &d.paths.apparmor_rules {
        t.put("apparmor, besides", rule.value.to_string(), &rule.source, "-");
    }
}

fn mounts(t: &mut Table, plan: &Plan) {
    let d = &plan.draft;
    let root = if d.root.readonly.value { "read-only, nosuid, nodev" } else { "writable, nosuid, nodev" };
    t.asked("root", &d.root.readonly, root, "writable, suid");
    for mount in &d.mounts {
        let mut flags = vec![if mount.readonly.value { "read-only" } else { "writable" }, "nosuid", "nodev"];
        if mount.noexec {
            flags.push("noexec");
        }
        if mount.propagation.value != "private" {
            flags.push(&mount.propagation.value);
        }
        let (what, docker) = kind(mount);
        t.put(
            &format!("mount {}", mount.destination),
            format!("{what}, {}", flags.join(", ")),
            &mount_source(mount),
            docker,
        );
    }
}

/// What decided that there is a mount: the words for it, else whatever decided its mode.
fn mount_source(mount: &MountPlan) -> Source {
    match mount.asked.split([' ', '=']).next() {
        Some(flag) if flag.starts_with('-') => {
            Source::Flag(if flag == "-v" { "--volume".into() } else { flag.to_owned() })
        }
        Some("VOLUME") => Source::Image,
        _ => mount.readonly.source.clone(),
    }
}

fn kind(mount: &MountPlan) -> (String, &'static str) {
    match &mount.kind {
        MountKind::Bind { source, idmap, create, uid, .. } => {
            let ids = match idmap {
                BindIdmap::Owner => format!("its owner {uid} is the container's user"),
                BindIdmap::Identity => "root-owned: ids as on disk".to_owned(),
                BindIdmap::NoRoot => "sensitive: the host's root is nobody".to_owned(),
                BindIdmap::Caller => "the caller's files are the container's root's".to_owned(),
            };
            let made = if *create { ", made" } else { "" };
            (format!("{}{made}, {ids}", source.display()), "writable, suid, root inside is the host's root in it")
        }
        MountKind::Tmpfs { size, mode, .. } => {
            (format!("in memory, {}, mode {mode:04o}", bytes(*size)), "without a size: half of the host's memory")
        }
        MountKind::Volume { name: Some(name), .. } => (format!("volume {name}"), "the same, suid"),
        MountKind::Volume { name: None, .. } => ("anonymous volume".into(), "the same, suid"),
        MountKind::File { content, .. } => (format!("a file of hardrun's, {} bytes", content.len()), "the same"),
        MountKind::Image { .. } => ("files of another image".into(), "the same"),
    }
}

fn limits(t: &mut Table, plan: &Plan) {
    let r = &plan.draft.resources;
    let unlimited = |n: i64| if n <= 0 { "no limit".to_owned() } else { bytes(n as u64) };
    if let Some(m) = &r.memory {
        t.asked("memory", m, unlimited(m.value), "no limit");
    }
    if let Some(s) = &r.memory_swap {
        t.asked("memory and swap", s, unlimited(s.value), "memory twice");
    }
    if let Some(m) = &r.memory_reservation {
        t.asked("memory reservation", m, unlimited(m.value), "none");
    }
    if let Some(s) = &r.memory_swappiness {
        t.asked("swappiness", s, s.value.to_string(), "the host's");
    }
    if let Some(p) = &r.pids {
        t.asked("processes", p, if p.value <= 0 { "no limit".into() } else { p.value.to_string() }, "no limit");
    }
    match &r.cpu_quota {
        Some(q) => {
            let period = r.cpu_period.as_ref().map_or(100_000, |p| p.value);
            t.asked("cpu", q, format!("{} µs in {period} µs", q.value), "no limit");
        }
        None => t.put("cpu", "a fair share, no limit", &Source::Default, "the same"),
    }
    if let Some(s) = &r.cpu_shares {
        t.asked("cpu shares", s, s.value.to_string(), "1024");
    }
    for (name, set) in [("cpus", &r.cpuset_cpus), ("memory nodes", &r.cpuset_mems)] {
        if let Some(set) = set {
            t.asked(name, set, &set.value, "all");
        }
    }
    if let Some(w) = &r.blkio_weight {
        t.asked("block io weight", w, w.value.to_string(), "the host's");
    }
    for (name, list) in [
        ("block io weight", &r.blkio_weight_device),
        ("read bytes/s", &r.read_bps),
        ("write bytes/s", &r.write_bps),
        ("read operations/s", &r.read_iops),
        ("write operations/s", &r.write_iops),
    ] {
        for d in list {
            t.asked(name, d, format!("{} on {}", d.value.value, d.value.path.display()), "no limit");
        }
    }
    match &r.shm_size {
        Some(s) => t.asked("/dev/shm", s, bytes(s.value), "64 MiB"),
        None => {
            let whose = match &plan.draft.namespaces.ipc.value {
                Namespace::Container(id) => format!("that of container {}", &id[..id.len().min(12)]),
                _ => "none".into(),
            };
            t.put("/dev/shm", &whose, &Source::Flag("--ipc".into()), "the same");
        }
    }
    for (name, limit) in &plan.draft.process.rlimits {
        let show = |n: u64| if n == u64::MAX { "unlimited".to_owned() } else { n.to_string() };
        let docker = match name.as_str() {
            "nofile" | "core" => "the daemon's, mostly unlimited",
            _ => "the daemon's",
        };
        t.asked(
            &format!("ulimit {name}"),
            limit,
            format!("{}:{}", show(limit.value.soft), show(limit.value.hard)),
            docker,
        );
    }
}

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// `1.5 GiB`
pub fn bytes(n: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if n >= 1 << shift {
            let whole = n as f64 / f64::from(1u32 << shift);
            return if whole.fract() == 0.0 { format!("{whole} {unit}") } else { format!("{whole:.1} {unit}") };
        }
    }
    format!("{n} B")
}

/// Words as a shell reads them.
pub fn shlex_join(words: &[String]) -> String {
    // A word of an OCI config or argv cannot hold a NUL, the only thing that quoting refuses.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// For a terminal: columns, and docker's way in the last one.
pub fn text(rows: &[Row]) -> String {
    let clean = crate::ui::clean;
    let width =
        |f: fn(&Row) -> &str, most: usize| rows.iter().map(|r| f(r).chars().count()).max().unwrap_or(0).min(most);
    let (layer, value, source) = (width(|r| &r.layer, 42), width(|r| &r.value, 60), width(|r| &r.source, 24));
    let mut out = String::new();
    let mut line = |a: &str, b: &str, c: &str, d: &str| {
        let text = format!("{a:layer$}  {b:value$}  {c:source$}  {d}");
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line("LAYER", "VALUE", "FROM", "DOCKER");
    for r in rows {
        line(&clean(&r.layer), &clean(&r.value), &clean(&r.source), &clean(&r.docker));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::draft::tests::{binds, plan};

    #[test]
    fn every_layer_has_a_row_with_a_source_and_dockers_way() {
        let (plan, facts) = plan("default", |r| r.mounts.mounts = binds(&[("/usr", "/u")]));
        let rows = rows(&plan, &facts.kernel);
        for layer in [
            "command",
            "user",
            "no new privileges",
            "umask",
            "user namespace",
            "pid namespace",
            "ipc namespace",
            "uts namespace",
            "cgroup namespace",
            "network",
            "capabilities",
            "seccomp",
            "apparmor",
            "selinux",
            "landlock",
            "hidden paths",
            "read-only paths",
            "root",
            "mount /u",
            "memory",
            "memory and swap",
            "processes",
            "cpu",
            "/dev/shm",
            "ulimit nofile",
            "oom score",
            "missing: apparmor",
        ] {
            let row = rows.iter().find(|r| r.layer == layer).unwrap_or_else(|| panic!("{layer}"));
            assert!(!row.value.is_empty() && !row.source.is_empty() && !row.docker.is_empty(), "{row:?}");
        }
        let mount = rows.iter().find(|r| r.layer == "mount /u").unwrap();
        assert!(
            mount.value.contains("read-only") && mount.value.contains("the host's root is nobody"),
            "{}",
            mount.value
        );
        assert_eq!(mount.source, "flag --volume");
    }

    #[test]
    fn values_of_the_environment_are_not_shown() {
        let (plan, facts) = plan("default", |r| {
            r.process.env =
                vec![crate::request::EnvSetting { name: "TOKEN".into(), value: Some("hunter2".into()), flag: "--env" }];
        });
        let text = text(&rows(&plan, &facts.kernel));
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn control_characters_of_a_command_do_not_reach_the_terminal() {
        let (plan, facts) = plan("default", |r| r.args = vec!["a\u{1b}[2J".into()]);
        assert!(!text(&rows(&plan, &facts.kernel)).contains('\u{1b}'));
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(512), "512 B");
    }
}
