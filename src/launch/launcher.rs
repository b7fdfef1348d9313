//! The launching process, as one straight line: stage, build, read back, let go, supervise, clean up.

use super::cgroup::{self, Placement};
use super::executor::{Confine, EXEC_FAILED, FAILED, GO, READY};
use super::handoff::Handoff;
use super::pump::{End, Pump};
use super::readback::{self, Expected};
use super::record::Record;
use super::supervisor::{self, Duties, Ended, Init, Signals};
use super::{cgroup_v1, network, terminal};
use crate::audit::{self, Entry};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{DevicePlan, Draft, MountKind, NetworkMode, SeLinux, Sourced, UserNamespace};
use crate::spec::{self, Staged};
use crate::state::Paths;
use crate::storage::binds::{Bind, Binder, Ids, make_missing};
use crate::storage::idrange::{self, IdRange};
use crate::storage::{Stage, destination, devices, root};
use crate::sys::{self, userns};
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{LinuxResources, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// First argument of the launching process. Not a verb: it is of no use by hand.
pub const LAUNCH_ARGUMENT: &str = "__launch";
/// Descriptor of the hand-off.
pub const HANDOFF_FD: RawFd = 3;
/// How long the container's process may take to confine itself.
const CONFINE_TIMEOUT: Duration = Duration::from_secs(30);

/// Entry point of the launching process; the return value is its exit status.
pub fn main() -> u8 {
    sys::process::set_name(c"hardrun");
    let handoff = match take_over() {
        Ok(handoff) => handoff,
        Err(e) => {
            crate::ui::error(&e);
            return e.kind.exit_code();
        }
    };
    let status = match launch(&handoff) {
        Ok(ended) => {
            if let Some(line) = set_id_refused(&handoff.plan.draft, ended.exit_code()) {
                crate::ui::note(&line);
            }
            ended.exit_code()
        }
        Err(e) => {
            crate::ui::error(&e);
            e.kind.exit_code()
        }
    };
    let exit = Entry::exit(&handoff.plan.draft, &handoff.digest, i32::from(status));
    if let Err(e) = audit::append(&handoff.paths(), exit) {
        // The launch is on record; the command's own status matters most to the script.
        crate::ui::error(&e);
    }
    status
}

/// What may be behind a failure that the command's own words do not explain: `dpkg` and `tar` say "Operation not
/// permitted" where the filter keeps them from making a set-id file. Said only where a command failed, for most builds
/// in a bound folder never try.
fn set_id_refused(draft: &Draft, status: u8) -> Option<String> {
    if status == 0 || !draft.seccomp.no_setid.value {
        return None;
    }
    let writable = |m: &&crate::plan::MountPlan| matches!(m.kind, MountKind::Bind { .. }) && !m.readonly.value;
    let asked = &draft.mounts.iter().find(writable)?.asked;
    Some(format!(
        "set-id modes (chmod u+s, g+s) were refused in this container, for {asked} is writable: if that is what failed, bind \
         it read-only, use a named volume, or install packages in the image"
    ))
}

fn take_over() -> Result<Handoff> {
    Handoff::open(sys::process::inherit(HANDOFF_FD).context(|| "take over the plan".into())?)
}

fn launch(handoff: &Handoff) -> Result<Ended> {
    let _held: Vec<OwnedFd> = handoff
        .held
        .iter()
        .map(|fd| sys::process::inherit(*fd).context(|| "take over the layers' locks".into()))
        .collect::<Result<_>>()?;
    let mut signals = Signals::block()?;
    sys::process::clear_groups().context(|| "leave the caller's groups".into())?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let draft = &handoff.plan.draft;
    let own = readback::namespaces("self")?;
    let paths = handoff.paths();

    // Host-wide, whatever --root says, and traversable: the container's root resolves its files through it.
    let run = Path::new(Paths::RUN);
    let mut ids = allocate_ids(draft, run)?;
    let stage = Stage::enter(run)?;
    let group = cgroup::place(spec::cgroups_path(draft), &draft.resources)?;
    let name = handoff.named.then_some(draft.name.as_str());
    let cidfile = CidFile::create(draft)?;
    let record = match Record::create(&paths, &draft.id, name, &group.path) {
        Ok(record) => record,
        Err(e) => {
            cidfile.discard();
            return Err(e);
        }
    };
    if let Some(range) = &mut ids {
        range.note(&group.path)?;
    }

    let result = carry_out(handoff, &stage, &record, ids.as_ref(), &own, &group, &mut signals);
    if !matches!(&result, Ok(_) | Err(Error { kind: Kind::NotFound | Kind::CannotInvoke, .. })) {
        cidfile.discard();
    }
    let cleaned = clean_up(&stage, record, &group, &draft.id)
        .and_then(|()| crate::storage::volumes::remove_anonymous(&paths, &draft.volume_folders()))
        .and_then(|()| ids.map_or(Ok(()), IdRange::release));
    match (result, cleaned) {
        (Ok(ended), Ok(())) => Ok(ended),
        (Ok(ended), Err(e)) => {
            // The command's own status matters most to the script; the leftovers are named, and swept by the next run.
            crate::ui::error(&e);
            Ok(ended)
        }
        (Err(e), Ok(())) => Err(e),
        (Err(e), Err(cleanup)) => {
            crate::ui::error(&cleanup);
            Err(e)
        }
    }
}

fn allocate_ids(draft: &Draft, run: &Path) -> Result<Option<IdRange>> {
    match draft.namespaces.user.value {
        UserNamespace::Private { .. } => {
            let seed = u32::from_str_radix(&draft.id[..8], 16).context(|| format!("read the id {}", draft.id))?;
            Ok(Some(idrange::allocate(&run.join("ids"), seed, &cgroup::is_populated)?))
        }
        UserNamespace::Host => Ok(None),
    }
}

/// Build the container, compare it with the plan, let it run, wait for its end.
fn carry_out(
    handoff: &Handoff,
    stage: &Stage,
    record: &Record,
    ids: Option<&IdRange>,
    own: &readback::Namespaces,
    group: &Placement,
    signals: &mut Signals,
) -> Result<Ended> {
    let plan = &handoff.plan;
    let draft = &plan.draft;
    let base = ids.map(|r| r.base);
    let userns = base
        .map(|base| {
            let map = [userns::IdMap { inside: 0, outside: base, count: idrange::SIZE }];
            userns::create(&map, &map).context(|| "make the container's user namespace".into())
        })
        .transpose()?;
    let staged = stage_mounts(handoff, stage, record, base, userns.as_ref(), group)?;
    let mut spec = spec::to_oci(plan, &staged)?;
    let limits = if group.is_own() { take_limits(&mut spec) } else { None };
    let bundle = stage.folder("bundle")?;
    let json = serde_json::to_vec(&spec).context(|| "write config.json".into())?;
    std::fs::write(bundle.join("config.json"), json).context(|| "write config.json".into())?;

    let (ours, theirs) = channel()?;
    let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
        .context(|| "open a descriptor of the launcher".into())?;
    let executor = Confine {
        filter: handoff.filter.clone(),
        landlock: crate::landlock::rules(draft).ok(),
        selinux: selinux_label(draft),
        init: draft.process.init.value,
        drop_after_filter: drop_after_filter(draft)?,
        channel: theirs.as_raw_fd(),
        launcher: me.as_raw_fd(),
    };
    let mut streams = Streams::open(draft, stage, base)?;
    sys::memory::forget_text();
    let visit = limits.is_some().then(|| cgroup_v1::enter(group)).transpose()?;
    let built = build(handoff, &bundle, stage, executor, &mut streams);
    if let Some(visit) = visit {
        visit.leave()?;
    }
    let mut container = built?;
    drop(theirs);
    let Some(pid) = container.pid() else { return Err(Error::runner("the container has no first process")) };
    let init = Init::new(pid.as_raw())?;
    let master = streams.listener.take().map(|l| terminal::receive_master(&l)).transpose()?;

    let guard = KillOnDrop(&init);
    if let Some(limits) = &limits {
        cgroup_v1::limit(group, limits)?;
    }
    if draft.namespaces.network.value == NetworkMode::None {
        network::loopback(init.pid)?;
    }
    let expected = Expected { plan, base, group, apparmor: handoff.apparmor.as_deref(), own };
    readback::before_start(init.pid, &expected)?;
    container.start().context(|| "start the container".into())?;
    await_ready(&ours, &init)?;
    readback::before_exec(init.pid, &expected)?;
    if let Some(path) = &draft.pidfile {
        write_pidfile(path, init.pid)?;
    }
    let _raw = if master.is_some() && draft.stdio.interactive { terminal::Raw::enter()? } else { None };
    if let Some(master) = &master {
        terminal::copy_size(master);
        own_terminal(init.pid, base, draft)?;
    }
    rustix::io::write(&ours, &[GO]).context(|| "let the container go".into())?;
    await_exec(&ours, draft)?;
    std::mem::forget(guard);

    sys::memory::forget_text();
    let (pumps, stdin) = streams.pumps(draft, master.as_ref())?;
    let duties = Duties {
        pumps,
        stdin,
        master: master.as_ref(),
        sig_proxy: draft.stdio.sig_proxy,
        timeout: draft.timeout.as_ref().map(|t| Duration::from_secs(t.value)),
    };
    supervisor::run(&init, signals, duties)
}

/// Ends a container whose launch failed half-way.
struct KillOnDrop<'a>(&'a Init);

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        self.0.kill();
        // Reap it, so that its cgroup is empty; an error here means that it is gone.
        let _ = self.0.ended(true);
    }
}

