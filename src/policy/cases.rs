//! For every rule: drafts that it refuses and drafts that it lets pass. [`tests`] holds them to it, and holds each
//! override to loosening its own rule only.

use super::registry::RULES;
use super::testkit::{bind, binds, draft_with, facts, seen};
use super::{Allow, Override, judge};
use crate::facts::{Facts, Held, PathClass};
use crate::plan::*;

/// Drafts for one rule.
struct Cases {
    rule: &'static str,
    refused: Vec<Draft>,
    passes: Vec<Draft>,
}

fn d(change: impl FnOnce(&mut Draft)) -> Draft {
    draft_with(change)
}

/// One bind each.
fn each(specs: &[&str]) -> Vec<Draft> {
    specs.iter().map(|spec| binds(&[spec])).collect()
}

fn held(path: &str, class: PathClass) -> Held {
    Held { path: path.into(), class, why: "a test".into() }
}

/// A bind whose source is reached by another name: a symlink that was followed.
fn link(typed: &str, source: &str) -> Draft {
    d(|d| {
        let mut mount = bind(&format!("{typed}:/x:ro"));
        if let MountKind::Bind { source: resolved, .. } = &mut mount.kind {
            *resolved = source.into();
        }
        d.mounts = vec![mount];
    })
}

fn holding(spec: &str, path: &str, class: PathClass) -> MountPlan {
    seen(bind(spec), |s| s.holds = vec![held(path, class)])
}

fn caps(names: &[&str]) -> Draft {
    d(|d| d.capabilities = Sourced::flag(names.iter().map(|n| (*n).to_owned()).collect(), "--cap-add"))
}

fn args(words: &[&str]) -> Draft {
    d(|d| d.process.args = Sourced::flag(words.iter().map(|w| (*w).to_owned()).collect(), "command"))
}

fn port(ip: Option<&str>, host: Option<u16>, container: u16) -> Draft {
    let host_ip = ip.map(str::to_owned);
    d(|d| {
        d.asked.publish =
            vec![Published { host_ip, host_port: host, container_port: container, protocol: "tcp".into() }]
    })
}

fn sysctl(key: &str) -> Draft {
    d(|d| {
        d.sysctls.insert(key.into(), Sourced::flag("1".into(), "--sysctl"));
    })
}

fn rlimit(name: &str, hard: u64) -> Draft {
    d(|d| {
        d.process.rlimits.insert(name.into(), Sourced::flag(Rlimit { soft: hard, hard }, &format!("--ulimit {name}")));
    })
}

fn device(host: &str, access: &str) -> Draft {
    let plan = DevicePlan { host: host.into(), container: host.into(), access: access.into() };
    d(|d| d.devices = vec![Sourced::flag(plan, "--device")])
}

fn tmpfs(destination: &str) -> Draft {
    d(|d| {
        let kind = MountKind::Tmpfs { size: 1 << 20, mode: 0o1777, uid: 0, gid: 0 };
        d.mounts = vec![MountPlan { destination: destination.into(), kind, ..bind("/srv:/x") }];
    })
}

fn profile(value: SeccompProfile) -> Draft {
    d(|d| d.seccomp.profile = Sourced::flag(value, "--security-opt seccomp"))
}

fn profile_text(json: &str) -> Draft {
    profile(SeccompProfile::File { path: "/srv/profile.json".into(), json: json.into() })
}

fn propagation(mode: &str) -> Draft {
    d(|d| {
        d.mounts = vec![MountPlan { propagation: Sourced::flag(mode.into(), "--mount"), ..bind("/srv/data:/data") }];
    })
}

fn group(uid: u32, gid: u32, asked: bool, user: UserNamespace) -> Draft {
    d(|d| {
        d.process.user.value = UserPlan { uid, gid: uid, ..UserPlan::default() };
        d.asked.group_add = if asked { vec!["docker".into()] } else { vec![] };
        d.namespaces.user = Sourced::new(user, Source::Host);
        d.capabilities = Sourced::new(Default::default(), Source::Host);
        d.process.user.value.additional_gids = vec![gid];
    })
}

fn namespace(change: impl Fn(&mut NamespacesPlan, Sourced<Namespace>)) -> (Vec<Draft>, Vec<Draft>) {
    let one = |mode: Namespace| d(|d| change(&mut d.namespaces, Sourced::flag(mode, "--flag")));
    (vec![one(Namespace::Host)], vec![one(Namespace::Private), one(Namespace::Container("web".into()))])
}

