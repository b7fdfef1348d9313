//! For tests: tar archives as a stranger writes them, with nothing cleaned.

use super::digest::Digest;
use tar::Header;

#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Tar {
        Tar::default()
    }

    /// A raw entry. Names longer than the header's field are cut: use [`long`](Self::long) or [`pax`](Self::pax) before it.
    pub fn raw(self, flag: u8, name: &[u8], link: &[u8], mode: u32, data: &[u8]) -> Tar {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        let copy = |to: &mut [u8], from: &[u8]| to[..from.len().min(100)].copy_from_slice(&from[..from.len().min(100)]);
        copy(&mut old.name, name);
        copy(&mut old.linkname, link);
        old.linkflag[0] = flag;
        header.set_mode(mode);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.header(&header, data)
    }

    pub fn header(mut self, header: &Header, data: &[u8]) -> Tar {
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        let padded = self.0.len().next_multiple_of(512);
        self.0.resize(padded, 0);
        self
    }

    pub fn file(self, name: &str, data: &str) -> Tar {
        self.raw(b'0', name.as_bytes(), b"", 0o644, data.as_bytes())
    }
    pub fn dir(self, name: &str) -> Tar {
        self.raw(b'5', name.as_bytes(), b"", 0o755, b"")
    }
    pub fn symlink(self, name: &str, target: &str) -> Tar {
        self.raw(b'2', name.as_bytes(), target.as_bytes(), 0o777, b"")
    }
    pub fn hard_link(self, name: &str, target: &str) -> Tar {
        self.raw(b'1', name.as_bytes(), target.as_bytes(), 0o644, b"")
    }

    /// A GNU long name for the next entry.
    pub fn long(self, name: &[u8]) -> Tar {
        self.raw(b'L', b"././@LongLink", b"", 0o644, &[name, b"\0"].concat())
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend(format!("{length} {key}=").as_bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        self.raw(b'x', b"PaxHeaders/x", b"", 0o644, &data)
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// Cut off in the middle.
    pub fn cut(mut self, at: usize) -> Vec<u8> {
        self.0.truncate(at);
        self.0
    }
}

/// A docker archive of one image.
pub fn docker_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|l| Digest::of(l)).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/sh"], "Env": null, "Labels": {"test": name}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let id = Digest::of(config.as_bytes());
    let paths: Vec<String> = (0..layers.len()).map(|i| format!("l{i}/layer.tar")).collect();
    let table = serde_json::json!([{"Config": format!("{}.json", id.hex()), "RepoTags": [name], "Layers": paths}]);
    let mut tar = Tar::new().file(&format!("{}.json", id.hex()), &config);
    for (path, layer) in paths.iter().zip(layers) {
        tar = tar.raw(b'0', path.as_bytes(), b"", 0o644, layer);
    }
    tar.file("manifest.json", &table.to_string()).bytes()
}
