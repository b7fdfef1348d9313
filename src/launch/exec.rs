//! `exec`: another process in a container that runs, confined exactly as its first one.
//!
//! libcontainer's tenant builder is not used: of the namespaces that it joins, the user namespace is missing (0.7.0), and it loses
//! the filter, limits and umask. The order is that of runc's and crun's: cgroup, limits, all namespaces in one call by the
//! pidfd of the first process, a child in its pid namespace, credentials; then hardrun's own executor, the same that confines the
//! first process, and a look at the result before the word to go.

use super::cgroup::Placement;
use super::denials::Denials;
use super::enter::Entrance;
use super::executor::{Command, Confine, GO};
use super::handoff::{self, Handoff};
use super::keeper::{self, Part, Watched};
use super::launcher::{await_exec, await_ready, channel, selinux_label};
use super::poll::{Poller, Token};
use super::process::{Ended, Init, Signals};
use super::readback::{self, Expected};
use super::streams::{End, Peer, Streams};
use super::{credentials, terminal};
use crate::control::{Answer, Ask, Client};
use crate::error::{Context, Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::observe::logs::Stream;
use crate::plan::{AppArmor, AskedExec, Draft, Plan, SeLinux, UserPlan};
use crate::state::{Paths, folder};
use crate::sys;
use rustix::event::{PollFd, PollFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

/// First argument of the process that `exec` becomes. Not a verb: it is of no use by hand.
pub const EXEC_ARGUMENT: &str = "__exec";
/// Descriptors of that process.
const REQUEST_FD: RawFd = 3;
const HANDOFF_FD: RawFd = 4;
const MOUNTS_FD: RawFd = 5;
const INIT_FD: RawFd = 6;
/// The connection to the supervisor that `exec` came by: while it is open, the supervisor knows of the process.
const CONTROL_FD: RawFd = 7;
/// The host's mount namespace, for a health check: its supervisor has left it, and no control group is to be seen from there.
const HOST_FD: RawFd = 9;
/// Of a process in the background: whoever waits to hear that it was started.
const REPORT_FD: RawFd = 8;

/// What to start. Everything else is as for the container's first process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// 64 hexadecimal digits.
    pub id: String,
    pub args: Vec<String>,
    /// `KEY=value`
    pub env: Vec<String>,
    pub cwd: String,
    pub user: UserPlan,
    pub tty: bool,
    pub stdin: bool,
    /// Output is thrown away, and nobody waits.
    pub detached: bool,
    /// Granted capabilities, as in the plan; with `--privileged` all.
    pub capabilities: BTreeSet<String>,
    pub privileged: bool,
    /// Keys that let go of a terminal; empty: none.
    pub detach_keys: Vec<u8>,
    /// Descriptors that came along besides.
    pub control: bool,
    pub report: bool,
    pub host: bool,
}

/// How to get into a container: what its supervisor hands out.
pub struct Way<'a> {
    pub handoff: &'a OwnedFd,
    pub mounts: &'a OwnedFd,
    pub init: &'a OwnedFd,
    /// The connection to the supervisor.
    pub control: Option<&'a OwnedFd>,
}

impl<'a> Way<'a> {
    fn descriptors(&self, request: &'a OwnedFd) -> Vec<(BorrowedFd<'a>, RawFd)> {
        let mut fds = vec![
            (request.as_fd(), REQUEST_FD),
            (self.handoff.as_fd(), HANDOFF_FD),
            (self.mounts.as_fd(), MOUNTS_FD),
            (self.init.as_fd(), INIT_FD),
        ];
        fds.extend(self.control.map(|c| (c.as_fd(), CONTROL_FD)));
        fds
    }
}

impl ExecRequest {
    /// A health check: the container's own user, folder and environment.
    pub fn check(draft: &Draft, args: Vec<String>) -> ExecRequest {
        ExecRequest {
            id: String::new(),
            args,
            env: draft.process.env.iter().map(|e| e.value.clone()).collect(),
            cwd: draft.process.cwd.value.clone(),
            user: draft.process.user.value.clone(),
            tty: false,
            stdin: false,
            detached: false,
            capabilities: draft.capabilities.value.clone(),
            privileged: false,
            detach_keys: Vec::new(),
            control: false,
            report: false,
            host: true,
        }
    }

    /// Inside, with credentials that stay: a health check does not outlive the process that started it, and what it starts stays below
    /// it as long as it lives, so that all of it can be found and ended where the check takes too long. A command of a caller's is not
    /// tied: detached or with a terminal it goes on without whoever started it, as with docker. With pipes it goes on until it writes to
    /// one, for nobody reads it then; docker's engine would.
    fn tie(&self) -> Result<(), String> {
        if !self.host {
            return Ok(());
        }
        let tied = sys::process::die_with_parent().and_then(|()| sys::process::adopt_orphans());
        tied.map_err(|e| format!("tie the check to who started it: {e}"))
    }

