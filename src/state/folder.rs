//! A container's folder: its record, its status, its writable files, and the lock that says whether its supervisor lives.
//!
//! The lock is an open-file-description lock (Linux 3.15): it dies with the last descriptor of its holder, survives exec, and
//! can be asked about without being taken, so that nobody who only looks stands in the way of a start.

use super::{Paths, Record, Stamp, Status};
use crate::error::{Context, Error, Kind, Result};
use nix::fcntl::{FcntlArg, fcntl};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LOCK: &str = "lock";
const RECORD: &str = "record.json";
const STATUS: &str = "status.json";
/// The supervisor's socket.
pub const CONTROL: &str = "control";
/// How long an open waits for whoever holds the lock for a moment (another `rm`, a supervisor on its last steps).
const PATIENCE: Duration = Duration::from_secs(2);

/// One container's folder, locked.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    lock: File,
}

impl Folder {
    /// Make the folder of a new container, with its record in it and its name taken. `named`: the caller chose the name.
    ///
    /// # Errors
    /// Docker's conflict where the name is taken.
    pub fn create(paths: &Paths, record: &mut Record) -> Result<Folder> {
        let parent = paths.containers();
        let attempt = || format!("make the container's folder in {}", parent.display());
        make_private(&parent).context(attempt)?;
        // Locked before it has its name: nobody can take it for a dead one.
        let hidden = parent.join(format!(".{}", record.id));
        std::fs::DirBuilder::new().mode(0o700).create(&hidden).context(attempt)?;
        let made = Self::fill(hidden.clone(), record);
        let mut folder = match made {
            Ok(folder) => folder,
            Err(e) => {
                // Nothing is in it but what was just written; the error that is returned says what went wrong.
                let _ = std::fs::remove_dir_all(&hidden);
                return Err(e);
            }
        };
        let mut taken = super::names::take(paths, &record.name, &record.id);
        if taken.is_err() && !record.words.named {
            // A name that nobody chose gives way; with the id in it, it is free.
            record.name = format!("{}_{}", record.name, &record.id[..6]);
            record.plan.draft.name.clone_from(&record.name);
            taken = super::names::take(paths, &record.name, &record.id).and_then(|()| folder.write_record(record));
        }
        if let Err(e) = taken {
            folder.remove_files()?;
            return Err(e);
        }
        let path = parent.join(&record.id);
        std::fs::rename(&hidden, &path).context(attempt)?;
        folder.path = path;
        Ok(folder)
    }

    fn fill(hidden: PathBuf, record: &Record) -> Result<Folder> {
        let lock = open_lock(&hidden).context(|| format!("make the container's lock in {}", hidden.display()))?;
        let folder = Folder { path: hidden, lock };
        if !folder.try_lock()? {
            return Err(Error::runner(format!("lock the new folder {}", folder.path.display())));
        }
        folder.write_record(record)?;
        Ok(folder)
    }