fn mount_cases() -> Vec<Cases> {
    vec![
        Cases {
            rule: "engine-socket",
            refused: [
                each(&[
                    "/run/docker.sock:/s:ro",
                    "/run/docker.sock/:/s",
                    "//run/./docker.sock:/s",
                    "/run:/x",
                    "/run/containerd:/x",
                    "/run/containerd/containerd.sock:/x",
                    "/run/podman/podman.sock:/x",
                    "/run/crio/crio.sock:/x",
                    "/run/buildkit:/x",
                    "/run/libvirt/libvirt-sock:/x",
                    "/run/systemd:/x",
                    "/run/systemd/private:/x",
                    "/run/dbus/system_bus_socket:/x",
                    "/run/user:/x",
                    "/run/user/1000:/x",
                    "/run/user/1000/podman/podman.sock:/x",
                    "/run/user/1000/bus:/x",
                ]),
                vec![
                    link("/var/run/docker.sock", "/run/docker.sock"),
                    link("/srv/innocent", "/run/docker.sock"),
                    link("/var/run", "/run"),
                    d(|d| d.mounts = vec![seen(bind("/srv/x.sock:/s"), |s| s.engine = Some("docker".into()))]),
                    d(|d| d.mounts = vec![holding("/srv/app:/app", "/srv/app/docker.sock", PathClass::EngineSocket)]),
                    d(|d| {
                        let is = held("/run/docker.sock", PathClass::EngineSocket);
                        d.mounts = vec![seen(bind("/mnt/alias:/s"), |s| s.is = vec![is])];
                    }),
                ],
            ]
            .concat(),
            passes: [
                each(&[
                    "/srv/app:/app:rw",
                    "/run/mysqld/mysqld.sock:/s",
                    "/run/systemd/resolve/stub-resolv.conf:/r:ro",
                ]),
                vec![d(|d| {
                    // Covered: ~/.docker is hidden, and the socket with it.
                    let path = "/home/ann/.docker/run/docker.sock";
                    d.mounts = vec![holding("/home/ann:/src", path, PathClass::EngineSocket)];
                    d.masked_paths.value.push("/src/.docker".into());
                })],
            ]
            .concat(),
        },
        Cases {
            rule: "host-root-mount",
            refused: {
                let mut refused = each(&["/:/host", "//:/host:ro", "/etc/..:/host", "/.:/host:rw"]);
                refused.push(d(|d| {
                    d.mounts = vec![seen(bind("/mnt/alias:/host"), |s| s.is = vec![held("/", PathClass::Root)])];
                }));
                refused
            },
            passes: each(
                &["/srv:/host", "/home/ann/project:/"].map(|s| if s.ends_with(":/") { "/opt:/host" } else { s }),
            ),
        },
        Cases {
            rule: "host-secrets",
            refused: [
                each(&[
                    "/etc/shadow:/x:ro",
                    "/etc/../etc/shadow:/x",
                    "/etc/gshadow-:/x",
                    "/etc/sudoers.d/one:/x",
                    "/etc/ssh/ssh_host_ed25519_key:/x",
                    "/etc/ssl/private:/x",
                    "/root:/x",
                    "/root/.ssh:/root/.ssh:ro",
                    "/root/.ssh/id_ed25519:/key",
                    "/home/ann/.aws/credentials:/x",
                    "/home/ann/.kube/config:/x",
                    "/home/ann/.docker/config.json:/x",
                    "/home/ann/.gnupg:/x",
                    "/srv/ci/.ssh:/x",
                    "/tmp/ssh-XXabc/agent.7:/agent",
                    "/tmp/.X11-unix:/tmp/.X11-unix",
                ]),
                vec![
                    link("/srv/innocent", "/etc/shadow"),
                    // Not covered, for something was asked for below it.
                    d(|d| d.mounts = vec![holding("/home/ann:/src", "/home/ann/.ssh", PathClass::Secret)]),
                ],
            ]
            .concat(),
            passes: [
                each(&[
                    "/root/project:/src:rw",
                    "/home/ann/project:/src:rw",
                    "/etc/ssh/ssh_host_rsa_key.pub:/x",
                    "/etc/passwd:/x",
                ]),
                vec![d(|d| {
                    d.mounts = vec![holding("/home/ann:/src:rw", "/home/ann/.ssh", PathClass::Secret)];
                    d.masked_paths.value.push("/src/.ssh".into());
                })],
            ]
            .concat(),
        },
        Cases {
            rule: "engine-data",
            refused: [
                each(&["/var/lib/docker:/x", "/var/lib/docker/volumes/a/_data:/x", "/var/lib/containers/:/x:ro"]),
                each(&["/var/lib/containerd:/x", "/home/ann/.local/share/containers:/x", "/run/runc:/x"]),
                vec![d(|d| d.mounts = vec![holding("/var:/x", "/var/lib/docker", PathClass::EngineData)])],
            ]
            .concat(),
            passes: each(&["/var/lib/mysql:/x:rw", "/var/www:/x:rw"]),
        },
        Cases {
            rule: "host-proc-mount",
            refused: each(&["/proc:/host/proc:ro", "/proc/sys/kernel/core_pattern:/x", "/proc/1/root:/x"]),
            passes: each(&["/srv/proc:/x"]),
        },
        Cases {
            rule: "host-sys-mount",
            refused: each(&["/sys:/x:ro", "/sys/fs/cgroup:/x", "/sys/kernel/debug:/x"]),
            passes: each(&["/srv/sys:/x"]),
        },
        Cases {
            rule: "host-dev-mount",
            refused: each(&["/dev:/x", "/dev/sda:/x", "/dev/shm:/x", "/dev/pts:/x", "/dev/kmsg:/x"]),
            passes: each(&["/dev/null:/x", "/dev/urandom:/x", "/dev/shm/mine:/x"]),
        },
        Cases {
            rule: "sensitive-mount-rw",
            refused: {
                let mut refused = each(&[
                    "/etc:/x:rw",
                    "/etc/../etc:/x:rw",
                    "/etc/cron.d:/x:rw",
                    "/usr/local/bin:/x:rw",
                    "/boot:/x:rw",
                    "/lib/modules:/x:rw",
                    "/var/spool/cron:/x:rw",
                    "/home:/x:rw",
                    "/var/log:/x:rw",
                    "/home/ann/.bashrc:/x:rw",
                ]);
                refused.push(d(|d| {
                    let mut mount = bind("/etc/new:/x");
                    if let MountKind::Bind { create, .. } = &mut mount.kind {
                        *create = true;
                    }
                    d.mounts = vec![mount];
                }));
                refused
            },
            passes: each(&[
                "/etc:/x",
                "/usr:/x:ro",
                "/etc/localtime:/etc/localtime:ro",
                "/var/log/app:/x:rw",
                "/opt/app:/x:rw",
            ]),
        },
        Cases {
            rule: "shared-propagation",
            refused: ["shared", "rshared", "slave", "rslave", "unbindable"].map(propagation).to_vec(),
            passes: ["private", "rprivate", ""].map(propagation).to_vec(),
        },
        Cases {
            rule: "kernel-mountpoint",
            refused: [
                each(&[
                    "/srv/a:/proc",
                    "/srv/a:/proc/sys",
                    "/srv/a:/x/../proc/self",
                    "/srv/a:/sys/fs/cgroup",
                    "/srv/a:/dev",
                ]),
                vec![tmpfs("/proc"), tmpfs("/dev/pts"), tmpfs("/"), tmpfs("//sys/")],
            ]
            .concat(),
            passes: vec![tmpfs("/dev/shm"), tmpfs("/procedures"), tmpfs("/dev/mqueue"), tmpfs("/run")],
        },
        Cases {
            rule: "own-state",
            refused: {
                let mut refused = each(&[
                    "/var/lib/hardrun:/x",
                    "/var/lib/hardrun/audit.log:/x:ro",
                    "/run/hardrun:/x",
                    "/etc/hardrun/policy.toml:/x",
                    "/srv/store:/x",
                    "/srv/store/images:/x",
                ]);
                refused.push(d(|d| d.mounts = vec![holding("/var/lib:/x", "/var/lib/hardrun", PathClass::Own)]));
                refused
            },
            passes: vec![
                binds(&["/srv/storehouse:/x:rw"]),
                d(|d| {
                    d.mounts = vec![holding("/var/lib:/x", "/var/lib/hardrun", PathClass::Own)];
                    d.masked_paths.value.push("/x/hardrun".into());
                }),
            ],
        },
    ]
}

