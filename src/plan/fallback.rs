//! Layers that this host cannot give, and what takes their place.

use super::{Draft, Fallback, Override, Plan};
use crate::facts::{CgroupVersion, Enforcement, Facts, Limit};
use crate::plan::{MountKind, MountPlan, Source, UserNamespace};
use crate::rootless::Rootless;

impl Plan {
    /// A draft that passed, with the overrides that were needed for it.
    pub fn new(mut draft: Draft, overrides: Vec<Override>, facts: &Facts) -> Plan {
        let mut fallbacks = fallbacks(&draft, facts);
        let asked = draft.process.oom_score_adj.value;
        if asked < facts.oom_score_adj && !facts.may(caps::Capability::CAP_SYS_RESOURCE) {
            // The rule has judged what was asked; what the kernel would refuse is not tried.
            draft.process.oom_score_adj.value = facts.oom_score_adj;
            draft.notices.push(format!(
                "--oom-score-adj {asked} needs CAP_SYS_RESOURCE, which the caller lacks: {} is used",
                facts.oom_score_adj
            ));
            fallbacks.push(Fallback {
                layer: "oom score".into(),
                missing: format!("going below the caller's own score to {asked} needs CAP_SYS_RESOURCE"),
                instead: format!("the caller's own score, {}", facts.oom_score_adj),
            });
        }
        if let Some(asked) = of_others(&draft) {
            draft.notices.push(format!(
                "without a user namespace the owners in {asked} are the host's, for root inside as well: -u UID:GID of its owner writes in it"
            ));
        }
        Plan { version: Self::VERSION, draft, overrides, fallbacks, site_policy: facts.site.digest.clone() }
    }
}

pub(super) fn fallbacks(draft: &Draft, facts: &Facts) -> Vec<Fallback> {
    let mut list = Vec::new();
    let mut add = |layer: &str, missing: String, instead: &str| {
        list.push(Fallback { layer: layer.into(), missing, instead: instead.into() });
    };
    if let Some(rootless) = &facts.rootless {
        ordinary_user(draft, facts, rootless, &mut add);
    }
    if draft.namespaces.user.value == UserNamespace::Host && draft.namespaces.user.source == Source::Host {
        let missing = if facts.user_namespaces {
            format!("Linux {} cannot put an overlay on idmapped layers of this file system", facts.kernel)
        } else {
            "user namespaces are switched off (user.max_user_namespaces)".into()
        };
        add("user namespace", missing, "no capability at all, no_new_privs, nosuid; root inside is the host's uid 0");
        if of_others(draft).is_some() {
            let instead =
                "the host's owners and modes, for root inside as well; -u UID:GID of a folder's owner writes in it";
            add("owners of bound files", "nothing can be mapped without a user namespace".into(), instead);
        }
    }
    if let Err(why) = crate::landlock::rules(draft) {
        add("landlock", why.into(), "mount namespace, read-only and masked paths");
    }
    if draft.apparmor.value == super::AppArmor::Unavailable {
        let instead = match draft.selinux.value {
            super::SeLinux::Labels { .. } => "SELinux labels",
            _ if crate::landlock::rules(draft).is_ok() => "Landlock, masked and read-only paths",
            _ => "masked and read-only paths",
        };
        let missing = match facts.rootless {
            Some(_) => "profiles are root's to load",
            None => "the kernel has no AppArmor",
        };
        add("apparmor", missing.into(), instead);
    }
    for (module, policy, mode) in draft.modules(facts) {
        if let Enforcement::Watches(mode) = mode {
            let missing = format!("in {mode} mode on this host: {policy}s refuse nothing");
            add(&module.to_lowercase(), missing, "the other layers");
        }
    }
    if let Some(kind) = draft.permissive_type(facts) {
        add("selinux", format!("the host's policy makes {kind} permissive: labels refuse nothing"), "the other layers");
    }
    for gap in crate::paths::gaps(draft) {
        add(&format!("paths: {}", gap.rule), gap.missing, &gap.instead);
    }
    if !facts.seccomp {
        add("seccomp", "the kernel has no seccomp filters".into(), "nothing: the container is not started");
    }
    if facts.cgroup == CgroupVersion::None {
        add("cgroups", "no cgroup hierarchy is mounted".into(), "process limits (rlimits) only");
        return list;
    }
    if draft.misses_scope(facts) {
        add("systemd scope", super::today::NO_BUS.into(), "a group below /hardrun, which systemd does not know of");
    }
    for (limit, instead) in [
        (Limit::Memory, "nothing: a memory bomb is ended by the host's OOM killer, this container first"),
        (Limit::Swap, "the memory limit alone; what is over it may be swapped out"),
        (Limit::Pids, "nothing: processes are limited by the host's pid_max"),
        (Limit::Devices, "a /dev without device nodes, mounts with nodev, no CAP_MKNOD"),
    ] {
        if !facts.limits.contains(&limit) {
            let missing = match &facts.rootless {
                Some(rootless) => not_delegated(facts, rootless),
                None => "the kernel's controllers cannot set it".into(),
            };
            add(&format!("{} limit", limit.name()), missing, instead);
        }
    }
    list
}

