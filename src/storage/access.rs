//! A container's files for `cp`, `export` and the like: looked at and changed by a child process that has entered the
//! container's own namespaces and has the rights of the container's root there, and no more. What a container can do to
//! the paths in it (CVE-2018-15664) leads nowhere but into itself. Nothing of the container is run or loaded
//! (CVE-2019-14271): the child is this very process, forked, and its program is one static file.
//!
//! Of a running container the namespaces are those of its first process. Of a stopped one the child makes them: the
//! overlay with its volumes and binds, mounted in a mount namespace that ends with the child.

use super::binds::{Bind, Binder, Ids};
use super::{Stage, idrange, root, volumes};
use crate::error::{Context, Error, Result};
use crate::plan::{Draft, MountKind, SeLinux, UserNamespace};
use crate::state::{Container, Folder, Paths};
use crate::sys::mounts::{Attributes, set_attributes};
use crate::sys::{process, userns};
use nix::sched::CloneFlags;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Which way bytes flow between the caller and the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The child writes, the caller reads.
    Out,
    /// The caller writes, the child reads.
    In,
}

/// A child at work in a container.
#[derive(Debug)]
pub struct Visit {
    /// The caller's end.
    pub stream: File,
    errors: File,
    child: Pid,
    /// Nobody starts the container meanwhile.
    _folder: Option<Folder>,
}

impl Visit {
    /// Close the stream and wait for the child.
    ///
    /// # Errors
    /// What went wrong in it, in its words.
    pub fn finish(self) -> Result<()> {
        let Visit { stream, mut errors, child, _folder } = self;
        drop(stream);
        let mut text = String::new();
        let read = errors.read_to_string(&mut text);
        let status = waitpid(child, None).verb_context(|| "waiting for the copying process".into())?;
        read.verb_context(|| "hearing from the copying process".into())?;
        match (status, text.split_once('\0')) {
            (WaitStatus::Exited(_, 0), _) => Ok(()),
            (_, Some((message, causes))) => {
                let error = Error::verb(message);
                Err(if causes.is_empty() { error } else { error.because(causes.to_owned()) })
            }
            (status, None) => Err(Error::verb(format!("the copying process ended without a word: {status:?}"))),
        }
    }
}

/// Run `job` in a child inside the container. It gets the container's root folder and its end of the stream.
///
/// The calling process must have one thread.
pub fn visit(
    paths: &Paths,
    container: &Container,
    flow: Flow,
    job: impl FnOnce(&OwnedFd, File) -> Result<()>,
) -> Result<Visit> {
    let say = || "starting the copying process".to_owned();
    container.elsewhere().map_or(Ok(()), Err)?;
    let running = if container.is_running() { Some(Init::of(container)?) } else { None };
    let folder = match running {
        Some(_) => None,
        None => Some(Folder::open(paths, container.id())?.ok_or_else(|| {
            Error::verb(format!("container {} is being started or removed just now", container.record.name))
        })?),
    };
    let stopped = folder.as_ref().map(|folder| Stopped::of(container, folder)).transpose()?;
    let (read, write) = std::io::pipe().verb_context(say)?;
    let (errors, say_error) = std::io::pipe().verb_context(say)?;
    let (ours, theirs): (OwnedFd, OwnedFd) = match flow {
        Flow::Out => (read.into(), write.into()),
        Flow::In => (write.into(), read.into()),
    };
    let child = process::fork().verb_context(say)?;
    if child == 0 {
        drop((ours, errors));
        let entered = match (&running, &stopped) {
            (Some(init), _) => init.enter(&container.record.plan.draft),
            (None, Some(stopped)) => stopped.enter(&container.record.plan.draft),
            (None, None) => Err(Error::verb(say())),
        };
        let outcome = entered.and_then(|root| job(&root, theirs.into()));
        std::process::exit(match outcome {
            Ok(()) => 0,
            Err(e) => {
                let causes = e.chain()[1..].join(": ");
                // A caller that is gone needs no word.
                let _ = File::from(OwnedFd::from(say_error)).write_all(format!("{}\0{causes}", e.message).as_bytes());
                1
            }
        });
    }
    Ok(Visit {
        stream: ours.into(),
        errors: OwnedFd::from(errors).into(),
        child: Pid::from_raw(child),
        _folder: folder,
    })
}

/// The first process of a running container.
struct Init {
    pidfd: OwnedFd,
}

impl Init {
    fn of(container: &Container) -> Result<Init> {
        let gone = || Error::verb(format!("container {} has ended just now", container.record.name));
        let pid = rustix::process::Pid::from_raw(container.status.pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| gone().because(e))?;
        // The descriptor is of whoever has the number now; its start time tells whether that is the one on record.
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", container.status.pid)).map_err(|e| gone().because(e))?;
        let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse::<u64>().ok());
        if start != Some(container.status.pid_start) {
            return Err(gone());
        }
        Ok(Init { pidfd })
    }

    fn enter(&self, draft: &Draft) -> Result<OwnedFd> {
        let attempt = || "enter the container's namespaces".to_owned();
        crate::rootless::leave_groups()?;
        process::close_memory().verb_context(attempt)?;
        let mut flags = CloneFlags::CLONE_NEWNS;
        let mapped = matches!(draft.namespaces.user.value, UserNamespace::Private { .. });
        if mapped {
            flags |= CloneFlags::CLONE_NEWUSER;
        }
        // Linux 5.8 takes a process for all of its namespaces at once.
        nix::sched::setns(self.pidfd.as_fd(), flags).verb_context(attempt)?;
        confine(mapped)?;
        open_root()
    }
}

/// A container that does not run.
struct Stopped<'a> {
    base: Option<u32>,
    /// Held for the time of the visit where the container has never had ids of its own.
    _range: Option<idrange::IdRange>,
    folder: &'a Path,
}

