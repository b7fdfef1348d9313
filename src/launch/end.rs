//! What follows a container's end: it is said, and the container is removed, started once more, or left.

use super::caller::Caller;
use super::connections::Connections;
use super::denials::Denials;
use super::handoff::{self, Again, Handoff, Starter};
use super::launcher::{HANDOFF_FD, Launcher, Outcome};
use super::restart;
use crate::error::{Context, Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::plan::{Draft, MountKind};
use crate::state::{Folder, Paths, Record, Stamp, State, Status};
use crate::sys;
use std::os::fd::{AsFd, RawFd};

impl Launcher {
    /// The container has ended: say so, remove it, start it again, or leave it.
    pub(super) fn after(&mut self, paths: &Paths, folder: Folder, mut status: Status, outcome: Outcome) -> Result<u8> {
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
            status.stopped_by_hand |= connections.next_run(i32::from(code), &between);
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

    /// The AppArmor profile goes with its last user.
    fn release_profile(&self) -> Result<()> {
        match self.handoff.own_profile() {
            Some(name) => crate::apparmor::release(&Paths::host_run(), name, self.held.iter().map(AsFd::as_fd)),
            None => Ok(()),
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
            renewed: None,
            starter: Starter::Nobody,
            held: (4..4 + self.held.len()).map(number).collect(),
            again: Some(Again { lock: number(0), listener: number(1), mounts: number(2), network: number(3) }),
            ..self.handoff.clone()
        };
        let memory = handoff::seal(&handoff)?;
        fds.push((memory.as_fd(), HANDOFF_FD));
        let exe = sys::spawn::place(exe, &fds).context(|| "hand the plan to the next start".into())?;
        let error = sys::exe::exec(&exe, &[c"hardrun", c"__launch"]);
        Err(Error::runner("start the container again").because(error))
    }

    /// The container never ran: docker keeps it, as created, with the reason.
    pub(super) fn failed(&self, paths: &Paths, folder: Folder, status: &mut Status, error: &Error) -> Result<()> {
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
}

pub(super) fn note_networks(paths: &Paths, record: &Record, status: &Status, action: &str) {
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
