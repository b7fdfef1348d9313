//! The few questions a draft has about files of the host, behind a trait so that golden tests answer them.

use crate::error::{Context as _, Error, Result};
use crate::facts::{BindSeen, Facts};
use crate::plan::{Draft, SeLinux};
use crate::state::{Paths, lookup};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a path on the host leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Absolute, symlinks followed.
    pub path: PathBuf,
    pub uid: u32,
    pub gid: u32,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Directory,
    File,
    /// Character or block device with its number.
    Device {
        major: u32,
        minor: u32,
        block: bool,
    },
    /// A socket or a pipe.
    Other,
}

pub trait Host {
    /// Follow `path`; `None` where it does not exist.
    fn look(&self, path: &Path) -> Result<Option<Found>>;
    /// What the source of a bind is and holds.
    fn seen(&self, source: &Path, facts: &Facts) -> BindSeen;
    /// Device nodes below a folder, sorted.
    fn devices_below(&self, folder: &Path) -> Result<Vec<PathBuf>>;
    /// A text file of the host that a container may see (`/etc/resolv.conf`); empty where it does not exist.
    fn read(&self, path: &Path) -> Result<String>;
    fn hostname(&self) -> String;
    /// In which mode the kernel has an AppArmor profile; `None` where it has none of the name.
    fn apparmor_mode(&self, _name: &str) -> Result<Option<String>> {
        Ok(Some("enforce".into()))
    }
    /// Whether the SELinux policy makes the type of these labels permissive.
    fn selinux_permissive(&self, _labels: &SeLinux) -> Result<bool> {
        Ok(false)
    }
    /// A container of hardrun's own, by name, id or the beginning of an id; `None` where there is none.
    fn container(&self, _paths: &Paths, _reference: &str) -> Result<Option<Other>> {
        Ok(None)
    }
}

/// Another container, as far as a draft asks.
#[derive(Debug, Clone)]
pub struct Other {
    pub draft: Draft,
    /// It was made with `--ipc shareable`.
    pub shareable: bool,
    /// Lines for /etc/hosts that its supervisor added: address and name.
    pub addresses: Vec<(String, String)>,
}

/// The host that this process runs on.
pub struct ThisHost;

impl Host for ThisHost {
    fn look(&self, path: &Path) -> Result<Option<Found>> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).context(|| format!("cannot follow {}", path.display())),
        };
        let meta = real.symlink_metadata().context(|| format!("cannot look at {}", real.display()))?;
        let t = meta.file_type();
        let kind = if t.is_dir() {
            Kind::Directory
        } else if t.is_file() {
            Kind::File
        } else if t.is_char_device() || t.is_block_device() {
            let dev = meta.rdev();
            Kind::Device { major: rustix::fs::major(dev), minor: rustix::fs::minor(dev), block: t.is_block_device() }
        } else if t.is_symlink() {
            return Err(Error::runner(format!("{} changed while it was looked at", real.display())));
        } else {
            Kind::Other
        };
        Ok(Some(Found { path: real, uid: meta.uid(), gid: meta.gid(), kind }))
    }

    fn seen(&self, source: &Path, facts: &Facts) -> BindSeen {
        crate::facts::bind::look(source, facts)
    }

    fn devices_below(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let doing = || format!("cannot read {}", folder.display());
            for entry in std::fs::read_dir(&folder).context(doing)? {
                let entry = entry.context(doing)?;
                let t = entry.file_type().context(doing)?;
                if t.is_dir() {
                    folders.push(entry.path());
                } else if t.is_char_device() || t.is_block_device() {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn read(&self, path: &Path) -> Result<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(e).context(|| format!("cannot read {}", path.display())),
        }
    }

    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    fn apparmor_mode(&self, name: &str) -> Result<Option<String>> {
        crate::apparmor::mode(name)
    }

    fn selinux_permissive(&self, labels: &SeLinux) -> Result<bool> {
        crate::selinux::is_permissive(labels)
    }

    fn container(&self, paths: &Paths, reference: &str) -> Result<Option<Other>> {
        let container = match lookup::find(paths, reference) {
            Ok(container) => container,
            Err(e) if e.message.starts_with("No such container") => return Ok(None),
            Err(e) => return Err(e.of_kind(crate::error::Kind::Runner)),
        };
        let shareable = container.record.words.ipc_mode == "shareable";
        let draft = container.record.plan.draft;
        let name = draft.hostname.value.clone();
        let endpoints = container.status.network.endpoints.into_iter();
        Ok(Some(Other { addresses: endpoints.map(|e| (e.ip, name.clone())).collect(), shareable, draft }))
    }
}
