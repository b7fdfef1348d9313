//! Health checks: a command run inside the container every so often, confined as `exec` confines.

use super::exec::{self, ExecRequest, Surroundings};
use super::poll::{Poller, Token};
use super::process::{Ended, Init};
use crate::error::{Context, Result};
use crate::plan::{Draft, HealthPlan};
use crate::state::{self, Check, Stamp};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Docker keeps so many checks, and so many bytes of each one's output.
const KEPT: usize = 5;
const OUTPUT: usize = 4096;
/// Most reads of that size in one turn: a full pipe.
const AT_ONCE: usize = 16;
/// Docker's exit code for a check that took too long.
const TIMED_OUT: i32 = -1;

/// The checks of one running container.
pub struct Health {
    plan: HealthPlan,
    request: ExecRequest,
    from: Surroundings,
    now: state::Health,
    began: Instant,
    due: Instant,
    current: Option<Current>,
}

/// A check that runs.
struct Current {
    process: Init,
    output: OwnedFd,
    said: Vec<u8>,
    start: Stamp,
    deadline: Instant,
    /// The process has ended; what it wrote may still come.
    ended: Option<Ended>,
    timed_out: bool,
}

impl Health {
    /// `None` where the plan has no check.
    pub fn new(draft: &Draft, from: Surroundings) -> Result<Option<Health>> {
        let Some(plan) = draft.health.as_ref().map(|h| h.value.clone()) else { return Ok(None) };
        let args = match plan.test.split_first() {
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                ["/bin/sh", "-c"].iter().map(|s| (*s).to_owned()).chain(rest.iter().cloned()).collect()
            }
            Some((_, rest)) => rest.to_vec(),
            None => return Ok(None),
        };
        let began = Instant::now();
        let mut health = Health {
            request: ExecRequest::check(draft, args),
            from,
            now: state::Health { status: "starting".into(), ..state::Health::default() },
            began,
            due: began,
            current: None,
            plan,
        };
        health.due = began + health.pause();
        Ok(Some(health))
    }

    /// What is known now.
    pub fn state(&self) -> state::Health {
        self.now.clone()
    }

    /// Between two checks: shorter while the container is still starting.
    fn pause(&self) -> Duration {
        let starting = self.now.status == "starting" && self.in_start_period();
        Duration::from_nanos(if starting { self.plan.start_interval } else { self.plan.interval })
    }

    fn in_start_period(&self) -> bool {
        self.began.elapsed() < Duration::from_nanos(self.plan.start_period)
    }

    pub fn poll<'a>(&'a self, poller: &mut Poller<'a>) {
        let Some(current) = &self.current else { return };
        if current.ended.is_none() {
            poller.add(Token::Health, PollFd::new(&current.process, PollFlags::IN));
        }
        poller.add(Token::Health, PollFd::new(&current.output, PollFlags::IN));
    }

    /// When something is to be done though nothing is ready.
    pub fn next(&self) -> Option<Instant> {
        Some(self.current.as_ref().map_or(self.due, |c| c.deadline))
    }

    /// Start a check that is due, or look after the one that runs. The new state, if one has ended. While the container is
    /// paused a check could only fail: it is put off.
    pub fn step(&mut self, ready: bool, paused: bool) -> Result<Option<state::Health>> {
        if self.current.is_none() {
            if Instant::now() >= self.due {
                if paused {
                    self.due = Instant::now() + self.pause();
                } else {
                    return Ok(self.start());
                }
            }
            return Ok(None);
        }
        if ready {
            self.listen()?;
        }
        let Some(current) = self.current.as_mut() else { return Ok(None) };
        if Instant::now() >= current.deadline && current.ended.is_none() && !current.timed_out {
            current.timed_out = true;
            // `exec`'s own process takes the command inside with it. It is hardrun's: nobody refuses this, nor the next.
            let _ = current.process.send(libc::SIGTERM);
            current.deadline = Instant::now() + Duration::from_secs(5);
        } else if Instant::now() >= current.deadline && current.timed_out {
            let _ = current.process.kill();
        }
        match current.ended {
            Some(ended) => self.finish(ended),
            None => Ok(None),
        }
    }

    fn start(&mut self) -> Option<state::Health> {
        let start = Stamp::now();
        match self.spawn() {
            Ok((process, output)) => {
                self.current = Some(Current {
                    process,
                    output,
                    said: Vec::new(),
                    start,
                    deadline: Instant::now() + Duration::from_nanos(self.plan.timeout),
                    ended: None,
                    timed_out: false,
                });
                None
            }
            // As docker: a check that cannot be started is a check that failed.
            Err(e) => Some(self.record(start, TIMED_OUT, e.chain().join(": ").into_bytes())),
        }
    }

    fn spawn(&self) -> Result<(Init, OwnedFd)> {
        let attempt = || "make a pipe for a health check".to_string();
        let (output, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context(attempt)?;
        rustix::io::ioctl_fionbio(&output, true).context(attempt)?;
        let pid = exec::spawn_check(&self.request, &self.from, &theirs)?;
        match Init::new(pid) {
            Ok(process) => Ok((process, output)),
            Err(e) => {
                // Our own child, and not waited for: the number is still its own.
                let _ = crate::sys::process::kill(pid, libc::SIGKILL);
                let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
                Err(e)
            }
        }
    }

    /// The container is about to be paused: a check that runs is ended, and says nothing.
    pub fn call_off(&mut self) {
        if let Some(current) = self.current.take() {
            current.end();
            self.due = Instant::now() + self.pause();
        }
    }

    fn listen(&mut self) -> Result<()> {
        let Some(current) = self.current.as_mut() else { return Ok(()) };
        read_some(current);
        if current.ended.is_none() {
            current.ended = current.process.ended(false)?;
        }
        Ok(())
    }

    fn finish(&mut self, ended: Ended) -> Result<Option<state::Health>> {
        let Some(mut current) = self.current.take() else { return Ok(None) };
        read_some(&mut current);
        let (code, said) = match current.timed_out {
            true => {
                let limit = Duration::from_nanos(self.plan.timeout);
                (TIMED_OUT, format!("Health check exceeded timeout ({limit:?})").into_bytes())
            }
            false => (i32::from(ended.exit_code()), current.said),
        };
        Ok(Some(self.record(current.start, code, said)))
    }

    fn record(&mut self, start: Stamp, code: i32, said: Vec<u8>) -> state::Health {
        let starting = self.now.status == "starting" && self.in_start_period();
        let output = String::from_utf8_lossy(&said[..said.len().min(OUTPUT)]).into_owned();
        self.now.log.push(Check { start, end: Stamp::now(), exit_code: code, output });
        let surplus = self.now.log.len().saturating_sub(KEPT);
        self.now.log.drain(..surplus);
        if code == 0 {
            self.now.status = "healthy".into();
            self.now.failing_streak = 0;
        } else if !starting {
            self.now.failing_streak += 1;
            if self.now.failing_streak >= self.plan.retries {
                self.now.status = "unhealthy".into();
            }
        }
        self.due = Instant::now() + self.pause();
        self.now.clone()
    }
}

/// Read what there is; more than is kept is thrown away. What a check writes without end is not to keep the supervisor.
fn read_some(current: &mut Current) {
    let mut bytes = [0u8; 4096];
    for _ in 0..AT_ONCE {
        let Ok(n) = rustix::io::read(&current.output, &mut bytes) else { return };
        if n == 0 {
            return;
        }
        let room = OUTPUT.saturating_sub(current.said.len());
        current.said.extend_from_slice(&bytes[..n.min(room)]);
    }
}

impl Current {
    /// Its process outside takes the command inside with it.
    fn end(&self) {
        if self.ended.is_none() {
            match self.process.kill() {
                // Reaped; an error means that it was already.
                Ok(()) => drop(self.process.ended(true)),
                Err(e) => crate::ui::error(&e),
            }
        }
    }
}

impl Drop for Health {
    /// The container has ended, and with it the command inside; its process outside is not left behind.
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            current.end();
        }
    }
}