fn rights_cases() -> Vec<Cases> {
    let host = || Sourced::new(UserNamespace::Host, Source::Host);
    vec![
        Cases {
            rule: "privileged",
            refused: vec![d(|d| {
                d.asked.privileged = true;
                d.capabilities = Sourced::flag(["CAP_SYS_ADMIN".into()].into(), "--privileged");
            })],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "dangerous-capability",
            refused: vec![
                caps(&["CAP_SYS_ADMIN"]),
                caps(&["CAP_NET_RAW"]),
                caps(&["CAP_CHOWN", "CAP_MKNOD"]),
                caps(&["CAP_OF_THE_FUTURE"]),
                d(|d| d.asked.cap_add_all = true),
                d(|d| {
                    d.namespaces.user = host();
                    d.capabilities = Sourced::flag(["CAP_CHOWN".into()].into(), "--cap-add");
                }),
                d(|d| {
                    d.capabilities.value.insert("CAP_SETFCAP".into());
                    let mut mount = bind("/srv:/x:rw");
                    if let MountKind::Bind { idmap, .. } = &mut mount.kind {
                        *idmap = BindIdmap::Identity;
                    }
                    d.mounts = vec![mount];
                }),
            ],
            passes: vec![
                caps(&[
                    "CAP_CHOWN",
                    "CAP_DAC_OVERRIDE",
                    "CAP_FOWNER",
                    "CAP_FSETID",
                    "CAP_SETUID",
                    "CAP_SETGID",
                    "CAP_KILL",
                ]),
                caps(&["CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_SETFCAP", "CAP_IPC_LOCK", "CAP_AUDIT_WRITE"]),
                caps(&[]),
                d(|d| {
                    d.namespaces.user = host();
                    d.capabilities.value.clear();
                }),
            ],
        },
        Cases {
            rule: "new-privileges",
            refused: vec![d(|d| d.process.no_new_privileges = Sourced::flag(false, "--security-opt"))],
            passes: vec![d(|d| d.process.no_new_privileges = Sourced::flag(true, "--security-opt"))],
        },
        Cases {
            rule: "privileged-group",
            refused: vec![
                group(1000, 42, false, UserNamespace::Host),
                group(1000, 998, true, UserNamespace::Host),
                group(0, 998, true, UserNamespace::Host),
            ],
            passes: vec![
                group(0, 0, false, UserNamespace::Host),
                group(1000, 1000, true, UserNamespace::Host),
                group(101, 101, false, UserNamespace::Host),
                group(1000, 42, true, UserNamespace::Private { base: 0, size: 65536 }),
            ],
        },
        Cases {
            rule: "host-id-map",
            refused: vec![
                d(|d| d.asked.uidmaps = vec!["--uidmap 0:0:65536".into()]),
                d(|d| d.asked.uidmaps = vec!["0:1000:1".into()]),
                d(|d| d.asked.gidmaps = vec!["--gidmap=0:42:1".into()]),
                d(|d| d.asked.gidmaps = vec!["nonsense".into()]),
            ],
            passes: vec![d(|d| d.asked.uidmaps = vec!["--uidmap 0:100000:65536".into()])],
        },
        Cases {
            rule: "device",
            refused: vec![
                device("/dev/sda", "rwm"),
                device("/dev/kvm", "rw"),
                device("/dev/fuse", "r"),
                device("/dev/null", "rwm"),
            ],
            passes: vec![device("/dev/null", "rw"), device("/dev/urandom", "r")],
        },
        Cases {
            rule: "device-cgroup-rule",
            refused: vec![d(|d| {
                d.device_cgroup_rules = vec![Sourced::flag("b *:* rwm".into(), "--device-cgroup-rule")]
            })],
            passes: vec![d(|_| {})],
        },
        Cases { rule: "gpus", refused: vec![d(|d| d.asked.gpus = Some("all".into()))], passes: vec![d(|_| {})] },
        Cases { rule: "api-socket", refused: vec![d(|d| d.asked.use_api_socket = true)], passes: vec![d(|_| {})] },
        Cases {
            rule: "preserve-fds",
            refused: vec![d(|d| d.asked.preserve_fds = 1)],
            passes: vec![d(|d| d.asked.preserve_fds = 0)],
        },
        Cases { rule: "env-host", refused: vec![d(|d| d.asked.env_host = true)], passes: vec![d(|_| {})] },
    ]
}

