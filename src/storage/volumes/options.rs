//! `-o` of `volume create`: docker's options of the local driver, and what they come to here.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a volume is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// A folder of its own, with a limit in bytes.
    Folder { size: Option<u64> },
    /// A folder of the host: a bind by another name, judged by the same rules when a container mounts it.
    Bind { device: PathBuf, recursive: bool, readonly: bool, noexec: bool },
    /// Memory; each container gets its own.
    Tmpfs { options: String },
}

/// Docker's checks in docker's words, and then what hardrun does not do: file systems that the kernel would have to mount
/// from a device or from the network, with the host's rights.
pub fn parse(options: &BTreeMap<String, String>) -> Result<Backing> {
    let get = |key: &str| options.get(key).map(String::as_str);
    if let Some(unknown) = options.keys().find(|k| !matches!(k.as_str(), "type" | "o" | "device" | "size")) {
        return Err(Error::verb(format!("invalid option: {unknown:?}")));
    }
    let needs: [(&str, &[&str]); 3] = [("device", &["type"]), ("o", &["device", "type"]), ("type", &["device"])];
    for (key, others) in needs {
        if let Some(other) = others.iter().find(|other| options.contains_key(key) && !options.contains_key(**other)) {
            return Err(Error::verb(format!("missing required option: {other:?}")));
        }
    }
    let size = get("size").map(bytes).transpose()?;
    let Some(kind) = get("type") else { return Ok(Backing::Folder { size }) };
    if size.is_some() {
        return Err(
            Error::verb("quota size requested for a volume that is a mount").hint("for a tmpfs: -o o=size=SIZE")
        );
    }
    let device = get("device").unwrap_or_default();
    let words: Vec<&str> = get("o").unwrap_or_default().split(',').filter(|w| !w.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    if kind == "tmpfs" {
        return Ok(Backing::Tmpfs { options: words.join(",") });
    }
    if (has("bind") || has("rbind")) && device.starts_with('/') {
        return Ok(Backing::Bind {
            device: device.into(),
            recursive: has("rbind"),
            readonly: has("ro"),
            noexec: has("noexec"),
        });
    }
    Err(Error::verb(format!("a volume of type {kind:?} on {device:?} is not mounted by hardrun")).hint(
        "known are type=tmpfs, and type=none with o=bind and an absolute device; mount other file systems on the host and \
         bind the folder",
    ))
}

fn bytes(text: &str) -> Result<u64> {
    let size: crate::request::Size = text.parse().map_err(|_| Error::verb(format!("invalid size: '{text}'")))?;
    u64::try_from(size.0).ok().filter(|n| *n > 0).ok_or_else(|| Error::verb(format!("invalid size: '{text}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> std::result::Result<Backing, String> {
        let map = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        parse(&map).map_err(|e| e.message)
    }

    #[test]
    fn options_in_dockers_words() {
        assert_eq!(of(&[]), Ok(Backing::Folder { size: None }));
        assert_eq!(of(&[("size", "10m")]), Ok(Backing::Folder { size: Some(10 << 20) }));
        assert_eq!(of(&[("foo", "bar")]), Err("invalid option: \"foo\"".into()));
        assert_eq!(of(&[("type", "ext4")]), Err("missing required option: \"device\"".into()));
        assert_eq!(of(&[("device", "/x")]), Err("missing required option: \"type\"".into()));
        assert_eq!(of(&[("size", "-1")]), Err("invalid size: '-1'".into()));
        let bind = Backing::Bind { device: "/x".into(), recursive: false, readonly: true, noexec: false };
        assert_eq!(of(&[("type", "none"), ("o", "bind,ro"), ("device", "/x")]), Ok(bind));
        let tmpfs = Backing::Tmpfs { options: "size=10m".into() };
        assert_eq!(of(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=10m")]), Ok(tmpfs));
    }

    #[test]
    fn what_the_host_would_have_to_mount_is_refused() {
        for (kind, o, device) in [
            ("nfs", "addr=10.0.0.1", ":/x"),
            ("ext4", "", "/dev/sda1"),
            ("none", "bind", "relative"),
            ("none", "", "/x"),
        ] {
            assert!(of(&[("type", kind), ("o", o), ("device", device)]).unwrap_err().contains("not mounted"), "{kind}");
        }
    }
}