    /// Lock the folder of a container that has no supervisor. `None` where one lives, or the container is gone.
    pub fn open(paths: &Paths, id: &str) -> Result<Option<Folder>> {
        let path = paths.containers().join(id);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let lock = match open_existing_lock(&path) {
                Ok(lock) => lock,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e).context(|| format!("lock the container's folder {}", path.display())),
            };
            let folder = Folder { path: path.clone(), lock };
            if folder.try_lock()? {
                // Removed between the opening and the locking.
                return Ok(folder.is_current().then_some(folder));
            }
            if Instant::now() > give_up {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As [`open`](Self::open), of a container that has lost its lock file: it is made anew. Whether a supervisor lives is not known then.
    pub fn open_without_lock(paths: &Paths, id: &str) -> Result<Option<Folder>> {
        let path = paths.containers().join(id);
        match open_lock(&path) {
            Ok(_) => Self::open(paths, id),
            // Removed meanwhile.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).context(|| format!("make the container's lock in {}", path.display())),
        }
    }

    /// As [`open`](Self::open), without waiting: for sweeping, which leaves the living alone.
    pub fn open_now(path: &Path) -> Result<Option<Folder>> {
        let Ok(lock) = open_existing_lock(path) else { return Ok(None) };
        let folder = Folder { path: path.to_owned(), lock };
        Ok((folder.try_lock()? && folder.is_current()).then_some(folder))
    }

    /// A lock that was inherited through exec under an agreed number.
    pub fn inherited(paths: &Paths, id: &str, lock: OwnedFd) -> Folder {
        Folder { path: paths.containers().join(id), lock: lock.into() }
    }

    pub fn lock_fd(&self) -> &File {
        &self.lock
    }

    fn try_lock(&self) -> Result<bool> {
        match fcntl(self.lock.as_raw_fd(), FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
            Ok(_) => Ok(true),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
            Err(e) => Err(e).context(|| format!("lock the container's folder {}", self.path.display())),
        }
    }

    fn is_current(&self) -> bool {
        let inode = |meta: std::io::Result<std::fs::Metadata>| meta.ok().map(|m| (m.dev(), m.ino()));
        let ours = inode(self.lock.metadata());
        ours.is_some() && ours == inode(std::fs::symlink_metadata(self.path.join(LOCK)))
    }

    /// Replace the record. With `--rm` nothing of it is to survive a power cut; otherwise it is on the disk afterwards.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        replace(&self.path, RECORD, record, !record.plan.draft.remove)
    }

    pub fn write_status(&self, status: &Status) -> Result<()> {
        replace(&self.path, STATUS, status, false)
    }

    pub fn record(&self) -> Result<Record> {
        read_record(&self.path)
    }

    pub fn status(&self) -> Result<Status> {
        read_last_status(&self.path)
    }

    /// Remove the container: its name, then the folder with everything in it.
    pub fn remove(self, paths: &Paths) -> Result<()> {
        if let Ok(record) = self.record() {
            super::names::release(paths, &record.name, &record.id)?;
        }
        // All of it at once, for whoever looks: a folder that has lost its record and not yet the rest is no container. What a
        // kill leaves of it is swept like one that was being made.
        let hidden = self.path.file_name().filter(|name| !name.as_encoded_bytes().starts_with(b".")).map(|name| {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            paths.containers().join(hidden)
        });
        let moved = hidden.filter(|hidden| std::fs::rename(&self.path, hidden).is_ok());
        Folder { path: moved.unwrap_or(self.path), lock: self.lock }.remove_files()
    }

    /// What is in the folder was made by the container: a tree deeper than there are descriptors (the standard library
    /// holds one a level) must not stay for ever, and stop every launch after it.
    fn remove_files(&self) -> Result<()> {
        crate::image::remove_path(&self.path).map_err(|e| e.of_kind(Kind::Runner))
    }
}

/// The whole file.
fn whole(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn open_lock(folder: &Path) -> std::io::Result<File> {
    lock_options().create(true).truncate(false).open(folder.join(LOCK))
}

fn open_existing_lock(folder: &Path) -> std::io::Result<File> {
    lock_options().open(folder.join(LOCK))
}

fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}

/// Whether a supervisor holds the lock of the container's folder. Nothing is taken.
pub fn is_alive(folder: &Path) -> Result<bool> {
    let attempt = || format!("ask whether the container of {} is alive", folder.display());
    let lock = match open_existing_lock(folder) {
        Ok(lock) => lock,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e).context(attempt),
    };
    let mut asked = whole(libc::F_WRLCK);
    fcntl(lock.as_raw_fd(), FcntlArg::F_OFD_GETLK(&mut asked)).context(attempt)?;
    Ok(i32::from(asked.l_type) != libc::F_UNLCK)
}

/// # Errors
/// Missing, not JSON, or written by a newer version.
pub fn read_record(folder: &Path) -> Result<Record> {
    let record: Record = read(folder, RECORD)?;
    check_version(record.version, Record::VERSION, folder, RECORD)?;
    Ok(record)
}

