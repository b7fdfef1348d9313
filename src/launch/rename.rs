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
    record.plan.draft.name.clone_from(&name);
    record.digest = record.plan.digest();
    if let Err(e) = folder.write_record(record) {
        // A full disk: the container keeps the name that its record on disk has.
        record.name.clone_from(&old);
        record.plan.draft.name = old;
        record.digest = record.plan.digest();
        names::release(paths, &name, &record.id)?;
        return Err(e);
    }
    events::note(paths, Event::container(record, "rename").with("oldName", format!("/{old}")));
    names::release(paths, &old, &record.id)
}
