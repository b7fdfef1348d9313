//! One preset on top of another.

use super::schema::{Amount, HealthFile, Key, PresetFile, PresetNetwork, TmpfsFile, octal};
use crate::error::{Context as _, Error, Result};
use crate::paths;
use crate::plan::{Source, Sourced};
use crate::request::{Egress, GoDuration, Signal};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A preset with everything it extends, each value with the preset it is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Preset {
    pub name: String,
    pub description: String,
    /// Names, nearest first, of what it extends.
    pub extends: Vec<String>,
    /// The image's label or name chose it.
    #[serde(skip)]
    pub chosen_by_image: bool,
    /// What may only be tightened, and the preset that says so.
    pub lock: BTreeMap<Key, String>,
    /// `CAP_CHOWN`
    pub capabilities: Sourced<BTreeSet<String>>,
    pub read_only: Sourced<bool>,
    pub user: Option<Sourced<String>>,
    pub non_root: Sourced<bool>,
    pub network: Sourced<PresetNetwork>,
    /// `None`: anywhere; empty: nowhere.
    pub egress: Option<Sourced<BTreeSet<String>>>,
    /// `None`: what is open by default.
    pub system_calls: Option<Sourced<BTreeSet<String>>>,
    pub init: Sourced<bool>,
    pub umask: Sourced<u32>,
    pub oom_score_adj: Sourced<i32>,
    /// Number of the signal.
    pub stop_signal: Option<Sourced<i32>>,
    /// Seconds.
    pub stop_timeout: Sourced<i64>,
    /// Seconds.
    pub timeout: Option<Sourced<u64>>,
    pub seccomp_open: Sourced<BTreeSet<String>>,
    pub seccomp_shut: Sourced<BTreeSet<String>>,
    pub memory: Option<Sourced<Amount>>,
    pub pids: Option<Sourced<i64>>,
    /// Billionths of a CPU.
    pub nano_cpus: Option<Sourced<i64>>,
    pub nofile: Option<Sourced<u64>>,
    pub core: Option<Sourced<u64>>,
    pub stack: Option<Sourced<u64>>,
    pub shm_size: Sourced<u64>,
    pub tmpfs_size: Sourced<Amount>,
    pub tmpfs: Vec<Sourced<PresetTmpfs>>,
    /// Paths.
    pub volumes: Vec<Sourced<String>>,
    pub health: Option<Sourced<PresetHealth>>,
    /// `None`: files are what the other layers leave.
    pub paths: Option<Sourced<paths::Policy>>,
    pub ports: paths::Ports,
    pub sockets: paths::Sockets,
    pub apparmor_rules: Option<Sourced<BTreeSet<paths::AppArmorRule>>>,
}

/// A preset's health check. Times in nanoseconds; 0: docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PresetHealth {
    pub command: Vec<String>,
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub retries: i64,
}

/// A folder in memory that a preset adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresetTmpfs {
    pub path: String,
    pub size: Option<u64>,
    pub mode: u32,
    pub exec: bool,
}

impl Preset {
    /// The ground that `default` is laid on: nothing given, nothing limited.
    pub(super) fn nothing() -> Preset {
        Preset {
            name: String::new(),
            description: String::new(),
            extends: Vec::new(),
            chosen_by_image: false,
            lock: BTreeMap::new(),
            capabilities: Sourced::default(BTreeSet::new()),
            read_only: Sourced::default(false),
            user: None,
            non_root: Sourced::default(false),
            network: Sourced::default(PresetNetwork::None),
            egress: None,
            system_calls: None,
            init: Sourced::default(false),
            umask: Sourced::default(0o022),
            oom_score_adj: Sourced::default(0),
            stop_signal: None,
            stop_timeout: Sourced::default(10),
            timeout: None,
            seccomp_open: Sourced::default(BTreeSet::new()),
            seccomp_shut: Sourced::default(BTreeSet::new()),
            memory: None,
            pids: None,
            nano_cpus: None,
            nofile: None,
            core: None,
            stack: None,
            shm_size: Sourced::default(64 << 20),
            tmpfs_size: Sourced::default(Amount::Bytes(64 << 20)),
            tmpfs: Vec::new(),
            volumes: Vec::new(),
            health: None,
            paths: None,
            ports: paths::Ports::default(),
            sockets: paths::Sockets::default(),
            apparmor_rules: None,
        }
    }

    /// Lay `file` on top. What is locked below may only be tightened.
    pub(super) fn layer(&mut self, name: &str, file: &PresetFile) -> Result<()> {
        self.try_layer(name, file).map_err(|e| match e.source {
            // Already says everything.
            None if e.message.starts_with("preset ") => e,
            _ => Error::runner(format!("preset {name} cannot be used")).because(e),
        })
    }

