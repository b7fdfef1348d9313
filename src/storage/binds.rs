//! Host folders and files for a container: opened without following a link that was not there when the policy judged
//! them, cloned, made nosuid and nodev, mapped, and staged for a plain bind.

use super::Stage;
use crate::error::{Context, Error, Result};
use crate::plan::{BindIdmap, MountKind, MountPlan, UserPlan};
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use crate::sys::userns::{self, IdMap};
use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, mkdirat, openat2};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Who the container is on the host, and as whom it starts.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    pub base: u32,
    pub size: u32,
    /// Ids inside.
    pub uid: u32,
    pub gid: u32,
}

impl Ids {
    /// Of a container whose ids begin at `base`. `None`: nothing is mapped, for want of a user namespace, or because the host's file systems
    /// are not an ordinary user's to map.
    pub fn of(base: Option<u32>, user: &UserPlan) -> Option<Ids> {
        let base = base.filter(|_| crate::rootless::current().is_none())?;
        Some(Ids { base, size: super::idrange::SIZE, uid: user.uid, gid: user.gid })
    }
}

/// What to bind.
#[derive(Debug)]
pub struct Bind<'a> {
    pub source: &'a Path,
    pub uid: u32,
    pub gid: u32,
    pub directory: bool,
    pub recursive: bool,
    pub readonly: bool,
    pub noexec: bool,
    pub idmap: BindIdmap,
}

impl<'a> Bind<'a> {
    /// What a mount of the plan binds; `None`: it is no bind.
    pub fn of(mount: &'a MountPlan) -> Option<Bind<'a>> {
        let MountKind::Bind { source, uid, gid, directory, recursive, idmap, .. } = &mount.kind else { return None };
        Some(Bind {
            source,
            uid: *uid,
            gid: *gid,
            directory: *directory,
            recursive: *recursive,
            readonly: mount.readonly.value,
            noexec: mount.noexec,
            idmap: *idmap,
        })
    }
}

/// Makes binds for one container, and keeps the user namespaces that map them for reuse.
pub struct Binder {
    ids: Option<Ids>,
    /// By the uid map and the gid map.
    maps: HashMap<(Vec<IdMap>, Vec<IdMap>), OwnedFd>,
}

impl Binder {
    /// `None`: no user namespace, nothing is mapped.
    pub fn new(ids: Option<Ids>) -> Binder {
        Binder { ids, maps: HashMap::new() }
    }

    /// Stage a bind under `name` and return its path.
    pub fn stage(&mut self, stage: &Stage, name: &str, bind: &Bind<'_>) -> Result<PathBuf> {
        let attempt = || format!("bind {}", bind.source.display());
        let source = open_as_judged(bind)?;
        let tree = clone_tree(&source, bind.recursive).context(attempt)?;
        let mut set = Attributes::NOSUID | Attributes::NODEV;
        if bind.readonly {
            set |= Attributes::RDONLY;
        }
        if bind.noexec {
            set |= Attributes::NOEXEC;
        }
        let userns = self.userns(bind)?;
        match set_attributes(&tree, set, userns.as_ref().map(|f| f.as_fd()), bind.recursive) {
            Ok(()) => {}
            // procfs, sysfs, devtmpfs, many network and FUSE file systems. Without a map the owners on disk are nobody
            // inside, and the container has the rights of everybody else: less than asked for, never more.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && userns.is_some() => {
                set_attributes(&tree, set, None, bind.recursive).context(attempt)?;
                crate::ui::note(&format!(
                    "{}: its file system, or one mounted below it, cannot be idmapped: owners are nobody inside, and only \
                     what everybody may write is writable",
                    bind.source.display()
                ));
            }
            Err(e) => return Err(e).context(|| format!("map the ids of {}", bind.source.display())),
        }
        let at = if bind.directory { stage.folder(name)? } else { stage.file(name)? };
        attach(&tree, &at).context(attempt)?;
        Ok(at)
    }

    fn userns(&mut self, bind: &Bind<'_>) -> Result<Option<&OwnedFd>> {
        let Some(ids) = self.ids else { return Ok(None) };
        let uids = map(bind.idmap, bind.uid, ids.uid, ids);
        let gids = map(bind.idmap, bind.gid, ids.gid, ids);
        let key = (uids, gids);
        if !self.maps.contains_key(&key) {
            let attempt = || format!("make an id map for {}", bind.source.display());
            self.maps.insert(key.clone(), userns::create(&key.0, &key.1).context(attempt)?);
        }
        Ok(self.maps.get(&key))
    }
}

/// Open the source again and make sure that it is what the policy saw: no link in its path, same kind, same owner.
fn open_as_judged(bind: &Bind<'_>) -> Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = openat2(CWD, bind.source, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)
        .context(|| format!("open {}, which was looked at before the launch", bind.source.display()))?;
    let file = File::from(fd);
    let now = file.metadata().context(|| format!("look at {}", bind.source.display()))?;
    if now.is_dir() != bind.directory || now.uid() != bind.uid || now.gid() != bind.gid {
        return Err(Error::runner(format!(
            "bind {}: it changed between the check and the launch",
            bind.source.display()
        )));
    }
    Ok(file)
}

