//! From the plan to a process that libcontainer has built: ids, namespaces, the spec without what is done for it.

use super::cgroup::{self, Placement};
use super::cgroup_v1;
use super::executor::Confine;
use super::handoff::Handoff;
use super::pipes::Pipes;
use crate::error::{Context, Error, Result};
use crate::plan::{Draft, NetworkMode, SeLinux, UserNamespace};
use crate::rootless;
use crate::spec;
use crate::storage::Stage;
use crate::storage::idrange::{self, IdRange};
use crate::sys::userns;
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{LinuxDeviceCgroup, Spec};
use std::path::{Path, PathBuf};

/// The range that the container had before, if it is free: then what is in its writable folder needs no care.
pub(super) fn allocate_ids(draft: &Draft, run: &Path, before: Option<u32>) -> Result<Option<IdRange>> {
    match draft.namespaces.user.value {
        UserNamespace::Private { .. } if rootless::current().is_some() => Ok(Some(idrange::of_user(&run.join("ids"))?)),
        UserNamespace::Private { .. } => {
            let seed = u32::from_str_radix(&draft.id[..8], 16).context(|| format!("read the id {}", draft.id))?;
            let seed = before.map_or(seed, idrange::slot_of);
            Ok(Some(idrange::allocate(&run.join("ids"), seed, &cgroup::is_populated)?))
        }
        UserNamespace::Host => Ok(None),
    }
}

/// Whether the container has a network namespace of its own.
pub(super) fn has_network(draft: &Draft) -> bool {
    matches!(draft.namespaces.network.value, NetworkMode::None | NetworkMode::Bridge | NetworkMode::Named(_))
}

/// Whether it is on a network of bridges: an ordinary user's are in a network of their own.
pub(super) fn on_a_network(draft: &Draft) -> bool {
    matches!(draft.namespaces.network.value, NetworkMode::Bridge | NetworkMode::Named(_))
}

/// The namespaces that the container joins: made early, for the kernel is slow at it.
pub(super) fn hold_namespaces(draft: &Draft, base: u32) -> Result<userns::Holder> {
    let [uids, gids] = idrange::maps(draft, base);
    let made = match has_network(draft) {
        true => userns::Holder::with_network(&uids, &gids),
        false => userns::Holder::user_only(&uids, &gids),
    };
    made.context(|| "make the container's user namespace".into())
}

pub(super) fn build(
    handoff: &Handoff,
    bundle: &Path,
    stage: &Stage,
    executor: Confine,
    pipes: &mut Pipes,
) -> Result<Container> {
    let attempt = || "build the container".to_string();
    let state = stage.folder("state")?;
    let mut builder = ContainerBuilder::new(handoff.record.id.clone(), SyscallType::default())
        .with_executor(executor)
        .with_root_path(state)
        .context(attempt)?
        .with_console_socket(pipes.socket.clone());
    if let Some(fd) = pipes.inside[0].take() {
        builder = builder.with_stdin(fd);
    }
    if let Some(fd) = pipes.inside[1].take() {
        builder = builder.with_stdout(fd);
    }
    if let Some(fd) = pipes.inside[2].take() {
        builder = builder.with_stderr(fd);
    }
    builder
        .validate_id()
        .context(attempt)?
        .as_init(bundle)
        .with_systemd(false)
        .with_detach(pipes.socket.is_some())
        .build()
        .map_err(|e| Error::runner(attempt()).because(cgroup_v1::reason(stage, &e)))
}

/// Take out of the spec what libcontainer is not to do: masks over nothing, and the limits.
pub(super) fn trim(spec: &mut Spec, draft: &Draft, group: &Placement, stage: &Stage) -> Result<()> {
    let Some(mut linux) = spec.linux().clone() else { return Ok(()) };
    spec::leave_out_empty(draft, &mut linux);
    linux.set_resources(None);
    if group.is_own() {
        cgroup_v1::decoy(stage, &mut linux)?;
    } else {
        linux.set_cgroups_path(Some(PathBuf::from(&group.path)));
    }
    spec.set_linux(Some(linux));
    Ok(())
}

/// The device rules of a spec.
pub(super) fn devices(spec: &Spec) -> &[LinuxDeviceCgroup] {
    let resources = spec.linux().as_ref().and_then(|l| l.resources().as_ref());
    resources.and_then(|r| r.devices().as_deref()).unwrap_or_default()
}

/// What the launch adds to the planned capabilities, in the order in which it can be dropped: CAP_SETPCAP is what dropping
/// from the bounding set takes.
pub(super) fn drop_after_filter(draft: &Draft) -> Result<Vec<caps::Capability>> {
    let (planned, launched) = (spec::sets(draft), spec::sets_at_launch(draft));
    let extra = spec::FOR_THE_FILTER
        .into_iter()
        .filter(|name| launched.effective.contains(*name) && !planned.effective.contains(*name));
    extra.map(|name| name.parse().context(|| format!("unknown capability {name}"))).collect()
}

pub(super) fn selinux_label(draft: &Draft) -> Option<String> {
    match &draft.selinux.value {
        SeLinux::Labels { process, .. } => Some(process.clone()),
        SeLinux::Disabled | SeLinux::Unavailable => None,
    }
}
