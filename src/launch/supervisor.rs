//! From the word to go to the container's end: moves bytes, passes signals on, answers commands, checks the health, waits.
//! No polling, no threads: without work there is no wake-up.

use super::connections::Connections;
use super::freezer::Freezer;
use super::health::Health;
use super::network::Network;
use super::poll::{Poller, Token};
use super::process::{Ended, Init, Signals};
use super::streams::Streams;
use crate::error::{Error, Result};
use crate::observe::events::{self, Event};
use crate::plan::{Draft, HealthAction};
use crate::state::{Folder, Paths, Record, State, Status};
use crate::ui;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Ctrl-C or TERM so often, and the container is killed: pid 1 ignores what it has no handler for.
const PATIENCE: u32 = 3;

/// How long a reader over a connection may take for what a container wrote before it ended.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Seconds for the stop signal where neither a flag, a preset nor the plan says.
const FOR_EVER: i64 = -1;

/// Everything about a running container.
pub struct Supervisor<'a> {
    pub paths: &'a Paths,
    pub record: &'a mut Record,
    pub folder: &'a Folder,
    pub status: &'a mut Status,
    pub init: &'a Init,
    pub signals: &'a mut Signals,
    pub connections: &'a mut Connections,
    pub streams: Streams,
    /// Master of the container's terminal.
    pub master: Option<OwnedFd>,
    pub freezer: Freezer<'a>,
    pub health: Option<Health>,
    pub network: Network,
    /// What `exec` needs: the hand-off and the mount namespace.
    pub entrance: super::enter::Entrance,
    /// The caller's own streams are the container's.
    pub foreground: bool,
    /// Commands that `exec` has started, by the connection that they came by.
    pub execs: Vec<(u64, String)>,
}

/// When something has to happen though nothing is ready.
#[derive(Default)]
pub(super) struct Deadlines {
    /// `--timeout`
    limit: Option<Instant>,
    /// A stop was asked for; then the container is killed.
    kill: Option<Instant>,
    /// The container has ended; readers that do not read are left behind.
    readers: Option<Instant>,
}