fn build(
    handoff: &Handoff,
    bundle: &Path,
    stage: &Stage,
    executor: Confine,
    streams: &mut Streams,
) -> Result<Container> {
    let attempt = || "build the container".to_string();
    let state = stage.folder("state")?;
    let mut builder = ContainerBuilder::new(handoff.plan.draft.id.clone(), SyscallType::default())
        .with_executor(executor)
        .with_root_path(state)
        .context(attempt)?
        .with_console_socket(streams.socket.clone());
    if let Some(fd) = streams.inside[0].take() {
        builder = builder.with_stdin(fd);
    }
    if let Some(fd) = streams.inside[1].take() {
        builder = builder.with_stdout(fd);
    }
    if let Some(fd) = streams.inside[2].take() {
        builder = builder.with_stderr(fd);
    }
    builder
        .validate_id()
        .context(attempt)?
        .as_init(bundle)
        .with_systemd(false)
        .with_detach(streams.socket.is_some())
        .build()
        .context(attempt)
}

fn stage_mounts(
    handoff: &Handoff,
    stage: &Stage,
    record: &Record,
    base: Option<u32>,
    userns: Option<&OwnedFd>,
    group: &Placement,
) -> Result<Staged> {
    let draft = &handoff.plan.draft;
    let owner = base.unwrap_or(0);
    let mapped = userns.map(|ns| ns.as_fd());
    let label = match &draft.selinux.value {
        SeLinux::Labels { mount, .. } => Some(mount.as_str()),
        SeLinux::Disabled | SeLinux::Unavailable => None,
    };
    let volatile = draft.remove;
    let rootfs = root::mount_root(stage, &draft.image.layers, mapped, owner, &record.folder, volatile, label)?;
    root::refuse_redirected(&rootfs)?;
    for mount in &draft.mounts {
        destination::refuse_redirected_mount(&rootfs, &mount.destination, &mount.asked)?;
        destination::make_dangling(&rootfs, mount, owner)?;
    }
    for device in &draft.devices {
        destination::refuse_redirected_device(&rootfs, &device.value.container)?;
    }
    destination::refuse_redirected_workdir(&rootfs, &draft.process.cwd.value)?;
    let user = &draft.process.user.value;
    let ids = base.map(|base| Ids { base, size: idrange::SIZE, uid: user.uid, gid: user.gid });
    let mut binder = Binder::new(ids);
    let mut mounts = Vec::new();
    for (n, mount) in draft.mounts.iter().enumerate() {
        let name = format!("m{n}");
        let staged: Option<PathBuf> = match &mount.kind {
            MountKind::Tmpfs { .. } => None,
            MountKind::File { content, mode } => Some(stage.owned_file(&name, content.as_bytes(), *mode, owner)?),
            MountKind::Bind { source, uid, gid, directory, create, recursive, idmap, .. } => {
                if *create {
                    make_missing(source, *uid, *gid)?;
                }
                let bind = Bind {
                    source,
                    uid: *uid,
                    gid: *gid,
                    directory: *directory,
                    recursive: *recursive,
                    readonly: mount.readonly.value,
                    noexec: mount.noexec,
                    idmap: *idmap,
                };
                Some(binder.stage(stage, &name, &bind)?)
            }
            MountKind::Volume { .. } | MountKind::Image { .. } => {
                Some(crate::storage::volumes::stage(stage, &name, mount, &rootfs, owner, mapped)?)
            }
        };
        mounts.push(staged);
    }
    let devices = match userns {
        Some(_) => Some(stage_devices(draft, stage)?),
        None => None,
    };
    root::make_workdir(&rootfs, &draft.process.cwd.value, owner)?;
    Ok(Staged {
        root: rootfs,
        mounts,
        devices,
        userns: userns.map(userns::path),
        cgroup2: group.hierarchies.iter().all(|h| h.v2),
        apparmor: handoff.apparmor.clone(),
    })
}

