//! The process that `exec` becomes: it enters, starts the command inside, and stays with it to its end.

use super::build::{drop_after_filter, selinux_label};
use super::cgroup::Placement;
use super::denials::Denials;
use super::exec::{CONTROL_FD, ExecRequest, HANDOFF_FD, HOST_FD, INIT_FD, MOUNTS_FD, REPORT_FD, REQUEST_FD};
use super::exec::{is_ending, not_running};
use super::exec_ends::Ends;
use super::executor::{Command, Confine, GO, host_proc};
use super::handoff::{self, Handoff};
use super::handshake::{await_exec, await_ready, channel};
use super::keeper::{self, Part, Watched};
use super::poll::{Poller, Token};
use super::process::{Ended, Init, KillOnDrop, Signals};
use super::readback::{self, Expected};
use super::streams::{End, Peer, Streams};
use super::{credentials, terminal};
use crate::control::{Answer, Ask, Client};
use crate::error::{Context, Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::observe::logs::Stream;
use crate::plan::{Draft, Plan};
use crate::state::folder;
use crate::sys;
use crate::sys::process::number_of;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Everything about one `exec`.
pub(super) struct Entry {
    request: ExecRequest,
    handoff: Handoff,
    ties: Ties,
    report: Option<OwnedFd>,
}

/// What holds on to the container while the process runs.
struct Ties {
    /// Keeps the mounts of the container's supervisor.
    mounts: Option<OwnedFd>,
    init: OwnedFd,
    /// While it is open, the supervisor counts the process among those that run.
    control: Option<Client>,
}

impl Ties {
    /// The process has ended: its last words may wait for their reader as long as they like, the container does not.
    fn let_go(&mut self) {
        self.mounts = None;
        self.control = None;
    }
}

pub(super) fn take_over() -> Result<Entry> {
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
        ties: Ties { mounts: Some(inherit(MOUNTS_FD)?), init: inherit(INIT_FD)?, control },
        report,
    })
}

impl Entry {
    pub(super) fn main(mut self) -> Result<u8> {
        let mut signals = Signals::block()?;
        super::launcher::be_ordinary()?;
        crate::rootless::adopt(self.handoff.rootless.clone());
        crate::rootless::leave_groups()?;
        // Nobody watches what goes on in the background, and a health check ends with its supervisor.
        let watched = match !self.request.detached && !self.request.host {
            true => match keeper::part()? {
                // It needs nothing of the container's, and may wait long.
                Part::Watcher(watcher) => {
                    drop(self);
                    return watcher.watch(&mut signals);
                }
                Part::Keeper(watched) => Some(watched),
            },
            false => None,
        };
        let result = self.carry_out(&mut signals, watched);
        let result = result.map_err(|e| self.explain(e));
        match (result, &self.report) {
            (Err(e), Some(report)) => {
                // A caller that is gone hears nothing.
                let _ = crate::control::send(report, &Answer::Failed((&e).into()), &[]);
                Ok(e.kind.exit_code())
            }
            (result, _) => result,
        }
    }

