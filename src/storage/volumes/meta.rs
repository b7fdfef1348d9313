//! Volumes as things that are made, listed and removed: `ROOT/volumes/NAME/` with `_data`, what a container sees, and
//! `volume.json`, what is known about it. A volume appears and vanishes by one rename, under one lock for all volumes of a
//! root, so that two containers that start at once agree about it.

use super::options::{self, Backing};
use super::quota;
use crate::error::{Context, Error, Result};
use crate::image::usage::{self, User};
use crate::observe::events::{self, Event};
use crate::state::Paths;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const DATA: &str = "_data";
const META: &str = "volume.json";
const LOCK: &str = ".lock";
/// Being made, or being removed: what is left of a process that was killed goes with the next command.
const NEW: &str = ".new-";
const TRASH: &str = ".rm-";

pub type Pairs = BTreeMap<String, String>;

/// What is on disk beside the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meta {
    version: u32,
    #[serde(with = "as_text")]
    created: Timestamp,
    /// Nobody named it: a container's `-v /path`, or `volume create` without a name.
    #[serde(default)]
    anonymous: bool,
    #[serde(default)]
    labels: Pairs,
    #[serde(default)]
    options: Pairs,
    /// The project whose quota is the volume's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<u32>,
}

/// A time in the form of RFC 3339.
mod as_text {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    pub name: String,
    pub created: Timestamp,
    pub anonymous: bool,
    pub labels: Pairs,
    pub options: Pairs,
    /// Docker's mountpoint: ends in `/_data`.
    pub mountpoint: PathBuf,
    project: Option<u32>,
}

/// `volume inspect`, with docker's keys in docker's order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    pub created_at: String,
    pub driver: String,
    pub labels: Option<Pairs>,
    pub mountpoint: String,
    pub name: String,
    pub options: Option<Pairs>,
    pub scope: String,
}

impl Volume {
    /// What it is made of.
    pub fn backing(&self) -> Result<Backing> {
        options::parse(&self.options)
    }

    pub fn describe(&self) -> Described {
        let filled = |pairs: &Pairs| (!pairs.is_empty()).then(|| pairs.clone());
        Described {
            created_at: self.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            driver: "local".into(),
            labels: filled(&self.labels),
            mountpoint: self.mountpoint.display().to_string(),
            name: self.name.clone(),
            options: filled(&self.options),
            scope: "local".into(),
        }
    }
}

/// What a new volume is to be.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Nobody chose the name.
    pub anonymous: bool,
    pub labels: Pairs,
    pub options: Pairs,
}

/// Docker's rule for names, in docker's words. No name that passes leaves the folder of volumes.
pub fn check_name(name: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_.-".contains(b);
    if bytes.len() == 1 {
        return Err(Error::verb("volume name is too short, names should be at least two alphanumeric characters"));
    }
    if bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.iter().all(plain) && bytes.len() <= 255 {
        return Ok(());
    }
    Err(Error::verb(format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If \
         you intended to pass a host directory, use absolute path"
    )))
}

/// The name of a container's volume that nobody named: 64 hexadecimal digits as docker's, the same for the same container
/// and place in its list.
pub fn anonymous_name(container: &str, place: u32) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(format!("{container} volume {place}")))
}

/// Where the data of a volume lies.
pub fn data(paths: &Paths, name: &str) -> PathBuf {
    paths.volumes().join(name).join(DATA)
}

/// The options that a volume was made with; empty where it is a plain folder or not there. `json` is the content of its
/// `volume.json`.
pub fn options_in(json: &str) -> Result<Pairs> {
    if json.is_empty() {
        return Ok(Pairs::new());
    }
    serde_json::from_str::<Meta>(json).map(|meta| meta.options).context(|| "read what is known of a volume".into())
}

/// The path of a volume's `volume.json`.
pub fn meta_file(paths: &Paths, name: &str) -> PathBuf {
    paths.volumes().join(name).join(META)
}

/// Make a volume; one that is there already stays as it is, as with docker.
pub fn create(paths: &Paths, name: &str, wanted: &Wanted) -> Result<Volume> {
    let failed = |e: Error| Error { message: format!("create {name}: {}", e.message), ..e };
    check_name(name).map_err(failed)?;
    let backing = options::parse(&wanted.options).map_err(failed)?;
    let folder = paths.volumes();
    let lock = lock(&folder)?;
    sweep(&folder);
    if let Some(known) = read(&folder, name)? {
        return Ok(known);
    }
    make(&folder, name, wanted, &backing).map_err(failed)?;
    drop(lock);
    read(&folder, name)?.ok_or_else(|| Error::verb(format!("get {name}: no such volume")))
}

