//! What the front hands to the launcher: one sealed memory file, by descriptor.

use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::state::Paths;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Everything the launcher needs; it reads no configuration, environment or flag of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handoff {
    pub plan: Plan,
    /// Of the plan, as in the audit log.
    pub digest: String,
    pub root: PathBuf,
    pub run: PathBuf,
    /// The caller chose the name: it must be free.
    pub named: bool,
    /// Compiled seccomp filter; `None` only where the plan says unconfined.
    #[serde(with = "bytes")]
    pub filter: Option<Vec<u8>>,
    /// AppArmor profile to enter.
    pub apparmor: Option<String>,
    /// Descriptors of layer locks that were inherited and are held until the launcher ends.
    pub held: Vec<i32>,
}

impl Handoff {
    pub fn new(plan: Plan, digest: String, paths: &Paths) -> Handoff {
        Handoff {
            digest,
            plan,
            root: paths.root.clone(),
            run: paths.run.clone(),
            named: false,
            filter: None,
            apparmor: None,
            held: Vec::new(),
        }
    }

    pub fn paths(&self) -> Paths {
        Paths { root: self.root.clone(), run: self.run.clone() }
    }

    /// Write to a sealed memory file that survives exec.
    pub fn seal(&self) -> Result<OwnedFd> {
        let attempt = || "hand the plan to the launcher".to_string();
        let memory = memfd_create("hardrun-plan", MemfdFlags::ALLOW_SEALING).context(attempt)?;
        let mut file = File::from(memory);
        let json = serde_json::to_vec(self).context(attempt)?;
        file.write_all(&json).context(attempt)?;
        file.rewind().context(attempt)?;
        fcntl_add_seals(&file, required_seals()).context(attempt)?;
        Ok(file.into())
    }

    /// Read from the descriptor that was inherited.
    pub fn open(fd: OwnedFd) -> Result<Handoff> {
        let attempt = || "read the plan that was handed over".to_string();
        let seals = fcntl_get_seals(&fd).context(attempt)?;
        if !seals.contains(required_seals()) {
            return Err(Error::runner(attempt()).hint("the launcher is started by hardrun itself, not by hand"));
        }
        let mut json = Vec::new();
        File::from(fd).read_to_end(&mut json).context(attempt)?;
        serde_json::from_slice(&json).context(attempt)
    }
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
