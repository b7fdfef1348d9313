use super::*;

pub(super) fn cases() -> Vec<Cases> {
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
