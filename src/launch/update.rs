//! `update`: other limits for a container that runs.

use super::cgroup::Placement;
use super::{cgroup_v1, cgroup_v2};
use crate::error::{Error, Result};
use crate::plan::ResourcesPlan;

/// Write the limits to the container's cgroup.
///
/// # Errors
/// What the kernel does not take: a limit below what is in use, a CPU that is not there.
pub fn apply(group: &Placement, resources: &ResourcesPlan) -> Result<()> {
    if group.is_own() {
        return cgroup_v1::limit(group, &crate::spec::limits(resources)?);
    }
    match cgroup_v2::folder(group) {
        Some(_) => cgroup_v2::limit(group, resources),
        None => Err(Error::verb("this host has no cgroups: there is nothing to set limits with")),
    }
}
