//! Containers by name, id or the beginning of an id, and all of them.

use super::folder::{self, is_alive};
use super::{Paths, Record, State, Status, names};
use crate::error::{Context, Error, Result};
use std::path::{Path, PathBuf};

/// A container as it is now.
#[derive(Debug, Clone)]
pub struct Container {
    pub folder: PathBuf,
    pub record: Record,
    pub status: Status,
    /// A supervisor lives.
    pub alive: bool,
}

impl Container {
    /// Read one. What the status says counts only while a supervisor lives: one that was killed has taken the container
    /// with it, which is then said, whoever looks first.
    fn read(folder: PathBuf) -> Result<Container> {
        // Asked first: a supervisor that ends in between has written its last status by then.
        let alive = is_alive(&folder)? && !is_ending(&folder);
        let record = folder::read_record(&folder)?;
        let mut status = if alive { folder::read_status(&folder)? } else { folder::read_last_status(&folder)? };
        if !alive && status.state.is_up() {
            status.lost();
        }
        Ok(Container { folder, record, status, alive })
    }

    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Why its namespaces cannot be entered from here, where it runs on another host of the user's.
    pub fn elsewhere(&self) -> Option<Error> {
        let here = &crate::rootless::current()?.run;
        let there = self.status.run.as_ref().filter(|_| self.alive)?;
        crate::rootless::folders::differ(here, there).then(|| {
            let name = &self.record.name;
            Error::verb(format!(
                "container {name} was started with another run folder, and cannot be entered from here"
            ))
            .because(format!("it was {}, and is {} now", there.display(), here.display()))
            .hint(crate::rootless::folders::way_to(there, name))
        })
    }

    pub fn is_running(&self) -> bool {
        self.alive && matches!(self.status.state, State::Running | State::Paused)
    }
}

impl Status {
    /// The supervisor is gone without a word: the kernel has killed the container with it.
    pub fn lost(&mut self) {
        self.state = State::Exited;
        self.exit_code = 137;
        self.error = "its supervisor was killed, and the container with it".into();
        self.pid = 0;
        self.supervisor = 0;
        self.execs.clear();
        self.network = Default::default();
        if self.finished < self.started {
            self.finished = super::Stamp::now();
        }
    }
}

/// Whether the supervisor that the status names is on its way out: one that was killed holds its lock until the kernel has taken its
/// memory apart. One that is gone altogether says nothing: another may have the lock, and has not written its number yet.
fn is_ending(folder: &Path) -> bool {
    let supervisor = folder::read_status(folder).map(|s| s.supervisor).unwrap_or_default();
    supervisor > 0
        && Path::new("/proc").join(supervisor.to_string()).exists()
        && crate::launch::process_is_exiting(supervisor)
}

/// Every container, newest first. A folder that cannot be read is left out, and said in the second list.
pub fn all(paths: &Paths) -> Result<(Vec<Container>, Vec<Error>)> {
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for id in ids(paths)? {
        let folder = paths.containers().join(&id);
        match Container::read(folder.clone()) {
            Ok(container) => found.push(container),
            // Removed meanwhile.
            Err(_) if !folder.exists() => {}
            Err(e) => damaged.push(e),
        }
    }
    found.sort_by_key(|c| std::cmp::Reverse(c.record.created));
    Ok((found, damaged))
}

/// Ids of all containers, in no order. Folders that are being made have no id yet.
pub fn ids(paths: &Paths) -> Result<Vec<String>> {
    let parent = paths.containers();
    let attempt = || format!("list the containers in {}", parent.display());
    let entries = match std::fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).verb_context(attempt),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.verb_context(attempt)?.file_name();
        if let Some(name) = name.to_str().filter(|n| !n.starts_with('.')) {
            ids.push(name.to_owned());
        }
    }
    Ok(ids)
}

/// The id that `reference` means: a whole id, a name (also as `/name`), or the beginning of one id.
///
/// # Errors
/// Docker's: `No such container`, or several ids begin so.
pub fn id_of(paths: &Paths, reference: &str) -> Result<String> {
    let gone = || Error::verb(format!("No such container: {reference}"));
    let name = reference.strip_prefix('/').unwrap_or(reference);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(gone());
    }
    if name.len() == 64 && paths.containers().join(name).exists() {
        return Ok(name.to_owned());
    }
    if let Some(id) = names::holder(paths, name).filter(|id| paths.containers().join(id).exists()) {
        return Ok(id);
    }
    let mut matching: Vec<String> = ids(paths)?.into_iter().filter(|id| id.starts_with(name)).collect();
    match (matching.pop(), matching.len()) {
        (Some(id), 0) => Ok(id),
        (Some(_), _) => Err(Error::verb(format!("Multiple IDs found with provided prefix: {reference}"))),
        (None, _) => Err(gone()),
    }
}

/// The container that `reference` means.
pub fn find(paths: &Paths, reference: &str) -> Result<Container> {
    let id = id_of(paths, reference)?;
    let folder = paths.containers().join(&id);
    Container::read(folder.clone()).map_err(|e| match folder.exists() {
        true => e,
        false => Error::verb(format!("No such container: {reference}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Folder, testkit};

    fn store() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        (dir, paths)
    }

    #[test]
    fn names_ids_and_beginnings_of_ids() {
        let (_dir, paths) = store();
        for (id, name) in [("aa", "web"), ("ab", "db")] {
            Folder::create(&paths, &mut testkit::record(id, name)).unwrap();
        }
        let (aa, ab) = (testkit::id("aa"), testkit::id("ab"));
        for (reference, id) in [("web", &aa), ("/web", &aa), (aa.as_str(), &aa), ("ab", &ab), ("db", &ab)] {
            assert_eq!(&id_of(&paths, reference).unwrap(), id, "{reference}");
        }
        let said = |reference: &str| id_of(&paths, reference).unwrap_err().message;
        assert_eq!(said("a"), "Multiple IDs found with provided prefix: a");
        for gone in ["", "nope", "../containers", ".aa", "/"] {
            assert_eq!(said(gone), format!("No such container: {gone}"));
        }
    }

    #[test]
    fn what_a_killed_supervisor_left_is_not_believed() {
        let (_dir, paths) = store();
        let folder = Folder::create(&paths, &mut testkit::record("aa", "web")).unwrap();
        let running = Status { version: 1, state: State::Running, pid: 1, supervisor: 1, ..Status::default() };
        folder.write_status(&running).unwrap();
        assert!(find(&paths, "web").unwrap().is_running());
        drop(folder);
        let found = find(&paths, "web").unwrap();
        assert_eq!((found.status.state, found.status.exit_code, found.status.pid), (State::Exited, 137, 0));
        assert!(!found.is_running() && found.status.error.contains("supervisor was killed"));
    }
}
