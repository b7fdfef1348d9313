//! What `--volume`, `--mount` and `--tmpfs` ask for, in one shape.

use std::path::PathBuf;

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
    /// bind-recursive=writable: submounts stay writable under a read-only bind. `readonly` fails where it cannot be had.
    pub recursive_readonly: RecursiveReadonly,
    /// `shared`, `rslave`, …; `None`: not asked for.
    pub propagation: Option<String>,
    /// `z` or `Z`
    pub relabel: Option<char>,
    /// `nocopy` has no meaning for a bind; other words of `-v` land here (`noexec`, `cached`, …).
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
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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