/// `-v` of a folder that does not exist makes it, as docker does, but for the owner of the folder that it is made in.
/// The plan has said so in a line. No link is followed on the way: whoever owns a folder on it may be changing it.
pub fn make_missing(source: &Path, uid: u32, gid: u32) -> Result<()> {
    let attempt = || format!("make the missing folder {}", source.display());
    let plain = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat2(CWD, "/", folder, Mode::empty(), plain).context(attempt)?;
    for part in source.components() {
        let Component::Normal(name) = part else { continue };
        let made = match mkdirat(&at, name, Mode::RWXU) {
            Ok(()) => true,
            Err(rustix::io::Errno::EXIST) => false,
            Err(e) => return Err(e).context(attempt),
        };
        at = openat2(&at, name, folder, Mode::empty(), plain).context(attempt)?;
        if made {
            fchown(&at, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).context(attempt)?;
            // Docker's mode, whatever the caller's umask.
            fchmod(&at, Mode::from_raw_mode(0o755)).context(attempt)?;
        }
    }
    Ok(())
}

/// The id map of a bind: `inside` is the id on disk, `outside` the host id that the container's processes have.
///
/// * `Owner`: the folder's owner is the container's starting user. The host's 0 is left out, so nothing inside can make or
///   own a root file (mapping 1000 to 0 and 0 to 1000 at once made host-root files: measured). The other ids are
///   themselves, but for the starting user's own number, which has been given away.
/// * `Identity`: every id is itself, root included.
/// * `NoRoot`: every id is itself, root is nobody.
fn map(kind: BindIdmap, owner: u32, start: u32, ids: Ids) -> Vec<IdMap> {
    let line = |inside: u32, seen: u32, count: u32| IdMap { inside, outside: ids.base + seen, count };
    let last = ids.size;
    match kind {
        // Nobody asks for the map of what is not mapped.
        BindIdmap::Caller => Vec::new(),
        BindIdmap::Identity => vec![line(0, 0, last)],
        BindIdmap::NoRoot => vec![line(1, 1, last - 1)],
        BindIdmap::Owner => {
            let mut lines = Vec::new();
            // Ids from 1 up to the end, leaving out the owner (mapped below) and the start (given to the owner).
            let mut holes = [owner, start];
            holes.sort_unstable();
            let mut from = 1;
            for hole in holes {
                if hole >= from && hole < last {
                    if hole > from {
                        lines.push(line(from, from, hole - from));
                    }
                    from = hole + 1;
                }
            }
            if from < last {
                lines.push(line(from, from, last - from));
            }
            lines.push(line(owner, start, 1));
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_belongs_to_its_owner_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        // Without privileges only one's own id can be given.
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let (uid, gid) = if uid == 0 { (1234, 1235) } else { (uid, gid) };
        make_missing(&real.join("a/b"), uid, gid).unwrap();
        for path in ["a", "a/b"] {
            let meta = real.join(path).metadata().unwrap();
            assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (uid, gid, 0o755), "{path}");
        }
        std::fs::create_dir(real.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", real.join("link")).unwrap();
        assert!(make_missing(&real.join("link/x"), uid, gid).is_err());
        assert!(!real.join("elsewhere/x").exists());
    }

    const IDS: Ids = Ids { base: 1_000_000, size: 65_536, uid: 0, gid: 0 };

    fn seen(maps: &[IdMap], disk: u32) -> Option<u32> {
        maps.iter()
            .find(|m| disk >= m.inside && disk - m.inside < m.count)
            .map(|m| m.outside - IDS.base + (disk - m.inside))
    }

    #[test]
    fn the_owner_becomes_the_starting_user_and_root_is_nobody() {
        for start in [0, 33, 1000, 1001] {
            for owner in [1000, 33, 65_535, 200_000] {
                let maps = map(BindIdmap::Owner, owner, start, IDS);
                assert_eq!(seen(&maps, owner), Some(start), "owner {owner} start {start}");
                assert_eq!(seen(&maps, 0), None, "owner {owner} start {start}");
            }
        }
    }

    #[test]
    fn maps_never_overlap_on_either_side() {
        for start in [0, 1, 33, 1000, 65_535] {
            for owner in [1, 33, 1000, 65_535, 70_000] {
                let maps = map(BindIdmap::Owner, owner, start, IDS);
                for (i, a) in maps.iter().enumerate() {
                    for b in &maps[i + 1..] {
                        assert!(a.inside + a.count <= b.inside || b.inside + b.count <= a.inside, "{maps:?}");
                        assert!(a.outside + a.count <= b.outside || b.outside + b.count <= a.outside, "{maps:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn identity_keeps_root_and_noroot_drops_it() {
        assert_eq!(seen(&map(BindIdmap::Identity, 0, 0, IDS), 0), Some(0));
        let maps = map(BindIdmap::NoRoot, 0, 0, IDS);
        assert_eq!((seen(&maps, 0), seen(&maps, 42)), (None, Some(42)));
    }
}
