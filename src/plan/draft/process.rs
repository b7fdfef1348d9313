//! What is started, as whom, with which environment and process limits.

use super::{Inputs, lock};
use crate::error::{Error, Result};
use crate::image::{users, view::View};
use crate::plan::{NamespacesPlan, ProcessPlan, Rlimit, Source, Sourced, UserNamespace, UserPlan};
use crate::preset::Key;
use crate::request::SecurityOpt;
use crate::request::clean_path;
use std::collections::{BTreeMap, HashMap};

/// What docker gives where the image has no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM: i32 = 15;

pub(super) fn resolve(
    inputs: &Inputs<'_>,
    user: Sourced<UserPlan>,
    hostname: &Sourced<String>,
    notices: &mut Vec<String>,
) -> Result<ProcessPlan> {
    let asked = &inputs.request.process;
    let preset = inputs.preset;
    Ok(ProcessPlan {
        args: args(inputs)?,
        env: env(inputs, &hostname.value, user.value.home.as_deref()),
        cwd: cwd(inputs)?,
        no_new_privileges: no_new_privileges(inputs),
        umask: asked.umask.map_or_else(|| preset.umask.clone(), |u| Sourced::flag(u.0, "--umask")),
        rlimits: rlimits(inputs, notices)?,
        oom_score_adj: oom_score_adj(inputs, notices)?,
        init: asked.init.map_or_else(|| preset.init.clone(), |i| Sourced::flag(i, "--init")),
        stop_signal: stop_signal(inputs)?,
        stop_timeout: inputs
            .request
            .lifecycle
            .stop_timeout
            .map_or_else(|| preset.stop_timeout.clone(), |s| Sourced::flag(s, "--stop-timeout")),
        user,
    })
}

/// `--entrypoint` replaces the image's and drops its command; `--entrypoint ""` clears it.
fn args(inputs: &Inputs<'_>) -> Result<Sourced<Vec<String>>> {
    let config = inputs.image.config.config().as_ref();
    let of_image = |words: Option<&Option<Vec<String>>>| words.and_then(|w| w.clone()).unwrap_or_default();
    let typed = &inputs.request.args;
    let (entrypoint, command, source) = match &inputs.request.process.entrypoint {
        Some(word) => {
            let entrypoint = if word.is_empty() { Vec::new() } else { vec![word.clone()] };
            (entrypoint, typed.clone(), Source::Flag("--entrypoint".into()))
        }
        None if typed.is_empty() => {
            (of_image(config.map(|c| c.entrypoint())), of_image(config.map(|c| c.cmd())), Source::Image)
        }
        None => (of_image(config.map(|c| c.entrypoint())), typed.clone(), Source::Flag("command".into())),
    };
    let args: Vec<String> = entrypoint.into_iter().chain(command).collect();
    match args.first() {
        Some(first) if !first.is_empty() => Ok(Sourced::new(args, source)),
        Some(_) => Err(Error::runner("the command is an empty word")),
        None => Err(Error::runner("no command specified")
            .hint(format!("image {} names none: add one after it on the command line", inputs.image.name))),
    }
}

/// In docker's order: what the engine sets, the image's, the caller's; a later one replaces an earlier in its place.
fn env(inputs: &Inputs<'_>, hostname: &str, home: Option<&str>) -> Vec<Sourced<String>> {
    let asked = &inputs.request.process;
    let mut env = Env::default();
    for (name, value) in [("PATH", PATH), ("HOSTNAME", hostname)] {
        env.set(name, Some(value), Source::Default);
    }
    if asked.tty {
        env.set("TERM", Some("xterm"), Source::Default);
    }
    let of_image = inputs.image.config.config().as_ref().and_then(|c| c.env().clone()).unwrap_or_default();
    for entry in &of_image {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        if !asked.unsetenv_all && !asked.unsetenv.iter().any(|n| n == name) {
            env.set(name, Some(value), Source::Image);
        }
    }
    for (name, value) in &asked.caller_env {
        let flag = if asked.env_host { "--env-host" } else { "--http-proxy" };
        env.set(name, Some(value), Source::Flag(flag.into()));
    }
    for (name, value) in &asked.env_merge {
        let value = env.expand(value);
        env.set(name, Some(&value), Source::Flag("--env-merge".into()));
    }
    for setting in &asked.env {
        env.set(&setting.name, setting.value.as_deref(), Source::Flag(setting.flag.into()));
    }
    if let Some(zone) = asked.tz.as_deref().filter(|z| *z != "local") {
        env.set("TZ", Some(zone), Source::Flag("--tz".into()));
    }
    // As runc: from the image's passwd, only where nobody set it.
    if !env.has("HOME") {
        env.set("HOME", Some(home.unwrap_or("/")), Source::Image);
    }
    env.list
}

