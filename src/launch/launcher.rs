//! The launching process, as one straight line: stage, build, read back, let go, supervise, clean up.

use super::cgroup::{self, Placement};
use super::connections::Connections;
use super::denials::Denials;
use super::enter::Entrance;
use super::exec::Surroundings;
use super::executor::{Confine, EXEC_FAILED, FAILED, GO, READY};
use super::freezer::Freezer;
use super::handoff::{self, Again, Handoff, Starter};
use super::health::Health;
use super::join::Joined;
use super::process::{Ended, Init, Signals, start_time};
use super::readback::{self, Expected};
use super::streams::{End, Peer, Streams};
use super::supervisor::Supervisor;
use super::{cgroup_v1, cgroup_v2, network, restart, terminal};
use crate::audit::{self, Entry};
use crate::control::{self, Answer};
use crate::error::{Context, Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::observe::logs::{LogWriter, Stream, attributes};
use crate::plan::{
    AppArmor, DevicePlan, Draft, LogDriverPlan, MountKind, NetworkMode, SeLinux, Sourced, StdioPlan, UserNamespace,
};
use crate::spec::{self, Staged};
use crate::state::{Folder, Paths, Record, Stamp, State, Status, folder};
use crate::storage::binds::{Bind, Binder, Ids, make_missing};
use crate::storage::idrange::{self, IdRange};
use crate::storage::{Stage, destination, devices, files, root};
use crate::sys::{self, userns};
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources, Spec};
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
    match take_over().and_then(|(memory, handoff)| Launcher::new(memory, handoff)) {
        Ok(launcher) => launcher.main(),
        Err(e) => {
            crate::ui::error(&e);
            e.kind.exit_code()
        }
    }
}

fn take_over() -> Result<(OwnedFd, Handoff)> {
    let memory = sys::process::inherit(HANDOFF_FD).context(|| "take over the plan".into())?;
    let handoff = handoff::open(&memory)?;
    Ok((memory, handoff))
}

/// Who waits for the start to succeed, and what of theirs the container is connected to.
enum Caller {
    Foreground,
    Background { channel: OwnedFd, streams: [Option<OwnedFd>; 3] },
    Nobody,
}

impl Caller {
    /// Whether the container's streams are connected to somebody from the first moment on.
    fn watches(&self, stdio: &StdioPlan) -> bool {
        match self {
            Caller::Foreground => stdio.attach_stdout || stdio.attach_stderr || stdio.attach_stdin,
            Caller::Background { streams, .. } => streams.iter().any(Option::is_some),
            Caller::Nobody => false,
        }
    }
}

/// The launching process.
struct Launcher {
    handoff: Handoff,
    /// The hand-off's memory, kept for whoever enters the container.
    memory: OwnedFd,
    /// The image's layers, locked.
    held: Vec<OwnedFd>,
    caller: Caller,
    signals: Signals,
    listener: Option<OwnedFd>,
    /// Where every start of a container that is started again sets out from.
    home: Option<(OwnedFd, OwnedFd)>,
    /// What the kernel says of the container from its first instruction on.
    denials: Option<Denials>,
}

/// Whose host ids the container has: its own range, or that of the container that it joins.
#[derive(Clone, Copy)]
struct Identity<'a> {
    range: Option<&'a IdRange>,
    joined: Option<&'a Joined>,
}

impl Identity<'_> {
    /// The first of them; `None` without a user namespace.
    fn base(self) -> Option<u32> {
        self.joined.map_or(self.range.map(|r| r.base), |j| j.base)
    }
}

/// What became of one start.
struct Outcome {
    ended: Ended,
    connections: Connections,
}

impl Launcher {
    fn new(memory: OwnedFd, handoff: Handoff) -> Result<Launcher> {
        let inherit = |fd: RawFd| sys::process::inherit(fd).context(|| "take over what was handed over".into());
        let held = handoff.held.iter().map(|fd| inherit(*fd)).collect::<Result<_>>()?;
        let caller = match handoff.starter {
            Starter::Foreground => Caller::Foreground,
            Starter::Nobody => Caller::Nobody,
            Starter::Background { channel, streams } => {
                let mut ends = [None, None, None];
                for (end, number) in ends.iter_mut().zip(streams) {
                    *end = number.map(inherit).transpose()?;
                }
                Caller::Background { channel: inherit(channel)?, streams: ends }
            }
        };
        let (listener, home) = match handoff.again {
            Some(again) => (Some(inherit(again.listener)?), Some((inherit(again.mounts)?, inherit(again.network)?))),
            None => (None, None),
        };
        let signals = Signals::block()?;
        Ok(Launcher { handoff, memory, held, caller, signals, listener, home, denials: None })
    }

