//! The launching process, as one straight line: stage, build, read back, let go, supervise, clean up.

use super::build::{
    allocate_ids, build, devices, drop_after_filter, has_network, hold_namespaces, on_a_network, selinux_label, trim,
};
use super::caller::{Caller, CidFile, connect, write_pidfile};
use super::cgroup::{self, Placement};
use super::connections::Connections;
use super::denials::Denials;
use super::end::note_networks;
use super::enter::Entrance;
use super::exec::Surroundings;
use super::executor::{Confine, GO, host_proc};
use super::freezer::Freezer;
use super::handoff::{self, Handoff, Starter};
use super::handshake::{await_exec, await_ready, channel};
use super::health::Health;
use super::join::Joined;
use super::pipes::{Pipes, open_log, own_terminal};
use super::process::{Ended, Init, KillOnDrop, Signals, start_time};
use super::readback::{self, Expected};
use super::staging::stage_mounts;
use super::supervisor::Supervisor;
use super::{cgroup_v1, cgroup_v2, limits, network, restart, terminal};
use crate::audit::{self, Entry};
use crate::control::{self, Answer};
use crate::error::{Context, Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::plan::Draft;
use crate::rootless;
use crate::spec;
use crate::state::{Folder, Paths, Record, Stamp, State, Status, folder};
use crate::storage::idrange::IdRange;
use crate::storage::{Stage, root};
use crate::sys::{self, userns};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// First argument of the launching process. Not a verb: it is of no use by hand.
pub const LAUNCH_ARGUMENT: &str = "__launch";

/// Whether a process of this host is one that [`LAUNCH_ARGUMENT`] began.
pub(super) fn is_supervisor(pid: i32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|b| *b == 0).nth(1) == Some(LAUNCH_ARGUMENT.as_bytes())
}

/// Descriptor of the hand-off.
pub const HANDOFF_FD: RawFd = 3;

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
    let handoff: Handoff = handoff::open(&memory)?;
    rootless::adopt(handoff.rootless.clone());
    Ok((memory, handoff))
}

/// The launching process.
pub(super) struct Launcher {
    pub(super) handoff: Handoff,
    /// The hand-off's memory, kept for whoever enters the container.
    memory: OwnedFd,
    /// The image's layers, locked.
    pub(super) held: Vec<OwnedFd>,
    pub(super) caller: Caller,
    pub(super) signals: Signals,
    listener: Option<OwnedFd>,
    /// Where every start of a container that is started again sets out from.
    pub(super) home: Option<(OwnedFd, OwnedFd)>,
    /// What the kernel says of the container from its first instruction on.
    pub(super) denials: Option<Denials>,
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

    /// The lock on the range, for whoever joins this container.
    fn share(self) -> Result<Option<OwnedFd>> {
        match (self.range, self.joined) {
            (Some(range), _) => range.share().map(Some),
            (None, Some(joined)) => joined.share(),
            (None, None) => Ok(None),
        }
    }
}

/// What became of one start.
pub(super) struct Outcome {
    pub(super) ended: Ended,
    pub(super) connections: Connections,
}

