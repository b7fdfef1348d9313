//! Who uses a profile: every supervisor holds a shared lock on a file with its name, which dies with its holder however that
//! ends. Who gets the file for itself is the last, and takes the profile out of the kernel.

use super::{Profile, load};
use crate::error::{Context, Result};
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What the name of a digest begins with. No profile's does.
const HASH: &str = ".hash-";

/// A profile that stays in the kernel while this, or a copy of its descriptor, is open.
pub struct Use(OwnedFd);

impl Use {
    /// Say that `profile` is used, before it is loaded. The file holds its text, to load it again.
    pub fn new(run: &Path, profile: &Profile) -> Result<Use> {
        let path = file(run, &profile.name);
        let attempt = || format!("lock the AppArmor profile {}", profile.name);
        DirBuilder::new().recursive(true).mode(0o700).create(folder(run)).context(attempt)?;
        loop {
            let fd = match open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => match publish(run, profile).context(attempt)? {
                    Some(fd) => return take_a_byte(&fd).map(|()| Use(fd)),
                    None => continue,
                },
                Err(e) => return Err(e).context(attempt),
            };
            flock(&fd, FlockOperation::LockShared).context(attempt)?;
            if is_at(&fd, &path) {
                return take_a_byte(&fd).map(|()| Use(fd));
            }
            // The last user took it away while we waited.
        }
    }

    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// Make the file of a profile that nobody uses, whole and locked from its first moment on. `None`: somebody else did, or took ours for one
/// that was left behind.
fn publish(run: &Path, profile: &Profile) -> std::io::Result<Option<OwnedFd>> {
    let new = folder(run).join(format!(".{}.{}", profile.name, std::process::id()));
    let _ = fs::remove_file(&new);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = open(&new, flags, Mode::RUSR | Mode::WUSR)?;
    flock(&fd, FlockOperation::LockShared)?;
    let mut left = profile.text.as_bytes();
    while !left.is_empty() {
        let length = rustix::io::write(&fd, left)?;
        left = &left[length..];
    }
    let linked = fs::hard_link(&new, file(run, &profile.name));
    let removed = fs::remove_file(&new);
    match linked {
        Ok(()) => removed.map(|()| Some(fd)),
        Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Have the kernel know again what is in use, in the text that the container was started with.
pub fn restore(run: &Path, name: &str) -> Result<()> {
    if load::mode(name)?.as_deref() == Some("enforce") && load::is_as_noted(run, name) {
        return Ok(());
    }
    let text = fs::read_to_string(file(run, name)).context(|| format!("read the AppArmor profile {name}"))?;
    load::load(run, &Profile { name: name.to_owned(), text })
}

/// Note what the kernel made of a profile's text, to know it again.
pub(super) fn note(run: &Path, name: &str, hash: Option<&str>) -> Result<()> {
    let Some(hash) = hash else { return Ok(()) };
    let (path, new) = (hash_file(run, name), folder(run).join(format!("{HASH}{name}.{}", std::process::id())));
    let written = fs::write(&new, hash).and_then(|()| fs::rename(&new, &path));
    written.context(|| format!("write {}", path.display()))
}

pub(super) fn noted(run: &Path, name: &str) -> Option<String> {
    fs::read_to_string(hash_file(run, name)).ok()
}

/// Whether exactly one container uses a profile of hardrun's own: every user has locked a byte of the file, each another one.
pub fn has_one_user(run: &Path, name: &str) -> bool {
    let Ok(fd) = open(file(run, name), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) else { return false };
    let someone = |from: i64, length: i64| -> Option<i64> {
        let mut asked = range(from, length);
        fcntl(fd.as_raw_fd(), FcntlArg::F_OFD_GETLK(&mut asked)).ok()?;
        (i32::from(asked.l_type) != libc::F_UNLCK).then_some(asked.l_start)
    };
    // A length of 0 reaches to the end of all.
    someone(0, 0).is_some_and(|one| (one == 0 || someone(0, one).is_none()) && someone(one + 1, 0).is_none())
}

/// Lock a byte that nobody else has locked: a lock on an open file as a whole says that there are users, not how many.
fn take_a_byte(fd: impl AsFd) -> Result<()> {
    let attempt = || "count among the users of an AppArmor profile".to_owned();
    let mut byte = i64::from(std::process::id());
    loop {
        match fcntl(fd.as_fd().as_raw_fd(), FcntlArg::F_OFD_SETLK(&range(byte, 1))) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => byte += 1,
            Err(e) => return Err(e).context(attempt),
        }
    }
}

fn range(from: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: from,
        l_len: length,
        l_pid: 0,
    }
}

/// `run` is the host's, whatever `--root` says: the kernel's profiles are.
fn folder(run: &Path) -> PathBuf {
    run.join("apparmor")
}