/// A container that has never been started has no status yet.
pub fn read_status(folder: &Path) -> Result<Status> {
    if !folder.join(STATUS).exists() {
        return Ok(Status::default());
    }
    let status: Status = read(folder, STATUS)?;
    check_version(status.version, Status::VERSION, folder, STATUS)?;
    Ok(status)
}

/// Whether there is a lock that somebody could hold.
pub fn has_lock(folder: &Path) -> bool {
    folder.join(LOCK).exists()
}

/// Whether there is a status: a container that is being started for the first time has none.
pub fn has_status(folder: &Path) -> bool {
    folder.join(STATUS).exists()
}

/// Whether it is a container's folder and not what a crash before the first record was complete has left: an empty file or
/// none. One that has had a status was a container, whatever became of its record; what it wrote is not thrown away.
pub fn is_containers(folder: &Path) -> bool {
    let written = std::fs::metadata(folder.join(RECORD)).is_ok_and(|m| m.len() > 0);
    written || (folder.join(STATUS).exists() && read_status(folder).is_ok())
}

/// The status of a container that has no supervisor. Statuses are not synced with the disk: after a power cut the file may be
/// empty or cut short, and what the container came to is not known then; but it is a container still.
pub fn read_last_status(folder: &Path) -> Result<Status> {
    let read = read_status(folder);
    let is_torn = || {
        let bytes = std::fs::read(folder.join(STATUS)).ok();
        bytes.is_some_and(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).is_err())
    };
    if read.is_ok() || !is_torn() {
        return read;
    }
    let mut status = Status { version: Status::VERSION, ..Status::default() };
    status.lost();
    status.error = "what it came to is not known: its status was damaged".into();
    // Written at its end, at the latest.
    let written = std::fs::metadata(folder.join(STATUS)).and_then(|m| m.modified()).ok();
    status.finished = written.and_then(|at| jiff::Timestamp::try_from(at).ok()).map_or_else(Stamp::now, Stamp);
    // The writable folder belongs to the first id of its range.
    status.base = std::fs::symlink_metadata(folder.join("upper")).ok().map(|m| m.uid()).filter(|uid| *uid != 0);
    Ok(status)
}

fn check_version(found: u32, newest: u32, folder: &Path, name: &str) -> Result<()> {
    if found <= newest {
        return Ok(());
    }
    Err(Error::verb(format!(
        "{} has version {found} of its format; this hardrun knows {newest}",
        folder.join(name).display()
    ))
    .hint("use the hardrun that wrote it, or a newer one"))
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).verb_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).verb_context(|| format!("read {}", path.display()))
}

/// Replace a file as a whole. Only the holder of the lock writes, so the name of the new one needs no chance in it.
fn replace<T: Serialize>(folder: &Path, name: &str, value: &T, durable: bool) -> Result<()> {
    let path = folder.join(name);
    let attempt = || format!("write {}", path.display());
    let new = folder.join(format!("{name}.new"));
    let json = serde_json::to_vec(value).context(attempt)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&new).context(attempt)?;
    file.write_all(&json).context(attempt)?;
    if durable {
        file.sync_all().context(attempt)?;
    }
    std::fs::rename(&new, &path).context(attempt)?;
    if durable {
        File::open(folder).and_then(|d| d.sync_all()).context(attempt)?;
    }
    Ok(())
}