impl<'a> Stopped<'a> {
    fn of(container: &Container, folder: &'a Folder) -> Result<Stopped<'a>> {
        let mapped = matches!(container.record.plan.draft.namespaces.user.value, UserNamespace::Private { .. });
        let mut status = folder.status()?;
        let mut range = None;
        if mapped && status.base.is_none() {
            let seed = u32::from_str_radix(&container.id()[..8], 16).unwrap_or_default();
            let ids = Paths::host_run().join("ids");
            let taken = match crate::rootless::current() {
                Some(_) => idrange::of_user(&ids)?,
                None => idrange::allocate(&ids, seed, &|_| Ok(true))?,
            };
            // What is copied into it belongs to these ids; its first start shifts them to those that it gets then.
            status.version = crate::state::Status::VERSION;
            status.base = Some(taken.base);
            folder.write_status(&status)?;
            range = Some(taken);
        }
        Ok(Stopped { base: status.base.filter(|_| mapped), _range: range, folder: &folder.path })
    }

    fn enter(&self, draft: &Draft) -> Result<OwnedFd> {
        let attempt = || "mount the container's files".to_owned();
        crate::rootless::leave_groups()?;
        let stage = Stage::enter(&Paths::host_run())?;
        let mapped = self.base.map(|base| {
            let [uids, gids] = idrange::maps(draft, base);
            userns::create(&uids, &gids).verb_context(attempt)
        });
        let mapped = mapped.transpose()?;
        // Not before: the maps of a child whose memory is closed are nobody's to write in a user's own namespace. Nothing of the container is
        // near yet.
        process::close_memory().verb_context(attempt)?;
        let owner = self.base.unwrap_or(0);
        let label = match &draft.selinux.value {
            SeLinux::Labels { mount, .. } => Some(mount.as_str()),
            SeLinux::Disabled | SeLinux::Unavailable => None,
        };
        let ordinary = crate::rootless::current().is_some();
        let userns = mapped.as_ref().filter(|_| !ordinary).map(|ns| ns.as_fd());
        let rootfs = root::mount_root(&stage, &draft.image.layers, userns, owner, self.folder, false, label)?;
        self.mount_volumes(draft, &stage, &rootfs, userns, label)?;
        if draft.root.readonly.value {
            let root = openat(CWD, &rootfs, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).verb_context(attempt)?;
            set_attributes(&root, Attributes::RDONLY, None, false).verb_context(attempt)?;
        }
        rustix::process::chroot(&rootfs).verb_context(attempt)?;
        rustix::process::chdir("/").verb_context(attempt)?;
        if let Some(mapped) = &mapped {
            nix::sched::setns(mapped.as_fd(), CloneFlags::CLONE_NEWUSER).verb_context(attempt)?;
        }
        confine(mapped.is_some())?;
        open_root()
    }

    /// As docker: a path below a volume means the volume's files, also while the container is stopped.
    fn mount_volumes(
        &self,
        draft: &Draft,
        stage: &Stage,
        rootfs: &Path,
        userns: Option<std::os::fd::BorrowedFd<'_>>,
        label: Option<&str>,
    ) -> Result<()> {
        let owner = self.base.unwrap_or(0);
        let mut binder = Binder::new(Ids::of(self.base, &draft.process.user.value));
        let inside = pathrs::Root::open(rootfs).verb_context(|| "open the container's root".into())?;
        for (n, mount) in draft.mounts.iter().enumerate() {
            let name = format!("m{n}");
            let (staged, directory) = match &mount.kind {
                MountKind::Volume { .. } => (volumes::stage(stage, &name, mount, rootfs, owner, userns, label)?, true),
                MountKind::Bind { source, directory, .. } if source.exists() => {
                    let Some(bind) = Bind::of(mount) else { continue };
                    (binder.stage(stage, &name, &bind)?, *directory)
                }
                _ => continue,
            };
            let attempt = || format!("mount {}", mount.destination);
            super::destination::refuse_redirected_mount(rootfs, &mount.destination, &mount.asked)?;
            let at: OwnedFd = match inside.resolve(&mount.destination) {
                Ok(found) => found.into(),
                Err(_) if directory => {
                    let _ids = process::files_as(owner, owner).verb_context(attempt)?;
                    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
                    inside.mkdir_all(&mount.destination, &mode).verb_context(attempt)?.into()
                }
                // A file that is bound where there is none is made by the start.
                Err(_) => continue,
            };
            let at = format!("/proc/self/fd/{}", at.as_raw_fd());
            rustix::mount::mount_bind_recursive(&staged, at.as_str()).verb_context(attempt)?;
        }
        Ok(())
    }
}

/// Become the container's root as far as files go, and nothing else.
fn confine(mapped: bool) -> Result<()> {
    use caps::{CapSet, Capability};
    let attempt = || "take the rights of the container's root".to_owned();
    if mapped {
        nix::unistd::setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).verb_context(attempt)?;
        nix::unistd::setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).verb_context(attempt)?;
    }
    let kept = [
        Capability::CAP_CHOWN,
        Capability::CAP_DAC_OVERRIDE,
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_FOWNER,
        Capability::CAP_FSETID,
        Capability::CAP_SETFCAP,
    ];
    let kept = kept.into_iter().collect();
    caps::set(None, CapSet::Effective, &kept).verb_context(attempt)?;
    caps::set(None, CapSet::Permitted, &kept).verb_context(attempt)?;
    // Changed credentials have undone both.
    process::close_memory().verb_context(attempt)?;
    process::die_with_parent().verb_context(attempt)?;
    rustix::process::umask(Mode::empty());
    Ok(())
}

fn open_root() -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, "/", flags, Mode::empty()).verb_context(|| "open the container's root".into())
}
