//! Which containers use which images and layers: what is read here is never collected, whoever asks for it.

use super::digest::Digest;
use crate::error::Result;
use crate::plan::MountKind;
use crate::state::{Paths, folder, lookup};
use std::path::PathBuf;

/// One container, as far as images and volumes are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// 64 hexadecimal digits.
    pub id: String,
    pub running: bool,
    /// `None` for `--rootfs`.
    pub manifest: Option<Digest>,
    /// Docker's image ID.
    pub config: Option<Digest>,
    /// Folders of unpacked layers, those of images mounted into it included.
    pub layers: Vec<PathBuf>,
    /// Folders of the volumes that it mounts, with `_data`.
    pub volumes: Vec<PathBuf>,
}

impl User {
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// Every container that is on record, running or not.
///
/// # Errors
/// A record that cannot be read: what it needs is not known, and nothing may be removed.
pub fn containers(paths: &Paths) -> Result<Vec<User>> {
    let mut users = Vec::new();
    for id in lookup::ids(paths)? {
        let at = paths.containers().join(&id);
        // What is being made, or was when the power failed, needs nothing yet.
        if !folder::has_record(&at) {
            continue;
        }
        let record = match folder::read_record(&at) {
            Ok(record) => record,
            // Removed meanwhile.
            Err(_) if !at.exists() => continue,
            Err(e) => return Err(e.hint(format!("while it is there nothing is removed: hardrun rm -f {id}"))),
        };
        let draft = record.plan.draft;
        let mut user = User {
            running: folder::is_alive(&at)?,
            manifest: Digest::parse(&draft.image.manifest_digest).ok(),
            config: Digest::parse(&draft.image.config_digest).ok(),
            volumes: draft.volume_folders(),
            layers: draft.image.layers,
            id,
        };
        for mount in draft.mounts {
            if let MountKind::Image { layers } = mount.kind {
                user.layers.extend(layers);
            }
        }
        users.push(user);
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Folder, testkit};

    #[test]
    fn a_record_counts_and_a_damaged_one_stops_everything() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(&dir.path().join("root")));
        assert!(containers(&paths).unwrap().is_empty());
        let folder = Folder::create(&paths, &testkit::record("aa", "web")).unwrap();
        assert!(containers(&paths).unwrap()[0].running);
        let path = folder.path.clone();
        drop(folder);
        let found = containers(&paths).unwrap();
        assert_eq!((found.len(), found[0].running, found[0].short_id()), (1, false, "aa0000000000"));
        std::fs::write(path.join("record.json"), "{ cut").unwrap();
        assert!(containers(&paths).is_err());
        std::fs::write(path.join("record.json"), "").unwrap();
        assert!(containers(&paths).unwrap().is_empty());
    }
}
