//! How much a container takes on the disk.

use crate::image::store::Store;
use crate::state::Container;
use crate::storage::volumes;

/// Bytes of the files that it has written, and of these with the image's. An image that cannot be read counts as nothing.
pub fn of(store: &Store, container: &Container) -> (u64, u64) {
    let own = volumes::size(&container.folder.join("upper"));
    let image = store.described(&container.record.plan.draft.image.config_digest).map_or(0, |d| d.size);
    (own, own + image)
}