    fn try_layer(&mut self, name: &str, file: &PresetFile) -> Result<()> {
        let source = Source::Preset(name.to_owned());
        let from = |what| Layer { name, source: source.clone(), what };
        // Taken apart without `..`: a key that is read and forgotten does not compile.
        let PresetFile {
            description,
            extends: _,
            lock,
            capabilities,
            read_only,
            user,
            non_root,
            network,
            egress,
            system_calls,
            init,
            umask,
            oom_score_adj,
            stop_signal,
            stop_timeout,
            timeout,
            seccomp_open,
            seccomp_shut,
            limits,
            tmpfs,
            volumes,
            health,
            images: _,
            paths,
            ports,
            sockets,
            apparmor_rules,
        } = file;
        let super::schema::LimitsFile { memory, pids, cpus, nofile, core, stack, shm_size, tmpfs_size } = limits;

        let lock_now = self.lock.clone();
        let l = |key| from(key).locked(&lock_now);
        if let Some(words) = capabilities {
            let set = words.iter().map(|w| capability(w)).collect::<Result<BTreeSet<_>>>()?;
            l(Key::Capabilities).set(&mut self.capabilities, set, |new, old| new.is_subset(old))?;
        }
        l(Key::ReadOnly).set_some(&mut self.read_only, *read_only, |new, old| *new || !*old)?;
        l(Key::NonRoot).set_some(&mut self.non_root, *non_root, |new, old| *new || !*old)?;
        l(Key::Network).set_some(&mut self.network, *network, |new, old| new <= old)?;
        if let Some(to) = egress {
            let to = egress_words(to)?;
            l(Key::Egress).set_limit(&mut self.egress, Some(to), |new, old| new.is_subset(old))?;
        }
        if let Some(names) = system_calls {
            let calls = crate::seccomp::expand(names)?;
            let held = self.calls();
            l(Key::SystemCalls)
                .set_limit(&mut self.system_calls, Some(names.clone()), |_, _| calls.is_subset(&held))?;
        }
        for group in seccomp_open.iter().flatten() {
            crate::seccomp::check_group(group)?;
        }
        for group in seccomp_shut.iter().flatten() {
            crate::seccomp::check_shut(group)?;
        }
        l(Key::SeccompOpen).set_some(&mut self.seccomp_open, seccomp_open.clone(), |new, old| new.is_subset(old))?;
        l(Key::SeccompShut).set_some(&mut self.seccomp_shut, seccomp_shut.clone(), |new, old| new.is_superset(old))?;
        if let Some(score) = *oom_score_adj {
            if !(0..=1000).contains(&score) {
                return Err(Error::runner(format!("oom-score-adj {score} is not between 0 and 1000")));
            }
            l(Key::OomScoreAdj).set(&mut self.oom_score_adj, score, |new, old| new >= old)?;
        }
        l(Key::Timeout).set_limit(&mut self.timeout, *timeout, |new, old| new <= old)?;
        let memory = memory.as_deref().map(Amount::parse).transpose()?;
        l(Key::Memory).set_limit(&mut self.memory, memory, no_more)?;
        if pids.is_some_and(|n| n < 1) {
            return Err(Error::runner("pids is not at least 1"));
        }
        l(Key::Pids).set_limit(&mut self.pids, *pids, |new, old| new <= old)?;
        let cpus = cpus.as_deref().map(nano_cpus).transpose()?;
        l(Key::Cpus).set_limit(&mut self.nano_cpus, cpus, |new, old| new <= old)?;
        l(Key::Nofile).set_limit(&mut self.nofile, *nofile, |new, old| new <= old)?;
        l(Key::Core).set_limit(&mut self.core, *core, |new, old| new <= old)?;
        l(Key::ShmSize)
            .set_some(&mut self.shm_size, shm_size.as_deref().map(bytes).transpose()?, |new, old| new <= old)?;
        let tmpfs_size = tmpfs_size.as_deref().map(Amount::parse).transpose()?;
        l(Key::TmpfsSize).set_some(&mut self.tmpfs_size, tmpfs_size, no_more)?;

        if let Some(file) = paths {
            let new = super::paths::policy(self.paths.as_ref().map(|p| &p.value), file, &source)?;
            l(Key::Paths).set_limit(&mut self.paths, Some(new), paths::Policy::is_as_tight_as)?;
        }
        let super::schema::PortsFile { listen, connect } = ports;
        l(Key::Ports).set_limit(&mut self.ports.listen, listen.clone(), BTreeSet::is_subset)?;
        l(Key::Ports).set_limit(&mut self.ports.connect, connect.clone(), BTreeSet::is_subset)?;
        let super::schema::SocketsFile { allow, deny } = sockets;
        let allow = allow.as_ref().map(super::paths::sockets).transpose()?;
        l(Key::Sockets).set_limit(&mut self.sockets.allow, allow, BTreeSet::is_subset)?;
        for rule in super::paths::sockets(deny)? {
            if !self.sockets.deny.iter().any(|held| held.value == rule) {
                self.sockets.deny.push(Sourced::new(rule, source.clone()));
            }
        }
        let rules = apparmor_rules.as_ref().map(super::paths::apparmor_rules).transpose()?;
        l(Key::ApparmorRules).set_limit(&mut self.apparmor_rules, rules, super::paths::as_tight)?;

        if let Some(user) = user {
            self.user = Some(Sourced::new(numeric_user(user)?.to_owned(), source.clone()));
        }
        if let Some(init) = *init {
            self.init = Sourced::new(init, source.clone());
        }
        if let Some(umask) = umask {
            self.umask = Sourced::new(octal(umask, 0o777)?, source.clone());
        }
        if let Some(seconds) = *stop_timeout {
            self.stop_timeout = Sourced::new(seconds, source.clone());
        }
        if let Some(text) = stop_signal {
            let signal: Signal = text.parse().map_err(Error::runner)?;
            self.stop_signal = Some(Sourced::new(signal.0, source.clone()));
        }
        if let Some(check) = health {
            self.health = Some(Sourced::new(health_check(check)?, source.clone()));
        }
        for volume in volumes {
            let path = plain_path("volume", &volume.path)?;
            self.tmpfs.retain(|t| t.value.path != path);
            self.volumes.retain(|v| v.value != path);
            self.volumes.push(Sourced::new(path, source.clone()));
        }
        if let Some(stack) = stack {
            self.stack = Some(Sourced::new(bytes(stack)?, source.clone()));
        }
        for entry in tmpfs {
            let entry = tmpfs_entry(entry)?;
            self.tmpfs.retain(|t| t.value.path != entry.path);
            self.volumes.retain(|v| v.value != entry.path);
            self.tmpfs.push(Sourced::new(entry, source.clone()));
        }
        for key in lock {
            self.lock.entry(*key).or_insert_with(|| name.to_owned());
        }
        if !self.name.is_empty() {
            self.extends.insert(0, std::mem::take(&mut self.name));
        }
        self.name = name.to_owned();
        self.description = description.clone();
        Ok(())
    }

