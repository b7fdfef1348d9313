//! Restart policies, as docker's: whether a container that has ended is started again, and when.

use super::connections::{Connections, ends};
use super::poll::{Poller, Token};
use super::process::Signals;
use crate::control::Ask;
use crate::error::{Error, Result};
use crate::plan::Draft;
use crate::request::RestartPolicy;
use crate::state::{Folder, Paths, Record, Stamp, Status};
use rustix::event::{PollFd, PollFlags};
use std::time::{Duration, Instant};

/// Docker's: the first pause, doubled each time up to the longest, and back to the first after a run of ten seconds.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
const STEADY: i64 = 10;

/// Whether the plan has the container started again at all, now or after an `update`.
pub fn may_restart(draft: &Draft) -> bool {
    // `--rm` and a restart policy exclude each other, also in an update.
    !draft.remove
}

/// How long to wait before the container is started again; `None`: it is not.
pub fn pause(draft: &Draft, status: &Status, code: u8) -> Option<Duration> {
    let again = match draft.restart.value {
        _ if status.stopped_by_hand => false,
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max } => code != 0 && (max == 0 || status.restart_count < max),
    };
    let doublings = if ran_steadily(status) { 0 } else { status.restart_streak.min(10) };
    again.then(|| (FIRST * 2u32.pow(doublings)).min(LONGEST))
}

/// Another start follows: how many have in a row, without a steady run between them.
pub fn count(status: &mut Status) {
    status.restart_streak = if ran_steadily(status) { 1 } else { status.restart_streak + 1 };
    status.restart_count += 1;
}

fn ran_steadily(status: &Status) -> bool {
    status.finished.0.as_second() - status.started.0.as_second() >= STEADY
}

/// Docker's answer to who wants something of a container between two starts.
pub fn refusal(id: &str) -> String {
    format!("Container {id} is restarting, wait until the container is running")
}

/// What can be changed of a container between two starts.
pub struct Between<'a> {
    pub paths: &'a Paths,
    pub folder: &'a Folder,
    pub record: &'a mut Record,
}

/// Wait, and answer commands meanwhile. False: the container was stopped while it waited.
pub fn wait(
    pause: Duration,
    signals: &mut Signals,
    connections: &mut Connections,
    status: &mut Status,
    between: &mut Between<'_>,
) -> Result<bool> {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        let mut poller = Poller::default();
        poller.add(Token::Signals, PollFd::new(&*signals, PollFlags::IN));
        connections.wake();
        connections.poll(&mut poller);
        let next = connections.next().into_iter().chain([until]).min();
        for token in poller.wait(next)? {
            match token {
                Token::Signals => {
                    while let Some(number) = signals.take()? {
                        if matches!(number, libc::SIGTERM | libc::SIGINT) {
                            status.finished = Stamp::now();
                            return Ok(false);
                        }
                    }
                }
                Token::Listener => connections.accept(),
                Token::Connection(id) if stopped(id, connections, between) => {
                    status.stopped_by_hand = true;
                    return Ok(false);
                }
                _ => {}
            }
        }
    }
    Ok(true)
}

/// Answer a connection; whether it wants the container stopped.
fn stopped(id: u64, connections: &mut Connections, between: &mut Between<'_>) -> bool {
    let mut stopped = false;
    while let Ok(Some((ask, _))) = connections.question(id) {
        match ask {
            Ask::Stop { .. } => {
                connections.wait(id);
                stopped = true;
            }
            Ask::Signal { number } if ends(number) => {
                connections.result(id, Ok(()));
                stopped = true;
            }
            Ask::Wait => connections.wait(id),
            Ask::Rename { name } => {
                let result = super::rename(between.paths, between.folder, between.record, name);
                connections.result(id, result);
            }
            _ => connections.fail(id, &Error::verb(refusal(&between.record.id))),
        }
    }
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Sourced;

    fn paused(policy: RestartPolicy, change: impl FnOnce(&mut Status), code: u8) -> Option<u64> {
        let mut draft = crate::policy::testkit::draft();
        draft.restart = Sourced::default(policy);
        let mut status = Status { started: Stamp::now(), finished: Stamp::now(), ..Status::default() };
        change(&mut status);
        pause(&draft, &status, code).map(|p| p.as_millis() as u64)
    }

    #[test]
    fn policies_are_dockers() {
        let on_failure = |max| RestartPolicy::OnFailure { max };
        assert_eq!(paused(RestartPolicy::No, |_| {}, 1), None);
        assert_eq!(paused(RestartPolicy::Always, |_| {}, 0), Some(100));
        assert_eq!(paused(RestartPolicy::UnlessStopped, |s| s.stopped_by_hand = true, 1), None);
        assert_eq!(paused(on_failure(2), |_| {}, 0), None);
        assert_eq!(paused(on_failure(2), |s| (s.restart_count, s.restart_streak) = (1, 1), 3), Some(200));
        assert_eq!(paused(on_failure(2), |s| s.restart_count = 2, 3), None);
        assert_eq!(paused(on_failure(0), |s| (s.restart_count, s.restart_streak) = (900, 900), 3), Some(60_000));
    }

    #[test]
    fn a_container_that_ran_for_a_while_starts_over_with_the_shortest_pause() {
        let ran = |s: &mut Status| {
            s.restart_streak = 8;
            s.started = Stamp(s.finished.0 - Duration::from_secs(11));
        };
        assert_eq!(paused(RestartPolicy::Always, ran, 1), Some(100));
        // And goes on from there, however often it was started before.
        let mut status = Status { restart_count: 900, restart_streak: 900, ..Status::default() };
        (status.started, status.finished) = (Stamp(Stamp::now().0 - Duration::from_secs(11)), Stamp::now());
        count(&mut status);
        status.started = Stamp::now();
        count(&mut status);
        assert_eq!((status.restart_count, status.restart_streak), (902, 2));
    }
}