/// A writable bind of somebody else's where nothing can be mapped, as it was asked for.
fn of_others(draft: &Draft) -> Option<&str> {
    let user = &draft.namespaces.user;
    if user.value != UserNamespace::Host || user.source != Source::Host {
        return None;
    }
    let us = draft.process.user.value.uid;
    let of_others = |m: &&MountPlan| matches!(m.kind, MountKind::Bind { uid, .. } if uid != us) && !m.readonly.value;
    draft.mounts.iter().find(of_others).map(|m| m.asked.as_str())
}

/// What an ordinary user's container has in the place of what only root can give.
fn ordinary_user(draft: &Draft, facts: &Facts, rootless: &Rootless, add: &mut dyn FnMut(&str, String, &str)) {
    let UserNamespace::Private { size, .. } = draft.namespaces.user.value else { return };
    let missing = match rootless.ids.is_single() {
        true => format!("uid {} has no subordinate ids (/etc/subuid, newuidmap)", rootless.uid),
        false => "a range of ids for each container is root's to give".to_owned(),
    };
    let instead = match size {
        1 => {
            "one id: every file of the image is the container's root's, other users do not exist, and the caller's groups are kept"
        }
        _ => "one range for all containers of this user; the container's root is the user on the host",
    };
    add("ids of its own", missing, instead);
    let binds = draft.mounts.iter().any(|m| matches!(m.kind, MountKind::Bind { .. }));
    if binds && draft.process.user.value.uid != 0 {
        let instead = "the caller's files are root's inside: the container's user has the rights of others in them";
        add("owners of bound files", "the host's file systems are root's to map".into(), instead);
    }
    if !draft.devices.is_empty() && !facts.limits.contains(&Limit::Devices) && facts.cgroup != CgroupVersion::None {
        add("device rules", "only root may load them".into(), "the file modes of the host's devices, for this user");
    }
}

/// Why a limit cannot be set for an ordinary user.
pub fn not_delegated(facts: &Facts, rootless: &Rootless) -> String {
    match (facts.cgroup, &rootless.bus) {
        (CgroupVersion::V2, Some(_)) => "systemd delegates no such controller to this user".into(),
        (CgroupVersion::V2, None) => "there is no systemd of this user's to delegate control groups".into(),
        _ => "on cgroup v1 only root can set it".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Systemd;
    use crate::policy::testkit;

    #[test]
    fn a_systemd_that_cannot_be_asked_for_a_scope_is_told() {
        let told = |systemd, cgroup, parent: Option<&str>| {
            let mut draft = testkit::draft();
            draft.asked.cgroup_parent = parent.map(str::to_owned);
            let facts = Facts { systemd, cgroup, ..testkit::facts() };
            let planned = fallbacks(&draft, &facts).iter().any(|f| f.layer == "systemd scope");
            assert_eq!(planned, draft.without_scope(&facts).is_some());
            planned
        };
        assert!(told(Systemd::WithoutBus, CgroupVersion::V2, None));
        assert!(told(Systemd::WithoutBus, CgroupVersion::V2, Some("web.slice")));
        assert!(!told(Systemd::WithoutBus, CgroupVersion::V2, Some("/web")), "none was wanted");
        assert!(!told(Systemd::WithoutBus, CgroupVersion::V1, None), "nor with version 1");
        assert!(!told(Systemd::Reachable, CgroupVersion::V2, None) && !told(Systemd::None, CgroupVersion::V2, None));
    }
}