fn stage_devices(draft: &Draft, stage: &Stage) -> Result<Vec<PathBuf>> {
    let stage_one =
        |(n, device): (usize, &Sourced<DevicePlan>)| devices::stage(stage, &format!("d{n}"), &device.value.host);
    draft.devices.iter().enumerate().map(stage_one).collect()
}

/// A pair of connected sockets that keep message boundaries: ours and the container's.
fn channel() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .context(|| "make the hand-shake channel".into())
}

fn receive(channel: &OwnedFd, buffer: &mut [u8]) -> Result<usize> {
    let attempt = || "wait for the container to confine itself".to_string();
    let mut fds = [PollFd::new(channel, PollFlags::IN)];
    let limit = Timespec { tv_sec: CONFINE_TIMEOUT.as_secs() as i64, tv_nsec: 0 };
    if poll(&mut fds, Some(&limit)).context(attempt)? == 0 {
        return Err(Error::runner(attempt()).hint(format!("it did not answer within {} s", CONFINE_TIMEOUT.as_secs())));
    }
    rustix::io::read(channel, buffer).context(attempt)
}

fn await_ready(channel: &OwnedFd, init: &Init) -> Result<()> {
    let mut buffer = [0u8; 4096];
    match receive(channel, &mut buffer)? {
        n if n >= 1 && buffer[0] == READY => Ok(()),
        n if n >= 1 && buffer[0] == FAILED => {
            Err(Error::runner(format!("confine the container: {}", String::from_utf8_lossy(&buffer[1..n]))))
        }
        _ => {
            let end = init.ended(true)?;
            Err(Error::runner(format!("the container's process ended before it was confined ({end:?})")))
        }
    }
}

