//! What is denied, by inode: a rule over a file is one over all of its names, so a denied file is looked for under its
//! other names too, and a denied folder may not be allowed under another.

use super::twins::Mounts;
use super::{Class, Files, Granted, KERNELS, Refused};
use crate::error::{Context, Error, Result};
use crate::paths::{Access, Cursor, Pattern};
use landlock::{AccessFs, BitFlags};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Entries to look at for names of what is denied. One costs some microseconds.
pub const MOST_SWEPT: usize = 500_000;

/// Files to try for each denying rule, reading and writing each: one may be out of reach or be running.
const TRIES: usize = 3;

/// Device and inode.
type Id = (u64, u64);

fn id(m: &Metadata) -> Id {
    (m.dev(), m.ino())
}

/// All that is denied and there.
#[derive(Debug, Default)]
pub struct Denied {
    /// Files with several names.
    files: HashMap<Id, Linked>,
    folders: HashMap<Id, (PathBuf, BitFlags<AccessFs>)>,
    /// Further names of denied files, and the folders above them.
    names: HashMap<PathBuf, Access>,
    above: HashMap<PathBuf, Access>,
    pub tries: Vec<Refused>,
}

#[derive(Debug)]
struct Linked {
    path: PathBuf,
    /// What is denied by any name.
    access: Access,
    links: u64,
    /// The names that are known, as folder and name, and what is denied by each: two mounts may show one twice.
    seen: HashMap<(Id, OsString), Access>,
    /// Of the folder: overlayfs gives its files devices of their own.
    device: u64,
}

impl Linked {
    /// A name may be open to what another one is denied.
    fn has_more(&self) -> bool {
        (self.seen.len() as u64) < self.links || self.seen.values().any(|access| *access != self.access)
    }
}

impl Denied {
    /// Look for everything that is denied, and for the other names of files that have some.
    ///
    /// # Errors
    /// More than [`MOST_SWEPT`] entries to look at, or a folder that cannot be read.
    pub fn find(files: &Files, mounts: &Mounts) -> Result<Denied> {
        let points: HashSet<PathBuf> = mounts.points().collect();
        let mut sweep = Sweep {
            looks: 0,
            denied: Denied::default(),
            tried: HashMap::new(),
            linked: files.linked.as_deref().map(by_folder),
            mounted: by_folder(&points.iter().cloned().collect::<Vec<_>>()),
            points,
        };
        let deny = stands(&files.deny);
        sweep.folder(Path::new("/"), &step(&deny, b"/"), true)?;
        for (pattern, access) in &files.deny {
            for path in pattern.literals().unwrap_or_default() {
                // In a folder that may be entered and not listed.
                sweep.named(Path::new(&path), *access);
            }
        }
        sweep.parted(&files.same, &stands(&files.deny));
        sweep.other_names(&stands(&files.allow), files.linked.as_deref())?;
        Ok(sweep.denied)
    }

    /// Whether another name of something denied lies below.
    pub fn is_above(&self, path: &Path, class: Class) -> bool {
        class != Class::List && self.above.get(path).is_some_and(|access| class.is_hit(*access))
    }

    pub fn is_name(&self, path: &Path, class: Class) -> bool {
        self.names.get(path).is_some_and(|access| class.is_hit(*access))
    }

    /// After all: no grant over an inode that is denied. Files lose what is denied.
    ///
    /// # Errors
    /// A folder is allowed by one name and holds something denied by another, and no mount says that they are the same.
    pub fn hold(&self, grants: &mut Vec<Granted>) -> Result<()> {
        for granted in grants.iter_mut() {
            let Ok(meta) = granted.path.symlink_metadata() else { continue };
            if !granted.folder {
                if let Some(linked) = self.files.get(&id(&meta)) {
                    granted.rights &= !file_rights(linked.access);
                }
            } else if let Some((path, rights)) = self.folders.get(&id(&meta))
                && granted.rights.intersects(*rights)
            {
                let (path, other) = (path.display(), granted.path.display());
                return Err(Error::runner(format!("what the path policy denies in {path} would be open as {other}"))
                    .because("both are the same folder, and Landlock allows a folder under all of its names")
                    .hint(format!("mount it once, or deny the same below {other}")));
            }
        }
        grants.retain(|g| !g.rights.is_empty());
        Ok(())
    }
}

