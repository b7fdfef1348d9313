//! A look at the disk at what a bind would show a container: what its source is under other names, what it holds, who
//! listens on it. Names alone are judged by [`crate::policy::sensitive`]; this is the part that needs the host.

mod expand;
mod socket;

pub use socket::engine_sockets;

use super::{BindSeen, Facts, Held, PathClass};
use crate::policy::sensitive::{classify_all, site_class, table::TABLE};
use crate::site::{PathMode, SitePath};
use std::borrow::Cow;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the source of a bind is and holds. `source` is canonical. Some dozen cheap look-ups, no writes; a socket that no
/// table knows is connected to for a moment to learn who listens.
pub fn look(source: &Path, facts: &Facts) -> BindSeen {
    let mut seen = BindSeen::default();
    let Ok(meta) = std::fs::symlink_metadata(source) else { return seen };
    let homes = expand::homes();
    let mut real = source.to_owned();
    if may_have_alias(&meta)
        && let Some(alias) = alias(source, &homes, facts)
    {
        seen.is.extend(held_at(&alias));
        seen.is.extend(of_site(&alias, facts));
        real = alias;
    }
    seen.is.extend(expand::in_home(&real, &homes));
    if meta.file_type().is_socket() {
        seen.engine = socket::listener(source, (meta.dev(), meta.ino()), &sockets(facts));
    }
    if meta.is_dir() {
        seen.holds = expand::below(&real, &homes);
        for socket in sockets(facts).iter().filter(|s| s.starts_with(&real) && **s != real) {
            let why = "an engine's control socket".to_owned();
            seen.holds.push(Held { path: socket.clone(), class: PathClass::EngineSocket, why });
        }
        for own in &facts.own_paths {
            if own.starts_with(&real) && *own != real && own.exists() {
                let why = "hardrun's own state".to_owned();
                seen.holds.push(Held { path: own.clone(), class: PathClass::Own, why });
            }
        }
        for site in &facts.site.law.paths {
            if site.path.starts_with(&real) && site.path != real && site.path.exists() {
                // What lies in a bound folder is made read-only as a start-up file in a home is.
                let class = if site.mode == PathMode::Never { PathClass::Barred } else { PathClass::Startup };
                let why = format!("{}, by the site's policy", site.reason);
                seen.holds.push(Held { path: site.path.clone(), class, why });
            }
        }
        if real != source {
            // Back to the names that the container's mount will have.
            for held in &mut seen.holds {
                if let Ok(rest) = held.path.strip_prefix(&real) {
                    held.path = source.join(rest);
                }
            }
        }
    }
    seen
}

/// The facts' sockets, or those of this host: they are looked for only when something is bound, for that takes a
/// fifth of a millisecond.
fn sockets(facts: &Facts) -> Cow<'_, [PathBuf]> {
    static HOST: OnceLock<Vec<PathBuf>> = OnceLock::new();
    match facts.engine_sockets.as_slice() {
        [] => Cow::Borrowed(HOST.get_or_init(engine_sockets)),
        known => Cow::Borrowed(known),
    }
}

/// Whether this file or folder can have another name: a file by a hard link, anything by a second mount of its file
/// system. Where mountinfo does not know the device (btrfs has one for each subvolume), it can.
fn may_have_alias(meta: &Metadata) -> bool {
    if !meta.is_dir() && meta.nlink() > 1 {
        return true;
    }
    let device = format!("{}:{}", libc::major(meta.dev()), libc::minor(meta.dev()));
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return true };
    mounts.lines().filter(|line| line.split(' ').nth(2) == Some(&device)).count() != 1
}

/// What a path is by its name, as facts.
fn held_at(path: &Path) -> Vec<Held> {
    classify_all(path).into_iter().map(|m| Held { path: path.to_owned(), class: m.class, why: m.why }).collect()
}

/// What the site's policy says of a path.
fn of_site(path: &Path, facts: &Facts) -> Vec<Held> {
    let named = facts.site.law.paths.iter().filter(|site| path.starts_with(&site.path));
    let held = |site: &SitePath| Held {
        path: path.to_owned(),
        class: site_class(site.mode),
        why: format!("{}, by the site's policy", site.reason),
    };
    named.map(held).collect()
}

/// The name under which the table or the site's policy knows this file or folder, where that is not its own: a bind mount of `/etc` at
/// `/mnt/etc` has the device and inode number of `/etc`, a hard link to `/etc/shadow` those of the file.
fn alias(source: &Path, homes: &[PathBuf], facts: &Facts) -> Option<PathBuf> {
    let known: Vec<((u64, u64), PathBuf)> = TABLE
        .iter()
        .filter(|entry| !entry.path.contains('*'))
        .flat_map(|entry| match entry.path.strip_prefix("~/") {
            Some(rest) => homes.iter().map(|home| home.join(rest)).collect(),
            None => vec![PathBuf::from(entry.path)],
        })
        .chain(facts.site.law.paths.iter().map(|site| site.path.clone()))
        .filter_map(|path| {
            let meta = std::fs::symlink_metadata(&path).ok()?;
            (!meta.file_type().is_symlink()).then(|| ((meta.dev(), meta.ino()), path))
        })
        .collect();
    source.ancestors().find_map(|ancestor| {
        let meta = std::fs::symlink_metadata(ancestor).ok()?;
        let (_, path) = known
            .iter()
            .filter(|(id, path)| *id == (meta.dev(), meta.ino()) && path != ancestor)
            .max_by_key(|(_, path)| path.components().count())?;
        let rest = source.strip_prefix(ancestor).ok()?;
        Some(if rest.as_os_str().is_empty() { path.clone() } else { path.join(rest) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testkit;

    #[test]
    fn an_ordinary_folder_is_and_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        assert_eq!(look(dir.path(), &testkit::facts()), BindSeen::default());
    }

    #[test]
    fn keys_in_any_folder_are_held() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".ssh")).unwrap();
        let seen = look(dir.path(), &testkit::facts());
        assert_eq!(seen.holds.len(), 1);
        assert_eq!(seen.holds[0].class, PathClass::Secret);
        assert_eq!(seen.holds[0].path, dir.path().join(".ssh"));
    }

    #[test]
    fn a_hard_link_is_known_by_its_inode() {
        // /etc is listed, and so is what lies in it; the test needs no right to link a real secret.
        let meta = std::fs::symlink_metadata("/etc").unwrap();
        assert!(meta.is_dir());
        assert_eq!(alias(Path::new("/etc"), &[], &testkit::facts()), None, "its own name is no alias");
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".netrc");
        std::fs::write(&file, "x").unwrap();
        let link = home.path().join("innocent");
        std::fs::hard_link(&file, &link).unwrap();
        assert!(may_have_alias(&std::fs::symlink_metadata(&link).unwrap()));
        assert_eq!(alias(&link, &[home.path().to_owned()], &testkit::facts()), Some(file));
    }

    #[test]
    fn hardruns_own_folders_are_held() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("store");
        std::fs::create_dir(&own).unwrap();
        let mut facts = testkit::facts();
        facts.own_paths = vec![own.clone()];
        let seen = look(dir.path(), &facts);
        assert_eq!(seen.holds.iter().map(|h| (&h.path, h.class)).collect::<Vec<_>>(), [(&own, PathClass::Own)]);
    }
}
