//! What a preset declares of paths, ports and sockets, with what the flags ask for besides.

use super::Inputs;
use crate::error::{Error, Result};
use crate::paths::{Access, PathsPlan, Pattern, Policy, Rule, Verb, gaps};
use crate::plan::{DevicePlan, Draft, MountKind, MountPlan, NetworkMode, Source, Sourced};
use crate::preset::Key;

pub(super) fn paths(
    inputs: &Inputs<'_>,
    mounts: &[MountPlan],
    devices: &[Sourced<DevicePlan>],
    notices: &mut Vec<String>,
) -> Result<PathsPlan> {
    let preset = inputs.preset;
    let mut plan = PathsPlan {
        policy: preset.paths.as_ref().map(|p| p.value.clone()),
        ports: preset.ports.clone(),
        sockets: preset.sockets.clone(),
        apparmor_rules: Vec::new(),
    };
    // Whoever publishes a port wants it listened on.
    if let Some(listen) = &mut plan.ports.listen
        && preset.locked(Key::Ports).is_none()
    {
        let published = inputs.request.network.publish.iter().map(|port| port.container);
        listen.value.extend(published.flat_map(|range| range.start..=range.end));
    }
    if let Some(rules) = &preset.apparmor_rules {
        plan.apparmor_rules = rules.value.iter().map(|r| Sourced::new(r.clone(), rules.source.clone())).collect();
    }
    // What is locked is not loosened by a mount: then the preset has to name where it lies.
    if let Some(policy) = &mut plan.policy
        && preset.locked(Key::Paths).is_none()
    {
        mounted(policy, mounts, notices)?;
        for device in devices {
            push(policy, &device.value.container, "", "rw", &device.source, notices)?;
        }
    }
    Ok(plan)
}

/// Whoever mounts something wants it used: read, and written where it is writable. Execution is left to the preset.
fn mounted(policy: &mut Policy, mounts: &[MountPlan], notices: &mut Vec<String>) -> Result<()> {
    for mount in mounts {
        let readonly = mount.readonly.value || matches!(mount.kind, MountKind::Image { .. });
        let source = match mount.asked.split([' ', '=']).next() {
            Some("-v") => Source::Flag("--volume".into()),
            Some(flag) if flag.starts_with('-') => Source::Flag(flag.to_owned()),
            Some("VOLUME") => Source::Image,
            _ => mount.readonly.source.clone(),
        };
        // hardrun's own: the base has them, to be read.
        if matches!(mount.kind, MountKind::File { .. }) {
            continue;
        }
        push(policy, &mount.destination, "{,/,/**}", if readonly { "r" } else { "rwkl" }, &source, notices)?;
    }
    Ok(())
}

fn push(
    policy: &mut Policy,
    path: &str,
    beneath: &str,
    access: &str,
    source: &Source,
    notices: &mut Vec<String>,
) -> Result<()> {
    if path.contains(['*', '?', '[', ']', '{', '}', '@', '^', '"', '\\', '\n']) {
        notices.push(format!("{path}: the path policy has no words for such a name, so nothing in it is allowed"));
        return Ok(());
    }
    let path = path.trim_end_matches('/');
    let rule = Rule {
        verb: Verb::Allow,
        pattern: Pattern::parse(&format!("{path}{beneath}"))?,
        access: Access::parse(access)?,
    };
    if !policy.rules.iter().any(|held| held.value == rule) {
        policy.rules.push(Sourced::new(rule, source.clone()));
    }
    Ok(())
}

/// TCP fast open connects in `sendto`, where Landlock does not look: off where ports to connect to are listed.
pub(super) fn sysctl(paths: &PathsPlan, network: &NetworkMode) -> Option<(String, Sourced<String>)> {
    let own = matches!(network, NetworkMode::None | NetworkMode::Bridge | NetworkMode::Named(_));
    let listed = paths.ports.connect.as_ref().filter(|_| own)?;
    Some(("net.ipv4.tcp_fastopen".into(), Sourced::new("0".into(), listed.source.clone())))
}

/// Something is denied that nothing on this host would refuse.
pub(in crate::plan) fn check(draft: &Draft) -> Result<()> {
    let Some(gap) = gaps(draft).into_iter().find(|gap| gap.stops) else { return Ok(()) };
    Err(Error::runner(format!(
        "preset {}: \"{}\" cannot be enforced here: {}",
        draft.preset.value, gap.rule, gap.missing
    ))
    .hint("run where AppArmor is in force, deny the whole folder, or take the rule out in a preset of your own"))
}