/// Where each name stands is remembered: an image's config has room for a million variables, and looking through all of
/// them for each would take hours.
#[derive(Default)]
struct Env {
    list: Vec<Sourced<String>>,
    at: HashMap<String, usize>,
}

impl Env {
    fn position(&self, name: &str) -> Option<usize> {
        self.at.get(name).copied()
    }
    fn has(&self, name: &str) -> bool {
        self.at.contains_key(name)
    }
    fn set(&mut self, name: &str, value: Option<&str>, source: Source) {
        match (self.position(name), value) {
            (Some(at), Some(value)) => self.list[at] = Sourced::new(format!("{name}={value}"), source),
            (None, Some(value)) => {
                self.at.insert(name.to_owned(), self.list.len());
                self.list.push(Sourced::new(format!("{name}={value}"), source));
            }
            (Some(at), None) => {
                self.list.remove(at);
                self.at.remove(name);
                self.at.values_mut().filter(|n| **n > at).for_each(|n| *n -= 1);
            }
            (None, None) => {}
        }
    }
    /// `${NAME}` by what is set so far; an unknown name becomes nothing, as in podman.
    fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            out.push_str(&rest[..start]);
            let name = &rest[start + 2..start + length];
            if let Some(at) = self.position(name) {
                out.push_str(&self.list[at].value[name.len() + 1..]);
            }
            rest = &rest[start + length + 1..];
        }
        out + rest
    }
}

fn cwd(inputs: &Inputs<'_>) -> Result<Sourced<String>> {
    let of_image =
        inputs.image.config.config().as_ref().and_then(|c| c.working_dir().clone()).filter(|d| !d.is_empty());
    let (dir, source) = match inputs.request.process.workdir.as_deref().filter(|d| !d.is_empty()) {
        Some(dir) => (dir.to_owned(), Source::Flag("--workdir".into())),
        None => match of_image {
            Some(dir) => (dir, Source::Image),
            None => ("/".to_owned(), Source::Default),
        },
    };
    if !dir.starts_with('/') {
        return Err(Error::runner(format!(
            "the working directory {dir:?} is invalid, it needs to be an absolute path"
        )));
    }
    Ok(Sourced::new(clean_path(&dir), source))
}

fn no_new_privileges(inputs: &Inputs<'_>) -> Sourced<bool> {
    let last = inputs.request.isolation.security_opts.iter().rev().find_map(|o| match o {
        SecurityOpt::NoNewPrivileges(on) => Some(*on),
        _ => None,
    });
    last.map_or(Sourced::default(true), |on| Sourced::flag(on, "--security-opt no-new-privileges"))
}