impl Supervisor<'_> {
    pub(super) fn draft(&self) -> &Draft {
        &self.record.plan.draft
    }

    /// Supervise until the container has ended and its output has been delivered.
    pub fn run(mut self) -> Result<Ended> {
        let mut deadlines = Deadlines {
            limit: self.draft().timeout.as_ref().and_then(|t| after(Duration::from_secs(t.value))),
            ..Deadlines::default()
        };
        let mut ended = None;
        let mut interrupts = 0;
        loop {
            if ended.is_some() && (self.streams.done() || self.give_up_on_readers(&deadlines)) {
                break;
            }
            self.connections.wake();
            let ready = self.wait(ended.is_some(), &deadlines)?;
            if ready.contains(&Token::Signals) {
                self.handle_signals(&mut interrupts)?;
            }
            self.streams.step(&ready);
            if ready.contains(&Token::Listener) {
                self.connections.accept();
            }
            for token in &ready {
                if let Token::Connection(id) = token {
                    self.serve(*id, &mut deadlines)?;
                }
            }
            self.network.step();
            self.check_health(&ready, &mut deadlines)?;
            if ready.contains(&Token::Exit) && ended.is_none() {
                ended = self.init.ended(false)?;
                if ended.is_some() {
                    self.streams.close_input();
                    // Another process may have been handed its pipes, and hold them for as long as it likes.
                    self.streams.end_when_empty();
                    self.health = None;
                    deadlines.readers = Some(Instant::now() + LAST_WORDS);
                }
            }
            if ended.is_none() {
                self.keep_time(&mut deadlines);
            }
        }
        self.streams.finish_log();
        if let Err(e) = self.freezer.clean_up() {
            ui::error(&e);
        }
        if let Some(e) = self.streams.log_error() {
            ui::error(&Error::runner("write the container's log").because(e));
        }
        ended.ok_or_else(|| Error::runner("the container's end was lost"))
    }

    fn give_up_on_readers(&self, deadlines: &Deadlines) -> bool {
        deadlines.readers.is_some_and(|d| Instant::now() >= d) && self.streams.only_connections_pending()
    }

    fn wait(&self, ended: bool, deadlines: &Deadlines) -> Result<Vec<Token>> {
        let mut poller = Poller::default();
        poller.add(Token::Signals, PollFd::new(self.signals, PollFlags::IN));
        if !ended {
            poller.add(Token::Exit, PollFd::new(self.init, PollFlags::IN));
        }
        self.connections.poll(&mut poller);
        self.streams.poll(&mut poller);
        // A caller that reads slowly is waited for, however long it takes: no moment is to come then.
        let readers = deadlines.readers.filter(|_| self.streams.only_connections_pending());
        let limits = [deadlines.limit, deadlines.kill].map(|d| d.filter(|_| !ended));
        let others = [readers, self.connections.next(), self.streams.next()];
        let mut until = limits.into_iter().chain(others).flatten().min();
        if let Some(health) = self.health.as_ref().filter(|_| !ended) {
            health.poll(&mut poller);
            until = until.into_iter().chain(health.next()).min();
        }
        if let Some(network) = self.network.get() {
            for (n, fd) in network.fds().into_iter().enumerate() {
                poller.add(Token::Network(n), fd);
            }
            until = until.into_iter().chain(network.next_timeout().map(|t| Instant::now() + t)).min();
        }
        poller.wait(until)
    }

    fn keep_time(&mut self, deadlines: &mut Deadlines) {
        let now = Instant::now();
        if deadlines.limit.is_some_and(|d| now >= d) {
            deadlines.limit = None;
            ui::warn("the time limit (--timeout) has passed, killing the container");
            self.kill();
        }
        if deadlines.kill.is_some_and(|d| now >= d) {
            deadlines.kill = None;
            self.kill();
        }
    }

    pub(super) fn note(&self, action: &str) {
        events::note(self.paths, Event::container(self.record, action));
    }

    fn note_signal(&self, number: i32) {
        events::note(self.paths, Event::container(self.record, "kill").with("signal", number));
    }

    /// Nobody waits to hear whether it could be.
    fn kill(&mut self) {
        if let Err(e) = self.try_kill() {
            ui::error(&e);
        }
    }

    /// A frozen process takes no signal but this one, and dies only when it thaws.
    fn try_kill(&mut self) -> Result<()> {
        self.note_signal(libc::SIGKILL);
        // No security module is asked about a group.
        let killed = self.init.kill().or_else(|e| self.freezer.kill().map_err(|_| e));
        self.thaw();
        killed
    }

    fn thaw(&mut self) {
        if self.status.state == State::Paused {
            match self.freezer.thaw() {
                Ok(()) => self.status.state = State::Running,
                Err(e) => ui::error(&e),
            }
            self.write_status();
        }
    }

    pub(super) fn note_execs(&mut self) {
        self.status.execs = self.execs.iter().map(|(_, id)| id.clone()).collect();
        self.write_status();
    }

    /// What cannot be written does not end the container; the command that asks next sees the old state.
    pub(super) fn write_status(&self) {
        if let Err(e) = self.folder.write_status(self.status) {
            ui::error(&e);
        }
    }

    fn handle_signals(&mut self, interrupts: &mut u32) -> Result<()> {
        while let Some(number) = self.signals.take()? {
            let terminal = self.master.is_some();
            match number {
                libc::SIGCHLD | libc::SIGPIPE | libc::SIGURG | libc::SIGWINCH => {}
                libc::SIGTTIN | libc::SIGTTOU if !terminal => {}
                // Nobody's terminal: a supervisor of its own is told to stop as the system goes down.
                libc::SIGTERM | libc::SIGINT | libc::SIGHUP if !self.foreground => {
                    let stop = self.draft().process.stop_signal.value;
                    if self.init.send(stop).is_err() {
                        self.kill();
                    }
                }
                _ if !self.foreground => {}
                _ if !self.draft().stdio.sig_proxy => {
                    if matches!(number, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT) {
                        ui::note("signals are not passed on (--sig-proxy=false): killing the container");
                        self.kill();
                    }
                }
                _ => {
                    if let Err(e) = self.signal(number) {
                        ui::error(&e);
                    }
                    if matches!(number, libc::SIGINT | libc::SIGTERM) {
                        *interrupts += 1;
                        if *interrupts == PATIENCE {
                            ui::note(&format!("{PATIENCE} interrupts had no effect, killing the container"));
                            self.kill();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Send a signal as `kill` does: one that is meant to end the container counts as a stop by hand.
    pub(super) fn signal(&mut self, number: i32) -> Result<()> {
        if number == libc::SIGKILL || number == self.draft().process.stop_signal.value {
            self.status.stopped_by_hand = true;
        }
        if number == libc::SIGKILL {
            return self.try_kill();
        }
        self.note_signal(number);
        self.init.send(number)
    }

    pub(super) fn stop(&mut self, signal: Option<i32>, seconds: Option<i64>, deadlines: &mut Deadlines) -> Result<()> {
        self.status.stopped_by_hand = true;
        self.write_status();
        self.ask_to_end(signal, seconds, deadlines)
    }

    /// The stop signal, and after its time the end; whether a restart policy counts is not said by it.
    fn ask_to_end(&mut self, signal: Option<i32>, seconds: Option<i64>, deadlines: &mut Deadlines) -> Result<()> {
        let process = &self.draft().process;
        let number = signal.unwrap_or(process.stop_signal.value);
        let seconds = seconds.unwrap_or(process.stop_timeout.value);
        self.thaw();
        self.note_signal(number);
        if self.init.send(number).is_err() {
            // It does not hear, however long it is waited for.
            return self.try_kill();
        }
        if seconds > FOR_EVER
            && number != libc::SIGKILL
            && let Some(at) = after(Duration::from_secs(seconds.unsigned_abs()))
        {
            // Of two stops the more impatient counts.
            deadlines.kill = Some(deadlines.kill.map_or(at, |d| d.min(at)));
        }
        Ok(())
    }

    fn check_health(&mut self, ready: &[Token], deadlines: &mut Deadlines) -> Result<()> {
        let paused = self.status.state == State::Paused;
        let Some(health) = self.health.as_mut() else { return Ok(()) };
        let Some(now) = health.step(ready.contains(&Token::Health), paused)? else { return Ok(()) };
        let was = self.status.health.replace(now);
        self.write_status();
        let became = self.status.health.as_ref().map(|h| h.status.as_str());
        if let Some(became) = became
            && was.as_ref().map(|h| h.status.as_str()) != Some(became)
        {
            self.note(&format!("health_status: {became}"));
        }
        // One that is being stopped already is left to it: a stop by hand is not made a restart.
        let turned = became == Some("unhealthy") && was.map(|h| h.status).as_deref() != Some("unhealthy");
        if turned && !self.status.stopped_by_hand {
            let done = match self.draft().health.as_ref().map(|h| h.value.on_failure) {
                Some(HealthAction::Kill) => self.try_kill(),
                // The restart policy does the rest.
                Some(HealthAction::Restart) => self.ask_to_end(None, None, deadlines),
                Some(HealthAction::Stop) => self.stop(None, None, deadlines),
                Some(HealthAction::None) | None => Ok(()),
            };
            if let Err(e) = done {
                ui::error(&e);
            }
        }
        Ok(())
    }
}

/// The moment so far from now; `None`: it never comes.
fn after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}