    fn main(mut self) -> u8 {
        match self.launch() {
            Ok(status) => status,
            Err(e) => {
                let status = e.kind.exit_code();
                if let Caller::Background { channel, .. } = &self.caller {
                    // A caller that is gone hears nothing.
                    let _ = control::send(channel, &Answer::Failed((&e).into()), &[]);
                } else {
                    crate::ui::error(&e);
                }
                if let Err(e) = self.log_exit(status) {
                    crate::ui::error(&e);
                }
                status
            }
        }
    }

    fn log_exit(&self, status: u8) -> Result<()> {
        let record = &self.handoff.record;
        // The launch is on record; the command's own status matters most to the script.
        audit::append(&self.handoff.paths(), Entry::exit(&record.plan.draft, &record.digest, i32::from(status)))
    }

    fn launch(&mut self) -> Result<u8> {
        sys::process::clear_groups().context(|| "leave the caller's groups".into())?;
        be_ordinary()?;
        self.make_room();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        self.set_out()?;
        let paths = self.handoff.paths();
        let cidfile = match self.handoff.existing {
            true => CidFile(None),
            false => CidFile::create(&self.handoff.record.plan.draft)?,
        };
        let folder = match self.folder(&paths) {
            Ok(folder) => folder,
            Err(e) => {
                cidfile.discard();
                return Err(e);
            }
        };
        let mut status = folder.status()?;
        if self.handoff.existing && self.handoff.again.is_none() {
            // Where this process is killed before the container runs, whoever sweeps knows that there is something to look for. A
            // container that is new has no status until then.
            status.supervisor = std::process::id() as i32;
            // Started by hand: as docker, a restart policy begins anew.
            (status.restart_count, status.restart_streak) = (0, 0);
            folder.write_status(&status)?;
        }
        let result = self.once(&paths, &folder, &mut status);
        let draft = &self.handoff.record.plan.draft;
        if draft.remove && !matches!(&result, Ok(_) | Err(Error { kind: Kind::NotFound | Kind::CannotInvoke, .. })) {
            cidfile.discard();
        }
        match result {
            Ok(outcome) => self.after(&paths, folder, status, outcome),
            Err(e) => {
                if let Err(cleanup) = self.failed(&paths, folder, &mut status, &e) {
                    crate::ui::error(&cleanup);
                }
                Err(e)
            }
        }
    }

    /// As many descriptors as this process may have: the caller's loose limit is not to keep clients from a container that lives on. A
    /// container without a limit of its own has the caller's, so that it is left alone.
    fn make_room(&self) {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if !self.handoff.record.plan.draft.process.rlimits.contains_key("nofile") {
            return;
        }
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            // Fewer are enough for most, and those who come when there are none wait.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    }

    /// Where a start begins: in the host's namespaces. Whoever will start the container again keeps descriptors of them.
    fn set_out(&mut self) -> Result<()> {
        let attempt = || "return to the host's namespaces".to_string();
        if let Some((mounts, network)) = &self.home {
            nix::sched::setns(mounts, nix::sched::CloneFlags::CLONE_NEWNS).context(attempt)?;
            nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).context(attempt)?;
            self.restore_profile()?;
        } else if restart::may_restart(&self.handoff.record.plan.draft)
            || self.handoff.record.plan.draft.health.is_some()
        {
            let open = |kind: &str| std::fs::File::open(format!("/proc/self/ns/{kind}")).context(attempt);
            self.home = Some((open("mnt")?.into(), open("net")?.into()));
        }
        Ok(())
    }

    fn folder(&mut self, paths: &Paths) -> Result<Folder> {
        let record = &mut self.handoff.record;
        if let Some(again) = self.handoff.again {
            let lock = sys::process::inherit(again.lock).context(|| "take over the container's lock".into())?;
            return Ok(Folder::inherited(paths, &record.id, lock));
        }
        if !self.handoff.existing {
            let folder = Folder::create(paths, record)?;
            events::note(paths, Event::container(record, "create"));
            return Ok(folder);
        }
        Folder::open(paths, &record.id)?
            .ok_or_else(|| Error::verb(format!("Container {} is running already, or was just removed", record.name)))
    }