fn file_rights(access: Access) -> BitFlags<AccessFs> {
    let hit = FILE_CLASSES.into_iter().filter(|c| c.is_hit(access));
    hit.fold(BitFlags::empty(), |all, class| all | class.rights())
}

const FILE_CLASSES: [Class; 3] = [Class::Read, Class::Execute, Class::Write];

/// Where a rule stands at one path.
struct Stand<'a> {
    /// `None`: everything from here on is matched, and nobody need look at each byte.
    cursor: Option<Cursor<'a>>,
    access: Access,
    rule: usize,
}

impl Stand<'_> {
    fn matches(&self) -> bool {
        self.cursor.as_ref().is_none_or(|c| c.is_for_files() && c.matches())
    }

    fn shuts(&self, class: Class) -> bool {
        let fits = |c: &Cursor<'_>| class.concerns(c) && (c.goes_on() || class == Class::List && c.matches());
        class.is_hit(self.access) && self.cursor.as_ref().is_none_or(fits)
    }
}

fn stands(rules: &[(Pattern, Access)]) -> Vec<Stand<'_>> {
    let rules = rules.iter().enumerate();
    rules.flat_map(|(rule, (p, a))| p.cursors().map(move |c| Stand { cursor: Some(c), access: *a, rule })).collect()
}

fn step<'a>(stands: &[Stand<'a>], bytes: &[u8]) -> Vec<Stand<'a>> {
    let one = |s: &Stand<'a>| {
        let cursor = match &s.cursor {
            None => None,
            Some(c) => Some(c.step(bytes)?).filter(|c| !(bytes == b"/" && c.takes_all())),
        };
        Some(Stand { cursor, access: s.access, rule: s.rule })
    };
    stands.iter().filter_map(one).collect()
}

/// Names by the folder that they are in.
type ByFolder = HashMap<PathBuf, HashSet<OsString>>;

fn by_folder(paths: &[PathBuf]) -> ByFolder {
    let mut all = ByFolder::new();
    for path in paths {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            all.entry(folder.to_owned()).or_default().insert(name.to_owned());
        }
    }
    all
}

struct Sweep {
    looks: usize,
    denied: Denied,
    /// By rule, and whether for writing.
    tried: HashMap<(usize, bool), usize>,
    /// Of the root file system, where it is known: files that are not among it have one name.
    linked: Option<ByFolder>,
    mounted: ByFolder,
    points: HashSet<PathBuf>,
}

