//! Where an ordinary user's things are.

use crate::error::{Context, Error, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The default store and the run folder of the caller, by the specification of XDG's base directories.
///
/// # Errors
/// There is no home, or the only place for the run folder is somebody else's.
pub fn mine() -> Result<(PathBuf, PathBuf)> {
    static MINE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    if let Some(mine) = MINE.get() {
        return Ok(mine.clone());
    }
    let found = (root(&|name| std::env::var_os(name).map(PathBuf::from))?, run()?);
    Ok(MINE.get_or_init(|| found).clone())
}

fn root(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let home = || absolute("HOME").or_else(home_of_caller).map(|home| home.join(".local/share"));
    let data = absolute("XDG_DATA_HOME").or_else(home);
    let data =
        data.ok_or_else(|| Error::runner("there is no home to keep images and containers in").hint("set HOME"))?;
    Ok(data.join("hardrun"))
}

fn home_of_caller() -> Option<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = rustix::process::getuid().as_raw();
    users(&passwd).find(|(of, _)| *of == uid).map(|(_, home)| home)
}

/// Stores and run folders of one user, or of all that /etc/passwd has, where no variable says otherwise; those that are there, under their
/// real names.
pub fn of_users(only: Option<u32>) -> Vec<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut found: Vec<PathBuf> = users(&passwd)
        .filter(|(uid, _)| only.is_none_or(|only| only == *uid))
        .flat_map(|(uid, home)| [store_in(&home), format!("/tmp/hardrun-{uid}").into(), session(uid)])
        .filter_map(|folder| folder.canonicalize().ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The store of a user whose environment says nothing else: the one that a site's policy believes without listing it.
pub fn store_of(uid: u32) -> Option<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    users(&passwd).find(|(of, _)| *of == uid).map(|(_, home)| store_in(&home))
}

fn users(passwd: &str) -> impl Iterator<Item = (u32, PathBuf)> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let uid = fields.nth(2)?.parse().ok()?;
        let home = PathBuf::from(fields.nth(2)?);
        home.is_absolute().then_some((uid, home))
    })
}

fn store_in(home: &Path) -> PathBuf {
    home.join(".local/share/hardrun")
}

fn session(uid: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{uid}/hardrun"))
}

/// Below what systemd makes for a session, else a folder of the caller's own in /tmp.
fn run() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute());
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    let place = given.into_iter().chain([usual]).find(|place| is_private(place, uid));
    let folder = match place {
        Some(place) => place.join("hardrun"),
        None => PathBuf::from(format!("/tmp/hardrun-{uid}")),
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.context(|| format!("make {}", folder.display()))?,
    }
    if !is_private(&folder, uid) {
        // In /tmp anybody may have been faster.
        return Err(Error::runner(format!("{} is not a folder that only uid {uid} can write to", folder.display()))
            .hint("remove it, or set XDG_RUNTIME_DIR to a folder of your own"));
    }
    Ok(folder)
}

/// The bus of the user's systemd, where there is one.
pub fn bus() -> Option<PathBuf> {
    let address = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
    let named =
        address.as_deref().and_then(|a| a.strip_prefix("unix:path=")).map(|a| a.split([',', ';']).next().unwrap_or(a));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("bus"));
    let usual = PathBuf::from(format!("/run/user/{}/bus", rustix::process::getuid().as_raw()));
    named.map(PathBuf::from).into_iter().chain(runtime).chain([usual]).find(|path| path.is_absolute() && path.exists())
}

fn is_private(folder: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == uid && m.mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_in_the_data_home_and_relative_names_do_not_count() {
        let with = |list: &'static [(&str, &str)]| {
            root(&|name| list.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v))).unwrap()
        };
        assert_eq!(with(&[("HOME", "/home/ann")]), Path::new("/home/ann/.local/share/hardrun"));
        assert_eq!(with(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]), Path::new("/data/hardrun"));
        assert_eq!(
            with(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "data")]),
            Path::new("/home/ann/.local/share/hardrun")
        );
    }

    #[test]
    fn users_are_read_with_their_homes() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nodd:x:y:1::/odd:\nrel:x:7:7::rel:\n";
        let found: Vec<(u32, PathBuf)> = users(passwd).collect();
        assert_eq!(found, [(0, "/root".into()), (1000, "/home/ann".into())]);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_private() {
        let dir = tempfile::tempdir().unwrap();
        let (uid, mode) = (rustix::process::getuid().as_raw(), std::os::unix::fs::PermissionsExt::from_mode);
        assert!(is_private(dir.path(), uid) && !is_private(dir.path(), uid + 1));
        std::fs::set_permissions(dir.path(), mode(0o770)).unwrap();
        assert!(!is_private(dir.path(), uid));
        let link = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(link.path(), link.path().join("link")).unwrap();
        assert!(!is_private(&link.path().join("link"), uid));
    }
}
