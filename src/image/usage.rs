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
        if !folder::is_containers(&at) {
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
    use crate::image::archive::load_archive;
    use crate::image::store::{Image, Store};
    use crate::image::testtar::{Tar, docker_archive};
    use crate::state::{Folder, testkit};

    #[test]
    fn a_record_counts_and_a_damaged_one_stops_everything() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(&dir.path().join("root")));
        assert!(containers(&paths).unwrap().is_empty());
        let folder = Folder::create(&paths, &mut testkit::record("aa", "web")).unwrap();
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

    /// A store with the image `app`, and a stopped container made from it.
    fn used() -> (tempfile::TempDir, Store, Image, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Paths::new(Some(&dir.path().join("root")))).unwrap();
        let archive = docker_archive("app", &[Tar::new().file("content", "x").bytes()]);
        load_archive(&store, archive.as_slice(), None).unwrap();
        let image = store.find("app", None).unwrap().unwrap();
        let mut record = testkit::record("aa", "web");
        record.plan.draft.image = crate::plan::ImagePlan {
            reference: "app".into(),
            name: image.name.clone(),
            manifest_digest: image.manifest_digest.clone(),
            config_digest: image.config_digest.clone(),
            layers: image.layers.clone(),
            index_digest: None,
            repositories: vec![],
            signatures: vec![],
        };
        let folder = Folder::create(&store.paths, &mut record).unwrap();
        (dir, store, image, folder)
    }

    #[test]
    fn an_image_of_a_running_container_is_not_removed() {
        let (_dir, store, image, folder) = used();
        let short = &image.config_digest[7..19];
        assert_eq!(
            store.remove("app", false).unwrap_err().message,
            format!(
                "conflict: unable to remove repository reference \"app\" (must force) - container aa0000000000 is using its referenced image {short}"
            )
        );
        assert_eq!(
            store.remove(short, true).unwrap_err().message,
            format!(
                "conflict: unable to delete {short} (cannot be forced) - image is being used by running container aa0000000000"
            )
        );
        assert!(store.prune(true, &[]).unwrap().removed.is_empty());
        let removed = store.remove("app", true).unwrap();
        assert_eq!((removed.untagged.as_slice(), removed.deleted.len()), (&["app:latest".to_owned()][..], 0));
        assert_eq!(store.list(&[]).unwrap().len(), 1, "it stays without a name");
        drop(folder);
    }

    #[test]
    fn what_a_stopped_container_needs_outlives_the_image() {
        let (_dir, store, image, folder) = used();
        drop(folder);
        let short = &image.config_digest[7..19];
        assert!(store.remove("app", false).unwrap_err().message.contains("container aa0000000000 is using"));
        assert_eq!(
            store.remove(short, false).unwrap_err().message,
            format!(
                "conflict: unable to delete {short} (must be forced) - image is being used by stopped container aa0000000000"
            )
        );
        let removed = store.remove("app", true).unwrap();
        assert_eq!(removed.deleted.len(), 1, "the image, and none of its layers: {removed:?}");
        assert!(store.find("app", None).unwrap().is_none() && store.list(&[]).unwrap().is_empty());
        assert!(image.layers[0].join("content").exists() && store.has_blob(&image.manifest_digest).unwrap());
        // Another image's removal does not take it either.
        load_archive(&store, docker_archive("other", &[Tar::new().file("y", "").bytes()]).as_slice(), None).unwrap();
        store.remove("other", false).unwrap();
        store.release(&image.manifest_digest).unwrap();
        assert!(image.layers[0].join("content").exists() && store.has_blob(&image.manifest_digest).unwrap());
        Folder::open(&store.paths, &testkit::id("aa")).unwrap().unwrap().remove(&store.paths).unwrap();
        store.release(&image.manifest_digest).unwrap();
        assert!(!image.layers[0].exists() && !store.has_blob(&image.manifest_digest).unwrap());
    }
}
