use super::*;

pub(super) fn cases() -> Vec<Cases> {
    let apparmor = |value: AppArmor| d(|d| d.apparmor = Sourced::flag(value, "--security-opt apparmor"));
    let mode = |mode: &str| {
        let mut draft = apparmor(AppArmor::Named("own".into()));
        draft.asked.apparmor_mode = Some(mode.into());
        draft
    };
    let label = |kind: &str| {
        let process = format!("system_u:system_r:{kind}:s0:c1,c2");
        d(|d| d.selinux = Sourced::flag(SeLinux::Labels { process, mount: "x".into() }, "--security-opt label"))
    };
    let (pid, pid_ok) = namespace(|n, mode| n.pid = mode);
    let (ipc, ipc_ok) = namespace(|n, mode| n.ipc = mode);
    let (uts, uts_ok) = namespace(|n, mode| n.uts = mode);
    let (cgroup, cgroup_ok) = namespace(|n, mode| n.cgroup = mode);
    let network = |mode: NetworkMode| d(|d| d.namespaces.network = Sourced::flag(mode, "--network"));
    vec![
        Cases {
            rule: "seccomp-unconfined",
            refused: vec![profile(SeccompProfile::Unconfined)],
            passes: vec![profile(SeccompProfile::Builtin)],
        },
        Cases {
            rule: "seccomp-weaker",
            refused: vec![
                profile_text(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}"#),
                profile_text(
                    r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["bpf","read"],"action":"SCMP_ACT_ALLOW"}]}"#,
                ),
                profile_text("no json at all"),
            ],
            passes: vec![profile_text(
                r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}"#,
            )],
        },
        Cases {
            rule: "seccomp-policy-image",
            refused: vec![d(|d| d.asked.seccomp_policy_image = true)],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "apparmor-unconfined",
            refused: vec![
                apparmor(AppArmor::Unconfined),
                apparmor(AppArmor::Named("unconfined".into())),
                apparmor(AppArmor::Named(":ns:unconfined".into())),
            ],
            passes: vec![
                apparmor(AppArmor::Named("docker-default".into())),
                apparmor(AppArmor::Builtin),
                apparmor(AppArmor::Unavailable),
            ],
        },
        Cases {
            rule: "apparmor-weaker",
            refused: ["complain", "unconfined", "mixed"].map(mode).to_vec(),
            passes: ["enforce", "kill"].map(mode).to_vec(),
        },
        Cases {
            rule: "selinux-disabled",
            refused: vec![
                d(|d| d.selinux = Sourced::flag(SeLinux::Disabled, "--security-opt label")),
                label("spc_t"),
                label("unconfined_t"),
            ],
            passes: vec![label("container_t"), label("svirt_apache_t")],
        },
        Cases {
            rule: "paths-unmasked",
            refused: vec![
                d(|d| d.masked_paths = Sourced::flag(vec![], "--security-opt")),
                d(|d| d.readonly_paths = Sourced::flag(vec![], "--security-opt")),
                d(|d| d.masked_paths.value.retain(|p| p != "/proc/kcore")),
            ],
            passes: vec![d(|d| d.masked_paths.value.push("/proc/more".into()))],
        },
        Cases {
            rule: "writable-cgroups",
            refused: vec![d(|d| d.asked.writable_cgroups = true)],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "personality",
            refused: vec![d(|d| d.asked.personality = Some("ADDR_NO_RANDOMIZE".into()))],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "host-userns",
            refused: vec![d(|d| {
                d.namespaces.user = Sourced::flag(UserNamespace::Host, "--userns");
                d.capabilities.value.clear();
            })],
            passes: vec![d(|d| {
                d.namespaces.user = Sourced::new(UserNamespace::Host, Source::Host);
                d.capabilities.value.clear();
            })],
        },
        Cases { rule: "host-pid", refused: pid, passes: pid_ok },
        Cases {
            rule: "host-network",
            refused: vec![network(NetworkMode::Host)],
            passes: vec![network(NetworkMode::None), network(NetworkMode::Container("web".into()))],
        },
        Cases { rule: "host-ipc", refused: ipc, passes: ipc_ok },
        Cases { rule: "host-uts", refused: uts, passes: uts_ok },
        Cases { rule: "host-cgroupns", refused: cgroup, passes: cgroup_ok },
        Cases {
            rule: "foreign-container",
            refused: vec![d(|d| d.asked.foreign_namespaces = vec!["--network ns:/proc/1/ns/net".into()])],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "host-sysctl",
            refused: vec![
                sysctl("kernel.core_pattern"),
                sysctl("vm.overcommit_memory"),
                d(|d| {
                    d.sysctls.insert("kernel/core_pattern".into(), Sourced::flag("|/x".into(), "--sysctl"));
                }),
            ],
            passes: vec![sysctl("net.core.somaxconn"), sysctl("kernel.shm_rmid_forced")],
        },
        Cases {
            rule: "sysctl",
            refused: vec![sysctl("net.ipv4.ip_forward"), sysctl("kernel.shmmax"), sysctl("fs.mqueue.msg_max")],
            passes: vec![
                sysctl("net.ipv4.ip_unprivileged_port_start"),
                sysctl("net/ipv4/tcp_keepalive_time"),
                sysctl("net.ipv6.conf.all.disable_ipv6"),
            ],
        },
    ]
}
