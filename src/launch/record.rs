//! A running container's folder: its writable files and the lock that says whether its launcher lives.

use super::cgroup;
use crate::error::{Context, Error, Kind, Result};
use crate::state::Paths;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = "lock";
const CGROUP: &str = "cgroup";

/// The folder of one container, locked by its launcher.
#[derive(Debug)]
pub struct Record {
    pub folder: PathBuf,
    /// The link that holds its name.
    name: Option<PathBuf>,
    _lock: File,
}

impl Record {
    /// Make the folder. `cgroup` is noted first, so that whoever finds the folder later can clean up after a crash.
    ///
    /// `name` is what the caller asked for; a name that a living container has is docker's conflict.
    pub fn create(paths: &Paths, id: &str, name: Option<&str>, cgroup: &str) -> Result<Record> {
        let parent = paths.containers();
        let attempt = || format!("make the container's folder in {}", parent.display());
        make_private(&parent).context(attempt)?;
        // Locked before it has its name: nobody can take it for a dead one.
        let hidden = parent.join(format!(".{id}"));
        std::fs::DirBuilder::new().mode(0o700).create(&hidden).context(attempt)?;
        let lock = open_lock(&hidden).context(attempt)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).context(attempt)?;
        std::fs::write(hidden.join(CGROUP), cgroup).context(attempt)?;
        let folder = parent.join(id);
        std::fs::rename(&hidden, &folder).context(attempt)?;
        let mut record = Record { folder, name: None, _lock: lock };
        if let Some(name) = name {
            match take_name(paths, name, id) {
                Ok(link) => record.name = Some(link),
                Err(e) => {
                    record.remove()?;
                    return Err(e);
                }
            }
        }
        Ok(record)
    }

    /// Remove the folder with everything in it.
    pub fn remove(self) -> Result<()> {
        if let Some(link) = &self.name {
            std::fs::remove_file(link).context(|| format!("free the name {}", link.display()))?;
        }
        remove_folder(&self.folder)
    }
}

/// A name is a link from `names/NAME` to the id: made in one step, so that of two containers only one gets it.
fn take_name(paths: &Paths, name: &str, id: &str) -> Result<PathBuf> {
    let names = paths.root.join("names");
    let attempt = || format!("take the name {name}");
    make_private(&names).context(attempt)?;
    let link = names.join(name);
    loop {
        match std::os::unix::fs::symlink(id, &link) {
            Ok(()) => return Ok(link),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context(attempt),
        }
        let holder = match std::fs::read_link(&link) {
            Ok(holder) => holder,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).context(attempt),
        };
        if paths.containers().join(&holder).exists() {
            return Err(Error::runner(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\"",
                holder.display()
            ))
            .hint("wait until that container has ended, or choose another --name"));
        }
        // Its container is gone: the launcher was killed and the rest has been swept.
        match std::fs::remove_file(&link) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context(attempt),
            _ => {}
        }
    }
}

/// Remove a container's folder. What is in it was made by the container: a tree deeper than there are descriptors (the
/// standard library holds one a level) must not stay for ever, and stop every launch after it.
fn remove_folder(folder: &Path) -> Result<()> {
    crate::image::remove_path(folder).map_err(|e| Error { kind: Kind::Runner, ..e })
}

fn open_lock(folder: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(folder.join(LOCK))
}

/// Make a folder and its parents for root only.
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What [`sweep`] did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Ids of containers of which nothing is left.
    pub cleaned: Vec<String>,
    /// Folders that could not be removed. Nothing runs in them.
    pub stuck: Vec<Error>,
}

/// Remove what launchers that were killed left behind: processes, cgroups, files.
///
/// A folder whose lock can be taken has no launcher any more. Mounts need no care: they went with its namespace.
///
/// # Errors
/// A left-over process or cgroup that does not go away: its host ids are free for the next container to get.
pub fn sweep(paths: &Paths) -> Result<Swept> {
    let mut swept = Swept::default();
    let parent = paths.containers();
    let entries = match std::fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(swept),
        Err(e) => {
            return Err(Error::runner(format!("look for left-over containers in {}", parent.display())).because(e));
        }
    };
    for entry in entries {
        let folder = entry.context(|| format!("look for left-over containers in {}", parent.display()))?.path();
        if being_made(&folder) {
            continue;
        }
        let Ok(lock) = open_lock(&folder) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let id = folder.file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.').to_owned();
        // A crash or a full disk leaves a note that is empty or cut short. It is never followed as it is: it would name
        // a parent, and everything that runs below that.
        let noted = std::fs::read_to_string(folder.join(CGROUP)).unwrap_or_default();
        let path = if cgroup::is_own(&noted, &id) { noted } else { format!("/{}/{id}", crate::spec::CGROUP_PARENT) };
        cgroup::remove(&cgroup::of_host()?, &path, &id)?;
        match remove_folder(&folder) {
            Ok(()) => swept.cleaned.push(id),
            // Another command was faster.
            Err(_) if !folder.exists() => {}
            Err(e) => swept.stuck.push(e),
        }
    }
    Ok(swept)
}

/// A hidden folder is about to be locked by the one who made it; it is a leftover only after a while.
fn being_made(folder: &Path) -> bool {
    let hidden = folder.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let age = folder.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
    hidden && age.is_none_or(|age| age < Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_is_kept_and_a_dead_one_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        let alive = Record::create(&paths, "alive", Some("web"), "/hardrun/alive").unwrap();
        let dead = Record::create(&paths, "dead", Some("db"), "/hardrun/dead").unwrap();
        std::fs::write(dead.folder.join("file"), b"x").unwrap();
        let folder = dead.folder.clone();
        drop(dead);
        assert_eq!(sweep(&paths).unwrap().cleaned, ["dead"]);
        assert!(!folder.exists() && alive.folder.exists());
        let taken = Record::create(&paths, "third", Some("web"), "/hardrun/third").unwrap_err();
        assert!(taken.message.contains("\"/web\" is already in use by container \"alive\""), "{taken}");
        assert!(!paths.containers().join("third").exists());
        // A note that a full disk cut short names nothing else to kill, and does not stay in the way either.
        let torn = Record::create(&paths, "torn", None, "/hardrun/torn").unwrap();
        std::fs::write(torn.folder.join(CGROUP), "").unwrap();
        let folder = torn.folder.clone();
        drop(torn);
        assert_eq!(sweep(&paths).unwrap().cleaned, ["torn"]);
        assert!(!folder.exists());
        let freed = Record::create(&paths, "fourth", Some("db"), "/hardrun/fourth").unwrap();
        freed.remove().unwrap();
        alive.remove().unwrap();
    }
}