/// The flag's user, else the image's, else the preset's; a preset that refuses root has its own user in the place of an
/// image's root, but answers a flag's root with an error.
pub(super) fn user(inputs: &Inputs<'_>, ns: &NamespacesPlan) -> Result<Sourced<UserPlan>> {
    let view = View::new(&inputs.image.layers);
    let groups = &inputs.request.process.group_add;
    let preset = inputs.preset;
    let find = |user: &str| {
        let mut found = users::resolve(&view, user, groups)?;
        if ns.user.value == UserNamespace::Host && ns.user.source == Source::Host {
            // Here a group's number is the host's group: only what was asked for by name, and judged, is kept.
            let image = users::resolve(&view, user, &[])?.additional_gids;
            let primary = found.gid;
            found.additional_gids.retain(|gid| *gid == primary || !image.contains(gid));
        }
        if inputs.facts.rootless.as_ref().is_some_and(|r| r.ids.is_single()) {
            // There are no others, and those of the caller cannot be left.
            found.additional_gids.clear();
        }
        mapped(&found, ns)?;
        Ok(found)
    };
    let is_root = |user: &UserPlan| user.uid == 0;

    if let Some(spec) = inputs.request.process.user.as_ref().filter(|s| !s.typed.is_empty()) {
        let user = find(&spec.typed)?;
        lock(
            preset,
            Key::NonRoot,
            &format!("--user {}", spec.typed),
            !(preset.non_root.value && is_root(&user)),
            || "is true".into(),
        )?;
        return Ok(Sourced::flag(user, "--user"));
    }
    let of_image = inputs.image.config.config().as_ref().and_then(|c| c.user().clone()).filter(|u| !u.is_empty());
    let user = match &of_image {
        Some(text) => Sourced::new(find(text)?, Source::Image),
        None => Sourced::default(find("")?),
    };
    let wanted = preset.non_root.value && is_root(&user.value) || of_image.is_none();
    match &preset.user {
        Some(of_preset) if wanted => Ok(Sourced::new(find(&of_preset.value)?, of_preset.source.clone())),
        None if preset.non_root.value && is_root(&user.value) => Err(Error::runner(format!(
            "preset {} refuses root, and image {} names no other user",
            preset.name, inputs.image.name
        ))
        .hint("name one with --user")),
        _ => Ok(user),
    }
}

/// Groups by which a user of the host is root by another name, or reads what is root's, on the distributions that have them.
const POWERFUL: [&str; 19] = [
    "adm",
    "containerd",
    "disk",
    "docker",
    "incus",
    "incus-admin",
    "kmem",
    "kvm",
    "libvirt",
    "libvirt-qemu",
    "lxd",
    "mem",
    "podman",
    "shadow",
    "sudo",
    "systemd-journal",
    "tape",
    "tty",
    "wheel",
];

/// Which of these a process has: an image says numbers, and without a user namespace they are the host's. `groups` reads the host's
/// /etc/group.
pub fn host_groups(
    ns: &NamespacesPlan,
    user: &UserPlan,
    groups: impl FnOnce() -> Result<String>,
) -> Result<BTreeMap<u32, String>> {
    if ns.user.value != UserNamespace::Host || user.uid == 0 {
        return Ok(BTreeMap::new());
    }
    let groups = groups()?;
    let named = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, gid) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
        let has = gid == user.gid || user.additional_gids.contains(&gid);
        (has && POWERFUL.contains(&name)).then(|| (gid, name.to_owned()))
    });
    Ok(named.collect())
}

/// Every id must exist in the container's own range.
fn mapped(user: &UserPlan, ns: &NamespacesPlan) -> Result<()> {
    let UserNamespace::Private { size, .. } = ns.user.value else { return Ok(()) };
    let ids = [user.uid, user.gid].into_iter().chain(user.additional_gids.iter().copied());
    match ids.max().filter(|id| *id >= size) {
        Some(id) => Err(Error::runner(format!("id {id} is not among the container's own ids, 0 to {}", size - 1))
            .hint("any id below that will do: in a bound folder the container's user is the folder's owner, whatever its number")),
        None => Ok(()),
    }
}

fn stop_signal(inputs: &Inputs<'_>) -> Result<Sourced<i32>> {
    if let Some(signal) = inputs.request.lifecycle.stop_signal {
        return Ok(Sourced::flag(signal.0, "--stop-signal"));
    }
    match inputs.image.config.config().as_ref().and_then(|c| c.stop_signal().clone()).filter(|s| !s.is_empty()) {
        Some(text) => {
            let bad =
                || Error::runner(format!("image {} names a stop signal that is none: {text:?}", inputs.image.name));
            Ok(Sourced::new(signal(&text).ok_or_else(bad)?, Source::Image))
        }
        None => Ok(inputs.preset.stop_signal.clone().unwrap_or_else(|| Sourced::default(SIGTERM))),
    }
}