impl Launcher {
    fn new(memory: OwnedFd, handoff: Handoff) -> Result<Launcher> {
        let inherit = |fd: RawFd| sys::process::inherit(fd).context(|| "take over what was handed over".into());
        let held = handoff.held.iter().map(|fd| inherit(*fd)).collect::<Result<_>>()?;
        let caller = match handoff.starter {
            Starter::Foreground => Caller::Foreground,
            Starter::Nobody => Caller::Nobody,
            Starter::Background { channel, streams } => {
                crate::ui::keep_notes();
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

    pub(super) fn log_exit(&self, status: u8) -> Result<()> {
        let record = &self.handoff.record;
        // The launch is on record; the command's own status matters most to the script.
        audit::append(&self.handoff.paths(), Entry::exit(&record.plan.draft, &record.digest, i32::from(status)))
    }

    fn launch(&mut self) -> Result<u8> {
        rootless::leave_groups()?;
        be_ordinary()?;
        self.make_room();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        if on_a_network(&self.handoff.record.plan.draft) {
            rootless::enter_network()?;
        }
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
        if self.handoff.record.plan.draft.process.rlimits.contains_key("nofile") {
            sys::process::all_descriptors();
        }
    }

    /// Where a start begins: in the host's namespaces. Whoever will start the container again keeps descriptors of them.
    fn set_out(&mut self) -> Result<()> {
        let attempt = || "return to the host's namespaces".to_string();
        if let Some((mounts, network)) = &self.home {
            nix::sched::setns(mounts, nix::sched::CloneFlags::CLONE_NEWNS).context(attempt)?;
            nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).context(attempt)?;
            self.handoff.restore_profile()?;
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
        let folder = Folder::open(paths, &record.id)?
            .ok_or_else(|| Error::verb(format!("Container {} is running already, or was just removed", record.name)))?;
        if let Some(of) = self.handoff.renewed.take() {
            let known = folder.record()?;
            if known.digest != of {
                // Its next restart would begin with that, without the layers that this start gives it.
                return Err(Error::verb(format!("container {} was changed while it was being started", record.name))
                    .hint("start it again"));
            }
            let (plan, digest) = (record.plan.clone(), record.digest.clone());
            folder.write_record(&Record { plan, digest, ..known })?;
        }
        Ok(folder)
    }

    /// One start of the container, to its end.
    fn once(&mut self, paths: &Paths, folder: &Folder, status: &mut Status) -> Result<Outcome> {
        let own = readback::Own::leaving()?;
        // Host-wide, whatever --root says, and traversable: the container's root resolves its files through it.
        let run = Paths::host_run();
        let joined = Joined::find(paths, &self.handoff.record.plan.draft)?;
        let mut ids = match &joined {
            Some(_) => None,
            None => allocate_ids(&self.handoff.record.plan.draft, &run, status.base)?,
        };
        if self.handoff.existing {
            cgroup::is_free(&self.handoff.record.plan.draft)?;
        }
        let stage = Stage::enter(&run)?;
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

    /// Build the container, compare it with the plan, let it run, wait for its end.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that this start has made")]
    fn carry_out(
        &mut self,
        paths: &Paths,
        stage: &Stage,
        folder: &Folder,
        status: &mut Status,
        identity: Identity<'_>,
        own: &readback::Own,
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
        if let Some(joined) = identity.joined {
            staged.joined = joined.paths();
            staged.shared_memory = joined.stage_memory(stage)?;
        }
        let netns = match &mut holder {
            Some(holder) if has_network(draft) => {
                Some(holder.network().context(|| "make the container's network namespace".into())?)
            }
            _ => None,
        };
        staged.network = netns.as_ref().map(userns::inherited_path);
        let mut spec = spec::to_oci(plan, &staged)?;
        let devices = devices(&spec).to_vec();
        trim(&mut spec, draft, group, stage)?;
        let bundle = stage.folder("bundle")?;
        let json = serde_json::to_vec(&spec).context(|| "write config.json".into())?;
        std::fs::write(bundle.join("config.json"), json).context(|| "write config.json".into())?;

        let (ours, theirs) = channel(selinux_label(draft).as_deref())?;
        let proc = host_proc()?;
        let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
            .context(|| "open a descriptor of the launcher".into())?;
        let executor = Confine {
            filter: handoff.filter.clone(),
            landlock: super::ruleset::rules(draft, &folder.path),
            selinux: selinux_label(draft),
            apparmor: handoff.apparmor.clone(),
            init: draft.process.init.value,
            drop_after_filter: drop_after_filter(draft)?,
            hear: theirs.hear.as_raw_fd(),
            tell: theirs.tell.as_raw_fd(),
            launcher: me.as_raw_fd(),
            proc: proc.as_raw_fd(),
        };
        let mut pipes = Pipes::open(draft, stage, base)?;
        sys::memory::forget_text();
        let visit = group.is_own().then(|| cgroup_v1::enter(group)).transpose()?;
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
        limits::write(group, &limits::of_start(group, plan)?, &draft.resources)?;
        if !group.is_own() {
            cgroup_v2::limit_devices(group, &devices, plan)?;
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
        let range = identity.share()?;
        let entrance = Entrance::new(self.memory.try_clone().context(|| "keep the plan".into())?, range)?;
        let health = self.health(draft, &init)?;
        let foreground = connect(&mut self.caller, &draft.stdio, connections, &mut streams)?;

        self.denials = Denials::watch(handoff.apparmor.as_deref(), &draft.selinux.value, init.pid, base);
        rustix::io::write(&ours.tell, &[GO]).context(|| "let the container go".into())?;
        await_exec(&ours, draft).map_err(|e| match &self.denials {
            Some(denials) => denials.explain(e),
            None => e,
        })?;
        guard.keep();
        sys::memory::forget_text();
        started(status, &init, health.as_ref());
        folder.write_status(status)?;
        Event::mounts(record, "mount").into_iter().for_each(|event| events::note(paths, event));
        events::note(paths, Event::container(record, "start"));
        if let Caller::Background { channel, .. } = &self.caller {
            // A caller that is gone hears nothing.
            let _ = control::send(channel, &Answer::started(crate::ui::kept_notes()), &[]);
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

fn started(status: &mut Status, init: &Init, health: Option<&Health>) {
    status.version = Status::VERSION;
    status.state = State::Running;
    status.pid = init.pid;
    status.pid_start = start_time(init.pid).unwrap_or_default();
    status.supervisor = std::process::id() as i32;
    status.run = crate::rootless::current().map(|r| r.run.clone());
    status.started = Stamp::now();
    status.exit_code = 0;
    status.error.clear();
    status.oom_killed = false;
    status.stopped_by_hand = false;
    status.health = health.map(Health::state);
}

fn clean_up(stage: &Stage, group: &Placement, id: &str) -> Result<()> {
    let cgroups = cgroup::remove(&group.hierarchies, &group.path, id);
    cgroups.and(stage.leave())
}
