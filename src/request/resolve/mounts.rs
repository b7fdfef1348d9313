//! What is mounted.

use super::Notes;
use super::reader::{each, invalid, list, non_empty, unread};
use crate::cli::flags::MountFlags;
use crate::error::{Error, Result};
use crate::request::mount::{parse_mount, parse_tmpfs, parse_volume};
use crate::request::{Env, MountRequest, MountsRequest, Request, Secret, Size};

pub fn resolve(flags: MountFlags, request: &mut Request, env: &Env, notes: &mut Notes) -> Result<()> {
    let MountFlags { chrootdirs, mount, secret, storage_opt, tmpfs, volume, volume_driver, volumes_from } = flags;

    notes.not_applicable_list("--chrootdirs", &chrootdirs, "hardrun does not change files in other folders");
    let driver = non_empty(volume_driver);
    let mut mounts = each("-v, --volume", without_repeats(volume), |text| parse_volume(text, env))?;
    for mount in &mut mounts {
        if let MountRequest::Volume(volume) = mount {
            volume.driver.clone_from(&driver);
        }
    }
    mounts.extend(each("--mount", mount, |text| parse_mount(text, env))?);
    mounts.extend(last_of_each(each("--tmpfs", tmpfs, unread(parse_tmpfs))?));
    no_duplicates(&mounts)?;
    let isolation = &request.isolation;
    if isolation.read_only_tmpfs == Some(true) && isolation.read_only == Some(true) {
        add_read_only_tmpfs(&mut mounts)?;
    }

    let secrets: Vec<Secret> = list("--secret", secret)?;
    if !secrets.is_empty() {
        notes.unsupported("--secret is not carried out: hardrun has no secret store; bind the file read-only with -v");
    }
    let volumes_from = each("--volumes-from", volumes_from, |text| match text.split(':').next() {
        None | Some("") => Err("invalid empty volumes-from".to_owned()),
        Some(_) => Ok(text.to_owned()),
    })?;
    request.mounts = MountsRequest { mounts, volumes_from, secrets, storage_size: storage_size(storage_opt)? };
    if request.mounts.storage_size.is_some() {
        notes.unsupported("--storage-opt size= is not carried out: the store has no quota for a root file system");
    }
    Ok(())
}

/// docker keeps `-v` in a set: the same words twice are once.
fn without_repeats(words: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        if !kept.contains(&word) {
            kept.push(word);
        }
    }
    kept
}

/// docker keeps `--tmpfs` by path: the last one given counts.
fn last_of_each(mounts: Vec<MountRequest>) -> Vec<MountRequest> {
    let mut kept: Vec<MountRequest> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        kept.retain(|m| m.destination() != mount.destination());
        kept.push(mount);
    }
    kept
}

/// podman's `--read-only-tmpfs`: what a read-only root leaves writable, where nothing else was mounted.
fn add_read_only_tmpfs(mounts: &mut Vec<MountRequest>) -> Result<()> {
    for path in ["/run", "/tmp", "/var/tmp"] {
        if !mounts.iter().any(|m| m.destination() == path) {
            let tmpfs =
                parse_tmpfs(&format!("{path}:mode=1777")).map_err(|why| invalid("--read-only-tmpfs", path, why))?;
            mounts.push(tmpfs);
        }
    }
    Ok(())
}

fn no_duplicates(mounts: &[MountRequest]) -> Result<()> {
    for (index, mount) in mounts.iter().enumerate() {
        if let Some(earlier) = mounts[..index].iter().find(|m| m.destination() == mount.destination()) {
            let (at, first, second) = (mount.destination(), earlier.typed(), mount.typed());
            return Err(Error::runner(format!("Duplicate mount point: {at} ({first} and {second})")));
        }
    }
    Ok(())
}

/// `--storage-opt size=10G` is the only one that has a meaning here.
fn storage_size(words: Vec<String>) -> Result<Option<u64>> {
    let mut size = None;
    for word in words {
        match word.split_once('=') {
            Some(("size", value)) => {
                let parsed: Size = value.parse().map_err(|why| invalid("--storage-opt", &word, why))?;
                size = u64::try_from(parsed.0).ok();
            }
            Some((key, _)) if !key.is_empty() => {
                return Err(invalid("--storage-opt", &word, format!("unknown option {key:?}; only size exists")));
            }
            _ => return Err(invalid("--storage-opt", &word, "invalid storage option")),
        }
    }
    Ok(size)
}
