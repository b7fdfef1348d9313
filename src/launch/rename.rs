//! A container gets another name.

use crate::error::Result;
use crate::observe::events::{self, Event};
use crate::state::{Folder, Paths, Record, names};

/// Give the container of a folder that is locked, here or by the caller's supervisor, another name: on disk first, so that no name is
/// ever without its container.
///
/// # Errors
/// Docker's conflict where the name is taken.
pub fn rename(paths: &Paths, folder: &Folder, record: &mut Record, name: String) -> Result<()> {
    names::take(paths, &name, &record.id)?;
    let old = std::mem::replace(&mut record.name, name.clone());
    record.plan.draft.name = name;
    folder.write_record(record)?;
    events::note(paths, Event::container(record, "rename").with("oldName", format!("/{old}")));
    names::release(paths, &old, &record.id)
}