/// The channel closes when execve succeeds.
fn await_exec(channel: &OwnedFd, draft: &Draft) -> Result<()> {
    let mut buffer = [0u8; 64];
    match receive(channel, &mut buffer)? {
        0 => Ok(()),
        5 if buffer[0] == EXEC_FAILED => {
            let errno = i32::from_le_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]);
            Err(exec_error(draft, errno))
        }
        _ => Err(Error::runner("the container's process said something unexpected before its command started")),
    }
}

/// Docker's statuses: 127 for a command that is not there, 126 for one that cannot be started.
fn exec_error(draft: &Draft, errno: i32) -> Error {
    let name = draft.process.args.value.first().map_or("", String::as_str);
    let cause = std::io::Error::from_raw_os_error(errno);
    let missing = errno == libc::ENOENT || errno == libc::ENOTDIR;
    let kind = if missing { Kind::NotFound } else { Kind::CannotInvoke };
    let text = if missing && !name.contains('/') {
        format!("exec: {name:?}: executable file not found in $PATH")
    } else {
        format!("exec: {name:?}")
    };
    let error = Error::new(kind, text).because(cause);
    match errno {
        libc::ENOENT if name.contains('/') => {
            error.hint("the file, or the interpreter or loader that it names, is not in the image")
        }
        libc::ENOEXEC => error.hint("not a program of this machine's kind, or a script without a #! line"),
        libc::EPERM => error.hint("a file capability outside the granted set makes exec fail; see hardrun explain"),
        _ => error,
    }
}

