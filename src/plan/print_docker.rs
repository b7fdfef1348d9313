//! The nearest `docker run` line to a plan, for where hardrun cannot go. What docker cannot do is said in comments.

use super::explain::shlex_join;
use super::{AppArmor, MountKind, Namespace, NetworkMode, Plan, SeccompProfile, Source, Sourced, UserNamespace};

/// A shell script: comments, then one line, both ending in a newline. `named`: the caller chose the name.
pub fn print(plan: &Plan, named: bool) -> String {
    let mut out = String::new();
    for note in cannot(plan) {
        out.push_str(&format!("# {}\n", crate::ui::clean(&note)));
    }
    out.push_str(&shlex_join(&line(plan, named)));
    out.push('\n');
    out
}

struct Line(Vec<String>);

impl Line {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.to_owned());
    }
    fn with(&mut self, flag: &str, value: impl ToString) {
        self.0.push(flag.to_owned());
        self.0.push(value.to_string());
    }
    fn option<T: ToString>(&mut self, flag: &str, value: &Option<Sourced<T>>) {
        if let Some(value) = value {
            self.with(flag, value.value.to_string());
        }
    }
}

/// Words of the command line.
fn line(plan: &Plan, named: bool) -> Vec<String> {
    let d = &plan.draft;
    let mut l = Line(vec!["docker".into(), "run".into()]);
    if d.remove {
        l.flag("--rm");
    }
    if d.stdio.interactive {
        l.flag("-i");
    }
    if d.stdio.tty {
        l.flag("-t");
    }
    if named {
        l.with("--name", &d.name);
    }
    confinement(&mut l, plan);
    namespaces(&mut l, plan);
    limits(&mut l, plan);
    mounts(&mut l, plan);
    process(&mut l, plan);
    l.0
}

fn confinement(l: &mut Line, plan: &Plan) {
    let d = &plan.draft;
    l.with("--cap-drop", "ALL");
    for cap in &d.capabilities.value {
        l.with("--cap-add", cap.trim_start_matches("CAP_"));
    }
    if d.process.no_new_privileges.value {
        l.with("--security-opt", "no-new-privileges");
    }
    match &d.seccomp.profile.value {
        SeccompProfile::Builtin => {}
        SeccompProfile::Unconfined => l.with("--security-opt", "seccomp=unconfined"),
        SeccompProfile::File { path, .. } => l.with("--security-opt", format!("seccomp={}", path.display())),
    }
    match &d.apparmor.value {
        AppArmor::Named(name) => l.with("--security-opt", format!("apparmor={name}")),
        AppArmor::Unconfined => l.with("--security-opt", "apparmor=unconfined"),
        AppArmor::Builtin | AppArmor::Unavailable => {}
    }
    if d.root.readonly.value {
        l.flag("--read-only");
    }
    for device in &d.devices {
        let v = &device.value;
        l.with("--device", format!("{}:{}:{}", v.host.display(), v.container, v.access));
    }
}

fn namespaces(l: &mut Line, plan: &Plan) {
    let n = &plan.draft.namespaces;
    let mode = |ns: &Namespace| match ns {
        Namespace::Private => None,
        Namespace::Host => Some("host".to_owned()),
        Namespace::Container(name) => Some(format!("container:{name}")),
    };
    if n.ipc.value == Namespace::Private && plan.draft.resources.shm_size.is_none() {
        l.with("--ipc", "none");
    }
    for (flag, ns) in [("--pid", &n.pid), ("--ipc", &n.ipc), ("--uts", &n.uts)] {
        if let Some(mode) = mode(&ns.value) {
            l.with(flag, mode);
        }
    }
    l.with("--cgroupns", mode(&n.cgroup.value).unwrap_or_else(|| "private".into()));
    let network = match &n.network.value {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Bridge => "bridge".into(),
        NetworkMode::Host => "host".into(),
        NetworkMode::Container(name) => format!("container:{name}"),
        NetworkMode::Named(name) => name.clone(),
    };
    match plan.draft.network.endpoints.as_slice() {
        [] => l.with("--network", network),
        endpoints => {
            for e in endpoints {
                let mut words = vec![format!("name={}", e.network)];
                words.extend(e.aliases.iter().map(|a| format!("alias={a}")));
                words.extend(e.ip.iter().map(|ip| format!("ip={ip}")));
                words.extend(e.ip6.iter().map(|ip| format!("ip6={ip}")));
                words.extend(e.mac.iter().map(|mac| format!("mac-address={mac}")));
                let plain = words.len() == 1;
                l.with("--network", if plain { e.network.clone() } else { words.join(",") });
            }
        }
    }
    for p in &plan.draft.network.publish {
        let host = match (p.host_port, p.host_port_last) {
            (Some(first), Some(last)) => format!("{first}-{last}"),
            (Some(port), None) => port.to_string(),
            (None, _) => String::new(),
        };
        let ip = p.host_ip.as_deref().unwrap_or("127.0.0.1");
        l.with("-p", format!("{ip}:{host}:{}/{}", p.container_port, p.protocol));
    }
    for (name, address) in &plan.draft.network.hosts {
        l.with("--add-host", format!("{name}:{address}"));
    }
    for server in &plan.draft.network.dns {
        l.with("--dns", server);
    }
    for (key, value) in &plan.draft.sysctls {
        l.with("--sysctl", format!("{key}={}", value.value));
    }
}

