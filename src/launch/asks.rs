//! What commands ask a supervisor over its socket, and what it does about it.

use super::connections::Stays;
use super::streams::{End, Peer};
use super::supervisor::{Deadlines, Supervisor};
use super::{terminal, update};
use crate::control::{Answer, Ask};
use crate::error::{Error, Result};
use crate::observe::events::{self, Event};
use crate::observe::logs::Stream;
use crate::policy::Allow;
use crate::request::RestartPolicy;
use crate::state::State;
use std::os::fd::{AsFd, OwnedFd};

impl Supervisor<'_> {
    /// Answer what a connection asks.
    pub(super) fn serve(&mut self, id: u64, deadlines: &mut Deadlines) -> Result<()> {
        loop {
            let (ask, fds) = match self.connections.question(id) {
                Ok(Some(question)) => question,
                Ok(None) | Err(false) => return Ok(()),
                Err(true) => {
                    self.streams.detach(Peer::Connection(id));
                    if self.execs.iter().any(|(connection, _)| *connection == id) {
                        self.execs.retain(|(connection, _)| *connection != id);
                        self.note_execs();
                    }
                    return Ok(());
                }
            };
            match ask {
                Ask::Attach { stdin, stdout, stderr } => {
                    let result = self
                        .connections
                        .stay(id, Stays::Attached)
                        .and_then(|()| self.attach(id, [stdin, stdout, stderr], fds));
                    if result.is_ok() {
                        self.connections.wait(id);
                        self.note("attach");
                    }
                    self.connections.result(id, result);
                }
                Ask::Detach => self.note("detach"),
                Ask::Resize { rows, columns } => {
                    let result = terminal::resize(self.master.as_ref(), rows, columns);
                    self.connections.result(id, result);
                }
                Ask::Signal { number } => {
                    let result = self.signal(number);
                    self.connections.result(id, result);
                }
                Ask::Stop { signal, seconds } => {
                    self.connections.wait(id);
                    if let Err(e) = self.stop(signal, seconds, deadlines) {
                        self.connections.fail(id, &e);
                    }
                }
                Ask::Pause => {
                    let result = self.pause();
                    self.connections.result(id, result);
                }
                Ask::Unpause => {
                    let result = self.unpause();
                    self.connections.result(id, result);
                }
                Ask::Wait => match self.connections.stay(id, Stays::Lasting) {
                    Ok(()) => self.connections.wait(id),
                    Err(e) => self.connections.fail(id, &e),
                },
                Ask::Enter => {
                    // Whoever enters stays for as long as its command runs.
                    if let Err(e) = self.connections.stay(id, Stays::Lasting) {
                        self.connections.fail(id, &e);
                        continue;
                    }
                    let answer = Answer::Entrance { pid: self.init.pid };
                    let mut fds = vec![self.entrance.handoff.as_fd(), self.entrance.mounts.as_fd(), self.init.as_fd()];
                    fds.extend(self.entrance.range.as_ref().map(AsFd::as_fd));
                    self.connections.answer(id, &answer, &fds);
                }
                Ask::Update { resources, restart, allow, overrides } => {
                    let result = self.update(*resources, restart, allow, overrides);
                    self.connections.result(id, result);
                }
                Ask::Connect { endpoint } => {
                    let result = self.connect(&endpoint);
                    self.connections.result(id, result);
                }
                Ask::Disconnect { network } => {
                    let result = self.disconnect(&network);
                    self.connections.result(id, result);
                }
                Ask::Refused => match self.network.get().map(crate::net::Attached::refused) {
                    Some(Err(e)) => self.connections.fail(id, &e),
                    counted => {
                        let refused = counted.and_then(Result::ok).unwrap_or_default();
                        let answer = Answer::Refused { packets: refused.packets, bytes: refused.bytes };
                        self.connections.answer(id, &answer, &[]);
                    }
                },
                Ask::Rename { name } => {
                    let result = self.rename(name);
                    self.connections.result(id, result);
                }
                Ask::Exec { id: exec } => {
                    self.execs.push((id, exec));
                    self.note_execs();
                }
            }
        }
    }

    fn attach(&mut self, id: u64, wanted: [bool; 3], fds: Vec<OwnedFd>) -> Result<()> {
        let peer = Peer::Connection(id);
        if wanted.iter().filter(|w| **w).count() != fds.len() {
            return Err(Error::verb("attach: the streams that were named did not come along"));
        }
        let mut fds = fds.into_iter();
        for (n, _) in wanted.into_iter().enumerate().filter(|(_, wanted)| *wanted) {
            let Some(fd) = fds.next() else { continue };
            match n {
                0 => self.streams.attach_input(peer, End::Owned(fd)),
                1 => self.streams.attach_output(peer, Stream::Stdout, End::Owned(fd)),
                _ => self.streams.attach_output(peer, Stream::Stderr, End::Owned(fd)),
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        if self.status.state == State::Paused {
            return Err(Error::verb(format!("Container {} is already paused", self.record.id)));
        }
        if let Some(health) = &mut self.health {
            // Frozen it could not end in time, which would say nothing of the container.
            health.call_off();
        }
        self.freezer.freeze()?;
        self.status.state = State::Paused;
        self.write_status();
        self.note("pause");
        Ok(())
    }

    fn unpause(&mut self) -> Result<()> {
        if self.status.state != State::Paused {
            return Err(Error::verb(format!("Container {} is not paused", self.record.id)));
        }
        self.freezer.thaw()?;
        self.status.state = State::Running;
        self.write_status();
        self.note("unpause");
        Ok(())
    }

    fn update(
        &mut self,
        resources: crate::plan::ResourcesPlan,
        restart: Option<RestartPolicy>,
        allow: Vec<Allow>,
        overrides: Vec<crate::plan::Override>,
    ) -> Result<()> {
        let (group, before) = (self.freezer.group, &self.draft().resources);
        if let Err(e) = update::apply(group, before, &resources) {
            // All or none: what was set before the kernel refused would not be what the record says.
            return Err(match update::apply(group, &resources, before) {
                Ok(()) => e,
                Err(back) => {
                    e.hint(format!("the limits of before could not all be set again: {}", back.chain().join(": ")))
                }
            });
        }
        let plan = &mut self.record.plan;
        plan.draft.resources = resources;
        plan.overrides = overrides;
        if let Some(policy) = restart {
            plan.draft.restart = crate::plan::Sourced::flag(policy, "update --restart");
        }
        // A start, and every exec, judges the plan again.
        self.record.allow.extend(allow);
        self.write_record()?;
        self.note("update");
        Ok(())
    }

    /// The record has changed, and with it the plan's digest.
    fn write_record(&mut self) -> Result<()> {
        self.record.digest = self.record.plan.digest();
        self.folder.write_record(self.record)
    }

    fn rename(&mut self, name: String) -> Result<()> {
        super::rename(self.paths, self.folder, self.record, name)?;
        match self.network.get_mut() {
            Ok(network) => network.rename(&self.record.name),
            Err(_) => Ok(()),
        }
    }

    /// `network connect`: now, and at every start to come.
    fn connect(&mut self, endpoint: &crate::plan::EndpointPlan) -> Result<()> {
        self.network.get_mut()?.connect(endpoint, &super::network::alive(self.paths))?;
        self.record.plan.draft.network.endpoints.push(endpoint.clone());
        self.network_changed()?;
        self.note_network("connect", self.network_id(&endpoint.network), &endpoint.network);
        Ok(())
    }

    fn disconnect(&mut self, network: &str) -> Result<()> {
        let id = self.network_id(network);
        self.network.get_mut()?.disconnect(network)?;
        self.record.plan.draft.network.endpoints.retain(|e| e.network != network);
        self.network_changed()?;
        self.note_network("disconnect", id, network);
        Ok(())
    }

    fn network_id(&self, name: &str) -> String {
        let endpoints = &self.status.network.endpoints;
        endpoints.iter().find(|e| e.network == name).map(|e| e.network_id.clone()).unwrap_or_default()
    }

    fn note_network(&self, action: &str, id: String, name: &str) {
        events::note(self.paths, Event::network(action, &id, name).with("container", &self.record.id));
    }

    fn network_changed(&mut self) -> Result<()> {
        if let Some(network) = self.network.get() {
            let sandbox = std::mem::take(&mut self.status.network.sandbox);
            self.status.network = crate::state::Network { sandbox, ..network.network() };
        }
        self.write_status();
        self.write_record()
    }
}