fn confinement_cases() -> Vec<Cases> {
    let apparmor = |value: AppArmor| d(|d| d.apparmor = Sourced::flag(value, "--security-opt apparmor"));
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

fn limit_cases() -> Vec<Cases> {
    let memory = |memory: i64, swap: i64| {
        d(|d| {
            d.resources.memory = Some(Sourced::flag(memory, "--memory"));
            d.resources.memory_swap = Some(Sourced::flag(swap, "--memory-swap"));
        })
    };
    let pids = |count: Option<i64>| d(|d| d.resources.pids = count.map(|c| Sourced::flag(c, "--pids-limit")));
    vec![
        Cases {
            rule: "no-memory-limit",
            refused: vec![memory(0, 0), memory(-1, -1), memory(1 << 30, -1), d(|d| d.resources.memory = None)],
            passes: vec![memory(1 << 30, 2 << 30)],
        },
        Cases {
            rule: "no-pids-limit",
            refused: vec![pids(Some(-1)), pids(Some(0)), pids(None)],
            passes: vec![pids(Some(1)), pids(Some(100_000))],
        },
        Cases {
            rule: "no-files-limit",
            refused: vec![rlimit("nofile", u64::MAX)],
            passes: vec![rlimit("nofile", 1 << 20), rlimit("memlock", u64::MAX)],
        },
        Cases {
            rule: "core-dumps",
            refused: vec![rlimit("core", u64::MAX), rlimit("core", 1)],
            passes: vec![rlimit("core", 0)],
        },
        Cases {
            rule: "oom-kill-disable",
            refused: vec![d(|d| d.asked.oom_kill_disable = true)],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "negative-oom-score",
            refused: vec![d(|d| d.process.oom_score_adj = Sourced::flag(-1, "--oom-score-adj"))],
            passes: vec![d(|d| d.process.oom_score_adj = Sourced::flag(1000, "--oom-score-adj"))],
        },
        Cases {
            rule: "cpu-rt",
            refused: vec![
                d(|d| d.asked.cpu_rt = true),
                d(|d| d.resources.cpu_rt_runtime = Some(Sourced::flag(950_000, "--cpu-rt-runtime"))),
                rlimit("rtprio", 99),
            ],
            passes: vec![rlimit("rtprio", 0)],
        },
        Cases {
            rule: "cgroup-parent",
            refused: vec![d(|d| d.asked.cgroup_parent = Some("/".into()))],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "cgroups-disabled",
            refused: vec![d(|d| d.asked.cgroups_disabled = true)],
            passes: vec![d(|_| {})],
        },
        Cases {
            rule: "cgroup-conf",
            refused: vec![d(|d| d.asked.cgroup_conf = vec!["memory.max=max".into()])],
            passes: vec![d(|_| {})],
        },
    ]
}

fn program_cases() -> Vec<Cases> {
    let rootfs = |path: &str| {
        d(|d| {
            d.asked.rootfs = Some(path.into());
            d.image.layers = vec![path.into()];
        })
    };
    let rootfs_link = d(|d| {
        d.asked.rootfs = Some("./link".into());
        d.image.layers = vec!["/".into()];
    });
    let cwd = |path: &str| d(|d| d.process.cwd = Sourced::flag(path.into(), "--workdir"));
    let unchecked = |reference: &str| {
        d(|d| {
            d.asked.tls_verify_off = true;
            d.image.reference = reference.into();
        })
    };
    let plain = |host: &str| d(|d| d.asked.insecure_registry = Some(host.into()));
    vec![
        Cases {
            rule: "rootfs-sensitive",
            refused: [
                "/",
                "/etc",
                "/var/lib/docker/overlay2/x/merged",
                "/srv/store/layers/x",
                "/var/lib/hardrun/layers/x",
            ]
            .map(rootfs)
            .into_iter()
            .chain([rootfs_link])
            .collect(),
            passes: vec![rootfs("/srv/root")],
        },
        Cases { rule: "rootfs-host", refused: vec![rootfs("/srv/root")], passes: vec![d(|_| {})] },
        Cases {
            rule: "workdir-through-proc",
            refused: ["/proc/self/fd/7", "//proc/self/fd/8/../..", "/x/../proc/1/root", "/sys"].map(cwd).to_vec(),
            passes: ["/work", "/procedures", "/"].map(cwd).to_vec(),
        },
        Cases {
            rule: "ssh-in-container",
            refused: vec![
                args(&["/usr/sbin/sshd", "-D"]),
                args(&["sshd"]),
                args(&["dropbear", "-F"]),
                args(&["sh", "-c", "mkdir -p /run/sshd && /usr/sbin/sshd -D"]),
                args(&["bash", "-lc", "service ssh start; sleep infinity"]),
                args(&["tini", "--", "sshd", "-D"]),
                args(&["/etc/init.d/ssh", "start"]),
                args(&["systemctl", "start", "ssh"]),
                port(None, Some(2222), 22),
            ],
            passes: vec![
                args(&["ssh", "host"]),
                args(&["grep", "sshd", "file"]),
                args(&["apt-get", "install", "-y", "openssh-server"]),
                args(&["sh", "-c", "cat /etc/sshd_config"]),
                port(None, Some(8080), 80),
            ],
        },
        Cases {
            rule: "insecure-registry",
            refused: vec![
                unchecked("registry.example/app:1"),
                unchecked("busybox"),
                unchecked("127.0.0.1.example:5000/app"),
                plain("10.0.0.1:5000"),
            ],
            passes: vec![
                unchecked("127.0.0.1:5000/app:1"),
                unchecked("localhost:5000/app"),
                plain("localhost"),
                plain("[::1]:5000"),
            ],
        },
        Cases {
            rule: "privileged-port",
            refused: vec![port(None, Some(80), 80), port(Some("127.0.0.1"), Some(1023), 1023), port(None, Some(1), 80)],
            passes: vec![port(None, Some(1024), 80), port(None, None, 80)],
        },
        Cases { rule: "publish-all", refused: vec![d(|d| d.asked.publish_all = true)], passes: vec![d(|_| {})] },
        Cases {
            rule: "publish-any-address",
            refused: ["0.0.0.0", "::", "[::]", "::ffff:0.0.0.0", "0:0:0:0:0:0:0:0"]
                .map(|ip| port(Some(ip), Some(8080), 80))
                .to_vec(),
            passes: vec![port(None, Some(8080), 80), port(Some("192.0.2.1"), Some(8080), 80)],
        },
    ]
}

fn all() -> Vec<Cases> {
    [mount_cases(), rights_cases(), confinement_cases(), limit_cases(), program_cases()].into_iter().flatten().collect()
}

fn check(rule: &str, draft: &Draft, facts: &Facts) -> Vec<super::Finding> {
    let rule = super::registry::find(rule).unwrap();
    (rule.check)(draft, facts)
}

fn allow(rule: &str) -> Allow {
    Allow { rule: rule.into(), reason: Some("a test".into()) }
}

/// What was asked, for messages of failed assertions.
fn shown(draft: &Draft) -> String {
    let mounts: Vec<&str> = draft.mounts.iter().map(|m| m.asked.as_str()).collect();
    format!("{mounts:?} {:?} {:?} {:?}", draft.process.args.value, draft.asked, draft.sysctls)
}

mod tests {
    use super::*;

    #[test]
    fn the_plain_draft_passes_every_rule() {
        let verdict = judge(&super::super::testkit::draft(), &facts(), &[]).unwrap();
        assert_eq!(verdict, Default::default());
    }

    #[test]
    fn ids_are_unique_and_kebab_case_and_texts_are_whole() {
        for (i, rule) in RULES.iter().enumerate() {
            assert!(RULES[..i].iter().all(|r| r.id != rule.id), "{} is there twice", rule.id);
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.id);
            let (Override::Loosens(text) | Override::Never(text)) = rule.overriding;
            for text in [rule.summary, rule.risk, rule.instead, rule.example, text] {
                assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{}: {text:?}", rule.id);
            }
            assert!(!rule.references.is_empty(), "{}", rule.id);
        }
    }

    #[test]
    fn every_rule_has_a_case_that_refuses_and_one_that_passes() {
        let cases = all();
        for rule in RULES {
            let of: Vec<&Cases> = cases.iter().filter(|c| c.rule == rule.id).collect();
            assert_eq!(of.len(), 1, "{}", rule.id);
            assert!(!of[0].refused.is_empty(), "{}", rule.id);
        }
        assert_eq!(cases.len(), RULES.len());
    }

    #[test]
    fn what_should_be_refused_is_refused_and_nothing_else() {
        for cases in all() {
            for draft in &cases.refused {
                let findings = check(cases.rule, draft, &facts());
                assert!(!findings.is_empty(), "{} lets pass {}", cases.rule, shown(draft));
                assert!(findings.iter().all(|f| f.rule == cases.rule && !f.asked.is_empty()), "{findings:?}");
            }
            for draft in &cases.passes {
                assert_eq!(check(cases.rule, draft, &facts()), [], "{} refuses {}", cases.rule, shown(draft));
            }
        }
    }

    #[test]
    fn an_override_lets_its_rule_pass_and_no_other() {
        for cases in all() {
            let rule = super::super::registry::find(cases.rule).unwrap();
            for draft in &cases.refused {
                let before = judge(draft, &facts(), &[]).unwrap();
                let after = judge(draft, &facts(), &[allow(cases.rule)]).unwrap();
                match rule.overriding {
                    Override::Never(_) => assert_eq!(before.refused, after.refused, "{}", cases.rule),
                    Override::Loosens(_) => {
                        let others: Vec<_> = before.refused.iter().filter(|f| f.rule != cases.rule).cloned().collect();
                        assert_eq!(after.refused, others, "{} {}", cases.rule, shown(draft));
                        assert!(after.overridden.iter().all(|o| o.rule == cases.rule), "{after:?}");
                        assert_eq!(after.overridden[0].reason.as_deref(), Some("a test"));
                    }
                }
            }
        }
    }

    #[test]
    fn one_override_is_enough_for_one_thing() {
        // These are asked for by one word each on a command line, and no second rule may stand in the way.
        let whole = ["privileged", "dangerous-capability", "host-pid", "host-network", "host-ipc", "host-uts"];
        let more =
            ["host-userns", "engine-socket", "seccomp-unconfined", "paths-unmasked", "no-pids-limit", "new-privileges"];
        for cases in all().iter().filter(|c| whole.contains(&c.rule) || more.contains(&c.rule)) {
            let verdict = judge(&cases.refused[0], &facts(), &[allow(cases.rule)]).unwrap();
            assert!(verdict.passed(), "{}: {:?}", cases.rule, verdict.refused);
        }
    }

    #[test]
    fn an_override_that_nothing_needs_is_reported_and_an_unknown_one_is_an_error() {
        let verdict = judge(&super::super::testkit::draft(), &facts(), &[allow("host-pid")]).unwrap();
        assert!(verdict.passed() && verdict.overridden.is_empty());
        assert_eq!(verdict.unused, [allow("host-pid")]);
        assert!(verdict.unused_lines()[0].contains("--allow host-pid was not needed"));
        assert!(judge(&super::super::testkit::draft(), &facts(), &[allow("host-pidd")]).is_err());
    }

    #[test]
    fn several_findings_are_all_listed() {
        let draft = d(|d| {
            d.mounts = vec![bind("/:/host:rw"), bind("/etc/shadow:/x"), bind("/run/docker.sock:/s")];
            d.asked.privileged = true;
        });
        let verdict = judge(&draft, &facts(), &[]).unwrap();
        let rules = verdict.refused_rules();
        assert_eq!(rules, ["engine-socket", "host-root-mount", "host-secrets", "sensitive-mount-rw", "privileged"]);
    }

    #[test]
    fn host_settings_follow_the_namespaces() {
        let with = |change: fn(&mut Draft), key: &str| {
            let mut draft = sysctl(key);
            change(&mut draft);
            check("host-sysctl", &draft, &facts()).len()
        };
        let host_network = |d: &mut Draft| d.namespaces.network.value = NetworkMode::Host;
        let host_ipc = |d: &mut Draft| d.namespaces.ipc.value = Namespace::Host;
        assert_eq!(with(host_network, "net.core.somaxconn"), 1);
        assert_eq!(with(host_ipc, "kernel.shm_rmid_forced"), 1);
        assert_eq!(with(host_ipc, "net.core.somaxconn"), 0);
    }

    #[test]
    fn where_the_host_cannot_limit_no_rule_complains() {
        let mut facts = facts();
        facts.cgroup_controllers.clear();
        let draft = d(|d| d.resources = ResourcesPlan::default());
        assert!(judge(&draft, &facts, &[]).unwrap().passed());
    }
}
