//! A look at the disk at what a bind would show a container.

use super::{BindSeen, Facts};
use std::path::{Path, PathBuf};

/// What the source of a bind is and holds. `source` is canonical. A few dozen `stat` calls.
pub fn look(_source: &Path, _facts: &Facts) -> BindSeen {
    BindSeen::default()
}

/// Control sockets of engines that exist on this host, canonical and sorted.
pub fn engine_sockets() -> Vec<PathBuf> {
    Vec::new()
}
