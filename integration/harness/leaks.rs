//! What the machine holds before and after: mounts, processes, cgroups, files, interfaces, rules, ranges of ids. A
//! container that is gone leaves nothing.

use super::{Outcome, fail, host};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// A picture of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub mounts: BTreeSet<String>,
    pub processes: BTreeSet<String>,
    pub cgroups: BTreeSet<String>,
    pub files: BTreeSet<String>,
    pub interfaces: BTreeSet<String>,
    /// Lines of the root's nftables tables; counters left out.
    pub rules: BTreeSet<String>,
    /// Ranges of host ids that somebody holds.
    pub ids: BTreeSet<String>,
}

/// Files under `root` that are not meant to vanish: images, layers, caches, the log.
const LASTING: &[&str] = &["images", "layers", "cache", "audit.log", "audit.lock", "events.log"];

/// The folder of volumes and its lock stay; a volume in it does not.
fn lasts(file: &str) -> bool {
    matches!(file, "volumes" | "volumes/.lock") || LASTING.iter().any(|l| file.starts_with(l))
}

impl Picture {
    /// What is of one root alone, and says something while other cases run: names of its containers, and its rules.
    pub fn of_root(root: &Path) -> BTreeSet<String> {
        let folders = ["containers", "names", "volumes", "run/net"].map(|f| (f, files(&root.join(f))));
        let files = folders.into_iter().flat_map(|(f, all)| all.into_iter().map(move |x| format!("{f}/{x}")));
        // Lock files stay: who would remove one could not know who waits for it.
        files.filter(|f| !["run/net/lock", "volumes/.lock"].contains(&f.as_str())).chain(rules(root)).collect()
    }

    pub fn take(root: &Path) -> Outcome<Picture> {
        let mounts = host::mounts(std::process::id() as i32)?.into_iter().map(|m| format!("{} {}", m.fstype, m.target));
        Ok(Picture {
            mounts: mounts.collect(),
            processes: processes(),
            cgroups: cgroups(),
            files: files(root).into_iter().filter(|f| !lasts(f)).collect(),
            interfaces: interfaces(),
            rules: rules(root),
            ids: ids_held(),
        })
    }

    /// Fail with what is there now and was not before. The kernel takes namespaces and cgroups apart in its own time,
    /// and other programs of the machine come and go: what counts is what is there at every look for a while.
    pub fn nothing_new(&self, root: &Path) -> Outcome {
        self.nothing_new_of(root, |_| true)
    }

    /// As [`nothing_new`](Self::nothing_new), of what is `ours`: where hardruns of others run on the machine for minutes.
    pub fn nothing_new_of(&self, root: &Path, ours: impl Fn(&str) -> bool) -> Outcome {
        let since = Instant::now();
        let mut left: BTreeSet<String> = self.new_in(&Picture::take(root)?).into_iter().collect();
        loop {
            left.retain(|line| ours(line));
            if left.is_empty() {
                return Ok(());
            }
            if since.elapsed() > Duration::from_secs(5) {
                let left: Vec<String> = left.into_iter().collect();
                return fail(format!("left behind:\n        {}", left.join("\n        ")));
            }
            std::thread::sleep(Duration::from_millis(50));
            let now = self.new_in(&Picture::take(root)?);
            left.retain(|l| now.contains(l));
        }
    }

    fn new_in(&self, now: &Picture) -> Vec<String> {
        let mut new = Vec::new();
        let mut add = |what: &str, before: &BTreeSet<String>, now: &BTreeSet<String>| {
            new.extend(now.difference(before).map(|x| format!("{what} {x}")));
        };
        add("mount", &self.mounts, &now.mounts);
        add("process", &self.processes, &now.processes);
        add("cgroup", &self.cgroups, &now.cgroups);
        add("file", &self.files, &now.files);
        add("interface", &self.interfaces, &now.interfaces);
        add("rule", &self.rules, &now.rules);
        add("ids", &self.ids, &now.ids);
        new
    }
}

/// Processes that hardrun could have started: those that run its binary, or live in a pid namespace of their own.
fn processes() -> BTreeSet<String> {
    let own = std::fs::read_link("/proc/self/ns/pid").ok();
    host::processes()
        .into_iter()
        .filter_map(|(pid, _)| {
            let status = host::status(pid);
            if status.get("State").is_none_or(|s| s.starts_with('Z')) {
                return None;
            }
            let name = status.get("Name").cloned().unwrap_or_default();
            let elsewhere = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok().is_some_and(|ns| Some(ns) != own);
            (name == "hardrun" || name == "hardrun-init" || elsewhere).then(|| format!("{pid} {name}"))
        })
        .collect()
}

fn interfaces() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// What `nft` lists of the tables of one root. Where there is no nft there are no networks.
fn rules(root: &Path) -> BTreeSet<String> {
    let names = hardrun::net::names::Names::of(&hardrun::state::Paths::new(Some(root)));
    let mut found = BTreeSet::new();
    for family in ["inet", "bridge"] {
        let listed = std::process::Command::new("nft").args(["-nn", "list", "table", family, &names.table]).output();
        let text = listed.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        found.extend(text.lines().filter(|l| !l.contains("counter")).map(|l| format!("{family} {}", l.trim())));
    }
    found
}

/// The files of the ranges that are locked now.
fn ids_held() -> BTreeSet<String> {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let locked: BTreeSet<&str> = locks
        .lines()
        .filter_map(|l| l.split_whitespace().find(|w| w.matches(':').count() == 2)?.rsplit(':').next())
        .collect();
    let entries = std::fs::read_dir("/run/hardrun/ids").into_iter().flatten().flatten();
    entries
        .filter(|e| locked.contains(std::os::unix::fs::DirEntryExt::ino(e).to_string().as_str()))
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(dir) = open.pop() {
        for e in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if e.file_type().is_ok_and(|t| t.is_dir()) {
                found.insert(e.path().to_string_lossy().into_owned());
                open.push(e.path());
            }
        }
    }
    found
}

/// Everything under a folder, relative, without following links.
pub fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for e in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if let Ok(rel) = e.path().strip_prefix(root) {
                found.insert(rel.to_string_lossy().into_owned());
            }
            if e.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(e.path());
            }
        }
    }
    found
}
