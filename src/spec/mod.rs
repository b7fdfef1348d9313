//! Plan → OCI runtime spec. Pure: decisions are in the plan, paths of staged mounts come from the launcher.
//!
//! What libcontainer 0.7 leaves open is closed here by what is written, never by what is left out: all five capability
//! sets are always present, bind options come from a closed set, propagation is private, no cgroup file system is writable.

mod capabilities;
mod linux;
mod mounts;
mod process;

pub use capabilities::{FOR_THE_FILTER, Sets, sets, sets_at_launch};
pub use linux::{CGROUP_PARENT, cgroups_path, empty_in_sysfs, leave_out_empty, limits, resources};

use crate::error::{Context, Error, Result};
use crate::plan::{AppArmor, Draft, Plan};
use oci_spec::runtime::{RootBuilder, Spec, SpecBuilder};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the launcher has put things. The default is what `hardrun spec` prints: names relative to the bundle.
#[derive(Debug, Clone)]
pub struct Staged {
    pub root: PathBuf,
    /// One staged source per entry of the plan's mounts; `None` where libcontainer makes the mount itself.
    pub mounts: Vec<Option<PathBuf>>,
    /// One answer per entry of the plan's mounts: it lies on the root already.
    pub placed: Vec<bool>,
    /// One staged node per entry of the plan's devices, to be bound; `None` where libcontainer makes nodes of its own, which
    /// takes the host's user namespace.
    pub devices: Option<Vec<PathBuf>>,
    /// Paths of another container's namespaces, by the names of /proc.
    pub joined: BTreeMap<&'static str, PathBuf>,
    /// Another container's /dev/shm.
    pub shared_memory: Option<PathBuf>,
    /// Path of the user namespace to join.
    pub userns: Option<PathBuf>,
    /// Path of the network namespace to join, where the container has one of its own that was made before.
    pub network: Option<PathBuf>,
    /// cgroup v2 is mounted on the host, so the container can have a read-only view of its own.
    pub cgroup2: bool,
    /// AppArmor profile to enter; `None` where the kernel has no AppArmor, for libcontainer fails on any value there.
    pub apparmor: Option<String>,
    /// Each mount has its SELinux label as an option, instead of the spec's mount label: libcontainer (0.7.0) gives that to file systems
    /// that a user namespace may not label. Other runtimes know what to do with it.
    pub labelled: bool,
}

impl Staged {
    /// For printing: binds with the sources as they are on the host.
    pub fn for_printing(plan: &Plan) -> Staged {
        Staged {
            root: "rootfs".into(),
            mounts: plan.draft.mounts.iter().map(mounts::printed_source).collect(),
            placed: vec![false; plan.draft.mounts.len()],
            devices: None,
            joined: BTreeMap::new(),
            shared_memory: None,
            userns: None,
            network: None,
            cgroup2: false,
            apparmor: apparmor_profile(&plan.draft),
            labelled: false,
        }
    }
}

/// Name of the AppArmor profile that a draft asks for.
pub fn apparmor_profile(draft: &Draft) -> Option<String> {
    match &draft.apparmor.value {
        AppArmor::Builtin => Some(crate::apparmor::profile(draft).name),
        AppArmor::Named(name) => Some(name.clone()),
        AppArmor::Unconfined => Some("unconfined".to_owned()),
        AppArmor::Unavailable => None,
    }
}

/// The profile that a start enters, on a kernel with AppArmor or without.
///
/// # Errors
/// A profile is planned, and the kernel has no AppArmor.
pub fn profile_to_enter(draft: &Draft, available: bool) -> Result<Option<String>> {
    match &draft.apparmor.value {
        _ if available => Ok(apparmor_profile(draft)),
        AppArmor::Builtin | AppArmor::Named(_) => {
            Err(Error::runner("the plan has an AppArmor profile, and this host has no AppArmor")
                .hint("boot with apparmor=1 security=apparmor, or create the container anew"))
        }
        AppArmor::Unconfined | AppArmor::Unavailable => Ok(None),
    }
}

/// The whole `config.json`.
pub fn to_oci(plan: &Plan, staged: &Staged) -> Result<Spec> {
    let draft = &plan.draft;
    let mut builder = SpecBuilder::default()
        .version("1.0.2")
        .root(
            RootBuilder::default()
                .path(staged.root.clone())
                .readonly(draft.root.readonly.value)
                .build()
                .context(|| "describe the root".into())?,
        )
        .mounts(mounts::all(plan, staged)?)
        .process(process::process(draft, staged)?)
        .linux(linux::linux(plan, staged)?)
        .annotations(draft.annotations.clone().into_iter().collect::<std::collections::HashMap<_, _>>());
    if draft.namespaces.uts.value == crate::plan::Namespace::Private {
        builder = builder.hostname(draft.hostname.value.clone());
        if let Some(domain) = &draft.domainname {
            builder = builder.domainname(domain.value.clone());
        }
    }
    let mut spec = builder.build().context(|| "describe the container".into())?;
    if draft.namespaces.uts.value != crate::plan::Namespace::Private {
        // The builder has a name of its own for those who give none.
        spec.set_hostname(None);
    }
    Ok(spec)
}
