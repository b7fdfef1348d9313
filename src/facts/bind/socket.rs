//! Who listens on a unix socket.

use crate::facts::PathClass;
use crate::policy::sensitive::pattern::glob;
use crate::policy::sensitive::table::TABLE;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt::PeerCredentials,
};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// File names that engines give their sockets, wherever they are.
const NAMES: &[(&str, &str)] = &[
    ("docker.sock", "docker"),
    ("docker-cli.sock", "docker"),
    ("cri-dockerd.sock", "docker"),
    ("dockershim.sock", "docker"),
    ("podman.sock", "podman"),
    ("containerd.sock", "containerd"),
    ("containerd.sock.ttrpc", "containerd"),
    ("crio.sock", "cri-o"),
    ("buildkitd.sock", "buildkit"),
    ("libvirt-sock", "libvirt"),
    ("libvirt-admin-sock", "libvirt"),
    ("system_bus_socket", "D-Bus"),
    ("snapd.socket", "snapd"),
];

/// Programs that give the host away to whoever may speak to them.
const PROGRAMS: &[(&str, &str)] = &[
    ("dockerd", "docker"),
    ("docker", "docker"),
    ("rootlesskit", "docker"),
    ("containerd*", "containerd"),
    ("podman", "podman"),
    ("conmon", "podman"),
    ("crio", "cri-o"),
    ("buildkitd", "buildkit"),
    ("libvirtd", "libvirt"),
    ("virt*d", "libvirt"),
    ("dbus-daemon", "D-Bus"),
    ("dbus-broker*", "D-Bus"),
    ("lxd", "lxd"),
    ("incusd", "incus"),
    ("kubelet", "the kubelet"),
    ("k3s*", "k3s"),
    ("snapd", "snapd"),
    ("qemu-system-*", "qemu"),
    ("hardrun", "hardrun"),
];

/// Control sockets of engines that exist on this host: canonical, sorted. The table's places, `DOCKER_HOST`, and every
/// listening socket of this network namespace that has an engine's file name.
pub fn engine_sockets() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in TABLE.iter().filter(|e| e.class == PathClass::EngineSocket && !e.path.starts_with("~/")) {
        places(Path::new("/"), entry.path.trim_start_matches('/'), &mut found);
    }
    if let Some(path) = std::env::var("DOCKER_HOST").ok().as_deref().and_then(|v| v.strip_prefix("unix://")) {
        found.push(path.into());
    }
    if let Ok(text) = std::fs::read_to_string("/proc/net/unix") {
        found.extend(listening(&text));
    }
    let mut out: Vec<PathBuf> = found.iter().filter_map(|p| p.canonicalize().ok()).filter(|p| is_socket(p)).collect();
    out.sort();
    out.dedup();
    out
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket() || m.file_type().is_fifo())
}

/// Sockets at a place of the table, and directly in it where it is a folder.
fn places(at: &Path, pattern: &str, found: &mut Vec<PathBuf>) {
    let (part, rest) = pattern.split_once('/').map_or((pattern, None), |(part, rest)| (part, Some(rest)));
    let names: Vec<String> = if part.contains('*') {
        let entries = std::fs::read_dir(at).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).filter(|name| glob(name, part)).collect()
    } else {
        vec![part.to_owned()]
    };
    for name in names {
        let next = at.join(name);
        match rest {
            Some(rest) => places(&next, rest, found),
            None => match std::fs::metadata(&next) {
                Ok(meta) if meta.is_dir() => {
                    let entries = std::fs::read_dir(&next).into_iter().flatten().flatten();
                    found.extend(entries.map(|e| e.path()).filter(|p| is_socket(p)));
                }
                Ok(_) => found.push(next),
                Err(_) => {}
            },
        }
    }
}

/// Paths in /proc/net/unix that are listened on (`__SO_ACCEPTCON`) and have an engine's file name.
fn listening(text: &str) -> Vec<PathBuf> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
            let path = fields.nth(3)?;
            let known = path.starts_with('/') && NAMES.iter().any(|(name, _)| path.rsplit('/').next() == Some(name));
            (flags & 0x1_0000 != 0 && known).then(|| PathBuf::from(path))
        })
        .collect()
}

/// The engine that listens on a socket file, by its inode, its file name, or the program at its other end.
pub fn listener(path: &Path, id: (u64, u64), sockets: &[PathBuf]) -> Option<String> {
    let same = |known: &&PathBuf| std::fs::metadata(known).is_ok_and(|m| (m.dev(), m.ino()) == id);
    if let Some(known) = sockets.iter().find(same) {
        return Some(format!("the engine behind {}", known.display()));
    }
    let name = path.file_name()?.to_str()?;
    if let Some((_, engine)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some((*engine).to_owned());
    }
    peer(path)
}

/// Connect without waiting, ask the kernel who listens, hang up. Nothing is sent.
fn peer(path: &Path) -> Option<String> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path).ok()?).ok()?;
    let pid = getsockopt(&fd, PeerCredentials).ok()?.pid();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let exe = exe.as_deref().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
    program(exe).or_else(|| program(comm.trim()))
}

fn program(name: &str) -> Option<String> {
    PROGRAMS.iter().find(|(known, _)| glob(name, known)).map(|(_, engine)| (*engine).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn listening_engines_are_found_by_name() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 100 /home/a/x/docker.sock\n\
            0: 00000003 00000000 00000000 0001 03 101 /home/a/y/docker.sock\n\
            0: 00000002 00000000 00010000 0001 01 102 @/abstract/docker.sock\n\
            0: 00000002 00000000 00010000 0001 01 103 /run/mysqld/mysqld.sock\n\
            0: 00000002 00000000 00010000 0001 01 104\n";
        assert_eq!(listening(text), [PathBuf::from("/home/a/x/docker.sock")]);
    }

    #[test]
    fn a_socket_is_judged_by_name_inode_and_peer() {
        let dir = tempfile::tempdir().unwrap();
        let bind = |name: &str| {
            let path = dir.path().join(name);
            let listener = UnixListener::bind(&path).unwrap();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            (path, (meta.dev(), meta.ino()), listener)
        };
        let (plain, plain_id, _a) = bind("mysqld.sock");
        assert_eq!(listener(&plain, plain_id, &[]), None, "the test program is no engine");
        let (named, named_id, _b) = bind("docker.sock");
        assert_eq!(listener(&named, named_id, &[]).as_deref(), Some("docker"));
        let link = dir.path().join("other");
        std::fs::hard_link(&plain, &link).unwrap();
        assert!(listener(&link, plain_id, &[plain]).is_some(), "another name of a known socket");
    }

    #[test]
    fn programs() {
        assert_eq!(program("containerd-shim-runc-v2").as_deref(), Some("containerd"));
        assert_eq!(program("dockerd").as_deref(), Some("docker"));
        assert_eq!(program("mysqld"), None);
    }
}
