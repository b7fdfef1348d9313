//! What a process gets before it may run inside a container that it was not born in: limits, namespaces, working folder, ids,
//! capabilities. What libcontainer does for the first process; see `exec` for why not here.

use crate::error::{Error, Result};
use crate::plan::Draft;
use crate::spec;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sched::{CloneFlags, setns};
use rustix::process::{Gid, Uid};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;

/// Namespaces by the names of /proc, and the kernel's flags.
const KINDS: [(&str, CloneFlags); 7] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("net", CloneFlags::CLONE_NEWNET),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
];

/// The steps, in their order.
pub struct Steps<'a> {
    /// The container's draft with this process in it.
    pub draft: &'a Draft,
    /// First host id of the container's user namespace.
    pub base: Option<u32>,
    /// A pidfd of the container's first process.
    pub init: BorrowedFd<'a>,
    /// Namespaces that the container shares with us: nothing is to be joined.
    pub shared: &'a BTreeSet<&'static str>,
}

impl Steps<'_> {
    /// Whether every limit is one that can be set, before anything is forked.
    pub fn check_limits(&self) -> Result<()> {
        self.draft.process.rlimits.keys().try_for_each(|name| resource(name).map(|_| ()))
    }

    /// On the host still: what takes the host's /proc or the host's rights. Then into the namespaces, all in one step: the
    /// kernel checks each with the rights that the user namespace gives (Linux 5.8).
    pub fn before_namespaces(&self) -> io::Result<()> {
        for (name, limit) in &self.draft.process.rlimits {
            let resource = resource(name).map_err(io::Error::other)?;
            nix::sys::resource::setrlimit(resource, limit.value.soft, limit.value.hard)?;
        }
        std::fs::write("/proc/self/oom_score_adj", self.draft.process.oom_score_adj.value.to_string())?;
        let flags =
            KINDS.iter().filter(|(kind, _)| !self.shared.contains(kind)).fold(CloneFlags::empty(), |f, (_, k)| f | *k);
        setns(self.init, flags)?;
        Ok(())
    }

    /// Inside, first of all: so far the process has an id that the namespace does not know. A session of its own too, for a
    /// terminal to belong to.
    pub fn become_root(&self) -> Result<(), String> {
        rustix::process::setsid().map_err(say("begin a session"))?;
        if self.base.is_some() {
            let (gid, uid) = (Gid::ROOT, Uid::ROOT);
            rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(say("become the container's root"))?;
            rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(say("become the container's root"))?;
        }
        Ok(())
    }

    /// Then: who the process is, where it stands, what it may do.
    pub fn inside(&self) -> Result<(), String> {
        let user = &self.draft.process.user.value;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(self.draft.process.umask.value));
        self.drop_bounding()?;
        let groups: Vec<nix::unistd::Gid> =
            user.additional_gids.iter().map(|g| nix::unistd::Gid::from_raw(*g)).collect();
        if !crate::rootless::keeps_groups() {
            nix::unistd::setgroups(&groups).map_err(|e| format!("set the groups: {e}"))?;
        }
        rustix::thread::set_keep_capabilities(true).map_err(say("keep capabilities"))?;
        let (gid, uid) = (Gid::from_raw(user.gid), Uid::from_raw(user.uid));
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(say("set the group"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(say("set the user"))?;
        rustix::thread::set_keep_capabilities(false).map_err(say("keep capabilities"))?;
        self.enter_folder()?;
        self.set_capabilities()?;
        if self.draft.process.no_new_privileges.value {
            rustix::thread::set_no_new_privs(true).map_err(say("set no_new_privs"))?;
        }
        Ok(())
    }

    /// As the user that the process will be: a folder that this one may not enter is an error, as with docker. One that lies
    /// outside the container's root is reached through a descriptor that was left open (CVE-2024-21626).
    fn enter_folder(&self) -> Result<(), String> {
        let folder = &self.draft.process.cwd.value;
        rustix::process::chdir(folder.as_str())
            .map_err(|e| format!("chdir to cwd ({folder:?}) set in config.json failed: {e}"))?;
        match std::env::current_dir() {
            Ok(at) if at.is_absolute() && !at.starts_with("/(unreachable)") => Ok(()),
            _ => Err(format!("the working directory {folder} is outside the container")),
        }
    }

    fn drop_bounding(&self) -> Result<(), String> {
        let wanted = set(&spec::sets_at_launch(self.draft).bounding)?;
        let all = caps::runtime::procfs_all_supported(None).unwrap_or_else(|_| caps::all());
        for capability in all.difference(&wanted) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(|e| format!("drop {capability}: {e}"))?;
        }
        Ok(())
    }

    fn set_capabilities(&self) -> Result<(), String> {
        let sets = spec::sets_at_launch(self.draft);
        // The permitted set bounds the effective one, and lowering it needs nothing: last.
        for (kind, names) in [
            (CapSet::Inheritable, &sets.inheritable),
            (CapSet::Effective, &sets.effective),
            (CapSet::Permitted, &sets.permitted),
            (CapSet::Ambient, &sets.ambient),
        ] {
            caps::set(None, kind, &set(names)?).map_err(|e| format!("set the {kind:?} capabilities: {e}"))?;
        }
        Ok(())
    }
}

fn say(what: &'static str) -> impl Fn(rustix::io::Errno) -> String {
    move |e| format!("{what}: {e}")
}

fn set(names: &BTreeSet<String>) -> Result<CapsHashSet, String> {
    names.iter().map(|n| n.parse::<Capability>().map_err(|e| format!("unknown capability {n}: {e}"))).collect()
}

fn resource(name: &str) -> Result<nix::sys::resource::Resource> {
    use nix::sys::resource::Resource as R;
    Ok(match name {
        "as" => R::RLIMIT_AS,
        "core" => R::RLIMIT_CORE,
        "cpu" => R::RLIMIT_CPU,
        "data" => R::RLIMIT_DATA,
        "fsize" => R::RLIMIT_FSIZE,
        "locks" => R::RLIMIT_LOCKS,
        "memlock" => R::RLIMIT_MEMLOCK,
        "msgqueue" => R::RLIMIT_MSGQUEUE,
        "nice" => R::RLIMIT_NICE,
        "nofile" => R::RLIMIT_NOFILE,
        "nproc" => R::RLIMIT_NPROC,
        "rss" => R::RLIMIT_RSS,
        "rtprio" => R::RLIMIT_RTPRIO,
        "rttime" => R::RLIMIT_RTTIME,
        "sigpending" => R::RLIMIT_SIGPENDING,
        "stack" => R::RLIMIT_STACK,
        other => return Err(Error::runner(format!("set the limit {other}")).because("it is not known")),
    })
}
