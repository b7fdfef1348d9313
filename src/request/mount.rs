//! What `--volume`, `--mount` and `--tmpfs` ask for, in one shape.

use std::path::PathBuf;

pub use super::mount_csv::parse_mount;
pub use super::mount_volume::parse_volume;
pub use super::tmpfs::parse_tmpfs;

/// One mount.
#[derive(Debug, Clone, PartialEq)]
pub enum MountRequest {
    Bind(BindRequest),
    Volume(VolumeRequest),
    Tmpfs(TmpfsRequest),
    Image(ImageMount),
}

impl MountRequest {
    /// Absolute path in the container, cleaned.
    pub fn destination(&self) -> &str {
        match self {
            MountRequest::Bind(m) => &m.destination,
            MountRequest::Volume(m) => &m.destination,
            MountRequest::Tmpfs(m) => &m.destination,
            MountRequest::Image(m) => &m.destination,
        }
    }

    /// As typed, with its flag: `-v /a:/b:ro`.
    pub fn typed(&self) -> &str {
        match self {
            MountRequest::Bind(m) => &m.typed,
            MountRequest::Volume(m) => &m.typed,
            MountRequest::Tmpfs(m) => &m.typed,
            MountRequest::Image(m) => &m.typed,
        }
    }
}

/// A host path.
#[derive(Debug, Clone, PartialEq)]
pub struct BindRequest {
    /// Absolute (relative to the caller's folder where it was typed so), otherwise as typed: symlinks are not followed.
    pub source: PathBuf,
    pub destination: String,
    /// `None`: neither `ro` nor `rw` was said.
    pub readonly: Option<bool>,
    /// Make the source when it is missing: `-v` does, `--mount` only with bind-create-src.
    pub create: bool,
    /// Bind submounts too; true unless bind-nonrecursive or bind-recursive=disabled.
    pub recursive: bool,
    pub recursive_readonly: RecursiveReadonly,
    /// `shared`, `rslave`, …; `None`: not asked for.
    pub propagation: Option<String>,
    /// `z` or `Z`
    pub relabel: Option<char>,
    pub noexec: bool,
    pub typed: String,
}

/// How submounts of a read-only bind are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecursiveReadonly {
    /// Read-only where the kernel can (Linux 5.12).
    #[default]
    Enabled,
    /// Submounts stay writable.
    Writable,
    /// Read-only, or the container does not start.
    Forced,
}

/// A named or anonymous volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VolumeRequest {
    /// `None`: anonymous.
    pub name: Option<String>,
    pub destination: String,
    pub readonly: Option<bool>,
    pub nocopy: bool,
    pub subpath: Option<String>,
    /// `volume-driver`, `--volume-driver`; only `local` exists.
    pub driver: Option<String>,
    /// `volume-opt`: `type`, `device` and `o` hide a host mount.
    pub opts: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    pub noexec: bool,
    pub typed: String,
}

/// A tmpfs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TmpfsRequest {
    pub destination: String,
    pub readonly: Option<bool>,
    /// Bytes; `None`: not given. `Some(0)` is unlimited.
    pub size: Option<u64>,
    /// Permission bits, sticky included.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// `None`: not said; docker's default is noexec, nosuid, nodev.
    pub exec: Option<bool>,
    pub suid: Option<bool>,
    pub dev: Option<bool>,
    pub typed: String,
}

/// `--mount type=image`
#[derive(Debug, Clone, PartialEq)]
pub struct ImageMount {
    pub reference: String,
    pub destination: String,
    pub subpath: Option<String>,
    pub typed: String,
}

/// An absolute container path without `.`, `..`, empty parts and a slash at the end; `..` does not climb above `/`.
pub fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Check and clean a mount's place in the container.
pub(super) fn destination(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("invalid mount path: '{path}' mount path must be absolute"));
    }
    if path.contains('\0') {
        return Err(format!("invalid mount path: {path:?} contains a NUL byte"));
    }
    let clean = clean_path(path);
    if clean == "/" {
        return Err("invalid specification: destination can't be '/'".into());
    }
    Ok(clean)
}

/// Check a volume's name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, for it is a folder's name too.
pub(super) fn volume_name(name: &str) -> Result<String, String> {
    let valid = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !valid {
        return Err(format!(
            "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If \
             you intended to pass a host directory, use absolute path"
        ));
    }
    if name.len() < 2 {
        return Err("volume name is too short, names should be at least two alphanumeric characters".into());
    }
    Ok(name.to_owned())
}

pub(super) const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_cleaned_without_climbing() {
        assert_eq!(clean_path("/a/./b//c/"), "/a/b/c");
        assert_eq!(clean_path("/a/../../b"), "/b");
        assert_eq!(clean_path("/.."), "/");
        assert_eq!(destination("/a/.."), Err("invalid specification: destination can't be '/'".into()));
        assert_eq!(destination("b"), Err("invalid mount path: 'b' mount path must be absolute".into()));
    }

    #[test]
    fn volume_names() {
        assert_eq!(volume_name("data_1"), Ok("data_1".into()));
        assert!(volume_name("a").unwrap_err().contains("too short"));
        for bad in ["", "..", ".a", "a/b", "a b", "-a"] {
            assert!(volume_name(bad).unwrap_err().contains("use absolute path"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(path in "/[a./]{0,20}") {
            let once = clean_path(&path);
            prop_assert_eq!(clean_path(&once), once.clone());
            prop_assert!(!once.split('/').any(|p| p == ".."));
        }
    }
}