    /// One start of the container, to its end.
    fn once(&mut self, paths: &Paths, folder: &Folder, status: &mut Status) -> Result<Outcome> {
        let own = readback::namespaces("self")?;
        // Host-wide, whatever --root says, and traversable: the container's root resolves its files through it.
        let run = Path::new(Paths::RUN);
        let joined = Joined::find(paths, &self.handoff.record.plan.draft)?;
        let mut ids = match &joined {
            Some(_) => None,
            None => allocate_ids(&self.handoff.record.plan.draft, run, status.base)?,
        };
        let stage = Stage::enter(run)?;
        let draft = &self.handoff.record.plan.draft;
        let group = cgroup::place(draft)?;
        if let Some(range) = &mut ids {
            range.note(&group.path)?;
        }
        if let Some(base) = joined.as_ref().map_or(ids.as_ref().map(|r| r.base), |j| j.base) {
            root::shift(&folder.path, status.base, base)?;
            status.base = Some(base);
        }
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => control::listen(&folder.path, folder::CONTROL)?,
        };
        let mut connections = Connections::new(listener);
        let id = draft.id.clone();
        let identity = Identity { range: ids.as_ref(), joined: joined.as_ref() };
        let result = self.carry_out(paths, &stage, folder, status, identity, &own, &group, &mut connections);
        let cleaned = clean_up(&stage, &group, &id).and_then(|()| ids.map_or(Ok(()), IdRange::release));
        let ended = match (result, cleaned) {
            (Ok(ended), Ok(())) => ended,
            (Ok(ended), Err(e)) => {
                // The command's own status matters most to the script; the leftovers are named, and swept by the next run.
                crate::ui::error(&e);
                ended
            }
            (Err(e), Ok(())) => return Err(e),
            (Err(e), Err(cleanup)) => {
                crate::ui::error(&cleanup);
                return Err(e);
            }
        };
        Ok(Outcome { ended, connections })
    }

    /// The container has ended: say so, remove it, start it again, or leave it.
    fn after(&mut self, paths: &Paths, folder: Folder, mut status: Status, outcome: Outcome) -> Result<u8> {
        let Outcome { ended, mut connections } = outcome;
        let code = ended.exit_code();
        // What `rename` and `update` changed meanwhile.
        let mut record = folder.record()?;
        note_end(paths, &record, &status, i32::from(code));
        status.exit_code = i32::from(code);
        status.finished = Stamp::now();
        status.pid = 0;
        status.pid_start = 0;
        status.execs.clear();
        status.network = Default::default();
        let draft = &record.plan.draft;
        if matches!(self.caller, Caller::Foreground) && code != 0 {
            set_id_refused(draft).iter().for_each(|line| crate::ui::note(line));
            self.denials.iter().for_each(Denials::say);
        }
        if let Err(e) = self.log_exit(code) {
            crate::ui::error(&e);
        }
        // A stop that came just now: the container ended before it was read.
        let over = format!("Container {} is not running", record.id);
        status.stopped_by_hand |= connections.settle(&over);
        if let Some(pause) = restart::pause(draft, &status, code) {
            status.state = State::Restarting;
            folder.write_status(&status)?;
            let between = restart::refusal(&record.id);
            status.stopped_by_hand |= connections.ended(i32::from(code), "", &between);
            let mut changing = restart::Between { paths, folder: &folder, record: &mut record };
            if !status.stopped_by_hand
                && restart::wait(pause, &mut self.signals, &mut connections, &mut status, &mut changing)?
            {
                status.stopped_by_hand |= connections.settle(&between);
                // Who is connected and has not asked yet sees the connection end, and comes again: the next start listens on the same
                // socket.
                if !status.stopped_by_hand {
                    restart::count(&mut status);
                    folder.write_status(&status)?;
                    return self.again(record, folder, connections);
                }
            }
        }
        status.state = State::Exited;
        status.supervisor = 0;
        let removed = if record.plan.draft.remove {
            super::remove::remove(paths, folder, &record, true)
        } else {
            folder.write_status(&status)
        };
        connections.ended(i32::from(code), &status.error, &over);
        for cleaned in [removed, self.release_profile()] {
            if let Err(e) = cleaned {
                crate::ui::error(&e);
            }
        }
        Ok(code)
    }

    /// A reload of the host's profiles may have taken the container's out of the kernel since it was started.
    fn restore_profile(&self) -> Result<()> {
        match &self.handoff.apparmor {
            Some(name) if self.handoff.record.plan.draft.apparmor.value == AppArmor::Builtin => {
                crate::apparmor::restore(Path::new(Paths::RUN), &self.handoff.paths(), name)
            }
            _ => Ok(()),
        }
    }

    /// The AppArmor profile goes with its last user.
    fn release_profile(&self) -> Result<()> {
        match &self.handoff.apparmor {
            Some(name) if self.handoff.record.plan.draft.apparmor.value == AppArmor::Builtin => {
                crate::apparmor::release(Path::new(Paths::RUN), name, self.held.iter().map(AsFd::as_fd))
            }
            _ => Ok(()),
        }
    }

    /// Replace this process by a fresh launcher that starts the container once more.
    fn again(&mut self, record: Record, folder: Folder, connections: Connections) -> Result<u8> {
        let Some((mounts, network)) = self.home.take() else {
            return Err(Error::runner("start the container again: the host's namespaces are not known"));
        };
        let listener = connections.into_listener();
        let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
        let kept = [folder.lock_fd().as_fd(), listener.as_fd(), mounts.as_fd(), network.as_fd()];
        let mut fds: Vec<_> = kept.into_iter().chain(self.held.iter().map(AsFd::as_fd)).zip(HANDOFF_FD + 1..).collect();
        let number = |n: usize| HANDOFF_FD + 1 + n as RawFd;
        let handoff = Handoff {
            record,
            existing: true,
            starter: Starter::Nobody,
            held: (4..4 + self.held.len()).map(number).collect(),
            again: Some(Again { lock: number(0), listener: number(1), mounts: number(2), network: number(3) }),
            ..self.handoff.clone()
        };
        let memory = handoff::seal(&handoff)?;
        fds.push((memory.as_fd(), HANDOFF_FD));
        sys::spawn::place(&fds).context(|| "hand the plan to the next start".into())?;
        let error = sys::exe::exec(&exe, &[c"hardrun", c"__launch"]);
        Err(Error::runner("start the container again").because(error))
    }

    /// The container never ran: docker keeps it, as created, with the reason.
    fn failed(&self, paths: &Paths, folder: Folder, status: &mut Status, error: &Error) -> Result<()> {
        let record = &self.handoff.record;
        if status.state.is_up() && status.pid != 0 {
            note_end(paths, record, status, 137);
        }
        if record.plan.draft.remove {
            return super::remove::remove(paths, folder, record, true);
        }
        status.version = Status::VERSION;
        status.state = if self.handoff.again.is_some() { State::Exited } else { State::Created };
        status.exit_code = match error.kind {
            Kind::NotFound | Kind::CannotInvoke => i32::from(error.kind.exit_code()),
            // Docker's for a container that could not be set up.
            _ => 128,
        };
        status.error = error.chain().join(": ");
        status.pid = 0;
        status.supervisor = 0;
        status.network = Default::default();
        folder.write_status(status)
    }

    /// Build the container, compare it with the plan, let it run, wait for its end.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that this start has made")]
    fn carry_out(
        &mut self,
        paths: &Paths,
        stage: &Stage,
        folder: &Folder,
        status: &mut Status,
        identity: Identity<'_>,
        own: &readback::Namespaces,
        group: &Placement,
        connections: &mut Connections,
    ) -> Result<Ended> {
        let handoff = &self.handoff;
        let plan = &handoff.record.plan;
        let draft = &plan.draft;
        let base = identity.base();
        let mut holder = match identity.joined {
            Some(_) => None,
            None => base.map(|base| hold_namespaces(draft, base)).transpose()?,
        };
        let user = identity.joined.and_then(|j| j.user.as_ref()).or(holder.as_ref().map(|h| &h.user));
        let mut staged = stage_mounts(handoff, stage, folder, base, user, group)?;
        staged.joined = identity.joined.map(Joined::paths).unwrap_or_default();
        let netns = match &mut holder {
            Some(holder) if has_network(draft) => {
                Some(holder.network().context(|| "make the container's network namespace".into())?)
            }
            _ => None,
        };
        staged.network = netns.as_ref().map(userns::inherited_path);
        let mut spec = spec::to_oci(plan, &staged)?;
        let devices = devices(&spec).to_vec();
        let limits = trim(&mut spec, draft, group, stage)?;
        let bundle = stage.folder("bundle")?;
        let json = serde_json::to_vec(&spec).context(|| "write config.json".into())?;
        std::fs::write(bundle.join("config.json"), json).context(|| "write config.json".into())?;

        let (ours, theirs) = match selinux_label(draft).filter(|_| draft.process.init.value) {
            Some(label) => crate::selinux::with_socket_label(&label, channel)?,
            None => channel()?,
        };
        let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
            .context(|| "open a descriptor of the launcher".into())?;
        let executor = Confine {
            filter: handoff.filter.clone(),
            landlock: crate::landlock::rules(draft).ok(),
            selinux: selinux_label(draft),
            apparmor: handoff.apparmor.clone().filter(|_| draft.process.init.value),
            init: draft.process.init.value,
            drop_after_filter: drop_after_filter(draft)?,
            channel: theirs.as_raw_fd(),
            launcher: me.as_raw_fd(),
        };
        let mut pipes = Pipes::open(draft, stage, base)?;
        sys::memory::forget_text();
        let visit = limits.is_some().then(|| cgroup_v1::enter(group)).transpose()?;
        let built = build(handoff, &bundle, stage, executor, &mut pipes);
        if let Some(visit) = visit {
            visit.leave()?;
        }
        let mut container = built?;
        drop((theirs, netns, holder));
        let Some(pid) = container.pid() else { return Err(Error::runner("the container has no first process")) };
        let init = Init::new(pid.as_raw())?;
        let master = pipes.listener.take().map(|l| terminal::receive_master(&l)).transpose()?;

        let guard = KillOnDrop(&init);
        match &limits {
            Some(limits) => cgroup_v1::limit(group, limits)?,
            None => {
                cgroup_v2::limit(group, &draft.resources)?;
                cgroup_v2::limit_devices(group, &devices)?;
            }
        }
        let record = &handoff.record;
        if self.caller.watches(&draft.stdio) {
            events::note(paths, Event::container(record, "attach"));
        }
        let network = network::set_up(paths, record, stage, &init, staged.network.is_some(), &mut status.network)?;
        note_networks(paths, record, status, "connect");
        let expected = Expected { plan, base, group, apparmor: handoff.apparmor.as_deref(), own };
        // The container's process confines itself while its state is read; then it waits for the word to go.
        container.start().context(|| "start the container".into())?;
        let as_built = readback::as_built(init.pid, &expected);
        // A process that has failed is gone, and its own reason is the better one.
        await_ready(&ours, &init)?;
        as_built?;
        readback::before_exec(init.pid, &expected)?;
        if let Some(path) = &draft.pidfile {
            write_pidfile(path, init.pid)?;
        }
        if master.is_some() {
            own_terminal(init.pid, base, draft)?;
            if let Some((rows, columns)) = handoff.size {
                terminal::resize(master.as_ref(), rows, columns)?;
            }
        }
        let mut streams = pipes.streams(draft, master.as_ref(), open_log(folder, draft)?)?;
        let range = identity.range.map(IdRange::share).transpose()?;
        let entrance = Entrance::new(self.memory.try_clone().context(|| "keep the plan".into())?, range)?;
        let health = self.health(draft, &init)?;
        let foreground = connect(&mut self.caller, &draft.stdio, connections, &mut streams)?;

        self.denials = Denials::watch(handoff.apparmor.as_deref(), &draft.selinux.value);
        rustix::io::write(&ours, &[GO]).context(|| "let the container go".into())?;
        await_exec(&ours, draft).map_err(|e| match &self.denials {
            Some(denials) => denials.explain(e),
            None => e,
        })?;
        readback::after_exec(init.pid, &expected)?;
        guard.keep();
        sys::memory::forget_text();
        started(status, &init, health.as_ref());
        folder.write_status(status)?;
        Event::mounts(record, "mount").into_iter().for_each(|event| events::note(paths, event));
        events::note(paths, Event::container(record, "start"));
        if let Caller::Background { channel, .. } = &self.caller {
            // A caller that is gone hears nothing.
            let _ = control::send(channel, &Answer::Started, &[]);
        }
        let mut record = self.handoff.record.clone();
        let supervisor = Supervisor {
            paths,
            record: &mut record,
            folder,
            status,
            init: &init,
            signals: &mut self.signals,
            connections,
            streams,
            master,
            freezer: Freezer::new(group),
            health,
            network,
            entrance,
            foreground,
            execs: Vec::new(),
        };
        let ended = supervisor.run();
        if ended.is_err() {
            drop(KillOnDrop(&init));
        }
        status.oom_killed = cgroup::oom_killed(group);
        ended
    }

    fn health(&self, draft: &Draft, init: &Init) -> Result<Option<Health>> {
        if draft.health.is_none() {
            return Ok(None);
        }
        let attempt = || "prepare the health checks".to_string();
        let Some((host, _)) = &self.home else {
            return Err(Error::runner(attempt()).because("the host's mount namespace is not known"));
        };
        let from = Surroundings {
            entrance: Entrance::new(self.memory.try_clone().context(attempt)?, None)?,
            init: init.as_fd().try_clone_to_owned().context(attempt)?,
            host: host.try_clone().context(attempt)?,
        };
        Health::new(draft, from)
    }
}