fn limits(l: &mut Line, plan: &Plan) {
    let r = &plan.draft.resources;
    l.option("--memory", &r.memory.clone().filter(|m| m.value > 0));
    l.option("--memory-swap", &r.memory_swap);
    l.option("--memory-reservation", &r.memory_reservation);
    l.option("--pids-limit", &r.pids);
    l.option("--cpu-period", &r.cpu_period);
    l.option("--cpu-quota", &r.cpu_quota);
    l.option("--cpu-shares", &r.cpu_shares);
    l.option("--cpuset-cpus", &r.cpuset_cpus);
    l.option("--cpuset-mems", &r.cpuset_mems);
    l.option("--blkio-weight", &r.blkio_weight);
    l.option("--shm-size", &r.shm_size);
    for (name, limit) in &plan.draft.process.rlimits {
        let show = |n: u64| if n == u64::MAX { "-1".to_owned() } else { n.to_string() };
        l.with("--ulimit", format!("{name}={}:{}", show(limit.value.soft), show(limit.value.hard)));
    }
    l.with("--oom-score-adj", plan.draft.process.oom_score_adj.value);
}

fn mounts(l: &mut Line, plan: &Plan) {
    for m in &plan.draft.mounts {
        let readonly = if m.readonly.value { ",readonly" } else { "" };
        match &m.kind {
            MountKind::Bind { source, .. } => l.with(
                "--mount",
                format!("type=bind,src={},dst={}{readonly},bind-propagation=rprivate", source.display(), m.destination),
            ),
            MountKind::Tmpfs { size, mode, uid, gid } => {
                let exec = if m.noexec { "noexec" } else { "exec" };
                l.with(
                    "--tmpfs",
                    format!("{}:{exec},nosuid,nodev,size={size},mode={mode:o},uid={uid},gid={gid}", m.destination),
                );
            }
            MountKind::Volume { name: Some(name), .. } => {
                l.with("--mount", format!("type=volume,src={name},dst={}{readonly}", m.destination));
            }
            // An image's own come by themselves.
            MountKind::Volume { name: None, .. } if m.asked.starts_with('-') => l.with("-v", &m.destination),
            MountKind::Volume { .. } | MountKind::File { .. } | MountKind::Image { .. } => {}
        }
    }
}

fn process(l: &mut Line, plan: &Plan) {
    let d = &plan.draft;
    let p = &d.process;
    let flagged = |source: &Source| matches!(source, Source::Flag(_));
    // Numbers: names were looked up in the image already.
    l.with("--user", format!("{}:{}", p.user.value.uid, p.user.value.gid));
    for gid in p.user.value.additional_gids.iter().filter(|g| **g != p.user.value.gid) {
        l.with("--group-add", gid);
    }
    if flagged(&d.hostname.source) {
        l.with("--hostname", &d.hostname.value);
    }
    if flagged(&p.cwd.source) {
        l.with("--workdir", &p.cwd.value);
    }
    for e in p.env.iter().filter(|e| flagged(&e.source)) {
        l.with("--env", &e.value);
    }
    if p.init.value {
        l.flag("--init");
    }
    // One word is the entrypoint, the rest the command: whatever the image has is replaced.
    let mut words = p.args.value.iter();
    let from_image = p.args.source == Source::Image;
    if !from_image && let Some(first) = words.next() {
        l.with("--entrypoint", first);
    }
    l.flag(&d.image.reference);
    if !from_image {
        l.0.extend(words.cloned());
    }
}