/// Make the volume whose data lies at `data` if it is missing: what a launch does for every volume in its plan. One from
/// before there was a `volume.json` gets one.
pub fn ensure(data: &Path, wanted: &Wanted) -> Result<()> {
    let attempt = || format!("make the volume {}", data.display());
    let place = data.parent().and_then(|own| Some((own.parent()?, own.file_name()?.to_str()?)));
    let (folder, name) = place.ok_or_else(|| Error::runner(attempt()))?;
    if data.exists() && folder.join(name).join(META).exists() {
        return Ok(());
    }
    let as_runner = |e: Error| e.of_kind(crate::error::Kind::Runner);
    let _lock = lock(folder).map_err(as_runner)?;
    let own = folder.join(name);
    if !own.exists() {
        return make(folder, name, wanted, &Backing::Folder { size: None }).map_err(as_runner);
    }
    make_data(&own).context(attempt)?;
    if !own.join(META).exists() {
        let meta = Meta { created: born(&own), ..Meta::new(wanted) };
        write(&own, &meta).map_err(as_runner)?;
    }
    Ok(())
}

/// A volume by name.
pub fn get(paths: &Paths, name: &str) -> Result<Volume> {
    let known = if check_name(name).is_ok() { read(&paths.volumes(), name)? } else { None };
    known.ok_or_else(|| Error::verb(format!("get {name}: no such volume")))
}

/// All of them, by name.
pub fn list(paths: &Paths) -> Result<Vec<Volume>> {
    let folder = paths.volumes();
    let mut volumes = Vec::new();
    for name in crate::image::list_folder(&folder)? {
        if check_name(&name).is_ok() {
            volumes.extend(read(&folder, &name)?);
        }
    }
    Ok(volumes)
}

/// Containers that mount a volume.
pub fn users<'a>(volume: &Volume, containers: &'a [User]) -> Vec<&'a str> {
    containers.iter().filter(|c| c.volumes.contains(&volume.mountpoint)).map(|c| c.id.as_str()).collect()
}

/// # Errors
/// Docker's: there is none of this name, or a container uses it.
pub fn remove(paths: &Paths, name: &str) -> Result<()> {
    let folder = paths.volumes();
    let held = lock(&folder)?;
    sweep(&folder);
    let volume = get(paths, name)?;
    // Under the lock, and a container is on record before it makes its volumes: none can come in between.
    let containers = usage::containers(paths)?;
    let used = users(&volume, &containers);
    if !used.is_empty() {
        return Err(Error::verb(format!("remove {name}: volume is in use - [{}]", used.join(", "))));
    }
    let trash = discard(&folder, &volume)?;
    drop(held);
    clear(&trash)
}

/// Remove those of `data` that nobody named and no container on record mounts: for `rm -v` and `--rm`, when the
/// container's own record is gone. What cannot be removed is said, for the container is gone all the same.
pub fn remove_anonymous(paths: &Paths, data: &[PathBuf]) -> Result<()> {
    for one in data {
        let name = one.parent().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
        if one.parent().and_then(Path::parent) != Some(&paths.volumes()) || check_name(name).is_err() {
            continue;
        }
        let anonymous = read(&paths.volumes(), name)?.is_some_and(|volume| volume.anonymous);
        if anonymous && let Err(e) = remove(paths, name) {
            crate::ui::warn(&e.chain().join(": "));
        }
    }
    Ok(())
}

/// What a prune removed: names, and bytes of files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub names: Vec<String>,
    pub reclaimed: u64,
}

/// Remove volumes that no container uses: anonymous ones, or with `all` the named ones too.
pub fn prune(paths: &Paths, all: bool, keep: &dyn Fn(&Volume) -> bool) -> Result<Pruned> {
    let folder = paths.volumes();
    let mut pruned = Pruned::default();
    let mut trash = Vec::new();
    {
        let _lock = lock(&folder)?;
        sweep(&folder);
        let containers = usage::containers(paths)?;
        for volume in list(paths)? {
            if (volume.anonymous || all) && !keep(&volume) && users(&volume, &containers).is_empty() {
                pruned.reclaimed += size(&volume.mountpoint);
                trash.push(discard(&folder, &volume)?);
                pruned.names.push(volume.name);
            }
        }
    }
    trash.iter().try_for_each(|path| clear(path))?;
    events::note(paths, Event::prune("volume", pruned.reclaimed));
    Ok(pruned)
}

