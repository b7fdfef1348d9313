//! Ends a process inside a container with everything that it started.

use super::process::Init;
use crate::error::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long processes are looked for that are started faster than they are killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// End `top` and all below it. It adopts orphans (`tie`), so nothing gets away from under it while it lives: it is stopped, what is below
/// it is killed until there is nothing more, and then itself.
pub fn end(top: &Init) -> Result<()> {
    top.send(libc::SIGSTOP)?;
    let inside = namespace(top.pid);
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        let all = processes().context(|| "look for what a health check started".into())?;
        // Until it stands still it may start more.
        let stands = all.get(&top.pid).is_none_or(|p| matches!(p.state, 'T' | 't' | 'Z' | 'X'));
        let below = below(&all, top.pid);
        if stands && below.is_empty() {
            break;
        }
        below.into_iter().filter(|pid| inside.is_some() && namespace(*pid) == inside).for_each(kill);
        std::thread::sleep(Duration::from_millis(1));
    }
    top.kill()
}

/// By a descriptor, so that between the look at it and the signal it cannot be another process.
fn kill(pid: i32) {
    let Some(number) = Pid::from_raw(pid) else { return };
    if let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty()) {
        // One that has just ended is what was wanted.
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    }
}

fn namespace(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

struct Process {
    parent: i32,
    state: char,
}

/// Every process of the host: fields 3 and 4 of `/proc/PID/stat`.
fn processes() -> std::io::Result<HashMap<i32, Process>> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        // A process that has ended meanwhile is none.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(process) = parse(&stat) {
            all.insert(pid, process);
        }
    }
    Ok(all)
}

fn parse(stat: &str) -> Option<Process> {
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some(Process { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

/// The living below `top`.
fn below(all: &HashMap<i32, Process>, top: i32) -> Vec<i32> {
    let mut found = HashSet::from([top]);
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|(pid, p)| found.contains(&p.parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    let lives = |pid: &i32| *pid != top && all.get(pid).is_some_and(|p| !matches!(p.state, 'Z' | 'X'));
    found.into_iter().filter(lives).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_found_at_any_depth() {
        let all = [(1, 0, 'S'), (10, 1, 'T'), (11, 10, 'S'), (12, 11, 'R'), (13, 10, 'Z'), (20, 1, 'S'), (21, 13, 'S')];
        let all = all.into_iter().map(|(pid, parent, state)| (pid, Process { parent, state })).collect();
        let mut found = below(&all, 10);
        found.sort();
        assert_eq!(found, [11, 12, 21]);
        assert!(below(&all, 21).is_empty());
    }

    #[test]
    fn a_name_may_hold_anything() {
        let process = parse("7 (a) b (c) S 42 7 7 0").unwrap();
        assert_eq!((process.parent, process.state), (42, 'S'));
    }

    #[test]
    fn a_tree_is_ended_whole() {
        let script = "sleep 4717 & (sleep 4717; true) & sleep 4717; true";
        let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
        let top = Init::new(child.id() as i32).unwrap();
        let mut before = Vec::new();
        while before.len() < 4 {
            before = below(&processes().unwrap(), top.pid);
            std::thread::sleep(Duration::from_millis(10));
        }
        end(&top).unwrap();
        child.wait().unwrap();
        let lives = |pid: &i32| processes().unwrap().get(pid).is_some_and(|p| p.state != 'Z');
        assert!(!before.iter().any(lives));
    }
}