/// What the line cannot say.
fn cannot(plan: &Plan) -> Vec<String> {
    let d = &plan.draft;
    let mut notes = vec!["the nearest docker run line; docker has no flag for:".to_owned()];
    let mut add = |text: &str| notes.push(format!("- {text}"));
    if matches!(d.namespaces.user.value, UserNamespace::Private { .. }) {
        add("a user namespace for each container (dockerd --userns-remap gives all of them one); without it the");
        add("  capabilities above are capabilities on the host: leave out those that the workload can do without");
    }
    if d.seccomp.profile.value == SeccompProfile::Builtin {
        add("hardrun's seccomp filter: docker's default one lets io_uring, keyctl, 32-bit calls and more through");
    }
    if d.seccomp.no_setid.value {
        add("refusing setuid and setgid files in host folders that are bound writable");
    }
    add("a Landlock ruleset, hidden paths beyond its own twelve, the umask, reading the state back before the start");
    if d.mounts.iter().any(|m| matches!(m.kind, MountKind::Bind { .. })) {
        add("binds with nosuid, nodev and mapped ids: root inside writes as the host's root");
    }
    let inside = |path: &String| {
        d.mounts
            .iter()
            .any(|m| matches!(m.kind, MountKind::Bind { .. }) && path.starts_with(&format!("{}/", m.destination)))
    };
    let hidden: Vec<&str> = d.masked_paths.value.iter().filter(|p| inside(p)).map(String::as_str).collect();
    if !hidden.is_empty() {
        add(&format!("hiding files inside a bound folder: {}", hidden.join(" ")));
    }
    if let Some(egress) = &d.network.egress {
        let to: Vec<String> = egress.value.iter().map(ToString::to_string).collect();
        add(&format!("limiting outgoing traffic: {}", if to.is_empty() { "none".into() } else { to.join(" ") }));
    }
    if !d.network.endpoints.is_empty() && !d.network.host_access {
        add("keeping containers from services of the host, from other bridges and from cloud metadata");
    }
    if let Some(t) = &d.timeout {
        add(&format!("a time limit: put `timeout {}` before it", t.value));
    }
    for o in &plan.overrides {
        add(&format!("refusing rule {}, which was overridden", o.rule));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::draft::tests::{binds, plan};

    #[test]
    fn the_line_is_one_shell_line_that_reads_back() {
        let (plan, _) = plan("default", |r| {
            r.mounts.mounts = binds(&[("/usr", "/u")]);
            r.process.tty = true;
        });
        let text = print(&plan, false);
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        let [line] = lines[..] else { panic!("{text}") };
        let words = shlex::split(line).unwrap();
        let has = |pair: [&str; 2]| words.windows(2).any(|w| w == pair);
        assert_eq!(&words[..2], ["docker", "run"]);
        for pair in [
            ["--cap-drop", "ALL"],
            ["--cap-add", "CHOWN"],
            ["--security-opt", "no-new-privileges"],
            ["--network", "bridge"],
            ["--pids-limit", "2048"],
            ["--mount", "type=bind,src=/usr,dst=/u,readonly,bind-propagation=rprivate"],
            ["--entrypoint", "/entry"],
        ] {
            assert!(has(pair), "{pair:?} in {line}");
        }
        assert_eq!(&words[words.len() - 3..], ["app", "echo", "two words"]);
        assert!(!words.iter().any(|w| w == "--name"), "a name that nobody chose is not pinned");
    }

    #[test]
    fn what_docker_cannot_do_is_said() {
        let text = print(&plan("default", |_| {}).0, true);
        assert!(text.starts_with("# ") && text.contains("# - a user namespace for each container"), "{text}");
        assert!(text.contains("--name calm_hopper"));
    }
}
