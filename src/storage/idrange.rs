//! Host ids for user namespaces: 65536 ids a container, no two running containers share one.
//!
//! The pool lies at 0x7000_0000, above what systemd-nspawn uses (0x0008_0000–0x6FFF_FFFF) and below systemd's foreign
//! range (0x7FFE_0000), far from /etc/subuid's usual ranges. A range is taken by holding a lock on its file; the lock dies
//! with its holder. The folder is one for the whole host, whatever `--root` says.

use crate::error::{Context, Error, Result};
use crate::plan::{Draft, UserNamespace};
use crate::sys::userns::IdMap;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

pub const SIZE: u32 = 65_536;
const FIRST: u32 = 0x7000_0000;
const END: u32 = 0x7FFE_0000;
const SLOTS: u32 = (END - FIRST) / SIZE;

/// The slot of a range by its first id.
pub fn slot_of(base: u32) -> u32 {
    base.saturating_sub(FIRST) / SIZE
}

/// A range of host ids, held as long as this value lives.
#[derive(Debug)]
pub struct IdRange {
    pub base: u32,
    lock: File,
}

impl IdRange {
    /// Note the cgroup whose processes have these ids, for the case that the lock is lost before they are gone: a
    /// container can outlive a launcher that was killed, until the next run sweeps it.
    pub fn note(&mut self, cgroup: &str) -> Result<()> {
        let attempt = || format!("note who uses the id range at {}", self.base);
        self.lock.write_all_at(cgroup.as_bytes(), 0).context(attempt)
    }

    /// The lock in another hand: the range is free when both have let go of it.
    pub fn share(&self) -> Result<OwnedFd> {
        self.lock.try_clone().map(OwnedFd::from).context(|| format!("share the id range at {}", self.base))
    }

    /// Nobody has the ids any more.
    pub fn release(self) -> Result<()> {
        self.lock.set_len(0).context(|| format!("give back the id range at {}", self.base))
    }
}

/// The ids of an ordinary user, which all of its containers have: nobody holds them alone.
pub fn of_user(folder: &Path) -> Result<IdRange> {
    std::fs::create_dir_all(folder).context(|| format!("make the folder of id ranges {}", folder.display()))?;
    let path = folder.join("user");
    let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    Ok(IdRange { base: 0, lock: lock.context(|| format!("open the id range {}", path.display()))? })
}

/// The maps of a container whose ids begin at `base`: of users, and of groups.
pub fn maps(draft: &Draft, base: u32) -> [Vec<IdMap>; 2] {
    let count = match draft.namespaces.user.value {
        UserNamespace::Private { size, .. } => size,
        UserNamespace::Host => SIZE,
    };
    match crate::rootless::current() {
        Some(rootless) => [&rootless.ids.uids, &rootless.ids.gids].map(|ranges| along(ranges, count)),
        None => [0, 1].map(|_| vec![IdMap { inside: 0, outside: base, count }]),
    }
}

/// The first `count` ids of a namespace that has these ranges behind its 0: the kernel takes no line that is in two of them.
fn along(ranges: &[(u32, u32)], count: u32) -> Vec<IdMap> {
    let mut lines = Vec::new();
    let mut from = 0;
    for length in std::iter::once(1).chain(ranges.iter().map(|(_, n)| *n)) {
        let length = length.min(count - from);
        if length > 0 {
            lines.push(IdMap { inside: from, outside: from, count: length });
        }
        from += length;
    }
    lines
}

/// Take a free range. `populated` tells whether a cgroup still has processes. `seed` spreads containers over the pool, so that the first try nearly always succeeds.
pub fn allocate(folder: &Path, seed: u32, populated: &dyn Fn(&str) -> Result<bool>) -> Result<IdRange> {
    std::fs::create_dir_all(folder).context(|| format!("make the folder of id ranges {}", folder.display()))?;
    for n in 0..SLOTS {
        let slot = seed.wrapping_add(n) % SLOTS;
        let path = folder.join(slot.to_string());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .context(|| format!("open the id range {}", path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let mut note = String::new();
                (&lock).read_to_string(&mut note).context(|| format!("read the id range {}", path.display()))?;
                if !note.is_empty() && populated(&note)? {
                    continue;
                }
                lock.set_len(0).context(|| format!("clear the id range {}", path.display()))?;
                return Ok(IdRange { base: FIRST + slot * SIZE, lock });
            }
            Err(rustix::io::Errno::WOULDBLOCK) => continue,
            Err(e) => return Err(Error::runner(format!("lock the id range {}", path.display())).because(e)),
        }
    }
    Err(Error::runner(format!("all {SLOTS} id ranges are in use")).hint("stop some containers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_goes_along_the_lines_of_the_one_above() {
        let lines = |ranges: &[(u32, u32)], count| {
            along(ranges, count).iter().map(|m| (m.inside, m.outside, m.count)).collect::<Vec<_>>()
        };
        assert_eq!(lines(&[(100_000, 65_536)], 65_536), [(0, 0, 1), (1, 1, 65_535)]);
        assert_eq!(lines(&[(7, 10), (90, 100)], 20), [(0, 0, 1), (1, 1, 10), (11, 11, 9)]);
        assert_eq!(lines(&[], 1), [(0, 0, 1)]);
    }

    #[test]
    fn two_holders_never_share_an_id() {
        let dir = tempfile::tempdir().unwrap();
        let a = allocate(dir.path(), 7, &|_| Ok(false)).unwrap();
        let b = allocate(dir.path(), 7, &|_| Ok(false)).unwrap();
        assert!(a.base.abs_diff(b.base) >= SIZE);
        let freed = a.base;
        drop(a);
        assert_eq!(allocate(dir.path(), 7, &|_| Ok(false)).unwrap().base, freed);
    }

    #[test]
    fn a_range_whose_processes_outlived_the_lock_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut a = allocate(dir.path(), 7, &|_| Ok(false)).unwrap();
        let base = a.base;
        a.note("/hardrun/x").unwrap();
        drop(a);
        let asked = |cgroup: &str| Ok(cgroup == "/hardrun/x");
        let other = allocate(dir.path(), 7, &asked).unwrap();
        assert_ne!(other.base, base);
        // Once they are gone it is free again, and so is one that was given back.
        let again = allocate(dir.path(), 7, &|_| Ok(false)).unwrap();
        assert_eq!(again.base, base);
        again.release().unwrap();
        assert_eq!(allocate(dir.path(), 7, &|_| Ok(true)).unwrap().base, base);
    }
}
