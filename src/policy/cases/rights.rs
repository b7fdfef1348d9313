use super::*;

pub(super) fn cases() -> Vec<Cases> {
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
            rule: "exec-privileged",
            refused: vec![d(|d| d.asked.exec = Some(AskedExec { privileged: true, root: None }))],
            passes: vec![d(|d| d.asked.exec = Some(AskedExec::default())), d(|_| {})],
        },
        Cases {
            rule: "exec-root",
            refused: vec![d(|d| d.asked.exec = Some(AskedExec { privileged: false, root: Some("--user 0".into()) }))],
            passes: vec![d(|d| d.asked.exec = Some(AskedExec::default()))],
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
                d(|d| {
                    d.namespaces.user = Sourced::flag(UserNamespace::Host, "--userns");
                    (d.process.user.value.uid, d.process.user.value.gid) = (1000, 998);
                    d.asked.host_groups = [(998, "docker".to_owned())].into();
                }),
                group(0, 998, true, UserNamespace::Host),
            ],
            passes: vec![
                group(0, 0, false, UserNamespace::Host),
                group(1000, 0, false, UserNamespace::Host),
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
