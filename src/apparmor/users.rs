//! Who uses a profile: every supervisor holds a shared lock on a file with its name, which dies with its holder however that
//! ends. Who gets the file for itself is the last, and takes the profile out of the kernel.

use super::{Profile, load};
use crate::error::{Context, Result};
use crate::state::Paths;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A profile that stays in the kernel while this, or a copy of its descriptor, is open.
pub struct Use(OwnedFd);

impl Use {
    /// Say that `profile` is used, before it is loaded. The file holds its text: it is needed to take it away.
    pub fn new(run: &Path, profile: &Profile) -> Result<Use> {
        let path = file(run, &profile.name);
        let attempt = || format!("lock the AppArmor profile {}", profile.name);
        DirBuilder::new().recursive(true).mode(0o700).create(folder(run)).context(attempt)?;
        loop {
            let fd = open(&path, OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
                .context(attempt)?;
            flock(&fd, FlockOperation::LockShared).context(attempt)?;
            if is_at(&fd, &path) {
                // A name stands for one text: whoever writes at the same time writes the same.
                fs::write(&path, &profile.text).context(attempt)?;
                return Ok(Use(fd));
            }
            // The last user took it away while we waited.
        }
    }

    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// Have the kernel know again what is in use, in the text that the container was started with.
pub fn restore(run: &Path, paths: &Paths, name: &str) -> Result<()> {
    if load::mode(name)?.as_deref() == Some("enforce") {
        return Ok(());
    }
    let text = fs::read_to_string(file(run, name)).context(|| format!("read the AppArmor profile {name}"))?;
    load::load(paths, &Profile { name: name.to_owned(), text })
}

/// `run` is the host's, whatever `--root` says: the kernel's profiles are.
fn folder(run: &Path) -> PathBuf {
    run.join("apparmor")
}

fn file(run: &Path, name: &str) -> PathBuf {
    folder(run).join(name)
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
        load::run(&fs::read_to_string(path).context(attempt)?, &["--remove"])?;
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
        release(run, &profile.name, [last.as_fd()].into_iter()).unwrap();
        assert!(!path.exists());
    }
}
