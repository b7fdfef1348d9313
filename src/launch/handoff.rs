//! What one process hands to the next across exec: a sealed memory file, by descriptor.

use crate::error::{Context, Error, Result};
use crate::plan::AppArmor;
use crate::rootless::Rootless;
use crate::state::{Paths, Record};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Everything the launcher needs; it reads no configuration, environment or flag of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handoff {
    pub record: Record,
    pub root: PathBuf,
    pub run: PathBuf,
    /// The ordinary user whose container it is.
    pub rootless: Option<Rootless>,
    /// The container's folder is there already; else it is made.
    pub existing: bool,
    /// The container exists, and its plan is not the one on disk any more, which has this digest.
    #[serde(default)]
    pub renewed: Option<String>,
    /// Compiled seccomp filter; `None` only where the plan says unconfined.
    #[serde(with = "bytes")]
    pub filter: Option<Vec<u8>>,
    /// AppArmor profile to enter.
    pub apparmor: Option<String>,
    /// Descriptors of layer locks that were inherited and are held until the launcher ends.
    pub held: Vec<i32>,
    pub starter: Starter,
    /// Rows and columns of the caller's terminal: the container's has them before its command asks.
    pub size: Option<(u16, u16)>,
    /// This is another start of a container by its restart policy.
    pub again: Option<Again>,
}

/// Who started the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starter {
    /// The launcher is the process that the caller waits for: its streams are the container's.
    Foreground,
    /// Another process, connected by this descriptor, which is told whether the start succeeded. With streams attached
    /// in this order (descriptors), if it is to see what the container does from its first moment on.
    Background { channel: i32, streams: [Option<i32>; 3] },
    /// Nobody any more: a restart.
    Nobody,
}

/// What a supervisor keeps from one start to the next. Descriptors cross its exec of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    pub lock: i32,
    pub listener: i32,
    /// The host's mount and network namespaces, from which each start sets out.
    pub mounts: i32,
    pub network: i32,
}

impl Handoff {
    /// The AppArmor profile that hardrun has made and loaded for the container.
    pub(super) fn own_profile(&self) -> Option<&str> {
        self.apparmor.as_deref().filter(|_| self.record.plan.draft.apparmor.value == AppArmor::Builtin)
    }

    /// A reload of the host's profiles may have taken the container's out of the kernel since it was started.
    pub(super) fn restore_profile(&self) -> Result<()> {
        match self.own_profile() {
            Some(name) => crate::apparmor::restore(&Paths::host_run(), name),
            None => Ok(()),
        }
    }

    pub fn new(record: Record, paths: &Paths) -> Handoff {
        Handoff {
            record,
            root: paths.root.clone(),
            run: paths.run.clone(),
            rootless: crate::rootless::current().cloned(),
            existing: false,
            renewed: None,
            filter: None,
            apparmor: None,
            held: Vec::new(),
            starter: Starter::Foreground,
            size: None,
            again: None,
        }
    }

    pub fn paths(&self) -> Paths {
        Paths { root: self.root.clone(), run: self.run.clone() }
    }
}

/// Write to a sealed memory file.
pub fn seal<T: Serialize>(value: &T) -> Result<OwnedFd> {
    let attempt = || "hand the plan to the launcher".to_string();
    let memory = memfd_create("hardrun-plan", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).context(attempt)?;
    let mut file = File::from(memory);
    let json = serde_json::to_vec(value).context(attempt)?;
    file.write_all(&json).context(attempt)?;
    fcntl_add_seals(&file, required_seals()).context(attempt)?;
    Ok(file.into())
}

/// Read what was sealed, whatever of it was read before: several processes share the descriptor.
pub fn open<T: DeserializeOwned>(fd: &OwnedFd) -> Result<T> {
    let attempt = || "read the plan that was handed over".to_string();
    let seals = fcntl_get_seals(fd).context(attempt)?;
    if !seals.contains(required_seals()) {
        return Err(Error::runner(attempt()).hint("the launcher is started by hardrun itself, not by hand"));
    }
    let file = File::from(fd.try_clone().context(attempt)?);
    let mut json = vec![0u8; file.metadata().context(attempt)?.len() as usize];
    file.read_exact_at(&mut json, 0).context(attempt)?;
    serde_json::from_slice(&json).context(attempt)
}

fn required_seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

/// The filter as base64: JSON has no bytes.
mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, s: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => s.serialize_some(&STANDARD.encode(bytes)),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(d)?
            .map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom))
            .transpose()
    }
}
