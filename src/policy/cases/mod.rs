//! For every rule: drafts that it refuses and drafts that it lets pass. [`tests`] holds them to it, and holds each
//! override to loosening its own rule only.

mod confinement;
mod limits;
mod mounts;
mod programs;
mod rights;
#[cfg(test)]
mod tests;

use super::registry::RULES;
use super::testkit::{bind, binds, draft_with, facts, seen};
use super::{Allow, Override, judge};
use crate::facts::{Facts, Held, PathClass};
use crate::plan::*;

/// Drafts for one rule.
struct Cases {
    rule: &'static str,
    refused: Vec<Draft>,
    passes: Vec<Draft>,
}

fn d(change: impl FnOnce(&mut Draft)) -> Draft {
    draft_with(change)
}

/// One bind each.
fn each(specs: &[&str]) -> Vec<Draft> {
    specs.iter().map(|spec| binds(&[spec])).collect()
}

fn held(path: &str, class: PathClass) -> Held {
    Held { path: path.into(), class, why: "a test".into() }
}

/// A bind whose source is reached by another name: a symlink that was followed.
fn link(typed: &str, source: &str) -> Draft {
    d(|d| {
        let mut mount = bind(&format!("{typed}:/x:ro"));
        if let MountKind::Bind { source: resolved, .. } = &mut mount.kind {
            *resolved = source.into();
        }
        d.mounts = vec![mount];
    })
}

fn holding(spec: &str, path: &str, class: PathClass) -> MountPlan {
    seen(bind(spec), |s| s.holds = vec![held(path, class)])
}

fn caps(names: &[&str]) -> Draft {
    d(|d| d.capabilities = Sourced::flag(names.iter().map(|n| (*n).to_owned()).collect(), "--cap-add"))
}

fn args(words: &[&str]) -> Draft {
    d(|d| d.process.args = Sourced::flag(words.iter().map(|w| (*w).to_owned()).collect(), "command"))
}

fn port(ip: Option<&str>, host: Option<u16>, container: u16) -> Draft {
    let host_ip = ip.map(str::to_owned);
    d(|d| {
        d.asked.publish = vec![Published {
            host_ip,
            host_port: host,
            host_port_last: None,
            container_port: container,
            protocol: "tcp".into(),
        }]
    })
}

fn sysctl(key: &str) -> Draft {
    d(|d| {
        d.sysctls.insert(key.into(), Sourced::flag("1".into(), "--sysctl"));
    })
}

fn rlimit(name: &str, hard: u64) -> Draft {
    d(|d| {
        d.process.rlimits.insert(name.into(), Sourced::flag(Rlimit { soft: hard, hard }, &format!("--ulimit {name}")));
    })
}

fn device(host: &str, access: &str) -> Draft {
    let plan = DevicePlan { host: host.into(), container: host.into(), access: access.into() };
    d(|d| d.devices = vec![Sourced::flag(plan, "--device")])
}

fn tmpfs(destination: &str) -> Draft {
    d(|d| {
        let kind = MountKind::Tmpfs { size: 1 << 20, mode: 0o1777, uid: 0, gid: 0 };
        d.mounts = vec![MountPlan { destination: destination.into(), kind, ..bind("/srv:/x") }];
    })
}

fn profile(value: SeccompProfile) -> Draft {
    d(|d| d.seccomp.profile = Sourced::flag(value, "--security-opt seccomp"))
}

fn profile_text(json: &str) -> Draft {
    profile(SeccompProfile::File { path: "/srv/profile.json".into(), json: json.into() })
}

fn propagation(mode: &str) -> Draft {
    d(|d| {
        d.mounts = vec![MountPlan { propagation: Sourced::flag(mode.into(), "--mount"), ..bind("/srv/data:/data") }];
    })
}

fn group(uid: u32, gid: u32, asked: bool, user: UserNamespace) -> Draft {
    d(|d| {
        d.process.user.value = UserPlan { uid, gid: uid, ..UserPlan::default() };
        d.asked.group_add = if asked { vec!["docker".into()] } else { vec![] };
        d.namespaces.user = Sourced::new(user, Source::Host);
        d.capabilities = Sourced::new(Default::default(), Source::Host);
        d.process.user.value.additional_gids = vec![gid];
    })
}

fn namespace(change: impl Fn(&mut NamespacesPlan, Sourced<Namespace>)) -> (Vec<Draft>, Vec<Draft>) {
    let one = |mode: Namespace| d(|d| change(&mut d.namespaces, Sourced::flag(mode, "--flag")));
    (vec![one(Namespace::Host)], vec![one(Namespace::Private), one(Namespace::Container("web".into()))])
}

fn all() -> Vec<Cases> {
    [mounts::cases(), rights::cases(), confinement::cases(), limits::cases(), programs::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn check(rule: &str, draft: &Draft, facts: &Facts) -> Vec<super::Finding> {
    let rule = super::registry::find(rule).unwrap();
    (rule.check)(draft, facts)
}

fn allow(rule: &str) -> Allow {
    Allow { rule: rule.into(), reason: Some("a test".into()) }
}

/// What was asked, for messages of failed assertions.
fn shown(draft: &Draft) -> String {
    let mounts: Vec<&str> = draft.mounts.iter().map(|m| m.asked.as_str()).collect();
    format!("{mounts:?} {:?} {:?} {:?}", draft.process.args.value, draft.asked, draft.sysctls)
}