/// The engine's priority, processors and personality, not the caller's: as docker, and compared when the state is read back.
pub(super) fn be_ordinary() -> Result<()> {
    if !sys::process::ordinary().context(|| "leave the caller's priority, processors and personality".into())? {
        crate::ui::note("no right to raise a priority (CAP_SYS_NICE): the container has the caller's");
    }
    Ok(())
}

fn note_networks(paths: &Paths, record: &Record, status: &Status, action: &str) {
    for endpoint in &status.network.endpoints {
        let event = Event::network(action, &endpoint.network_id, &endpoint.network);
        events::note(paths, event.with("container", &record.id));
    }
}

fn note_end(paths: &Paths, record: &Record, status: &Status, code: i32) {
    if status.oom_killed {
        events::note(paths, Event::container(record, "oom"));
    }
    events::note(paths, Event::container(record, "die").with("exitCode", code));
    note_networks(paths, record, status, "disconnect");
    Event::mounts(record, "unmount").into_iter().for_each(|event| events::note(paths, event));
}

/// Connect whoever started the container to its streams. Whether that is this process's own caller.
fn connect(
    caller: &mut Caller,
    stdio: &StdioPlan,
    connections: &mut Connections,
    streams: &mut Streams,
) -> Result<bool> {
    match caller {
        Caller::Nobody => Ok(false),
        Caller::Foreground => {
            if stdio.attach_stdout {
                streams.attach_output(Peer::Caller, Stream::Stdout, End::Stdout);
            }
            if stdio.attach_stderr {
                streams.attach_output(Peer::Caller, Stream::Stderr, End::Stderr);
            }
            if stdio.interactive && stdio.attach_stdin {
                streams.attach_input(Peer::Caller, End::Stdin);
            }
            Ok(true)
        }
        Caller::Background { channel, streams: ends } => {
            let copy = channel.try_clone().context(|| "listen to the caller".into())?;
            let any = ends.iter().any(Option::is_some);
            let peer = Peer::Connection(connections.adopt(copy, any)?);
            if let Some(fd) = ends[0].take() {
                streams.attach_input(peer, End::Owned(fd));
            }
            for (n, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
                if let Some(fd) = ends[n].take() {
                    streams.attach_output(peer, stream, End::Owned(fd));
                }
            }
            Ok(false)
        }
    }
}