/// The container's standard streams: ends for inside and for us.
struct Streams {
    inside: [Option<OwnedFd>; 3],
    outside: [Option<OwnedFd>; 3],
    listener: Option<UnixListener>,
    socket: Option<PathBuf>,
}

impl Streams {
    /// Pipes, never the caller's own descriptors: a terminal or file of the caller's inside the container could be read,
    /// truncated or reconfigured from there. The pipes belong to the container's user, so that /dev/stdout can be reopened.
    fn open(draft: &Draft, stage: &Stage, base: Option<u32>) -> Result<Streams> {
        let mut streams =
            Streams { inside: [None, None, None], outside: [None, None, None], listener: None, socket: None };
        if draft.stdio.tty {
            let path = stage.path("console.sock");
            let attempt = || "make the console socket".to_string();
            streams.listener = Some(UnixListener::bind(&path).context(attempt)?);
            streams.socket = Some(path);
            return Ok(streams);
        }
        let attached =
            [draft.stdio.interactive && draft.stdio.attach_stdin, draft.stdio.attach_stdout, draft.stdio.attach_stderr];
        let user = &draft.process.user.value;
        let base = base.unwrap_or(0);
        for (n, attached) in attached.into_iter().enumerate() {
            let attempt = || "make the container's standard streams".to_string();
            if !attached && n == 0 {
                // Inside it is replaced by the container's own, opened for reading.
                streams.inside[n] = Some(std::fs::File::open("/dev/null").context(attempt)?.into());
                continue;
            }
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context(attempt)?;
            rustix::fs::fchown(
                &read,
                Some(rustix::fs::Uid::from_raw(base + user.uid)),
                Some(rustix::fs::Gid::from_raw(base + user.gid)),
            )
            .context(attempt)?;
            let (inside, outside) = if n == 0 { (read, write) } else { (write, read) };
            rustix::io::ioctl_fionbio(&outside, true).context(attempt)?;
            streams.inside[n] = Some(inside);
            streams.outside[n] = Some(outside);
        }
        Ok(streams)
    }