    fn carry_out(&mut self, signals: &mut Signals, watched: Option<Watched>) -> Result<u8> {
        let plan = &self.handoff.record.plan;
        let request = &self.request;
        let draft = request.draft(&plan.draft);
        let init = self.init_pid()?;
        let own = readback::Own::staying()?;
        let base = self.base(init)?;
        let command = Command::new(&request.args, &request.env).map_err(Error::runner)?;
        let container = self.handoff.paths().containers().join(&draft.id);
        let mut ends = Ends::make(request, base, &draft.selinux.value)?;
        let (ours, theirs) = channel(selinux_label(&draft).as_deref())?;
        let proc = host_proc()?;
        let me = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
            .context(|| "open a descriptor of the entering process".into())?;
        let confine = Confine {
            filter: self.handoff.filter.clone(),
            landlock: super::ruleset::rules(&draft, &container),
            selinux: selinux_label(&draft),
            apparmor: self.handoff.apparmor.clone(),
            init: false,
            drop_after_filter: drop_after_filter(&draft)?,
            hear: theirs.hear.as_raw_fd(),
            tell: theirs.tell.as_raw_fd(),
            launcher: me.as_raw_fd(),
            proc: proc.as_raw_fd(),
        };
        self.handoff.restore_profile()?;
        let shared = readback::shared_with(init, &own)?;
        let steps = credentials::Steps { draft: &draft, base, init: self.ties.init.as_fd(), shared: &shared };
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
        let guard = KillOnDrop(&process);
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
        let denials = Denials::watch(apparmor, &draft.selinux.value, init, base);
        rustix::io::write(&ours.tell, &[GO]).context(|| "let the process go".into())?;
        await_exec(&ours, &draft).map_err(|e| match &denials {
            Some(denials) => denials.explain(e),
            None => e,
        })?;
        guard.keep();
        if let Some(control) = &self.ties.control {
            // The supervisor may be about to end: the process inside ends with it.
            let _ = control.send(&Ask::Exec { id: request.id.clone() });
        }
        // Docker's words: the program, a space, and its arguments joined, also where there are none.
        let words = self.request.args.split_first().map(|(first, rest)| format!("{first} {}", rest.join(" ")));
        let words = words.unwrap_or_default();
        self.note(&format!("exec_create: {words}"), None);
        self.note(&format!("exec_start: {words}"), None);
        if let Some(report) = &self.report {
            let _ = crate::control::send(report, &Answer::started(Vec::new()), &[]);
        }
        let code = self.supervise(&process, signals, ends, master, watched)?;
        if code != 0 && !self.request.id.is_empty() && !self.request.detached {
            denials.iter().for_each(Denials::say);
        }
        self.note("exec_die", Some(code));
        Ok(code)
    }

    /// Docker's words where the container is what failed: it ended under the steps that lead into it, and each of them then says
    /// something else.
    fn explain(&self, error: Error) -> Error {
        let told = matches!(error.kind, Kind::NotFound | Kind::CannotInvoke | Kind::Verb);
        match told || !is_ending(self.ties.init.as_fd()) {
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

    fn init_pid(&self) -> Result<i32> {
        number_of(self.ties.init.as_fd()).ok_or_else(|| not_running(&self.handoff.record.id))
    }

    /// First host id of the container's user namespace.
    fn base(&self, init: i32) -> Result<Option<u32>> {
        readback::base(init, &self.handoff.record.plan)
    }

    fn supervise(
        &mut self,
        process: &Init,
        signals: &mut Signals,
        mut ends: Ends,
        mut master: Option<OwnedFd>,
        mut watched: Option<Watched>,
    ) -> Result<u8> {
        let request = &self.request;
        sys::memory::forget_text();
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
            let ready = poller.wait(streams.next())?;
            if ready.contains(&Token::Signals) {
                pass_signals(signals, process, master.as_ref(), request.host, watched.is_some())?;
            }
            // First of all: who was killed with the reader of their output has broken no pipe.
            let left = ready.contains(&Token::Watcher);
            if !left {
                streams.step(&ready);
            }
            let pressed = streams.detached();
            if (pressed || left)
                && let Some(watched) = watched.take()
            {
                // The process keeps its terminal or its pipes: what it writes goes nowhere from now on, and its input has ended.
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
                    master = None;
                    self.ties.let_go();
                }
            }
        }
        drop(raw);
        ended.map(Ended::exit_code).ok_or_else(|| Error::runner("the process's end was lost"))
    }
}

/// `check`: whoever started a health check wants it ended, with everything that it started. `watched`: signals of the caller's group are
/// the watcher's, but for the size of the terminal.
fn pass_signals(
    signals: &mut Signals,
    process: &Init,
    master: Option<&OwnedFd>,
    check: bool,
    watched: bool,
) -> Result<()> {
    while let Some(number) = signals.take()? {
        match number {
            libc::SIGTERM if check => super::tree::end(process)?,
            libc::SIGWINCH => drop(master.map(terminal::copy_size)),
            libc::SIGCHLD | libc::SIGPIPE | libc::SIGURG | libc::SIGTTIN | libc::SIGTTOU => {}
            _ if watched => {}
            number => {
                if let Err(e) = process.send(number) {
                    crate::ui::error(&e);
                }
            }
        }
    }
    Ok(())
}

/// Docker's status for a working folder that is not there: the command cannot be invoked.
fn not_there(error: Error, draft: &Draft) -> Error {
    let folder = format!("chdir to cwd ({:?})", draft.process.cwd.value);
    match error.chain().iter().any(|line| line.contains(&folder)) {
        true => Error { kind: Kind::CannotInvoke, ..error },
        false => error,
    }
}
