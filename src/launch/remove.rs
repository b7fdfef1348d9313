//! Containers go: by `--rm`, by `rm`, and what killed launchers left.

use super::{cgroup, systemd};
use crate::error::{Error, Result};
use crate::observe::events::{self, Event};
use crate::state::{Folder, Paths, Record, Status, folder};
use std::path::Path;
use std::time::Duration;

/// Remove a container whose lock is held: its name, its files and, with `volumes`, its anonymous volumes that nobody else uses.
pub fn remove(paths: &Paths, folder: Folder, record: &Record, volumes: bool) -> Result<()> {
    // Nothing is there, unless its supervisor was killed on its way up.
    remove_groups(Some(record), &record.id)?;
    folder.remove(paths)?;
    events::note(paths, Event::container(record, "destroy"));
    match volumes {
        true => crate::storage::volumes::remove_anonymous(paths, &record.plan.draft.volume_folders()),
        false => Ok(()),
    }
}

/// What [`sweep`] did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Ids of containers of which nothing is left.
    pub cleaned: Vec<String>,
    /// Ids of containers whose supervisor was killed: they are kept, and have ended.
    pub lost: Vec<String>,
    /// Folders that could not be removed. Nothing runs in them.
    pub stuck: Vec<Error>,
}

/// Put in order what launchers that were killed left behind: processes, cgroups, files.
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
        let path = entry
            .map_err(|e| Error::runner(format!("look for left-over containers in {}", parent.display())).because(e))?
            .path();
        if !being_made(&path) {
            sweep_one(paths, &path, &mut swept)?;
        }
    }
    Ok(swept)
}

fn sweep_one(paths: &Paths, path: &Path, swept: &mut Swept) -> Result<()> {
    // Looked at before anything is taken: the living, and those that have ended in order, are most of them.
    let status = folder::read_status(path);
    let up = status.as_ref().is_ok_and(|s| s.state.is_up());
    // Killed on its way up: it never ran, but its cgroups may be there.
    let begun = !up && (!folder::has_status(path) || status.as_ref().is_ok_and(|s| s.supervisor != 0));
    let whole = folder::is_containers(path);
    let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let record = folder::read_record(path);
    let remove = record.as_ref().is_ok_and(|r| r.plan.draft.remove);
    // A container that was to be removed at its end and never got a status was on its way to its first start; one that was
    // created to be started later has one.
    if whole && !hidden && !up && !begun {
        return Ok(());
    }
    if hidden && !folder::has_lock(path) {
        // Its removal was cut short when the lock was gone already: nobody can hold it.
        let id = path.file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.').to_owned();
        done(crate::image::remove_path(path), path, id, swept);
        return Ok(());
    }
    let Some(folder) = Folder::open_now(path)? else { return Ok(()) };
    let id = path.file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.').to_owned();
    remove_groups(record.as_ref().ok(), &id)?;
    match record {
        Ok(record) if !remove && !hidden => {
            let mut status = folder.status()?;
            // As it is now that nobody else can change it.
            if !status.state.is_up() {
                status.version = Status::VERSION;
                status.supervisor = 0;
                return folder.write_status(&status);
            }
            status.lost();
            folder.write_status(&status)?;
            events::note(paths, Event::container(&record, "die").with("exitCode", status.exit_code));
            Event::mounts(&record, "unmount").into_iter().for_each(|event| events::note(paths, event));
            swept.lost.push(id);
        }
        // Written by a newer version, perhaps: it is not ours to judge.
        Err(e) if whole && !hidden => swept.stuck.push(e),
        // One whose removal was cut short keeps its volumes, unless they were to go with it.
        Ok(record) => done(super::remove::remove(paths, folder, &record, remove), path, id, swept),
        Err(_) => done(folder.remove(paths), path, id, swept),
    }
    Ok(())
}

/// Remove the cgroups that may be the container's: by the record alone where there is one; a folder without is one that a crash
/// left before it was complete.
fn remove_groups(record: Option<&Record>, id: &str) -> Result<()> {
    let mut groups = record.map(|record| cgroup::paths(&record.plan.draft)).unwrap_or_default();
    groups.retain(|group| cgroup::is_own(group, id));
    groups.push(format!("/{}/{id}", crate::spec::CGROUP_PARENT));
    let host = cgroup::of_host()?;
    // Whoever asks has the lock of this folder, so that its own supervisor has ended: what is supervised is another store's, which this one
    // was copied from.
    groups.retain(|group| !cgroup::is_supervised(&host, group));
    groups.iter().try_for_each(|group| cgroup::remove(&host, group, id))?;
    // What is above it is systemd's, and that of a supervisor that may be on its way out in there.
    let is_left = |group: &String| {
        let scope = group.trim_end_matches(id).trim_matches('/');
        let events = |h: &cgroup::Hierarchy| std::fs::read_to_string(h.mount.join(scope).join("cgroup.events"));
        let is_empty = |h: &cgroup::Hierarchy| events(h).is_ok_and(|text| text.contains("populated 0"));
        scope.ends_with(&systemd::scope_name(id)) && host.iter().any(is_empty)
    };
    if groups.iter().any(is_left) {
        // It may have seen that it is empty just now.
        let _ = systemd::stop_scope(id);
    }
    Ok(())
}

fn done(removed: Result<()>, path: &Path, id: String, swept: &mut Swept) {
    match removed {
        Ok(()) => swept.cleaned.push(id),
        // Another command was faster.
        Err(_) if !path.exists() => {}
        Err(e) => swept.stuck.push(e),
    }
}

/// Between making a hidden folder and locking it are two system calls: without a lock it is a leftover after this time. Who is slower than
/// that is told that the folder is gone.
const MADE: Duration = Duration::from_secs(5);

/// A hidden folder is about to be locked by the one who made it; it is a leftover only after a while. So is the folder of a `--rm`
/// container whose launcher has not taken its lock yet: none, for that folder is made by the launcher itself.
fn being_made(folder: &Path) -> bool {
    let hidden = folder.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let age = folder.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
    hidden && age.is_none_or(|age| age < MADE)
}
