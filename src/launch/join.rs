//! Namespaces of another container of hardrun's.

use super::process::Init;
use crate::control::{self, Answer, Ask, Client};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{Draft, Namespace, NetworkMode};
use crate::state::{Paths, lookup};
use crate::storage::Stage;
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use crate::sys::{process, userns};
use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, fstatfs, openat2, statx};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// TMPFS_MAGIC
const TMPFS: i64 = 0x0102_1994;

/// A running container whose namespaces are joined, held by descriptors.
pub struct Joined {
    pub user: Option<OwnedFd>,
    /// By the names of /proc: `net`, `pid`, `ipc`.
    namespaces: BTreeMap<&'static str, OwnedFd>,
    /// First host id of its user namespace.
    pub base: Option<u32>,
    /// The lock on its range of ids: it is given to nobody else while one of the two runs.
    range: Option<OwnedFd>,
    /// Its /dev/shm, as a mount that is nowhere yet.
    memory: Option<OwnedFd>,
}

impl Joined {
    /// `None` where the plan joins nobody.
    ///
    /// # Errors
    /// Docker's, where that container does not run.
    pub fn find(paths: &Paths, draft: &Draft) -> Result<Option<Joined>> {
        let Some(id) = &draft.namespaces.joins else { return Ok(None) };
        let gone = || Error::runner(format!("cannot join the namespaces of a non running container: {id}"));
        let container = lookup::find(paths, id)?;
        if let Some(elsewhere) = container.elsewhere() {
            return Err(Error { kind: Kind::Runner, ..elsewhere });
        }
        let client = Client::to(&container).map_err(|_| gone())?;
        let (Answer::Entrance { pid }, fds) = client.ask(&Ask::Enter)? else { return Err(gone()) };
        let mut fds = fds.into_iter();
        let (Some(_handoff), Some(_mounts), Some(init), range) = (fds.next(), fds.next(), fds.next(), fds.next())
        else {
            return Err(gone());
        };
        let open = |kind: &str| -> Result<OwnedFd> {
            let path = format!("/proc/{pid}/ns/{kind}");
            File::open(&path).map(OwnedFd::from).context(|| format!("open {path}"))
        };
        let wanted = &draft.namespaces;
        let own_user = range.is_some();
        let mut joined = Joined {
            user: own_user.then(|| open("user")).transpose()?,
            namespaces: BTreeMap::new(),
            base: super::readback::base_of(pid, own_user)?,
            range,
            memory: None,
        };
        if matches!(wanted.network.value, NetworkMode::Container(_)) {
            joined.namespaces.insert("net", open("net")?);
        }
        if matches!(wanted.pid.value, Namespace::Container(_)) {
            joined.namespaces.insert("pid", open("pid")?);
        }
        if matches!(wanted.ipc.value, Namespace::Container(_)) {
            joined.namespaces.insert("ipc", open("ipc")?);
            joined.memory = Some(memory(open("mnt")?)?);
        }
        // The number was that process's for as long as it lived: it still does.
        if poll(&mut [PollFd::new(&init, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
            .context(|| "look at the container to join".into())?
            > 0
        {
            return Err(gone());
        }
        Ok(Some(joined))
    }

    /// The lock on the range of ids, for whoever joins the container that joins this one.
    pub fn share(&self) -> Result<Option<OwnedFd>> {
        self.range.as_ref().map(OwnedFd::try_clone).transpose().context(|| "share the id range".into())
    }

    /// Mount the other container's /dev/shm where it can be bound from.
    pub fn stage_memory(&self, stage: &Stage) -> Result<Option<PathBuf>> {
        let Some(memory) = &self.memory else { return Ok(None) };
        let at = stage.folder("shm")?;
        attach(memory, &at).context(|| "mount the other container's /dev/shm".into())?;
        Ok(Some(at))
    }

    /// Paths by which libcontainer joins: it has forked from this process, and has its descriptors.
    pub fn paths(&self) -> BTreeMap<&'static str, PathBuf> {
        self.namespaces.iter().map(|(kind, fd)| (*kind, userns::inherited_path(fd))).collect()
    }
}

/// A copy of the mount on /dev/shm in a container's mount namespace. Only who is in that namespace may copy it: a child is, and sends it.
fn memory(mounts: OwnedFd) -> Result<OwnedFd> {
    let attempt = || "share the /dev/shm of the container to join".to_string();
    let (ours, theirs) = control::pair()?;
    let child = process::fork().context(attempt)?;
    if child == 0 {
        drop(ours);
        // Who waits sees the line close.
        let _ = match copy_memory(mounts) {
            Ok(copy) => control::send(&theirs, &Answer::Done, &[copy.as_fd()]),
            Err(e) => control::send(&theirs, &Answer::Failed((&e).into()), &[]),
        };
        std::process::exit(0);
    }
    drop(theirs);
    let answer = Client::from_socket(ours).answer();
    Init::new(child)?.ended(true)?;
    match answer? {
        Some((Answer::Failed(error), _)) => Err(error.into_error()),
        Some((_, fds)) => fds.into_iter().next().ok_or_else(|| Error::runner(attempt())),
        None => Err(Error::runner(attempt()).because("the process that copies it ended without a word")),
    }
}

/// /dev belongs to the container, which may have put anything there: no link is followed, and it has to be a memory file system that is
/// mounted there.
fn copy_memory(mounts: OwnedFd) -> Result<OwnedFd> {
    let attempt = || "share the /dev/shm of the container to join".to_string();
    process::close_memory().context(attempt)?;
    nix::sched::setns(mounts, CloneFlags::CLONE_NEWNS).context(attempt)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let plain = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let folder = openat2(CWD, "/dev/shm", flags, Mode::empty(), plain).context(attempt)?;
    let top = statx(&folder, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
        .context(attempt)?
        .stx_attributes
        .contains(StatxAttributes::MOUNT_ROOT);
    if !top || fstatfs(&folder).context(attempt)?.f_type != TMPFS {
        return Err(Error::runner(attempt()).because("there is no memory file system mounted there"));
    }
    let copy = clone_tree(&folder, false).context(attempt)?;
    let set = Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC;
    set_attributes(&copy, set, None, false).context(attempt)?;
    Ok(copy)
}
