//! A draft that no rule objects to, facts of an ordinary host, and small changes to both, for tests.

use crate::facts::{BindSeen, CgroupVersion, Enforcement, Facts};
use crate::plan::*;
use std::collections::{BTreeMap, BTreeSet};

/// An ordinary host with docker's and systemd's sockets.
pub fn facts() -> Facts {
    Facts {
        kernel: "6.12.0".into(),
        euid: 0,
        landlock_abi: 6,
        apparmor: true,
        selinux: false,
        apparmor_mode: Enforcement::Refuses,
        selinux_mode: Enforcement::Refuses,
        cgroup: CgroupVersion::V2,
        cgroup_controllers: ["cpu", "cpuset", "io", "memory", "pids"].map(String::from).to_vec(),
        user_namespaces: true,
        idmapped_overlay: true,
        seccomp: true,
        cpus: 4,
        memory: 8 << 30,
        bounding: (1 << 41) - 1,
        nofile_hard: 1 << 20,
        hard_limits: BTreeMap::from([("nofile".into(), 1 << 20)]),
        limits: BTreeSet::new(),
        systemd: Default::default(),
        oom_score_adj: 0,
        engine_sockets: vec!["/run/docker.sock".into(), "/run/systemd/private".into()],
        own_paths: vec!["/srv/store".into()],
        rootless: None,
        site: Default::default(),
    }
}

/// A hardened draft that passes every rule.
pub fn draft() -> Draft {
    let private = || Sourced::default(Namespace::Private);
    Draft {
        id: "ab".repeat(32),
        name: "quiet_otter".into(),
        preset: Sourced::default("default".into()),
        image: ImagePlan {
            reference: "busybox".into(),
            name: "busybox:latest".into(),
            manifest_digest: format!("sha256:{}", "1".repeat(64)),
            config_digest: format!("sha256:{}", "2".repeat(64)),
            layers: vec!["/var/lib/hardrun/layers/one".into()],
            index_digest: None,
            repositories: vec![],
            signatures: vec![],
        },
        process: ProcessPlan {
            args: Sourced::new(vec!["sh".into()], Source::Image),
            env: vec![],
            cwd: Sourced::default("/".into()),
            user: Sourced::default(UserPlan::default()),
            no_new_privileges: Sourced::default(true),
            umask: Sourced::default(0o22),
            rlimits: BTreeMap::from([
                ("nofile".into(), Sourced::default(Rlimit { soft: 1024, hard: 4096 })),
                ("core".into(), Sourced::default(Rlimit { soft: 0, hard: 0 })),
            ]),
            oom_score_adj: Sourced::default(0),
            init: Sourced::default(false),
            stop_signal: Sourced::default(15),
            stop_timeout: Sourced::default(10),
        },
        hostname: Sourced::default("abababababab".into()),
        domainname: None,
        root: RootPlan { readonly: Sourced::default(false) },
        namespaces: NamespacesPlan {
            user: Sourced::default(UserNamespace::Private { base: 0, size: 65536 }),
            pid: private(),
            ipc: private(),
            uts: private(),
            cgroup: private(),
            network: Sourced::default(NetworkMode::None),
            joins: None,
        },
        capabilities: Sourced::default(BTreeSet::from(["CAP_CHOWN".into(), "CAP_SETUID".into()])),
        seccomp: SeccompPlan {
            profile: Sourced::default(SeccompProfile::Builtin),
            only: None,
            opened: BTreeSet::new(),
            shut: BTreeSet::new(),
            no_setid: Sourced::default(false),
        },
        apparmor: Sourced::default(AppArmor::Builtin),
        selinux: Sourced::new(SeLinux::Unavailable, Source::Host),
        landlock: Sourced::default(Landlock::Ruleset { abi: 6 }),
        paths: Default::default(),
        mounts: vec![],
        masked_paths: Sourced::default(strings(super::rules::paths_unmasked::MASKED)),
        readonly_paths: Sourced::default(strings(super::rules::paths_unmasked::READONLY)),
        devices: vec![],
        device_cgroup_rules: vec![],
        resources: ResourcesPlan {
            memory: Some(Sourced::default(1 << 30)),
            memory_swap: Some(Sourced::default(1 << 30)),
            pids: Some(Sourced::default(512)),
            ..Default::default()
        },
        sysctls: BTreeMap::new(),
        network: NetworkPlan::default(),
        stdio: StdioPlan {
            tty: false,
            interactive: false,
            attach_stdin: false,
            attach_stdout: true,
            attach_stderr: true,
            sig_proxy: true,
            detach_keys: None,
        },
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        remove: true,
        restart: Sourced::default(Default::default()),
        health: None,
        log: Sourced::default(LogPlan {
            driver: LogDriverPlan::JsonFile,
            max_size: None,
            max_file: 1,
            options: BTreeMap::new(),
        }),
        timeout: None,
        cidfile: None,
        pidfile: None,
        asked: Asked::default(),
        notices: vec![],
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// The hardened draft with one thing changed.
pub fn draft_with(change: impl FnOnce(&mut Draft)) -> Draft {
    let mut draft = draft();
    change(&mut draft);
    draft
}

/// A bind `source:destination[:mode]`; no mode asked means read-only, as the planner does it for sensitive paths.
pub fn bind(spec: &str) -> MountPlan {
    let mut parts = spec.split(':');
    let source = parts.next().unwrap_or_default();
    let destination = parts.next().unwrap_or("/x");
    let mode = parts.next();
    MountPlan {
        destination: destination.into(),
        kind: MountKind::Bind {
            source: source.into(),
            typed: source.into(),
            uid: 0,
            gid: 0,
            directory: true,
            create: false,
            recursive: true,
            mode_asked: mode.is_some(),
            idmap: BindIdmap::NoRoot,
            relabel: None,
            seen: BindSeen::default(),
        },
        readonly: Sourced::default(mode != Some("rw")),
        noexec: false,
        asked: format!("-v {spec}"),
        propagation: Sourced::default("private".into()),
    }
}

/// The hardened draft with these binds.
pub fn binds(specs: &[&str]) -> Draft {
    draft_with(|d| d.mounts = specs.iter().map(|s| bind(s)).collect())
}

/// Change what the disk showed about a bind.
pub fn seen(mut mount: MountPlan, change: impl FnOnce(&mut BindSeen)) -> MountPlan {
    if let MountKind::Bind { seen, .. } = &mut mount.kind {
        change(seen);
    }
    mount
}
