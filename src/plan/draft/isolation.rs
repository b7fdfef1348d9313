//! Namespaces, capabilities, filters, labels and devices.

use super::{Inputs, Kind, Other, lock};
use crate::error::{Error, Result};
use crate::plan::{
    AppArmor, DevicePlan, Landlock, Namespace, NamespacesPlan, NetworkMode, SeLinux, SeccompPlan, SeccompProfile,
    Source, Sourced, UserNamespace,
};
use crate::preset::{Key, PresetNetwork};
use crate::request::{CapName, DeviceKind, IpcMode, NamespaceMode, NetworkTarget, Request, SecurityOpt, UsernsMode};
use std::collections::BTreeSet;
use std::path::Path;

/// Ids of a private user namespace: all that 16-bit programs and Debian's own users (nobody is 65534) need.
pub const ID_RANGE: u32 = 65536;

pub(super) fn namespaces(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Result<NamespacesPlan> {
    let i = &inputs.request.isolation;
    let mut plan = NamespacesPlan {
        user: user(inputs, notices),
        pid: one(i.pid.as_ref(), "--pid"),
        ipc: ipc(i.ipc.as_ref()),
        uts: one(i.uts.as_ref(), "--uts"),
        cgroup: one(i.cgroupns.as_ref(), "--cgroupns"),
        network: network(inputs, notices)?,
        joins: None,
    };
    join(inputs, &mut plan)?;
    Ok(plan)
}

/// Names of other containers become ids. All have to be the same one: namespaces of two containers belong to two user
/// namespaces, and a process is in one.
fn join(inputs: &Inputs<'_>, plan: &mut NamespacesPlan) -> Result<()> {
    let mut named: Vec<&mut String> = Vec::new();
    if let NetworkMode::Container(name) = &mut plan.network.value {
        named.push(name);
    }
    if let Namespace::Container(name) = &mut plan.pid.value {
        named.push(name);
    }
    if let Namespace::Container(name) = &mut plan.ipc.value {
        check_shareable(&inputs.other(name)?, name)?;
        named.push(name);
    }
    for name in named {
        let other = inputs.other(name)?;
        if matches!(other.draft.namespaces.user.value, UserNamespace::Host) != (plan.user.value == UserNamespace::Host)
        {
            return Err(Error::runner(format!("cannot join container {name}: one of the two has the host's user ids"))
                .hint("give both the same --userns"));
        }
        if plan.joins.as_ref().is_some_and(|id| *id != other.draft.id) {
            return Err(Error::runner(format!("cannot join {name} and another container at once"))
                .hint("the namespaces of a container belong to its user namespace; join one container's"));
        }
        *name = other.draft.id.clone();
        plan.joins = Some(other.draft.id);
    }
    Ok(())
}

/// Docker's: whoever lets others at its memory says so at its creation.
fn check_shareable(other: &Other, name: &str) -> Result<()> {
    let joins = matches!(other.draft.namespaces.ipc.value, Namespace::Container(_));
    let own_memory = other.draft.mounts.iter().all(|m| m.destination != "/dev/shm");
    match (other.shareable || joins) && own_memory {
        true => Ok(()),
        false => Err(Error::runner(format!(
            "can't join IPC of container {name}: non-shareable IPC (hint: use IPC:shareable for the donor container)"
        ))),
    }
}

fn one(asked: Option<&NamespaceMode>, flag: &str) -> Sourced<Namespace> {
    match asked {
        None => Sourced::default(Namespace::Private),
        Some(NamespaceMode::Private) => Sourced::flag(Namespace::Private, flag),
        Some(NamespaceMode::Host) => Sourced::flag(Namespace::Host, flag),
        Some(NamespaceMode::Container(name)) => Sourced::flag(Namespace::Container(name.clone()), flag),
    }
}

fn ipc(asked: Option<&IpcMode>) -> Sourced<Namespace> {
    let mode = match asked {
        None => return Sourced::default(Namespace::Private),
        Some(IpcMode::None | IpcMode::Private | IpcMode::Shareable) => Namespace::Private,
        Some(IpcMode::Host) => Namespace::Host,
        Some(IpcMode::Container(name)) => Namespace::Container(name.clone()),
    };
    Sourced::flag(mode, "--ipc")
}

fn user(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Sourced<UserNamespace> {
    let ordinary = inputs.facts.rootless.as_ref().filter(|_| inputs.facts.user_namespaces);
    if let Some(rootless) = ordinary {
        if inputs.request.isolation.userns == Some(UsernsMode::Host) {
            notices.push(
                "--userns host: the host's ids are not an ordinary user's: the container has a namespace of its own"
                    .into(),
            );
        }
        // One range for all of the user's containers: there are no more ids.
        let size = rootless.ids.count().min(ID_RANGE);
        return Sourced::new(UserNamespace::Private { base: 0, size }, Source::Host);
    }
    let private = UserNamespace::Private { base: 0, size: ID_RANGE };
    let possible = inputs.facts.user_namespaces && inputs.facts.idmapped_overlay;
    match &inputs.request.isolation.userns {
        Some(UsernsMode::Host) => Sourced::flag(UserNamespace::Host, "--userns"),
        _ if !possible => Sourced::new(UserNamespace::Host, Source::Host),
        None => Sourced::default(private),
        Some(UsernsMode::Auto(_)) => Sourced::flag(private, "--userns"),
        Some(UsernsMode::KeepId(_) | UsernsMode::NoMap) => {
            notices.push(
                "--userns keep-id/nomap: the container gets a range of ids of its own; in a bound folder its user is \
                 the folder's owner already"
                    .into(),
            );
            Sourced::flag(private, "--userns")
        }
        // Judged by a rule as a namespace of others; should that be overridden, the launch says that it cannot.
        Some(UsernsMode::Path(_) | UsernsMode::Container(_)) => Sourced::flag(private, "--userns"),
    }
}

fn network(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Result<Sourced<NetworkMode>> {
    let preset = inputs.preset;
    let Some(spec) = inputs.request.network.networks.first() else {
        return Ok(match preset.network.value {
            PresetNetwork::Bridge => Sourced::new(NetworkMode::Bridge, preset.network.source.clone()),
            PresetNetwork::None => {
                if preset.locked(Key::Network).is_none() {
                    notices.push(
                        "no --network given: the container has loopback only; --network none says so without this line"
                            .into(),
                    );
                }
                Sourced::new(NetworkMode::None, preset.network.source.clone())
            }
        });
    };
    let mode = match &spec.target {
        NetworkTarget::None => NetworkMode::None,
        NetworkTarget::Host => NetworkMode::Host,
        NetworkTarget::Bridge => NetworkMode::Bridge,
        NetworkTarget::Container(name) => NetworkMode::Container(name.clone()),
        NetworkTarget::Named(name) => NetworkMode::Named(name.clone()),
    };
    let tight = match preset.network.value {
        PresetNetwork::None => mode == NetworkMode::None,
        PresetNetwork::Bridge => matches!(mode, NetworkMode::None | NetworkMode::Bridge),
    };
    lock(preset, Key::Network, &spec.typed, tight, || match preset.network.value {
        PresetNetwork::None => "is none".into(),
        PresetNetwork::Bridge => "is bridge".into(),
    })?;
    Ok(Sourced::flag(mode, "--network"))
}

/// Namespaces that are reached by something else than a container's name.
pub(super) fn foreign_namespaces(request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    match &request.isolation.userns {
        Some(UsernsMode::Path(path)) => found.push(format!("--userns ns:{}", path.display())),
        Some(UsernsMode::Container(name)) => found.push(format!("--userns container:{name}")),
        _ => {}
    }
    for spec in &request.network.networks {
        if matches!(&spec.target, NetworkTarget::Named(name) if name.starts_with("ns:")) {
            found.push(spec.typed.clone());
        }
    }
    found
}

/// Docker's arithmetic over the preset's set: `ALL` first, then the single names, additions winning over drops.
pub(super) fn capabilities(inputs: &Inputs<'_>, ns: &NamespacesPlan) -> Result<Sourced<BTreeSet<String>>> {
    let i = &inputs.request.isolation;
    let preset = &inputs.preset.capabilities;
    let all = || caps::all().into_iter().map(|c| c.to_string()).collect::<BTreeSet<String>>();
    let names = |list: &[CapName]| -> BTreeSet<String> {
        list.iter().filter(|c| !c.is_all()).map(|c| c.name.clone()).collect()
    };
    let (added, dropped) = (names(&i.cap_add), names(&i.cap_drop));
    // Without a user namespace of its own a capability is one on the host: the container starts from none.
    let base = match ns.user.value {
        UserNamespace::Private { .. } => preset.clone(),
        UserNamespace::Host => Sourced::new(BTreeSet::new(), ns.user.source.clone()),
    };
    let set: BTreeSet<String> = if i.privileged || i.cap_add.iter().any(CapName::is_all) {
        all().difference(&dropped).cloned().collect()
    } else if i.cap_drop.iter().any(CapName::is_all) {
        added
    } else {
        base.value.difference(&dropped).cloned().collect::<BTreeSet<_>>().union(&added).cloned().collect()
    };
    let flag = match () {
        () if i.privileged => "--privileged",
        () if !i.cap_add.is_empty() => "--cap-add",
        () if !i.cap_drop.is_empty() => "--cap-drop",
        () => return Ok(base),
    };
    let more: Vec<&str> = set.difference(&preset.value).map(String::as_str).collect();
    let what = if i.privileged { flag.to_owned() } else { format!("{flag} {}", short(&more)) };
    lock(inputs.preset, Key::Capabilities, &what, more.is_empty(), || {
        let held: Vec<&str> = preset.value.iter().map(String::as_str).collect();
        format!("are {}", if held.is_empty() { "none".into() } else { short(&held) })
    })?;
    Ok(Sourced::flag(set, flag))
}

fn short(names: &[&str]) -> String {
    names.iter().map(|n| n.trim_start_matches("CAP_")).collect::<Vec<_>>().join(", ")
}

pub(super) fn seccomp(
    inputs: &Inputs<'_>,
    capabilities: &BTreeSet<String>,
    sockets: &crate::paths::Sockets,
    writable_bind: Option<String>,
) -> Result<SeccompPlan> {
    let mut profile = Sourced::default(SeccompProfile::Builtin);
    for opt in &inputs.request.isolation.security_opts {
        let value = match opt {
            SecurityOpt::SeccompBuiltin => SeccompProfile::Builtin,
            SecurityOpt::SeccompUnconfined => SeccompProfile::Unconfined,
            SecurityOpt::SeccompFile { path, json } => SeccompProfile::File { path: path.clone(), json: json.clone() },
            _ => continue,
        };
        profile = Sourced::flag(value, "--security-opt seccomp");
    }
    let preset = inputs.preset;
    if profile.value != SeccompProfile::Builtin {
        let flag = match &profile.source {
            Source::Flag(flag) => flag.clone(),
            other => other.to_string(),
        };
        lock(preset, Key::SeccompOpen, &flag, false, || "is the built-in profile's own".into())?;
    }
    for group in &preset.seccomp_open.value {
        crate::seccomp::check_group(group)?;
    }
    for group in &preset.seccomp_shut.value {
        crate::seccomp::check_shut(group)?;
    }
    // A capability without its calls is of no use: what grants one opens the other, as in Docker's profile.
    let mut opened = preset.seccomp_open.value.clone();
    let called_for = capabilities.iter().flat_map(|capability| crate::seccomp::groups_for_capability(capability));
    opened.extend(called_for.map(|group| (*group).to_owned()));
    Ok(SeccompPlan {
        profile,
        only: preset.system_calls.clone(),
        opened,
        shut: preset.seccomp_shut.value.union(&sockets.shut()).cloned().collect(),
        no_setid: match writable_bind {
            Some(asked) => Sourced::flag(true, &asked),
            None => Sourced::default(false),
        },
    })
}

pub(super) fn apparmor(inputs: &Inputs<'_>) -> Result<Sourced<AppArmor>> {
    let mut asked = None;
    for opt in &inputs.request.isolation.security_opts {
        match opt {
            SecurityOpt::AppArmorUnconfined => {
                asked = Some(Sourced::flag(AppArmor::Unconfined, "--security-opt apparmor"));
            }
            SecurityOpt::AppArmorProfile(name) if !inputs.facts.apparmor => {
                return Err(Error::runner(format!(
                    "AppArmor is not supported on this host, but the profile {name:?} was specified"
                )));
            }
            SecurityOpt::AppArmorProfile(name) => {
                asked = Some(Sourced::flag(AppArmor::Named(name.clone()), "--security-opt apparmor"));
            }
            _ => {}
        }
    }
    Ok(match asked {
        Some(asked) => asked,
        None if inputs.facts.apparmor => Sourced::default(AppArmor::Builtin),
        None => Sourced::new(AppArmor::Unavailable, Source::Host),
    })
}

/// The mode of a profile that was named; a profile that the kernel does not have cannot be entered.
pub(super) fn apparmor_mode(
    inputs: &Inputs<'_>,
    apparmor: &AppArmor,
    notices: &mut Vec<String>,
) -> Result<Option<String>> {
    let AppArmor::Named(name) = apparmor else { return Ok(None) };
    // Judged by a rule: it is no profile.
    if crate::apparmor::is_unconfined(name) {
        return Ok(None);
    }
    let mode = inputs.host.apparmor_mode(name)?.ok_or_else(|| {
        Error::runner(format!("the kernel has no AppArmor profile named {name:?}")).hint(format!(
            "load it: apparmor_parser -r FILE; `hardrun apparmor show {}` prints the built-in one",
            inputs.preset.name
        ))
    })?;
    notices.push(format!(
        "apparmor={name} takes the place of the built-in profile; the kernel keeps its rules compiled, so they cannot be compared"
    ));
    Ok(Some(mode))
}

pub(super) fn selinux(inputs: &Inputs<'_>, notices: &mut Vec<String>) -> Result<Sourced<SeLinux>> {
    let opts = &inputs.request.isolation.security_opts;
    let last = |wanted: &str| {
        opts.iter().rev().find_map(|o| match o {
            SecurityOpt::Label { key, value } if key == wanted => Some(value.clone()),
            _ => None,
        })
    };
    if opts.contains(&SecurityOpt::LabelDisable) {
        return Ok(Sourced::flag(SeLinux::Disabled, "--security-opt label"));
    }
    let any = opts.iter().any(|o| matches!(o, SecurityOpt::Label { .. }));
    if !inputs.facts.selinux {
        if any {
            notices.push("--security-opt label=…: SELinux is not on here: the label has no effect".into());
        }
        return Ok(Sourced::new(SeLinux::Unavailable, Source::Host));
    }
    if !any {
        // As with docker: processes and memory in common are of no use behind categories that are not.
        let i = &inputs.request.isolation;
        let ipc = i.ipc.as_ref().and_then(|m| if let IpcMode::Container(name) = m { Some(name) } else { None });
        let pid = i.pid.as_ref().and_then(|m| if let NamespaceMode::Container(name) = m { Some(name) } else { None });
        for (name, flag) in [(ipc, "--ipc"), (pid, "--pid")] {
            let Some(name) = name else { continue };
            if let labels @ SeLinux::Labels { .. } = inputs.other(name)?.draft.selinux.value {
                return Ok(Sourced::flag(labels, flag));
            }
        }
    }
    let wanted = crate::selinux::Wanted {
        user: last("user"),
        role: last("role"),
        kind: last("type"),
        filetype: last("filetype"),
        level: last("level"),
    };
    let labels = crate::selinux::labels(inputs.id, &wanted)?;
    Ok(if any { Sourced::flag(labels, "--security-opt label") } else { Sourced::default(labels) })
}

pub(super) fn landlock(inputs: &Inputs<'_>) -> Sourced<Landlock> {
    match crate::landlock::decide(inputs.facts.landlock_abi) {
        Landlock::Unavailable => Sourced::new(Landlock::Unavailable, Source::Host),
        ruleset => Sourced::default(ruleset),
    }
}

pub(super) fn writable_cgroups(request: &Request) -> bool {
    request.isolation.security_opts.iter().rev().find_map(|o| match o {
        SecurityOpt::WritableCgroups(on) => Some(*on),
        _ => None,
    }) == Some(true)
}

pub(super) fn device_number(inputs: &Inputs<'_>, path: &Path) -> Result<(u32, u32)> {
    match inputs.host.look(path)?.map(|f| f.kind) {
        Some(Kind::Device { major, minor, .. }) => Ok((major, minor)),
        Some(_) => Err(Error::runner(format!("{} is not a device node", path.display()))),
        // Docker's exit code too: its client takes the words for those of a command that is not there.
        None => Err(Error::new(
            crate::error::Kind::NotFound,
            format!(
                "error gathering device information while adding custom device {:?}: no such file or directory",
                path.display().to_string()
            ),
        )),
    }
}

/// A folder stands for all nodes below it. Where no access was given, `m` is left out: making the node anew inside is
/// for nobody.
pub(super) fn devices(inputs: &Inputs<'_>) -> Result<Vec<Sourced<DevicePlan>>> {
    let mut devices = Vec::new();
    for asked in &inputs.request.isolation.devices {
        let DeviceKind::Node { host, container, access } = &asked.kind else { continue };
        let access = access.clone().unwrap_or_else(|| "rw".into());
        let mut push = |host: &Path, container: String| {
            devices.push(Sourced::flag(
                DevicePlan { host: host.to_owned(), container, access: access.clone() },
                "--device",
            ));
        };
        if let Some(found) = inputs.host.look(host)?
            && found.kind == Kind::Directory
        {
            let nodes = inputs.host.devices_below(&found.path)?;
            if nodes.is_empty() {
                return Err(Error::runner(format!("{}: there is no device node in {}", asked.typed, host.display())));
            }
            for node in nodes {
                let tail = node.strip_prefix(&found.path).unwrap_or(&node);
                push(&node, format!("{}/{}", container.trim_end_matches('/'), tail.display()));
            }
        } else {
            device_number(inputs, host)?;
            push(host, container.clone());
        }
    }
    Ok(devices)
}