fn file(run: &Path, name: &str) -> PathBuf {
    folder(run).join(name)
}

/// Beside the text: the kernel's digest of what was loaded.
fn hash_file(run: &Path, name: &str) -> PathBuf {
    folder(run).join(format!("{HASH}{name}"))
}

/// Whether the open file is the one that has the name now.
fn is_at(fd: impl AsFd, path: &Path) -> bool {
    let same = |a: rustix::fs::Stat, b: rustix::fs::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    matches!((fstat(fd), stat(path)), (Ok(a), Ok(b)) if same(a, b))
}

/// At the end of a container: take its profile away if no other container has it. `held` are the descriptors that its
/// supervisor holds, the profile's among them.
pub fn release<'a>(run: &Path, name: &str, held: impl Iterator<Item = std::os::fd::BorrowedFd<'a>>) -> Result<()> {
    let path = file(run, name);
    for fd in held.filter(|fd| is_at(fd, &path)) {
        remove_if_last(fd, &path)?;
    }
    Ok(())
}

/// Take away the profiles of supervisors that were killed.
pub fn sweep(run: &Path) -> Result<()> {
    let attempt = || "look for AppArmor profiles that nobody uses".to_owned();
    let entries = match fs::read_dir(folder(run)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).context(attempt),
    };
    for entry in entries {
        let path = entry.context(attempt)?.path();
        if path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(HASH.as_bytes())) {
            continue;
        }
        match open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => remove_if_last(fd.as_fd(), &path)?,
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e).context(attempt),
        }
    }
    Ok(())
}

fn remove_if_last(fd: std::os::fd::BorrowedFd<'_>, path: &Path) -> Result<()> {
    let attempt = || format!("take the AppArmor profile of {} away", path.display());
    match flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(()),
        Err(e) => return Err(e).context(attempt),
    }
    if !is_at(fd, path) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if load::mode(&name)?.is_some() {
        load::remove(&name)?;
    }
    let noted = path.with_file_name(format!("{HASH}{name}"));
    match fs::remove_file(noted) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).context(attempt),
        _ => {}
    }
    fs::remove_file(path).context(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_takes_the_profile_away() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        // No kernel has it loaded: only the file tells.
        let profile = Profile { name: "hardrun-test-000000".into(), text: "profile hardrun-test-000000 {}\n".into() };
        let path = file(run, &profile.name);
        let one = Use::new(run, &profile).unwrap().into_fd();
        let two = Use::new(run, &profile).unwrap().into_fd();
        assert_eq!(fs::read_to_string(&path).unwrap(), profile.text);
        release(run, &profile.name, [one.as_fd()].into_iter()).unwrap();
        assert!(path.exists(), "the other one is there");
        drop(one);
        sweep(run).unwrap();
        assert!(path.exists(), "the other one is there still");
        // Killed: the lock goes with the descriptor, and the next command looks.
        drop(two);
        sweep(run).unwrap();
        assert!(!path.exists());
        let last = Use::new(run, &profile).unwrap().into_fd();
        assert!(has_one_user(run, &profile.name));
        let more = Use::new(run, &profile).unwrap().into_fd();
        assert!(!has_one_user(run, &profile.name));
        let third = Use::new(run, &profile).unwrap().into_fd();
        drop(more);
        assert!(!has_one_user(run, &profile.name));
        drop(third);
        assert!(has_one_user(run, &profile.name));
        release(run, &profile.name, [last.as_fd()].into_iter()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_text_is_whole_for_whoever_sees_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        let text = "x".repeat(200_000);
        let profile = Profile { name: "hardrun-test-000001".into(), text };
        let path = file(run, &profile.name);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if let Ok(text) = fs::read_to_string(&path) {
                        assert_eq!(text.len(), profile.text.len());
                    }
                }
            });
            for _ in 0..50 {
                let (one, two) = (Use::new(run, &profile).unwrap(), Use::new(run, &profile).unwrap());
                drop((one, two));
                sweep(run).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(folder(run)).unwrap().count(), 0);
    }

    #[test]
    fn what_was_loaded_is_noted_beside_the_text_and_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        let profile = Profile { name: "hardrun-test-000002".into(), text: "profile hardrun-test-000002 {}\n".into() };
        let used = Use::new(run, &profile).unwrap().into_fd();
        assert_eq!(noted(run, &profile.name), None);
        note(run, &profile.name, Some("4711")).unwrap();
        sweep(run).unwrap();
        assert_eq!(noted(run, &profile.name).as_deref(), Some("4711"));
        release(run, &profile.name, [used.as_fd()].into_iter()).unwrap();
        assert_eq!(fs::read_dir(folder(run)).unwrap().count(), 0);
    }
}