/// Bytes of the files in a volume, as docker counts them: folders not, hard links once.
pub fn size(data: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let (mut total, mut todo) = (0, vec![data.to_owned()]);
    while let Some(folder) = todo.pop() {
        // Deeper than a path can be, or gone meanwhile: the figure is for people.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                todo.push(entry.path());
            } else if seen.insert(meta.ino()) {
                total += meta.len();
            }
        }
    }
    total
}

impl Meta {
    fn new(wanted: &Wanted) -> Meta {
        let Wanted { anonymous, labels, options } = wanted.clone();
        Meta { version: 1, created: Timestamp::now(), anonymous, labels, options, project: None }
    }
}

fn lock(folder: &Path) -> Result<File> {
    let say = || format!("locking the volumes in {}", folder.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).verb_context(say)?;
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = file.open(folder.join(LOCK)).verb_context(say)?;
    flock(&file, FlockOperation::LockExclusive).verb_context(say)?;
    Ok(file)
}

/// Everything of it first, then its name.
fn make(folder: &Path, name: &str, wanted: &Wanted, backing: &Backing) -> Result<()> {
    let say = || format!("making the volume {name} in {}", folder.display());
    let new = folder.join(format!("{NEW}{name}"));
    std::fs::DirBuilder::new().mode(0o700).create(&new).verb_context(say)?;
    let made = (|| {
        make_data(&new).verb_context(say)?;
        let mut meta = Meta::new(wanted);
        if let Backing::Folder { size: Some(bytes) } = backing {
            meta.project = Some(quota::set(&new.join(DATA), *bytes)?);
        }
        write(&new, &meta)?;
        std::fs::rename(&new, folder.join(name)).verb_context(say)
    })();
    if made.is_err() {
        // What was wrong matters more than that the rest could not be removed.
        let _ = crate::image::remove_path(&new);
    } else {
        note(folder, "create", name);
    }
    made
}

/// As docker makes it: the container's root owns it, everybody may enter. Only root gets as far as here on the host.
fn make_data(own: &Path) -> std::io::Result<()> {
    let data = own.join(DATA);
    match std::fs::DirBuilder::new().mode(0o755).create(&data) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
        Ok(()) => std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)),
    }
}

fn write(own: &Path, meta: &Meta) -> Result<()> {
    let say = || format!("writing {}", own.join(META).display());
    let bytes = serde_json::to_vec(meta).verb_context(say)?;
    let mut file = tempfile::Builder::new().prefix(".meta-").tempfile_in(own).verb_context(say)?;
    file.write_all(&bytes).verb_context(say)?;
    file.as_file().sync_all().verb_context(say)?;
    file.persist(own.join(META)).verb_context(say)?;
    Ok(())
}

fn read(folder: &Path, name: &str) -> Result<Option<Volume>> {
    let own = folder.join(name);
    let say = || format!("reading {}", own.join(META).display());
    let meta = match std::fs::read(own.join(META)) {
        Ok(bytes) => serde_json::from_slice(&bytes).verb_context(say)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && own.join(DATA).is_dir() => {
            // Made before volumes had one.
            Meta { created: born(&own), ..Meta::new(&Wanted::default()) }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).verb_context(say),
    };
    let Meta { version, created, anonymous, labels, options, project } = meta;
    if version != 1 {
        return Err(Error::verb(say()).because(format!("it has version {version}, and 1 is the newest known here")));
    }
    let mountpoint = own.join(DATA);
    Ok(Some(Volume { name: name.to_owned(), created, anonymous, labels, options, mountpoint, project }))
}