    /// The container's draft with this process in the place of its first one.
    fn draft(&self, of: &Draft) -> Draft {
        let mut draft = of.clone();
        draft.process.user.value = self.user.clone();
        draft.process.cwd.value = self.cwd.clone();
        draft.process.args.value = self.args.clone();
        draft.capabilities.value = self.capabilities.clone();
        draft.process.init.value = false;
        draft.asked.exec = self.privileged.then_some(AskedExec { privileged: true, root: None });
        draft
    }
}

/// Become the process that carries a request out; returns only when that failed.
pub fn become_exec(request: &ExecRequest, way: &Way<'_>) -> Result<std::convert::Infallible> {
    let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    let memory = handoff::seal(&ExecRequest { control: way.control.is_some(), ..request.clone() })?;
    sys::spawn::place(&way.descriptors(&memory)).context(|| "hand the request over".into())?;
    let error = sys::exe::exec(&exe, &[c"hardrun", c"__exec"]);
    Err(Error::runner("start the process that enters the container").because(error))
}

/// Start a process that carries a request out in the background, and wait until it has.
///
/// # Errors
/// What kept it from starting.
pub fn start(request: &ExecRequest, way: &Way<'_>) -> Result<()> {
    let (ours, theirs) = crate::control::pair()?;
    let request = ExecRequest { control: way.control.is_some(), report: true, ..request.clone() };
    let memory = handoff::seal(&request)?;
    let mut fds = way.descriptors(&memory);
    fds.push((theirs.as_fd(), REPORT_FD));
    spawn(&fds, None)?;
    drop(theirs);
    match Client::from_socket(ours).answer()? {
        Some((Answer::Failed(error), _)) => Err(error.into_error()),
        Some(_) => Ok(()),
        None => Err(Error::runner("the process ended before its command was started")),
    }
}