fn started(status: &mut Status, init: &Init, health: Option<&Health>) {
    status.version = Status::VERSION;
    status.state = State::Running;
    status.pid = init.pid;
    status.pid_start = start_time(init.pid).unwrap_or_default();
    status.supervisor = std::process::id() as i32;
    status.started = Stamp::now();
    status.exit_code = 0;
    status.error.clear();
    status.oom_killed = false;
    status.stopped_by_hand = false;
    status.health = health.map(Health::state);
}

fn open_log(folder: &Folder, draft: &Draft) -> Result<Option<LogWriter>> {
    let log = &draft.log.value;
    let short = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect::<String>();
    let tag = [
        ("ID", short(&draft.id)),
        ("FullID", draft.id.clone()),
        ("Name", draft.name.clone()),
        ("ImageID", short(&draft.image.config_digest)),
        ("ImageFullID", draft.image.config_digest.clone()),
        ("ImageName", draft.image.reference.clone()),
        ("DaemonName", "docker".to_owned()),
    ];
    let tag = tag.map(|(key, value)| (key.to_owned(), value.into())).into();
    let env: Vec<&str> = draft.process.env.iter().map(|e| e.value.as_str()).collect();
    let attributes = attributes(&log.options, &draft.labels, &env, tag)?;
    match log.driver {
        LogDriverPlan::None => Ok(None),
        LogDriverPlan::JsonFile | LogDriverPlan::Local => {
            Ok(Some(LogWriter::new(&folder.path, log.max_size, log.max_file).with_attributes(attributes)))
        }
    }
}

