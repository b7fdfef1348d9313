//! The Landlock rules of a container, with what only the host can tell of its files.

use crate::image::linked;
use crate::landlock::{self, Rules};
use crate::plan::Draft;
use std::path::{Path, PathBuf};

/// What a container has written is looked through at every start and `exec`. Where it is more than this, the files that the
/// policy denies are looked at instead.
const MOST_WRITTEN: usize = 5_000;

/// The rules of a container, whose writable layer is in `folder`; `None`: there is nothing to enforce, or nothing to do it with.
pub fn rules(draft: &Draft, folder: &Path) -> Option<Rules> {
    let mut rules = landlock::rules(draft).ok()?;
    if let Some(files) = rules.files.as_mut().filter(|files| !files.deny.is_empty()) {
        files.linked = names(draft, folder);
        files.same = same(draft);
    }
    Some(rules)
}

/// Which names are one file's in the image. A container can part them (changing a mode copies the file up under one name alone),
/// and what one of them was denied stays denied to the others.
fn same(draft: &Draft) -> Vec<linked::Same> {
    if draft.asked.rootfs.is_some() {
        return Vec::new();
    }
    draft.image.layers.iter().filter_map(|layer| linked::linked(layer).ok().flatten()).flatten().collect()
}

/// Names in the root of which each is not its file's only one. An overlay shows a layer's file under the layer's own name
/// for it, unless folders were moved by a note in the writable layer (`redirect_dir`). `None`: not known, also where something
/// cannot be read.
fn names(draft: &Draft, folder: &Path) -> Option<Vec<PathBuf>> {
    let moves = std::fs::read("/sys/module/overlay/parameters/redirect_dir");
    if draft.asked.rootfs.is_some() || !moves.is_ok_and(|text| text.starts_with(b"N")) {
        return None;
    }
    let upper = folder.join("upper");
    let mut all = match upper.try_exists().ok()? {
        true => linked::in_tree(&upper, MOST_WRITTEN).ok()??.concat(),
        false => Vec::new(),
    };
    for layer in &draft.image.layers {
        all.extend(linked::linked(layer).ok()??.concat());
    }
    all.sort();
    all.dedup();
    Some(all)
}