    /// What only shows when all layers are there.
    pub(super) fn complete(self) -> Result<Preset> {
        if self.non_root.value && self.user.as_ref().is_some_and(|u| u.value.starts_with("0:") || u.value == "0") {
            return Err(Error::runner(format!(
                "preset {} cannot be used: user is root, and non-root is on",
                self.name
            )));
        }
        Ok(self)
    }

    /// The system calls of `system-calls`, or those that are open by default; without what `seccomp-open` and
    /// `seccomp-shut` change.
    pub fn calls(&self) -> BTreeSet<&'static str> {
        // Checked when the layer was read.
        let listed = self.system_calls.as_ref().and_then(|names| crate::seccomp::expand(&names.value).ok());
        listed.unwrap_or_else(crate::seccomp::open_by_default)
    }

    /// The preset that locks `key`, if one does.
    pub fn locked(&self, key: Key) -> Option<&str> {
        self.lock.get(&key).map(String::as_str)
    }
}

/// One file's say on one key.
struct Layer<'a> {
    name: &'a str,
    source: Source,
    what: Key,
}

struct Locked<'a> {
    layer: Layer<'a>,
    by: Option<&'a str>,
}

impl<'a> Layer<'a> {
    fn locked(self, lock: &'a BTreeMap<Key, String>) -> Locked<'a> {
        let by = lock.get(&self.what).map(String::as_str);
        Locked { layer: self, by }
    }
}

impl Locked<'_> {
    fn set<T>(self, slot: &mut Sourced<T>, new: T, as_tight: impl Fn(&T, &T) -> bool) -> Result<()> {
        if let Some(by) = self.by
            && !as_tight(&new, &slot.value)
        {
            return Err(self.refusal(by));
        }
        *slot = Sourced::new(new, self.layer.source);
        Ok(())
    }