fn spawn(fds: &[(BorrowedFd<'_>, RawFd)], output: Option<&OwnedFd>) -> Result<i32> {
    let (exe, _form) = sys::exe::protected().context(|| "protect hardrun's own executable".into())?;
    sys::spawn::detached(&exe, &[c"hardrun", c"__exec"], fds, output.map(AsFd::as_fd))
        .context(|| "start the process that enters the container".into())
}

/// Start a health check from the supervisor.
pub fn spawn_check(request: &ExecRequest, from: &Surroundings, output: &OwnedFd) -> Result<i32> {
    let memory = handoff::seal(request)?;
    let Surroundings { entrance, init, host } = from;
    let way = Way { handoff: &entrance.handoff, mounts: &entrance.mounts, init, control: None };
    let mut fds = way.descriptors(&memory);
    fds.push((host.as_fd(), HOST_FD));
    spawn(&fds, Some(output))
}

/// What a supervisor starts its health checks from.
pub struct Surroundings {
    pub entrance: Entrance,
    /// A pidfd of the container's first process.
    pub init: OwnedFd,
    /// The host's mount namespace.
    pub host: OwnedFd,
}

/// Entry point of the process that enters; the return value is its exit status.
pub fn main() -> u8 {
    sys::process::set_name(c"hardrun-exec");
    match take_over().and_then(|entry| entry.main()) {
        Ok(status) => status,
        Err(e) => {
            crate::ui::error(&e);
            e.kind.exit_code()
        }
    }
}

/// Everything about one `exec`.
struct Entry {
    request: ExecRequest,
    handoff: Handoff,
    /// Keeps the container's supervisor's mounts for as long as the process runs.
    _mounts: OwnedFd,
    init: OwnedFd,
    control: Option<Client>,
    report: Option<OwnedFd>,
}

fn take_over() -> Result<Entry> {
    let attempt = || "take over the request".to_string();
    let inherit = |fd| sys::process::inherit(fd).context(attempt);
    let request: ExecRequest = handoff::open(&inherit(REQUEST_FD)?)?;
    if request.host {
        nix::sched::setns(inherit(HOST_FD)?, nix::sched::CloneFlags::CLONE_NEWNS)
            .context(|| "return to the host's mounts".into())?;
    }
    let control = request.control.then(|| inherit(CONTROL_FD)).transpose()?.map(Client::from_socket);
    let report = request.report.then(|| inherit(REPORT_FD)).transpose()?;
    Ok(Entry {
        request,
        handoff: handoff::open(&inherit(HANDOFF_FD)?)?,
        _mounts: inherit(MOUNTS_FD)?,
        init: inherit(INIT_FD)?,
        control,
        report,
    })
}

impl Entry {
    fn main(&self) -> Result<u8> {
        let mut signals = Signals::block()?;
        super::launcher::be_ordinary()?;
        sys::process::clear_groups().context(|| "leave the caller's groups".into())?;
        let watched = match self.request.tty && !self.request.detached {
            true => match keeper::part(&mut signals)? {
                Part::Watcher(status) => return Ok(status),
                Part::Keeper(watched) => Some(watched),
            },
            false => None,
        };
        let result = self.carry_out(&mut signals, watched).map_err(|e| self.explain(e));
        match (result, &self.report) {
            (Err(e), Some(report)) => {
                // A caller that is gone hears nothing.
                let _ = crate::control::send(report, &Answer::Failed((&e).into()), &[]);
                Ok(e.kind.exit_code())
            }
            (result, _) => result,
        }
    }

    fn carry_out(&self, signals: &mut Signals, watched: Option<Watched>) -> Result<u8> {
        let plan = &self.handoff.record.plan;
        let request = &self.request;
        let draft = request.draft(&plan.draft);
        let init = self.init_pid()?;
        let own = readback::namespaces("self")?;
        let base = self.base(init)?;
        let command = Command::new(&request.args, &request.env).map_err(Error::runner)?;
        let mut ends = Ends::make(request, base, &draft.selinux.value)?;
        let (ours, theirs) = channel()?;
        let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
            .context(|| "open a descriptor of the entering process".into())?;
        let confine = Confine {
            filter: self.handoff.filter.clone(),
            landlock: crate::landlock::rules(&draft).ok(),
            selinux: selinux_label(&draft),
            apparmor: None,
            init: false,
            drop_after_filter: super::launcher::drop_after_filter(&draft)?,
            channel: theirs.as_raw_fd(),
            launcher: me.as_raw_fd(),
        };
        self.restore_profile()?;
        let shared = readback::shared_with(init, &own)?;
        let steps = credentials::Steps {
            draft: &draft,
            base,
            apparmor: self.handoff.apparmor.as_deref(),
            init: self.init.as_fd(),
            shared: &shared,
        };
        steps.check_limits()?;
        let visit = super::enter_cgroup::join(init)?;
        let entered = sys::spawn::inside(
            || steps.before_namespaces(),
            || {
                let said = match steps
                    .become_root()
                    .and_then(|()| ends.inside())
                    .and_then(|()| steps.inside())
                    .and_then(|()| request.tie())
                {
                    Ok(()) => confine.carry_out(&command),
                    Err(message) => confine.fail(message),
                };
                drop(said);
                i32::from(Kind::Runner.exit_code())
            },
        )
        .context(|| "enter the container".into());
        visit.leave(entered.as_ref().ok().copied())?;
        let pid = entered?;
        drop(theirs);
        ends.close_inside();
        let process = Init::new(pid)?;
        let guard = super::launcher::KillOnDrop(&process);
        await_ready(&ours, &process).map_err(|e| not_there(e, &draft))?;
        let master = ends.receive_master()?;
        if let Some(master) = &master {
            terminal::copy_size(master);
        }
        // Its group is the first process's: what that is, is compared by itself.
        let group = Placement { path: String::new(), hierarchies: Vec::new(), held: Vec::new() };
        let plan = Plan { draft: draft.clone(), ..plan.clone() };
        let apparmor = self.handoff.apparmor.as_deref();
        let expected = Expected { plan: &plan, base, group: &group, apparmor, own: &own };
        readback::exec(pid, init, &expected)?;
        let denials = Denials::watch(apparmor, &draft.selinux.value);
        rustix::io::write(&ours, &[GO]).context(|| "let the process go".into())?;
        await_exec(&ours, &draft).map_err(|e| match &denials {
            Some(denials) => denials.explain(e),
            None => e,
        })?;
        readback::after_exec(pid, &expected)?;
        guard.keep();
        if let Some(control) = &self.control {
            // The supervisor may be about to end: the process inside ends with it.
            let _ = control.send(&Ask::Exec { id: request.id.clone() });
        }
        // Docker's words: the program, a space, and its arguments joined, also where there are none.
        let words = self.request.args.split_first().map(|(first, rest)| format!("{first} {}", rest.join(" ")));
        let words = words.unwrap_or_default();
        self.note(&format!("exec_create: {words}"), None);
        self.note(&format!("exec_start: {words}"), None);
        if let Some(report) = &self.report {
            let _ = crate::control::send(report, &Answer::Started, &[]);
        }
        let code = self.supervise(&process, signals, ends, master, watched)?;
        if code != 0 && !request.id.is_empty() && !request.detached {
            denials.iter().for_each(Denials::say);
        }
        self.note("exec_die", Some(code));
        Ok(code)
    }

    /// Docker's words where the container is what failed: it ended under the steps that lead into it, and each of them then says
    /// something else.
    fn explain(&self, error: Error) -> Error {
        let told = matches!(error.kind, Kind::NotFound | Kind::CannotInvoke | Kind::Verb);
        match told || !is_ending(self.init.as_fd()) {
            true => error,
            false => not_running(&self.handoff.record.id),
        }
    }

    /// Of a command that somebody asked for: health checks would fill the log with themselves.
    fn note(&self, action: &str, code: Option<u8>) {
        if self.request.id.is_empty() {
            return;
        }
        let paths = self.handoff.paths();
        // The container may have another name by now.
        let now = folder::read_record(&paths.containers().join(&self.handoff.record.id));
        let mut event = Event::container(now.as_ref().unwrap_or(&self.handoff.record), action);
        event = event.with("execID", &self.request.id);
        if let Some(code) = code {
            event = event.with("exitCode", code);
        }
        events::note(&paths, event);
    }

    /// A reload of the host's profiles may have taken the container's out of the kernel.
    fn restore_profile(&self) -> Result<()> {
        match &self.handoff.apparmor {
            Some(name) if self.handoff.record.plan.draft.apparmor.value == AppArmor::Builtin => {
                crate::apparmor::restore(Path::new(Paths::RUN), &self.handoff.paths(), name)
            }
            _ => Ok(()),
        }
    }

    fn init_pid(&self) -> Result<i32> {
        number_of(self.init.as_fd()).ok_or_else(|| not_running(&self.handoff.record.id))
    }

    /// First host id of the container's user namespace.
    fn base(&self, init: i32) -> Result<Option<u32>> {
        readback::base(init, &self.handoff.record.plan)
    }

    fn supervise(
        &self,
        process: &Init,
        signals: &mut Signals,
        mut ends: Ends,
        master: Option<OwnedFd>,
        mut watched: Option<Watched>,
    ) -> Result<u8> {
        let request = &self.request;
        let mut streams = Streams::default();
        let mut raw = match &master {
            Some(_) if request.stdin => terminal::Raw::enter()?,
            _ => None,
        };
        if let Some(master) = &master {
            let copy = || master.try_clone().context(|| "hold the process's terminal".into());
            rustix::io::ioctl_fionbio(master, true).context(|| "hold the process's terminal".into())?;
            streams.add_output(Stream::Stdout, copy()?);
            streams.attach_output(Peer::Caller, Stream::Stdout, End::Stdout);
            if request.stdin {
                streams.set_input(copy()?, false);
                streams.set_detach_keys(request.detach_keys.clone());
                streams.attach_input(Peer::Caller, End::Stdin);
            }
        } else {
            ends.wire(&mut streams, request);
        }
        let mut ended = None;
        loop {
            if ended.is_some() && streams.done() {
                break;
            }
            let mut poller = Poller::default();
            poller.add(Token::Signals, PollFd::new(&*signals, PollFlags::IN));
            if ended.is_none() {
                poller.add(Token::Exit, PollFd::new(process, PollFlags::IN));
            }
            if let Some(watched) = &watched {
                poller.add(Token::Watcher, PollFd::new(watched, PollFlags::IN));
            }
            streams.poll(&mut poller);
            let ready = poller.wait(None)?;
            let hung_up =
                ready.contains(&Token::Signals) && pass_signals(signals, process, master.as_ref(), request.host)?;
            streams.step(&ready);
            let pressed = streams.detached();
            if (pressed || hung_up || ready.contains(&Token::Watcher))
                && let Some(watched) = watched.take()
            {
                // The process keeps its terminal: what it writes there is read by nobody from now on.
                streams.detach(Peer::Caller);
                streams.set_detach_keys(Vec::new());
                raw = None;
                if pressed {
                    crate::ui::note("read escape sequence: the process goes on");
                    self.note("exec_detach", None);
                }
                watched.let_go()?;
            }
            if ready.contains(&Token::Exit) && ended.is_none() {
                ended = process.ended(false)?;
                if ended.is_some() {
                    streams.close_input();
                    // Something that it left in the background may hold the pipes for as long as it likes.
                    streams.end_when_empty();
                }
            }
        }
        drop(raw);
        ended.map(Ended::exit_code).ok_or_else(|| Error::runner("the process's end was lost"))
    }
}

/// Docker's answer to who wants to enter a container that has ended.
pub fn not_running(id: &str) -> Error {
    Error::verb(format!("Container {id} is not running"))
}

/// The process of a pidfd by its number, which is its own for as long as it lives. `None`: it has ended.
fn number_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = text.lines().find_map(|l| l.strip_prefix("Pid:")).and_then(|p| p.trim().parse::<i32>().ok());
    pid.filter(|p| *p > 0)
}

/// Whether the first process of a container has ended or is about to: it waits for all others of its pid namespace, which the kernel
/// kills, before its pidfd says so.
pub fn is_ending(pidfd: BorrowedFd<'_>) -> bool {
    number_of(pidfd).is_none_or(super::process::is_exiting)
}

/// Whether the caller's terminal has gone: the process has one of its own, and goes on, as with docker. `check`: whoever started a health
/// check wants it ended, with everything that it started.
fn pass_signals(signals: &mut Signals, process: &Init, master: Option<&OwnedFd>, check: bool) -> Result<bool> {
    let mut hung_up = false;
    while let Some(number) = signals.take()? {
        match number {
            libc::SIGHUP if master.is_some() => hung_up = true,
            libc::SIGTERM if check => super::tree::end(process)?,
            libc::SIGWINCH => drop(master.map(terminal::copy_size)),
            libc::SIGCHLD | libc::SIGPIPE | libc::SIGURG | libc::SIGTTIN | libc::SIGTTOU => {}
            number => process.send(number),
        }
    }
    Ok(hung_up)
}

/// Docker's status for a working folder that is not there: the command cannot be invoked.
fn not_there(error: Error, draft: &Draft) -> Error {
    let folder = format!("chdir to cwd ({:?})", draft.process.cwd.value);
    match error.chain().iter().any(|line| line.contains(&folder)) {
        true => Error { kind: Kind::CannotInvoke, ..error },
        false => error,
    }
}

/// The standard streams of the process: pipes, or a terminal of the container's own.
struct Ends {
    inside: [Option<OwnedFd>; 3],
    outside: [Option<OwnedFd>; 3],
    /// The master of a terminal that is made inside comes back over this.
    master: Option<(OwnedFd, OwnedFd)>,
    /// Inside.
    user: u32,
}

impl Ends {
    fn make(request: &ExecRequest, base: Option<u32>, labels: &SeLinux) -> Result<Ends> {
        let user = request.user.uid;
        let mut ends = Ends { inside: [None, None, None], outside: [None, None, None], master: None, user };
        let base = base.unwrap_or(0);
        let owner = (base + user, base + request.user.gid);
        if request.tty {
            ends.master = Some(channel()?);
            return Ok(ends);
        }
        for n in 0..3 {
            let attempt = || "make the process's standard streams".to_string();
            if (n == 0 && !request.stdin) || request.detached {
                let null = std::fs::File::options().read(n == 0).write(n != 0).open("/dev/null").context(attempt)?;
                ends.inside[n] = Some(null.into());
                continue;
            }
            let (inside, outside) = super::launcher::pipe_for(n, owner, labels)?;
            ends.inside[n] = Some(inside);
            ends.outside[n] = Some(outside);
        }
        Ok(ends)
    }

    /// In the child, inside the container's mount namespace.
    fn inside(&self) -> Result<(), String> {
        if let Some((_, theirs)) = &self.master {
            return terminal::make_inside(theirs, self.user)
                .map_err(|e| format!("make a terminal in the container: {e}"));
        }
        for (n, fd) in self.inside.iter().enumerate() {
            if let Some(fd) = fd {
                sys::spawn::dup_to(fd, n as RawFd).map_err(|e| format!("connect stream {n}: {e}"))?;
            }
        }
        Ok(())
    }

    fn close_inside(&mut self) {
        self.inside = [None, None, None];
    }

    fn receive_master(&mut self) -> Result<Option<OwnedFd>> {
        match self.master.take() {
            Some((ours, theirs)) => {
                drop(theirs);
                terminal::receive_descriptor(&ours).map(Some)
            }
            None => Ok(None),
        }
    }

    fn wire(&mut self, streams: &mut Streams, request: &ExecRequest) {
        for (n, stream, to) in [(1, Stream::Stdout, End::Stdout), (2, Stream::Stderr, End::Stderr)] {
            if let Some(fd) = self.outside[n].take() {
                streams.add_output(stream, fd);
                streams.attach_output(Peer::Caller, stream, to);
            }
        }
        if let Some(fd) = self.outside[0].take().filter(|_| request.stdin) {
            streams.set_input(fd, true);
            streams.attach_input(Peer::Caller, End::Stdin);
        }
    }
}