impl Sweep {
    /// `deny` is where the rules stand after the folder's path and a `/`; `in_root`: no mount lies between here and `/`.
    fn folder(&mut self, path: &Path, deny: &[Stand<'_>], in_root: bool) -> Result<()> {
        if KERNELS.iter().any(|folder| path == Path::new(folder)) {
            return Ok(());
        }
        let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
        let shut = super::CLASSES.into_iter().filter(|class| deny.iter().any(|s| s.shuts(*class)));
        let rights = shut.fold(BitFlags::empty(), |all, class| all | class.rights());
        if !rights.is_empty() {
            self.denied.folders.entry(id(&meta)).or_insert_with(|| (path.to_owned(), BitFlags::empty())).1 |= rights;
        }
        let mounted = self.mounted.get(path).cloned().unwrap_or_default();
        // A look at a file that an overlay shows for the first time takes some microseconds, its name alone a tenth of one.
        let linked = self.linked.as_ref().filter(|_| in_root).map(|l| l.get(path).cloned().unwrap_or_default());
        let whole = deny.iter().all(|s| s.cursor.is_none());
        for entry in self.entries(path)? {
            let name = entry.file_name();
            let stepped = if whole { Vec::new() } else { step(deny, name.as_bytes()) };
            let deny = if whole { deny } else { &stepped };
            if deny.is_empty() {
                continue;
            }
            let is_point = mounted.contains(&name);
            // What is mounted on a name is another file than the folder says.
            let kind =
                if is_point { entry.path().symlink_metadata().map(|m| m.file_type()) } else { entry.file_type() };
            let Ok(kind) = kind else { continue };
            if kind.is_dir() {
                let deny = step(deny, b"/");
                if !deny.is_empty() {
                    self.folder(&entry.path(), &deny, in_root && !is_point)?;
                }
            } else if kind.is_file() {
                let has_one_name = !is_point && linked.as_ref().is_some_and(|linked| !linked.contains(&name));
                self.file(&entry, deny, (!has_one_name).then_some(&meta));
            }
        }
        Ok(())
    }

    /// `folder`: that of the file, which is to be looked at for its further names.
    fn file(&mut self, entry: &DirEntry, deny: &[Stand<'_>], folder: Option<&Metadata>) {
        let hits = || deny.iter().filter(|s| s.matches());
        hits().for_each(|stand| self.note_try(entry, stand));
        let Some(folder) = folder.filter(|_| hits().next().is_some()) else { return };
        let path = entry.path();
        // From its folder on: the whole path is looked up only where something else is mounted on the name.
        let found = if self.points.contains(&path) { path.symlink_metadata() } else { entry.metadata() };
        let Ok(found) = found else { return };
        hits().for_each(|stand| self.note(&path, (&found, folder), stand.access));
    }

    fn entries(&mut self, path: &Path) -> Result<Vec<DirEntry>> {
        let attempt = || format!("look for what the path policy denies in {}", path.display());
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            // Out of this user's reach with Landlock or without; or gone.
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => return Ok(Vec::new()),
            Err(e) => return Err(e).context(attempt),
        };
        let entries: Vec<DirEntry> = entries.collect::<std::io::Result<_>>().context(attempt)?;
        self.looks += entries.len();
        if self.looks > MOST_SWEPT {
            return Err(self.too_many());
        }
        Ok(entries)
    }

    fn too_many(&self) -> Error {
        let what = format!("the path policy has more than {MOST_SWEPT} files looked at for names of what it denies");
        match self.denied.files.values().find(|l| l.has_more()) {
            Some(linked) => Error::runner(what)
                .because(format!("{} has {} names (hard links)", linked.path.display(), linked.links))
                .hint("make the denied file one of its own (cp), or allow fewer folders"),
            None => Error::runner(what).hint("deny folders with fewer files, or allow by list instead of denying"),
        }
    }

    /// A file that a rule names without wildcards.
    fn named(&mut self, path: &Path, access: Access) {
        let metadata = |p: &Path| p.symlink_metadata().ok();
        if let (Some(file), Some(folder)) = (metadata(path), path.parent().and_then(metadata))
            && file.is_file()
        {
            self.note(path, (&file, &folder), access);
        }
    }

    fn note(&mut self, path: &Path, (file, folder): (&Metadata, &Metadata), access: Access) {
        if file.nlink() < 2 || file_rights(access).is_empty() {
            return;
        }
        let linked = self.denied.files.entry(id(file)).or_insert_with(|| Linked {
            path: path.to_owned(),
            access,
            links: file.nlink(),
            seen: HashMap::new(),
            device: folder.dev(),
        });
        linked.access = linked.access | access;
        let name = (id(folder), path.file_name().unwrap_or_default().to_owned());
        let known = linked.seen.entry(name).or_default();
        *known = *known | access;
    }

    fn note_try(&mut self, entry: &DirEntry, stand: &Stand<'_>) {
        for (letter, write) in [(Access::READ, false), (Access::WRITE, true)] {
            let tried = self.tried.entry((stand.rule, write)).or_default();
            if stand.access.contains(letter) && *tried < TRIES {
                *tried += 1;
                self.denied.tries.push(Refused { path: entry.path(), write });
            }
        }
    }

    /// What a rule denies to one name of a file of the image counts for its others, whatever has become of them.
    fn parted(&mut self, same: &[Vec<PathBuf>], deny: &[Stand<'_>]) {
        for names in same {
            let denied = |path: &PathBuf| step(deny, path.as_os_str().as_bytes()).into_iter().filter(Stand::matches);
            let hits: Vec<Access> = names.iter().flat_map(denied).map(|stand| stand.access).collect();
            if let Some(access) = hits.into_iter().reduce(|all, access| all | access) {
                names.iter().for_each(|path| self.deny_name(path, access));
            }
        }
    }

    fn deny_name(&mut self, path: &Path, access: Access) {
        let all = self.denied.names.entry(path.to_owned()).or_insert(access);
        *all = *all | access;
    }

    /// Names of denied files that no rule denies.
    fn other_names(&mut self, allow: &[Stand<'_>], linked: Option<&[PathBuf]>) -> Result<()> {
        let points = std::mem::take(&mut self.points);
        let open: Vec<&Linked> = self.denied.files.values().filter(|l| l.has_more()).collect();
        let devices: HashSet<u64> = open.iter().map(|l| l.device).collect();
        let holds = |point: &Path| {
            // A filesystem may have several devices (btrfs): the mount that the file was found in counts besides.
            let mount_of = |l: &Linked| l.path.ancestors().find(|a| points.contains(*a)).map(Path::to_owned);
            point.symlink_metadata().is_ok_and(|m| devices.contains(&m.dev()))
                || open.iter().any(|l| mount_of(l).as_deref() == Some(point))
        };
        let starts: Vec<PathBuf> = points.iter().filter(|p| !open.is_empty() && holds(p)).cloned().collect();
        for start in starts {
            let text = format!("{}/", start.display().to_string().trim_end_matches('/'));
            // The last `/` alone, so that a rule that takes all from here is seen to.
            let allow = step(&step(allow, &text.as_bytes()[..text.len() - 1]), b"/");
            match linked.filter(|_| start == Path::new("/")) {
                Some(linked) => self.names_among(linked, &allow, &points),
                None => self.names_in(&start, &allow, &points)?,
            }
        }
        for (path, access) in &self.denied.names {
            for folder in path.ancestors().skip(1) {
                let all = self.denied.above.entry(folder.to_owned()).or_default();
                *all = *all | *access;
            }
        }
        Ok(())
    }

    /// The same in the root file system, where all names that come into question are known.
    fn names_among(&mut self, linked: &[PathBuf], allow: &[Stand<'_>], points: &HashSet<PathBuf>) {
        for path in linked {
            let is_covered = path.ancestors().any(|a| a != Path::new("/") && points.contains(a));
            // `allow` stands behind the first `/`.
            let rest = path.as_os_str().as_bytes().get(1..).unwrap_or_default();
            if is_covered || step(allow, rest).is_empty() {
                continue;
            }
            let Ok(meta) = path.symlink_metadata() else { continue };
            if let Some(access) = self.denied.files.get(&id(&meta)).map(|l| l.access) {
                self.deny_name(path, access);
            }
        }
    }

    fn names_in(&mut self, path: &Path, allow: &[Stand<'_>], points: &HashSet<PathBuf>) -> Result<()> {
        if allow.is_empty() || KERNELS.iter().any(|folder| path == Path::new(folder)) {
            return Ok(());
        }
        for entry in self.entries(path)? {
            let at = entry.path();
            let is_point = points.contains(&at);
            let Ok(meta) = (if is_point { at.symlink_metadata() } else { entry.metadata() }) else { continue };
            let linked = self.denied.files.get(&id(&meta));
            if meta.is_dir() && !is_point {
                let allow = step(&step(allow, entry.file_name().as_bytes()), b"/");
                self.names_in(&at, &allow, points)?;
            } else if let Some(linked) = linked {
                let access = linked.access;
                self.deny_name(&at, access);
            }
        }
        Ok(())
    }
}