    fn set_some<T>(self, slot: &mut Sourced<T>, new: Option<T>, as_tight: impl Fn(&T, &T) -> bool) -> Result<()> {
        match new {
            Some(new) => self.set(slot, new, as_tight),
            None => Ok(()),
        }
    }

    /// A limit that may be absent: absent is the loosest.
    fn set_limit<T>(
        self,
        slot: &mut Option<Sourced<T>>,
        new: Option<T>,
        as_tight: impl Fn(&T, &T) -> bool,
    ) -> Result<()> {
        let Some(new) = new else { return Ok(()) };
        if let (Some(by), Some(old)) = (self.by, slot.as_ref())
            && !as_tight(&new, &old.value)
        {
            return Err(self.refusal(by));
        }
        *slot = Some(Sourced::new(new, self.layer.source));
        Ok(())
    }

    fn refusal(&self, by: &str) -> Error {
        Error::runner(format!(
            "preset {} loosens {}, which preset {by} has locked",
            self.layer.name,
            self.layer.what.name()
        ))
        .hint("a preset may tighten what the one it extends has locked; to loosen it, extend another preset")
    }
}

/// Whether `new` is at most `old` on every host: a share and a size cannot be compared without knowing the host.
fn no_more(new: &Amount, old: &Amount) -> bool {
    match (new, old) {
        (Amount::Bytes(new), Amount::Bytes(old)) => new <= old,
        (Amount::Percent(new), Amount::Percent(old)) => new <= old,
        _ => false,
    }
}

/// `chown`, `CAP_CHOWN` → `CAP_CHOWN`
fn capability(word: &str) -> Result<String> {
    let name = caps::to_canonical(word);
    name.parse::<caps::Capability>().map(|_| name).map_err(|_| Error::runner(format!("unknown capability {word:?}")))
}

fn bytes(text: &str) -> Result<u64> {
    match Amount::parse(text)? {
        Amount::Bytes(bytes) => Ok(bytes),
        Amount::Percent(_) => Err(Error::runner(format!("{text:?} is a share; a size such as \"64m\" is wanted"))),
    }
}

/// `1.5` → 1,500,000,000
fn nano_cpus(text: &str) -> Result<i64> {
    let number: f64 = text.parse().map_err(|_| Error::runner(format!("{text:?} is not a number of CPUs")))?;
    if !(0.01..=100_000.0).contains(&number) {
        return Err(Error::runner(format!("{text:?} is not a number of CPUs of at least 0.01")));
    }
    Ok((number * 1e9).round() as i64)
}

/// Names differ between images: a preset speaks in numbers.
fn numeric_user(text: &str) -> Result<&str> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    if uid.parse::<u32>().is_ok() && gid.parse::<u32>().is_ok() {
        Ok(text)
    } else {
        Err(Error::runner(format!("user {text:?} is not uid or uid:gid in numbers")))
    }
}

fn tmpfs_entry(file: &TmpfsFile) -> Result<PresetTmpfs> {
    let TmpfsFile { path, size, mode, exec } = file;
    Ok(PresetTmpfs {
        path: plain_path("tmpfs", path)?,
        size: size.as_deref().map(bytes).transpose()?,
        mode: mode.as_deref().map_or(Ok(0o1777), |m| octal(m, 0o7777))?,
        exec: *exec,
    })
}

fn plain_path(what: &str, path: &str) -> Result<String> {
    if !path.starts_with('/') || path.split('/').any(|part| part == ".." || part == ".") || path.len() < 2 {
        return Err(Error::runner(format!("{what} path {path:?} is not absolute and plain")));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

/// As `--egress` understands them; `none` is the empty list.
fn egress_words(words: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut to = BTreeSet::new();
    for word in words {
        match word.parse::<Egress>().map_err(Error::runner)? {
            Egress::None => {}
            Egress::To(rule) => drop(to.insert(rule.to_string())),
        }
    }
    Ok(to)
}

fn health_check(file: &HealthFile) -> Result<PresetHealth> {
    let HealthFile { command, interval, timeout, start_period, retries } = file;
    if command.is_empty() {
        return Err(Error::runner("health.command names no program"));
    }
    let nanos = |key: &str, text: &Option<String>| match text {
        None => Ok(0),
        Some(text) => {
            let duration: std::result::Result<GoDuration, _> = text.parse();
            duration.map(|d| d.nanos).map_err(Error::runner).context(|| format!("health.{key} {text:?}"))
        }
    };
    Ok(PresetHealth {
        command: command.clone(),
        interval: nanos("interval", interval)?,
        timeout: nanos("timeout", timeout)?,
        start_period: nanos("start-period", start_period)?,
        retries: i64::from(retries.unwrap_or(0)),
    })
}