/// What may be behind a failure that the command's own words do not explain: `dpkg` and `tar` say "Operation not
/// permitted" where the filter keeps them from making a set-id file. Said only where a command failed, for most builds
/// in a bound folder never try.
fn set_id_refused(draft: &Draft) -> Option<String> {
    if !draft.seccomp.no_setid.value {
        return None;
    }
    let writable = |m: &&crate::plan::MountPlan| matches!(m.kind, MountKind::Bind { .. }) && !m.readonly.value;
    let asked = &draft.mounts.iter().find(writable)?.asked;
    Some(format!(
        "set-id modes (chmod u+s, g+s) were refused in this container, for {asked} is writable: if that is what failed, bind \
         it read-only, use a named volume, or install packages in the image"
    ))
}

/// The range that the container had before, if it is free: then what is in its writable folder needs no care.
fn allocate_ids(draft: &Draft, run: &Path, before: Option<u32>) -> Result<Option<IdRange>> {
    match draft.namespaces.user.value {
        UserNamespace::Private { .. } => {
            let seed = u32::from_str_radix(&draft.id[..8], 16).context(|| format!("read the id {}", draft.id))?;
            let seed = before.map_or(seed, idrange::slot_of);
            Ok(Some(idrange::allocate(&run.join("ids"), seed, &cgroup::is_populated)?))
        }
        UserNamespace::Host => Ok(None),
    }
}

/// Whether the container has a network namespace of its own.
fn has_network(draft: &Draft) -> bool {
    matches!(draft.namespaces.network.value, NetworkMode::None | NetworkMode::Bridge | NetworkMode::Named(_))
}

/// The namespaces that the container joins: made early, for the kernel is slow at it.
fn hold_namespaces(draft: &Draft, base: u32) -> Result<userns::Holder> {
    let map = [userns::IdMap { inside: 0, outside: base, count: idrange::SIZE }];
    let made = match has_network(draft) {
        true => userns::Holder::with_network(&map, &map),
        false => userns::Holder::user_only(&map, &map),
    };
    made.context(|| "make the container's user namespace".into())
}

/// Ends a process whose launch failed half-way.
pub(super) struct KillOnDrop<'a>(pub(super) &'a Init);

impl KillOnDrop<'_> {
    /// It has been let go.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        self.0.kill();
        // Reap it, so that its cgroup is empty; an error here means that it is gone.
        let _ = self.0.ended(true);
    }
}

