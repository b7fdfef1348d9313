use super::*;

pub(super) fn cases() -> Vec<Cases> {
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
