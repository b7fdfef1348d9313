//! Host ids for user namespaces: 65536 ids a container, no two running containers share one.
//!
//! The pool lies at 0x7000_0000, above what systemd-nspawn uses (0x0008_0000–0x6FFF_FFFF) and below systemd's foreign
//! range (0x7FFE_0000), far from /etc/subuid's usual ranges. A range is taken by holding a lock on its file; the lock dies
//! with its holder. The folder is one for the whole host, whatever `--root` says.

use crate::error::{Context, Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub const SIZE: u32 = 65_536;
const FIRST: u32 = 0x7000_0000;
const END: u32 = 0x7FFE_0000;
const SLOTS: u32 = (END - FIRST) / SIZE;

/// A range of host ids, held as long as this value lives.
#[derive(Debug)]
pub struct IdRange {
    pub base: u32,
    _lock: File,
}

/// Take a free range. `seed` spreads containers over the pool, so that the first try nearly always succeeds.
pub fn allocate(folder: &Path, seed: u32) -> Result<IdRange> {
    std::fs::create_dir_all(folder).context(|| format!("make the folder of id ranges {}", folder.display()))?;
    for n in 0..SLOTS {
        let slot = seed.wrapping_add(n) % SLOTS;
        let path = folder.join(slot.to_string());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .context(|| format!("open the id range {}", path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(IdRange { base: FIRST + slot * SIZE, _lock: lock }),
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
    fn two_holders_never_share_an_id() {
        let dir = tempfile::tempdir().unwrap();
        let a = allocate(dir.path(), 7).unwrap();
        let b = allocate(dir.path(), 7).unwrap();
        assert!(a.base.abs_diff(b.base) >= SIZE);
        let freed = a.base;
        drop(a);
        assert_eq!(allocate(dir.path(), 7).unwrap().base, freed);
    }
}