fn build(handoff: &Handoff, bundle: &Path, stage: &Stage, executor: Confine, pipes: &mut Pipes) -> Result<Container> {
    let attempt = || "build the container".to_string();
    let state = stage.folder("state")?;
    let mut builder = ContainerBuilder::new(handoff.record.id.clone(), SyscallType::default())
        .with_executor(executor)
        .with_root_path(state)
        .context(attempt)?
        .with_console_socket(pipes.socket.clone());
    if let Some(fd) = pipes.inside[0].take() {
        builder = builder.with_stdin(fd);
    }
    if let Some(fd) = pipes.inside[1].take() {
        builder = builder.with_stdout(fd);
    }
    if let Some(fd) = pipes.inside[2].take() {
        builder = builder.with_stderr(fd);
    }
    builder
        .validate_id()
        .context(attempt)?
        .as_init(bundle)
        .with_systemd(false)
        .with_detach(pipes.socket.is_some())
        .build()
        .map_err(|e| Error::runner(attempt()).because(cgroup_v1::reason(stage, &e)))
}

fn stage_mounts(
    handoff: &Handoff,
    stage: &Stage,
    folder: &Folder,
    base: Option<u32>,
    userns: Option<&OwnedFd>,
    group: &Placement,
) -> Result<Staged> {
    let draft = &handoff.record.plan.draft;
    let owner = base.unwrap_or(0);
    let mapped = userns.map(|ns| ns.as_fd());
    let label = match &draft.selinux.value {
        SeLinux::Labels { mount, .. } => Some(mount.as_str()),
        SeLinux::Disabled | SeLinux::Unavailable => None,
    };
    let volatile = draft.remove;
    let rootfs = root::mount_root(stage, &draft.image.layers, mapped, owner, &folder.path, volatile, label)?;
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
            MountKind::File { content, mode } => {
                let file = stage.owned_file(&name, content.as_bytes(), *mode, owner)?;
                if let Some(label) = label {
                    crate::selinux::relabel(&file, label)?;
                }
                Some(file)
            }
            MountKind::Bind { source, uid, gid, directory, create, recursive, idmap, relabel, .. } => {
                if *create {
                    make_missing(source, *uid, *gid)?;
                }
                if let Some(label) = relabel {
                    crate::selinux::relabel(source, label)?;
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
                Some(crate::storage::volumes::stage(stage, &name, mount, &rootfs, owner, mapped, label)?)
            }
        };
        mounts.push(staged);
    }
    let devices = match userns {
        Some(_) => Some(stage_devices(draft, stage)?),
        None => None,
    };
    root::make_workdir(&rootfs, &draft.process.cwd.value, owner)?;
    let placed = files::place(&rootfs, &draft.mounts, &mounts, owner)?;
    Ok(Staged {
        root: rootfs,
        mounts,
        placed,
        devices,
        userns: userns.map(userns::path),
        network: None,
        joined: Default::default(),
        cgroup2: group.hierarchies.iter().all(|h| h.v2),
        // Who stays as pid 1 executes nothing that it could come into force at, and enters it by itself.
        apparmor: handoff.apparmor.clone().filter(|_| !draft.process.init.value),
    })
}

fn stage_devices(draft: &Draft, stage: &Stage) -> Result<Vec<PathBuf>> {
    let stage_one =
        |(n, device): (usize, &Sourced<DevicePlan>)| devices::stage(stage, &format!("d{n}"), &device.value.host);
    draft.devices.iter().enumerate().map(stage_one).collect()
}