fn born(own: &Path) -> Timestamp {
    let meta = std::fs::metadata(own);
    let at = meta.and_then(|m| m.created().or_else(|_| m.modified())).ok();
    at.and_then(|at| Timestamp::try_from(at).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Take its name away. The lock is held.
fn discard(folder: &Path, volume: &Volume) -> Result<PathBuf> {
    let trash = folder.join(format!("{TRASH}{}-{}", std::process::id(), volume.name));
    let say = || format!("removing the volume {}", volume.name);
    std::fs::rename(folder.join(&volume.name), &trash).verb_context(say)?;
    note(folder, "destroy", &volume.name);
    if let Some(project) = volume.project {
        quota::clear(&trash.join(DATA), project);
    }
    Ok(trash)
}

/// `folder` is `ROOT/volumes`.
fn note(folder: &Path, action: &str, name: &str) {
    if let Some(root) = folder.parent() {
        events::note_in(root, Event::volume(action, name));
    }
}

fn clear(trash: &Path) -> Result<()> {
    match crate::image::remove_path(trash) {
        // Somebody else's sweep was faster.
        Err(_) if !trash.exists() => Ok(()),
        other => other,
    }
}

/// What killed processes left. The lock is held, so nothing is being made; what is being removed by a living process may
/// be removed from two sides.
fn sweep(folder: &Path) {
    for name in crate::image::list_folder(folder).unwrap_or_default() {
        let dead = name
            .strip_prefix(TRASH)
            .and_then(|rest| rest.split('-').next())
            .is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if name.starts_with(NEW) || dead {
            // The next command tries again.
            let _ = crate::image::remove_path(&folder.join(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(&dir.path().join("root")));
        (dir, paths)
    }

    fn wanted(label: &str) -> Wanted {
        Wanted { labels: [(label.to_owned(), String::new())].into(), ..Wanted::default() }
    }

    #[test]
    fn a_volume_is_made_once_and_removed_whole() {
        let (_dir, paths) = paths();
        let one = create(&paths, "data", &wanted("a")).unwrap();
        assert_eq!(create(&paths, "data", &wanted("b")).unwrap(), one, "what is there stays as it is");
        assert_eq!(one.mountpoint, paths.volumes().join("data/_data"));
        std::fs::write(one.mountpoint.join("file"), "12345").unwrap();
        assert_eq!(size(&one.mountpoint), 5);
        assert_eq!(list(&paths).unwrap(), std::slice::from_ref(&one));
        let described = serde_json::to_string(&one.describe()).unwrap();
        assert!(described.contains(r#""Driver":"local","Labels":{"a":""},"Mountpoint":"#), "{described}");
        assert!(described.contains(r#""Options":null,"Scope":"local""#), "{described}");
        remove(&paths, "data").unwrap();
        assert_eq!(remove(&paths, "data").unwrap_err().message, "get data: no such volume");
        assert_eq!(crate::image::list_folder(&paths.volumes()).unwrap(), [LOCK]);
    }

    #[test]
    fn names_and_options_are_refused_in_dockers_words() {
        let (_dir, paths) = paths();
        let error = |name: &str, w: &Wanted| create(&paths, name, w).unwrap_err().message;
        assert!(error("x", &Wanted::default()).starts_with("create x: volume name is too short"));
        assert!(error("../x", &Wanted::default()).starts_with("create ../x: \"../x\" includes invalid characters"));
        let options = Wanted { options: [("foo".into(), "bar".into())].into(), ..Wanted::default() };
        assert_eq!(error("bad", &options), "create bad: invalid option: \"foo\"");
        assert!(list(&paths).unwrap().is_empty());
    }

    #[test]
    fn a_volume_from_before_has_a_description_and_gets_a_file() {
        let (_dir, paths) = paths();
        let data = data(&paths, "old");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("kept"), "x").unwrap();
        assert_eq!(get(&paths, "old").unwrap().labels, Pairs::new());
        ensure(&data, &Wanted::default()).unwrap();
        assert!(meta_file(&paths, "old").exists() && data.join("kept").exists());
        let (made, also) = (self::data(&paths, "new"), self::data(&paths, &anonymous_name("c", 1)));
        ensure(&made, &wanted("l")).unwrap();
        ensure(&also, &Wanted { anonymous: true, ..Wanted::default() }).unwrap();
        assert!(made.is_dir() && get(&paths, "new").unwrap().labels.contains_key("l"));
        let pruned = prune(&paths, false, &|_| false).unwrap();
        assert_eq!(pruned.names, [anonymous_name("c", 1)], "named ones stay");
        assert_eq!(
            prune(&paths, true, &|v| v.name == "new").unwrap(),
            Pruned { names: vec!["old".into()], reclaimed: 1 }
        );
    }

    #[test]
    fn many_at_once_agree() {
        let (_dir, paths) = paths();
        let made: Vec<Timestamp> = std::thread::scope(|scope| {
            let many: Vec<_> =
                (0..16).map(|_| scope.spawn(|| create(&paths, "one", &Wanted::default()).unwrap().created)).collect();
            many.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(made.iter().all(|at| *at == made[0]));
    }

    #[test]
    fn what_a_killed_process_left_is_swept() {
        let (_dir, paths) = paths();
        for name in [".new-half", ".rm-999999999-gone"] {
            std::fs::create_dir_all(paths.volumes().join(name).join("_data/x")).unwrap();
        }
        create(&paths, "half", &Wanted::default()).unwrap();
        assert_eq!(crate::image::list_folder(&paths.volumes()).unwrap(), [LOCK, "half"]);
    }
}
