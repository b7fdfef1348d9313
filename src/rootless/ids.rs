//! Which ids a user's host has: the caller's own as 0, and the subordinate ones that root has given it from 1 on.

use super::{trouble, wait};
use crate::error::{Context, Error, Result};
use crate::sys::userns::{self, IdMap};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Ranges of host ids, in the order in which they follow the caller's own: first id and count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    pub uids: Vec<(u32, u32)>,
    pub gids: Vec<(u32, u32)>,
}

impl Ids {
    /// How many ids there are, uids and gids alike.
    pub fn count(&self) -> u32 {
        let sum = |ranges: &[(u32, u32)]| ranges.iter().fold(1u32, |sum, (_, count)| sum.saturating_add(*count));
        sum(&self.uids).min(sum(&self.gids))
    }

    /// Only the caller's own id: groups cannot be left, and nobody else exists inside.
    pub fn is_single(&self) -> bool {
        self.count() == 1
    }

    /// What an id of this host is on the real one. What has none there stays as it is shown.
    pub fn host_uid(&self, caller: u32, seen: u32) -> u32 {
        map(caller, &self.uids)
            .iter()
            .find(|line| seen >= line.inside && seen - line.inside < line.count)
            .map_or(seen, |line| line.outside + (seen - line.inside))
    }
}

fn map(own: u32, ranges: &[(u32, u32)]) -> Vec<IdMap> {
    let mut lines = vec![IdMap { inside: 0, outside: own, count: 1 }];
    let mut next = 1u32;
    for (first, count) in ranges {
        lines.push(IdMap { inside: next, outside: *first, count: *count });
        next = next.saturating_add(*count);
    }
    lines
}

/// Ids of the caller by /etc/subuid and /etc/subgid. Without both, or without the programs that write such a map, it is one.
pub fn of_caller(uid: u32, gid: u32) -> Result<Ids> {
    let single = || Ok(Ids::default());
    if newidmap("newuidmap").is_none() || newidmap("newgidmap").is_none() {
        return single();
    }
    let read = |path: &str| match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.context(|| format!("read {path}")),
    };
    let passwd = read("/etc/passwd")?;
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then_some(name)
    });
    let ids = Ids {
        uids: ranges(&read("/etc/subuid")?, name, uid, uid),
        gids: ranges(&read("/etc/subgid")?, name, uid, gid),
    };
    match ids.uids.is_empty() || ids.gids.is_empty() {
        true => single(),
        false => Ok(ids),
    }
}

/// The lines of a subuid file for a user, by name or number. A range that holds the caller's own id would map it twice.
fn ranges(text: &str, name: Option<&str>, uid: u32, own: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let line = |line: &str| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mine = Some(who) == name || who == number;
        let last = first.checked_add(count.checked_sub(1)?)?;
        (mine && !(first..=last).contains(&own)).then_some((first, count))
    };
    let mut found: Vec<(u32, u32)> = text.lines().filter_map(line).collect();
    found.dedup();
    found
}

fn newidmap(name: &str) -> Option<PathBuf> {
    crate::net::find_program(name)
}

/// A new user namespace with these ids, by a descriptor.
///
/// # Errors
/// What keeps the caller from having one, with the remedy.
pub fn make(uid: u32, gid: u32, ids: &Ids) -> Result<OwnedFd> {
    let made = userns::create_with(|pid| {
        if ids.is_single() {
            // Who keeps its groups must not be able to leave them: a group may have been given less than everybody.
            std::fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
            return userns::write_map(pid, &map(uid, &[]), &map(gid, &[]));
        }
        run("newuidmap", pid, &map(uid, &ids.uids))?;
        run("newgidmap", pid, &map(gid, &ids.gids))
    });
    made.map_err(trouble::explain)
}

fn run(name: &str, pid: i32, map: &[IdMap]) -> std::io::Result<()> {
    let program = newidmap(name).ok_or_else(|| std::io::Error::other(format!("{name} is not installed")))?;
    let mut command = Command::new(program);
    command.arg(pid.to_string()).env_clear();
    for line in map {
        command.args([line.inside, line.outside, line.count].map(|n| n.to_string()));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let Some(status) = wait::ended(&mut child, wait::IDMAP)? else {
        return Err(std::io::Error::other(format!("{name} has not ended within {} s", wait::IDMAP.as_secs())));
    };
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        // It has ended: all that it said is there.
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    Err(std::io::Error::other(said.lines().next().unwrap_or("it failed without a word").to_owned()))
}

/// What gives a user the ids that it lacks.
pub fn remedy(uid: u32) -> String {
    format!(
        "as root: apt install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -nu {uid}) \
         (a range that no other user has)"
    )
}

impl Ids {
    /// # Errors
    /// The map cannot hold what was read: the same id twice.
    pub fn check(&self) -> Result<()> {
        for ranges in [&self.uids, &self.gids] {
            for (n, (first, count)) in ranges.iter().enumerate() {
                if ranges[..n].iter().any(|(f, c)| *f < first + count && *first < f + c) {
                    return Err(Error::runner(format!("the subordinate ids from {first} on are given twice"))
                        .hint("look at /etc/subuid and /etc/subgid"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "ann:100000:65536\nbob:165536:65536\n1000:300000:10\nbroken\nann:1000:5\nann:7:x\n";
        assert_eq!(ranges(text, Some("ann"), 1000, 1002), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(ranges(text, None, 1000, 1), [(300_000, 10)]);
        assert_eq!(ranges(text, Some("eve"), 7, 7), []);
    }

    #[test]
    fn ids_of_the_hosts_are_told_from_those_inside() {
        let ids = Ids { uids: vec![(100_000, 5), (300_000, 10)], gids: vec![(100_000, 15)] };
        let host = |seen| ids.host_uid(1000, seen);
        assert_eq!([0, 1, 5, 6, 15, 16, 65_534].map(host), [1000, 100_000, 100_004, 300_000, 300_009, 16, 65_534]);
        assert_eq!(ids.count(), 16);
        assert!(Ids::default().is_single() && !ids.is_single());
    }

    #[test]
    fn a_range_given_twice_is_refused() {
        let ids = |uids: &[(u32, u32)]| Ids { uids: uids.to_vec(), gids: vec![(5, 1)] };
        ids(&[(10, 5), (15, 5)]).check().unwrap();
        assert!(ids(&[(10, 6), (15, 5)]).check().is_err());
    }
}