/// A pair of connected sockets that keep message boundaries: ours and the container's.
pub(super) fn channel() -> Result<(OwnedFd, OwnedFd)> {
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

pub(super) fn await_ready(channel: &OwnedFd, init: &Init) -> Result<()> {
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
pub(super) fn await_exec(channel: &OwnedFd, draft: &Draft) -> Result<()> {
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
        // As Go says it: scripts look for these words in docker's message.
        format!("exec: {name:?}: {}", crate::request::golang::io_error(&cause))
    };
    let error = Error::new(kind, text);
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
struct Pipes {
    inside: [Option<OwnedFd>; 3],
    outside: [Option<OwnedFd>; 3],
    listener: Option<UnixListener>,
    socket: Option<PathBuf>,
}

impl Pipes {
    /// Pipes, never the caller's own descriptors: a terminal or file of the caller's inside the container could be read,
    /// truncated or reconfigured from there. The pipes belong to the container's user, so that /dev/stdout can be reopened.
    fn open(draft: &Draft, stage: &Stage, base: Option<u32>) -> Result<Pipes> {
        let mut pipes = Pipes { inside: [None, None, None], outside: [None, None, None], listener: None, socket: None };
        if draft.stdio.tty {
            let path = stage.path("console.sock");
            let attempt = || "make the console socket".to_string();
            pipes.listener = Some(UnixListener::bind(&path).context(attempt)?);
            pipes.socket = Some(path);
            return Ok(pipes);
        }
        let user = &draft.process.user.value;
        let owner = (base.unwrap_or(0) + user.uid, base.unwrap_or(0) + user.gid);
        for n in 0..3 {
            if n == 0 && !draft.stdio.interactive {
                let attempt = || "make the container's standard streams".to_string();
                // Inside it is replaced by the container's own, opened for reading.
                pipes.inside[n] = Some(std::fs::File::open("/dev/null").context(attempt)?.into());
                continue;
            }
            let (inside, outside) = pipe_for(n, owner, &draft.selinux.value)?;
            pipes.inside[n] = Some(inside);
            pipes.outside[n] = Some(outside);
        }
        Ok(pipes)
    }

    /// Our ends, as the supervisor serves them.
    fn streams(&mut self, draft: &Draft, master: Option<&OwnedFd>, log: Option<LogWriter>) -> Result<Streams> {
        let mut streams = Streams::new(log);
        // Docker's StdinOnce: with -d nobody's leaving closes the input.
        let once = draft.stdio.attach_stdin;
        if let Some(master) = master {
            let copy = || master.try_clone().context(|| "hold the container's terminal".into());
            rustix::io::ioctl_fionbio(master, true).context(|| "hold the container's terminal".into())?;
            streams.add_output(Stream::Stdout, copy()?);
            if draft.stdio.interactive {
                // A terminal has no end that could be closed.
                streams.set_input(copy()?, false);
            }
            return Ok(streams);
        }
        for (n, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
            if let Some(fd) = self.outside[n].take() {
                streams.add_output(stream, fd);
            }
        }
        if let Some(fd) = self.outside[0].take() {
            streams.set_input(fd, once);
        }
        Ok(streams)
    }
}

/// A pipe for standard stream `n`, the end for inside first. It belongs to `owner` of the host, so that it can be opened again by name
/// inside; our end does not block.
pub(super) fn pipe_for(n: usize, owner: (u32, u32), labels: &SeLinux) -> Result<(OwnedFd, OwnedFd)> {
    let attempt = || "make the standard streams".to_string();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context(attempt)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(owner.1));
    rustix::fs::fchown(&read, Some(uid), Some(gid)).context(attempt)?;
    if let SeLinux::Labels { mount, .. } = labels {
        // An administrator's own has every category, and no container has.
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(&read, crate::selinux::ATTRIBUTE, mount.as_bytes(), flags).context(attempt)?;
    }
    let (inside, outside) = if n == 0 { (read, write) } else { (write, read) };
    rustix::io::ioctl_fionbio(&outside, true).context(attempt)?;
    Ok((inside, outside))
}

/// Give the container's terminal to its user, as runc does, so that a program may open it again by name.
fn own_terminal(pid: i32, base: Option<u32>, draft: &Draft) -> Result<()> {
    let user = &draft.process.user.value;
    let path = format!("/proc/{pid}/fd/0");
    std::os::unix::fs::chown(&path, Some(base.unwrap_or(0) + user.uid), None)
        .context(|| "give the terminal to the container's user".into())
}

/// Take out of the spec what libcontainer is not to do: masks over nothing and the limits, which are returned for
/// cgroup v1.
fn trim(spec: &mut Spec, draft: &Draft, group: &Placement, stage: &Stage) -> Result<Option<LinuxResources>> {
    let Some(mut linux) = spec.linux().clone() else { return Ok(None) };
    spec::leave_out_empty(draft, &mut linux);
    let mut limits = None;
    if group.is_own() {
        limits = linux.resources().clone();
        linux.set_resources(None);
        cgroup_v1::decoy(stage, &mut linux)?;
    } else {
        linux.set_resources(None);
        linux.set_cgroups_path(Some(PathBuf::from(&group.path)));
    }
    spec.set_linux(Some(linux));
    Ok(limits)
}

/// The device rules of a spec.
fn devices(spec: &Spec) -> &[LinuxDeviceCgroup] {
    let resources = spec.linux().as_ref().and_then(|l| l.resources().as_ref());
    resources.and_then(|r| r.devices().as_deref()).unwrap_or_default()
}

/// What the launch adds to the planned capabilities, in the order in which it can be dropped: CAP_SETPCAP is what dropping
/// from the bounding set takes.
pub(super) fn drop_after_filter(draft: &Draft) -> Result<Vec<caps::Capability>> {
    let (planned, launched) = (spec::sets(draft), spec::sets_at_launch(draft));
    let extra = spec::FOR_THE_FILTER
        .into_iter()
        .filter(|name| launched.effective.contains(*name) && !planned.effective.contains(*name));
    extra.map(|name| name.parse().context(|| format!("unknown capability {name}"))).collect()
}

pub(super) fn selinux_label(draft: &Draft) -> Option<String> {
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

fn clean_up(stage: &Stage, group: &Placement, id: &str) -> Result<()> {
    let cgroups = cgroup::remove(&group.hierarchies, &group.path, id);
    cgroups.and(stage.leave())
}