    /// Who moves which bytes, and which of them feeds stdin.
    fn pumps(&mut self, draft: &Draft, master: Option<&OwnedFd>) -> Result<(Vec<Pump>, Option<usize>)> {
        let mut pumps = Vec::new();
        let mut stdin = None;
        if let Some(master) = master {
            let copy = || master.try_clone().context(|| "hold the container's terminal".into());
            rustix::io::ioctl_fionbio(master, true).context(|| "hold the container's terminal".into())?;
            pumps.push(Pump::new(End::Owned(copy()?), End::Stdout));
            if draft.stdio.interactive && draft.stdio.attach_stdin {
                stdin = Some(pumps.len());
                pumps.push(Pump::new(End::Stdin, End::Owned(copy()?)));
            }
            return Ok((pumps, stdin));
        }
        let outputs = [(1, draft.stdio.attach_stdout, End::Stdout), (2, draft.stdio.attach_stderr, End::Stderr)];
        for (n, attached, caller) in outputs {
            let Some(fd) = self.outside[n].take() else { continue };
            // What nobody is attached to is thrown away, not refused: the command must not notice.
            let to = if attached { caller } else { End::Owned(discard()?) };
            pumps.push(Pump::new(End::Owned(fd), to));
        }
        if let Some(fd) = self.outside[0].take() {
            stdin = Some(pumps.len());
            pumps.push(Pump::new(End::Stdin, End::Owned(fd)));
        }
        Ok((pumps, stdin))
    }
}

fn discard() -> Result<OwnedFd> {
    let null = std::fs::File::options().write(true).open("/dev/null");
    Ok(null.context(|| "open /dev/null for streams that nobody is attached to".into())?.into())
}

/// Give the container's terminal to its user, as runc does, so that a program may open it again by name.
fn own_terminal(pid: i32, base: Option<u32>, draft: &Draft) -> Result<()> {
    let user = &draft.process.user.value;
    let path = format!("/proc/{pid}/fd/0");
    std::os::unix::fs::chown(&path, Some(base.unwrap_or(0) + user.uid), None)
        .context(|| "give the terminal to the container's user".into())
}

/// The limits out of the spec: libcontainer then sets none, and needs no cgroup hierarchy.
fn take_limits(spec: &mut Spec) -> Option<LinuxResources> {
    let mut linux = spec.linux().clone()?;
    let limits = linux.resources().clone();
    linux.set_resources(None);
    spec.set_linux(Some(linux));
    limits
}

/// What the launch adds to the planned capabilities, in the order in which it can be dropped: CAP_SETPCAP is what dropping
/// from the bounding set takes.
fn drop_after_filter(draft: &Draft) -> Result<Vec<caps::Capability>> {
    let (planned, launched) = (spec::sets(draft), spec::sets_at_launch(draft));
    let extra = spec::FOR_THE_FILTER
        .into_iter()
        .filter(|name| launched.effective.contains(*name) && !planned.effective.contains(*name));
    extra.map(|name| name.parse().context(|| format!("unknown capability {name}"))).collect()
}

fn selinux_label(draft: &Draft) -> Option<String> {
    match &draft.selinux.value {
        SeLinux::Labels { process, .. } => Some(process.clone()),
        SeLinux::Disabled | SeLinux::Unavailable => None,
    }
}

/// `--pidfile`: written over what is there, but never through a link that somebody put there.
fn write_pidfile(path: &Path, pid: i32) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
    let attempt = || format!("write --pidfile {}", path.display());
    options.open(path).context(attempt)?.write_all(pid.to_string().as_bytes()).context(attempt)
}

/// `--cidfile`: made before anything starts, and only if it is not there.
struct CidFile(Option<PathBuf>);

impl CidFile {
    fn create(draft: &Draft) -> Result<CidFile> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let Some(path) = &draft.cidfile else { return Ok(CidFile(None)) };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
        match options.open(path) {
            Ok(mut file) => {
                file.write_all(draft.id.as_bytes()).context(|| format!("write --cidfile {}", path.display()))?;
                Ok(CidFile(Some(path.clone())))
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::runner(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ))),
            Err(e) => Err(e).context(|| format!("make --cidfile {}", path.display())),
        }
    }

    /// Nothing was started: the file would name a container that never was.
    fn discard(&self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn clean_up(stage: &Stage, record: Record, group: &Placement, id: &str) -> Result<()> {
    let cgroups = cgroup::remove(&group.hierarchies, &group.path, id);
    let left = stage.leave();
    let removed = record.remove();
    cgroups.and(left).and(removed)
}