/// `SIGTERM`, `term` or `15`.
fn signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    name.parse::<nix::sys::signal::Signal>().ok().map(|s| s as i32)
}

/// The preset's and the caller's limits, as far as this host can give them.
fn rlimits(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Result<BTreeMap<String, Sourced<Rlimit>>> {
    let preset = inputs.preset;
    let facts = inputs.facts;
    let hard = |name: &str| facts.hard_limits.get(name).copied().unwrap_or(u64::MAX);
    let mut limits = BTreeMap::new();
    if let Some(nofile) = &preset.nofile {
        let most = nofile.value.min(hard("nofile"));
        limits.insert("nofile".into(), Sourced::new(Rlimit { soft: most, hard: most }, nofile.source.clone()));
    }
    if let Some(core) = &preset.core {
        let most = core.value.min(hard("core"));
        limits.insert("core".into(), Sourced::new(Rlimit { soft: most, hard: most }, core.source.clone()));
    }
    if let Some(stack) = &preset.stack {
        // Only the soft limit: an unlimited stack switches the address space to its old, less random layout.
        let most = hard("stack");
        let limit = Rlimit { soft: stack.value.min(most), hard: most };
        limits.insert("stack".into(), Sourced::new(limit, stack.source.clone()));
    }
    // CAP_SYS_RESOURCE raises hard limits; euid 0 without it in the bounding set does not.
    let raises = facts.may(caps::Capability::CAP_SYS_RESOURCE);
    for asked in &inputs.request.process.ulimits {
        let flag = format!("--ulimit {}", asked.name);
        if let Some((key, held)) = match asked.name.as_str() {
            "nofile" => preset.nofile.as_ref().map(|h| (Key::Nofile, h.value)),
            "core" => preset.core.as_ref().map(|h| (Key::Core, h.value)),
            _ => None,
        } {
            lock(preset, key, &flag, asked.hard <= held, || format!("is {held}"))?;
        }
        let mut limit = Rlimit { soft: asked.soft, hard: asked.hard };
        let most = hard(&asked.name);
        if limit.hard > most && !raises {
            notices.push(format!(
                "{flag}: this process may not raise it above {most} (no CAP_SYS_RESOURCE): {most} is used"
            ));
            limit = Rlimit { soft: limit.soft.min(most), hard: most };
        }
        limits.insert(asked.name.clone(), Sourced::flag(limit, "--ulimit"));
    }
    Ok(limits)
}

fn oom_score_adj(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Result<Sourced<i32>> {
    let preset = &inputs.preset.oom_score_adj;
    let own = inputs.facts.oom_score_adj;
    // Lowering one's own score needs CAP_SYS_RESOURCE.
    let lowers = inputs.facts.may(caps::Capability::CAP_SYS_RESOURCE);
    let Some(asked) = inputs.request.process.oom_score_adj else {
        let value = if lowers { preset.value } else { preset.value.max(own) };
        let source = if value == preset.value { preset.source.clone() } else { Source::Host };
        return Ok(Sourced::new(value, source));
    };
    if !(-1000..=1000).contains(&asked) {
        return Err(Error::runner(format!("invalid value {asked}, range for oom score adj is [-1000, 1000]")));
    }
    lock(inputs.preset, Key::OomScoreAdj, &format!("--oom-score-adj {asked}"), asked >= preset.value, || {
        format!("is {}", preset.value)
    })?;
    // A negative score is a rule's business and stays in the draft as asked, so that the rule sees it.
    if asked >= 0 && asked < own && !lowers {
        notices.push(format!(
            "--oom-score-adj {asked}: this process may not go below its own {own} (no CAP_SYS_RESOURCE): {own} is used"
        ));
        return Ok(Sourced::flag(own, "--oom-score-adj"));
    }
    Ok(Sourced::flag(asked, "--oom-score-adj"))
}