/// Make a folder and its parents for root only.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testkit;

    #[test]
    fn the_lock_tells_who_lives_and_asking_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        let folder = Folder::create(&paths, &mut testkit::record("a", "web")).unwrap();
        let path = folder.path.clone();
        assert!(is_alive(&path).unwrap() && is_alive(&path).unwrap());
        assert!(Folder::open_now(&path).unwrap().is_none());
        drop(folder);
        assert!(!is_alive(&path).unwrap());
        let folder = Folder::open(&paths, &testkit::id("a")).unwrap().unwrap();
        assert_eq!(folder.record().unwrap(), testkit::record("a", "web"));
        assert_eq!(folder.status().unwrap(), Status::default());
        folder.remove(&paths).unwrap();
        assert!(!path.exists() && !paths.root.join("names/web").exists());
        assert!(Folder::open(&paths, &testkit::id("a")).unwrap().is_none());
    }

    #[test]
    fn a_lost_lock_is_made_anew_where_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        let path = Folder::create(&paths, &mut testkit::record("a", "web")).unwrap().path;
        std::fs::remove_file(path.join(LOCK)).unwrap();
        assert!(Folder::open(&paths, &testkit::id("a")).unwrap().is_none());
        Folder::open_without_lock(&paths, &testkit::id("a")).unwrap().unwrap().remove(&paths).unwrap();
        assert!(!path.exists() && Folder::open_without_lock(&paths, &testkit::id("a")).unwrap().is_none());
    }

    #[test]
    fn a_taken_name_leaves_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        let first = Folder::create(&paths, &mut testkit::record("a", "web")).unwrap();
        let error = Folder::create(&paths, &mut testkit::record("b", "web")).unwrap_err();
        assert!(error.message.contains("\"/web\" is already in use by container"), "{error}");
        assert_eq!(std::fs::read_dir(paths.containers()).unwrap().count(), 1);
        let mut unnamed = testkit::record("c", "web");
        unnamed.words.named = false;
        let second = Folder::create(&paths, &mut unnamed).unwrap();
        assert_eq!((unnamed.name.as_str(), second.record().unwrap().name.as_str()), ("web_c00000", "web_c00000"));
        drop(first);
    }

    #[test]
    fn a_damaged_status_or_record_is_a_container_still() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        let folder = Folder::create(&paths, &mut testkit::record("a", "web")).unwrap();
        folder.write_status(&Status { version: Status::VERSION, exit_code: 3, ..Status::default() }).unwrap();
        let status = folder.path.join(STATUS);
        let whole = std::fs::read(&status).unwrap();
        for torn in [&whole[..whole.len() / 2], b""] {
            std::fs::write(&status, torn).unwrap();
            assert!(read_status(&folder.path).is_err());
            let last = folder.status().unwrap();
            assert_eq!((last.state, last.exit_code), (crate::state::State::Exited, 137));
        }
        std::fs::write(&status, br#"{"version":9,"new":true}"#).unwrap();
        assert!(folder.status().unwrap_err().message.contains("version 9"));
        std::fs::write(&status, whole).unwrap();
        std::fs::write(folder.path.join(RECORD), b"").unwrap();
        assert!(is_containers(&folder.path));
        std::fs::remove_file(&status).unwrap();
        assert!(!is_containers(&folder.path));
    }

    #[test]
    fn a_newer_format_is_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
        let mut record = Record { version: Record::VERSION + 1, ..testkit::record("a", "web") };
        let folder = Folder::create(&paths, &mut record).unwrap();
        assert!(folder.record().unwrap_err().message.contains("version 2"));
    }

    /// As the first hardrun that had version 1 wrote them: what is added later has a default, or the version changes and the old one is
    /// read all the same.
    #[test]
    fn what_an_older_hardrun_wrote_is_read() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            (RECORD, include_str!("../../tests/formats/record-1.json")),
            (STATUS, include_str!("../../tests/formats/status-1.json")),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let (record, status) = (read_record(dir.path()).unwrap(), read_status(dir.path()).unwrap());
        let draft = &record.plan.draft;
        assert_eq!((record.name.as_str(), draft.mounts.iter().any(|m| m.destination == "/data")), ("web", true));
        assert_eq!(draft.network.publish[0].host_port, Some(8099));
        assert_eq!((status.state, status.exit_code), (crate::state::State::Exited, 137));
    }
}
