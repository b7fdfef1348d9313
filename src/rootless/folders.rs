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
        .flat_map(|(uid, home)| of_user(uid, &store_in(&home), [format!("/tmp/hardrun-{uid}").into(), session(uid)]))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What is kept from all containers, root's too, must be the user's own, wherever a link leads: else anybody could have binds of folders that
/// are not theirs refused, by a link in /tmp or in the own home. (Whoever leads it to another folder of their own has binds of that one
/// refused, which they could make useless in other ways as well.)
fn of_user(uid: u32, store: &Path, runs: [PathBuf; 2]) -> Vec<PathBuf> {
    // A store may lie on another disk, behind a link. A run folder that is a link is not used.
    let is_folder = |run: &PathBuf| std::fs::symlink_metadata(run).is_ok_and(|m| m.is_dir());
    let there = runs.into_iter().filter(is_folder).chain([store.to_owned()]);
    there.filter_map(|folder| folder.canonicalize().ok()).filter(|real| is_folder_of(real, uid)).collect()
}

fn is_folder_of(real: &Path, uid: u32) -> bool {
    // In the user's namespace the own files look like root's.
    std::fs::symlink_metadata(real).is_ok_and(|m| m.is_dir() && super::host_uid(m.uid()) == uid)
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
    mine_alone(&folder, uid)?;
    Ok(folder)
}

/// # Errors
/// Others can write to the folder, or it is theirs: in /tmp anybody may have been faster.
fn mine_alone(folder: &Path, uid: u32) -> Result<()> {
    if is_private(folder, uid) {
        return Ok(());
    }
    let own = "mkdir -m 700 ~/.run; export XDG_RUNTIME_DIR=~/.run";
    let shown = folder.display();
    let (why, hint) = match std::fs::symlink_metadata(folder) {
        Ok(meta) if meta.uid() != uid => (
            format!("it belongs to uid {}, and yours is {uid}", meta.uid()),
            format!("as root: rm -r {shown}; or have a folder of your own: {own}"),
        ),
        Ok(meta) if !meta.is_dir() => ("it is no folder".to_owned(), format!("rm {shown}")),
        Ok(meta) => {
            (format!("others can write to it: its mode is {:o}", meta.mode() & 0o7777), format!("chmod 700 {shown}"))
        }
        Err(e) => (e.to_string(), format!("have a folder of your own: {own}")),
    };
    Err(Error::runner(format!("keep what runs in {shown}")).because(why).hint(hint))
}

/// Whether these are two folders, however they are called.
pub fn differ(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino())).ok();
    one != other && (id(one).is_none() || id(one) != id(other))
}

/// What to do to enter a container that was started with the run folder `there`.
pub fn way_to(there: &Path, container: &str) -> String {
    let again = format!("start it again from here: hardrun restart {container}");
    match there.parent() {
        // The one in /tmp is for whoever has nothing better, and not to be asked for.
        Some(place) if there.ends_with("hardrun") => {
            format!("set it as it was: export XDG_RUNTIME_DIR={}; or {again}", place.display())
        }
        _ => again,
    }
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
    fn folders_of_users_are_their_own_wherever_a_link_leads() {
        use std::os::unix::fs::symlink;
        const NONE: [PathBuf; 0] = [];
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        ["disk", "run", "data"].iter().for_each(|name| std::fs::create_dir(at(name)).unwrap());
        std::fs::write(at("file"), "").unwrap();
        for (link, to) in [("store", "disk"), ("other", "data"), ("plain", "file"), ("nowhere", "gone")] {
            symlink(at(to), at(link)).unwrap();
        }
        let uid = rustix::process::getuid().as_raw();
        let found = |uid, store: &str, runs: [&str; 2]| of_user(uid, &at(store), runs.map(at));
        assert_eq!(found(uid, "store", ["run", "gone"]), [at("run"), at("disk")], "a store behind a link is one");
        assert_eq!(found(uid, "gone", ["other", "nowhere"]), NONE, "a run folder behind a link is none");
        assert_eq!(found(uid, "plain", ["file", "plain"]), NONE);
        assert_eq!(found(uid + 1, "store", ["run", "disk"]), NONE, "what belongs to somebody else is not theirs");
        symlink("/", at("all")).unwrap();
        assert_eq!(found(uid.max(1), "all", ["all", "all"]), NONE);
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::getuid().as_raw();
        let mode =
            |mode| std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let told = |folder: &Path, uid| {
            let error = mine_alone(folder, uid).unwrap_err();
            (error.chain().join(": "), error.hint.unwrap())
        };
        mode(0o700);
        mine_alone(dir.path(), uid).unwrap();
        let (said, hint) = told(dir.path(), uid + 1);
        assert!(said.contains(&format!("belongs to uid {uid}")) && hint.starts_with("as root: rm -r"), "{said} {hint}");
        assert!(hint.contains("XDG_RUNTIME_DIR"));
        mode(0o770);
        let (said, hint) = told(dir.path(), uid);
        assert!(said.contains("770") && hint.starts_with("chmod 700"), "{said} {hint}");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(told(&file, uid).1.starts_with("rm /"));
    }

    #[test]
    fn a_run_folder_is_one_however_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, link] = ["one", "two", "link"].map(|name| dir.path().join(name));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&two).unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        assert!(differ(&one, &two) && !differ(&one, &link) && !differ(&one, &one));
        assert!(differ(&one, Path::new("/nonexistent/hardrun")));
        assert!(way_to(Path::new("/run/user/7/hardrun"), "web").contains("XDG_RUNTIME_DIR=/run/user/7;"));
        assert_eq!(way_to(Path::new("/tmp/hardrun-7"), "web"), "start it again from here: hardrun restart web");
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
