//! `update`: other limits for a container that runs.

use super::cgroup::Placement;
use super::limits;
use crate::error::{Error, Result};
use crate::plan::ResourcesPlan;

/// Write the limits to the container's cgroup, in the place of those that are `set`, and read them back.
///
/// # Errors
/// What the kernel does not take: a limit below what is in use, a CPU that is not there. What was written until then is there:
/// applied the other way round, this takes it back.
pub fn apply(group: &Placement, set: &ResourcesPlan, wanted: &ResourcesPlan) -> Result<()> {
    let (before, after) = (limits::of(group, set)?, limits::of(group, wanted)?);
    if let Some(controller) = limits::missing(group, &after).filter(|_| !group.hierarchies.is_empty()) {
        // Of cgroup v1: a start makes no group that its limits do not need.
        return Err(Error::runner(format!(
            "the container was started without a limit of the {controller} controller, and is in no group of it"
        ))
        .hint("stop the container, update it and start it again: a start puts it where its limits are"));
    }
    let settings = [limits::undone(group, &before, &after)?, after].concat();
    limits::write(group, &settings, wanted)?;
    limits::check(group, &settings, wanted)
}
