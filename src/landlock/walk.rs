//! From patterns to the folders and files that Landlock can name.
//!
//! Landlock allows beneath a folder and denies nothing. So where a pattern takes all beneath a folder and nothing beneath
//! it is denied, the folder is allowed; else its entries are looked at one by one, as they are when the container
//! starts. A folder with something denied beneath is not allowed itself: nothing can be made, renamed or removed in it, and so the denied
//! name keeps leading to what it led to, also for processes that `exec` starts later.
//!
//! The kernel's rules hang on inodes: what is denied by one name is denied by all that mounts ([`twins`]) and hard links
//! ([`sweep`]) give it.

mod sweep;
mod twins;

use crate::error::{Context, Error, Result};
use crate::paths::{Access, Cursor, Pattern};
use landlock::{AccessFs, BitFlags, make_bitflags};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use sweep::Denied;
use twins::{Mounts, Twins};

/// A policy's files as Landlock sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    pub allow: Vec<(Pattern, Access)>,
    pub deny: Vec<(Pattern, Access)>,
    /// AppArmor holds as well: what only it can say is left to it.
    pub lenient: bool,
    /// Names in the root file system of which each is not its file's only one, where that is known of all of it. `None`: what is
    /// denied is looked at file by file.
    #[serde(default)]
    pub linked: Option<Vec<PathBuf>>,
    /// Names that were one file's in the image, file by file: what is denied to one is denied to all.
    pub same: Vec<Vec<PathBuf>>,
}

/// A path and the rights on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub path: PathBuf,
    pub folder: bool,
    pub rights: BitFlags<AccessFs>,
}

/// Entries to look at and paths to allow: a policy that takes more would make every start slow, and the kernel's rules are
/// memory that no limit counts.
const MOST_LOOKS: usize = 100_000;
const MOST_GRANTS: usize = 8_192;

/// Rights that are decided together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Read,
    List,
    Execute,
    Write,
    /// Making, removing and renaming.
    Names,
}

const CLASSES: [Class; 5] = [Class::Read, Class::List, Class::Execute, Class::Write, Class::Names];

impl Class {
    fn letter(self) -> Access {
        match self {
            Class::Read | Class::List => Access::READ,
            Class::Execute => Access::EXECUTE,
            Class::Write | Class::Names => Access::WRITE,
        }
    }

    fn rights(self) -> BitFlags<AccessFs> {
        match self {
            Class::Read => AccessFs::ReadFile.into(),
            Class::List => AccessFs::ReadDir.into(),
            Class::Execute => AccessFs::Execute.into(),
            Class::Write => make_bitflags!(AccessFs::{WriteFile | Truncate}),
            Class::Names => make_bitflags!(AccessFs::{
                RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSock | MakeFifo | MakeSym
            }),
        }
    }

    /// Whether a denied access is this one. A name whose file is denied anything must keep its file.
    fn is_hit(self, denied: Access) -> bool {
        self == Class::Names || denied.contains(self.letter())
    }

    fn concerns(self, cursor: &Cursor<'_>) -> bool {
        match self {
            Class::Names => true,
            Class::List => cursor.is_for_folders(),
            _ => cursor.is_for_files(),
        }
    }
}

impl Files {
    /// All rights that are refused that no grant has.
    pub fn handled() -> BitFlags<AccessFs> {
        CLASSES.iter().fold(BitFlags::empty(), |all, class| all | class.rights())
    }

    /// Look at what is there.
    ///
    /// # Errors
    /// More to look at or to allow than there may be, or a folder that cannot be read.
    pub fn look(&self) -> Result<Looked> {
        // Where nothing is denied, it does not matter how many names something has.
        let mounts = if self.deny.is_empty() { Mounts::default() } else { Mounts::read()? };
        self.look_with(&mounts)
    }

    fn look_with(&self, mounts: &Mounts) -> Result<Looked> {
        let files = self.resolved(&mounts.twins());
        let denied = Denied::find(&files, mounts)?;
        let state = State {
            allow: files.allow.iter().flat_map(|(p, a)| p.cursors().map(|c| (c, *a))).collect(),
            deny: files.deny.iter().flat_map(|(p, a)| p.cursors().map(|c| (c, *a))).collect(),
        };
        let mut walk = Walk { files: &files, looks: 0, found: Looked::default(), denied };
        walk.folder(Path::new("/"), &state.step(b"/"), &CLASSES)?;
        walk.denied.hold(&mut walk.found.grants)?;
        walk.found.refused.append(&mut walk.denied.tries);
        Ok(walk.found)
    }

    /// The same with what the symlinks of this root make of each pattern. A denied path is denied under every name that it has on
    /// the way, and under those that further mounts give it; an allowed one is followed only where the policy lets nobody
    /// change the link.
    fn resolved(&self, twins: &[Twins]) -> Files {
        let mut files = self.clone();
        for (pattern, access) in &self.deny {
            files.deny.push((pattern.redirected(|start, _| follow(start, |_| true)), *access));
        }
        // A node of /dev that is mounted elsewhere (over what is hidden, say) is no secret.
        let is_plain =
            |path: &str| path.is_empty() || Path::new(path).symlink_metadata().is_ok_and(|m| m.is_dir() || m.is_file());
        let named = files.deny.len();
        for (one, other) in twins.iter().filter(|(one, other)| is_plain(one) && is_plain(other)) {
            for at in 0..named {
                let (pattern, access) = &files.deny[at];
                let moved = [pattern.moved(one, other), pattern.moved(other, one)];
                let moved: Vec<_> = moved.into_iter().flatten().map(|p| (p, *access)).collect();
                files.deny.extend(moved);
            }
        }
        let is_fixed = |link: &str| {
            let named = |list: &[(Pattern, Access)], hit: &dyn Fn(Access) -> bool| {
                list.iter().any(|(p, a)| hit(*a) && p.matches(link))
            };
            !named(&self.allow, &|a| a.contains(Access::WRITE)) || named(&self.deny, &|_| true)
        };
        for (pattern, access) in &self.allow {
            files.allow.push((pattern.redirected(|start, _| follow(start, is_fixed)), *access));
        }
        files
    }
}

/// What `path` is called once the links on its way are followed: with its last part as it is, and with that followed too.
fn follow(path: &str, may_follow: impl Fn(&str) -> bool) -> Vec<String> {
    let mut todo: Vec<String> = path.split('/').filter(|p| !p.is_empty()).rev().map(str::to_owned).collect();
    let (mut at, mut names, mut links) = (String::new(), Vec::new(), 0);
    while let Some(word) = todo.pop() {
        if word == ".." {
            at.truncate(at.rfind('/').unwrap_or(0));
            continue;
        }
        let parent = at.len();
        at.push('/');
        at.push_str(&word);
        if KERNELS.iter().any(|folder| Path::new(&at).starts_with(folder)) {
            continue;
        }
        let Ok(target) = std::fs::read_link(&at) else { continue };
        if todo.is_empty() {
            names.push(at.clone());
        }
        links += 1;
        if links > MOST_LINKS || !may_follow(&at) {
            break;
        }
        let Some(target) = target.to_str() else { break };
        at.truncate(if target.starts_with('/') { 0 } else { parent });
        todo.extend(target.split('/').filter(|p| !p.is_empty() && *p != ".").rev().map(str::to_owned));
    }
    if todo.is_empty() {
        names.push(at);
    }
    names.retain(|name| name != path);
    names.dedup();
    names
}

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// Folders whose entries come and go with processes: allowed as a whole or not. What is denied inside is hidden or
/// read-only by mounts.
const KERNELS: [&str; 2] = ["/proc", "/sys"];

/// What a look at the files came to.
#[derive(Debug, Default)]
pub struct Looked {
    pub grants: Vec<Granted>,
    /// Some of what is not allowed, to try afterwards.
    pub refused: Vec<Refused>,
}

/// A file or folder that is there and may not be opened so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub path: PathBuf,
    /// For writing; else for reading.
    pub write: bool,
}

/// Where every pattern stands at one path.
struct State<'a> {
    allow: Vec<(Cursor<'a>, Access)>,
    deny: Vec<(Cursor<'a>, Access)>,
}

impl<'a> State<'a> {
    fn step(&self, bytes: &[u8]) -> Self {
        let step = |list: &Vec<(Cursor<'a>, Access)>| {
            list.iter().filter_map(|(c, a)| c.step(bytes).map(|c| (c, *a))).collect::<Vec<_>>()
        };
        State { allow: step(&self.allow), deny: step(&self.deny) }
    }

    fn allows(&self, class: Class, how: impl Fn(&Cursor<'a>) -> bool) -> bool {
        self.allow.iter().any(|(c, a)| a.contains(class.letter()) && how(c))
    }

    fn denies(&self, class: Class, how: impl Fn(&Cursor<'a>) -> bool) -> bool {
        self.deny.iter().any(|(c, a)| class.is_hit(*a) && class.concerns(c) && how(c))
    }
}

struct Walk<'a> {
    files: &'a Files,
    looks: usize,
    found: Looked,
    denied: Denied,
}

impl Walk<'_> {
    /// `state` is that after the folder's path and a `/`.
    fn folder(&mut self, path: &Path, state: &State<'_>, pending: &[Class]) -> Result<()> {
        let kernels = KERNELS.iter().any(|folder| path == Path::new(folder));
        let mut rights = BitFlags::empty();
        let mut rest = Vec::new();
        for &class in pending {
            let all = state.allows(class, Cursor::takes_all);
            let some = state.allows(class, Cursor::goes_on);
            let denied = if kernels {
                state.denies(class, Cursor::takes_all)
            } else {
                state.denies(class, |c| c.goes_on() || class == Class::List && c.matches())
                    || self.denied.is_above(path, class)
            };
            if !denied && (all || kernels && some && self.files.lenient) {
                rights |= class.rights();
            } else if some && !state.denies(class, Cursor::takes_all) {
                rest.push(class);
            }
        }
        if !rights.contains(AccessFs::ReadDir) && !rest.contains(&Class::List) && pending.contains(&Class::List) {
            self.refuse(path, false);
        }
        self.grant(path, true, rights)?;
        match rest.is_empty() {
            true => Ok(()),
            false if kernels => self.named_in_kernels(path, &rest),
            false => self.entries(path, state, &rest),
        }
    }

    fn entries(&mut self, path: &Path, state: &State<'_>, rest: &[Class]) -> Result<()> {
        let attempt = || format!("look for what the path policy names in {}", path.display());
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            // Out of this user's reach with Landlock or without; or gone.
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => return Ok(()),
            Err(e) => return Err(e).context(attempt),
        };
        for entry in entries {
            let entry = entry.context(attempt)?;
            self.looks += 1;
            if self.looks > MOST_LOOKS {
                return Err(too_much("look at", MOST_LOOKS));
            }
            let state = state.step(entry.file_name().as_bytes());
            if state.allow.is_empty() {
                continue;
            }
            let kind = entry.file_type().context(attempt)?;
            if kind.is_dir() {
                self.folder(&entry.path(), &state.step(b"/"), rest)?;
            } else if !kind.is_symlink() {
                self.file(&entry.path(), &state, rest, kind.is_file())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, state: &State<'_>, rest: &[Class], regular: bool) -> Result<()> {
        let mut rights = BitFlags::empty();
        for &class in rest.iter().filter(|c| matches!(c, Class::Read | Class::Execute | Class::Write)) {
            let denied = state.denies(class, Cursor::matches) || self.denied.is_name(path, class);
            if state.allows(class, Cursor::matches) && !denied {
                rights |= class.rights();
            } else if regular && class != Class::Execute {
                self.refuse(path, class == Class::Write);
            }
        }
        self.grant(path, false, rights)
    }

    /// What is allowed by name below /proc or /sys.
    fn named_in_kernels(&mut self, folder: &Path, rest: &[Class]) -> Result<()> {
        let files = self.files;
        for (pattern, access) in &files.allow {
            for path in pattern.literals().unwrap_or_default() {
                let (path, is_folder) = (Path::new(&path), Path::new(&path).is_dir());
                if !path.starts_with(folder) || path == folder || !path.exists() {
                    continue;
                }
                let denied = |class: Class| {
                    files.deny.iter().any(|(p, a)| class.is_hit(*a) && path.to_str().is_some_and(|t| p.matches(t)))
                };
                let classes =
                    rest.iter().filter(|c| access.contains(c.letter()) && !denied(**c) && **c != Class::Names);
                let rights = classes.fold(BitFlags::empty(), |all, class| all | class.rights());
                self.grant(path, is_folder, rights)?;
            }
        }
        Ok(())
    }

    fn grant(&mut self, path: &Path, folder: bool, rights: BitFlags<AccessFs>) -> Result<()> {
        if rights.is_empty() {
            return Ok(());
        }
        if self.found.grants.len() == MOST_GRANTS {
            return Err(too_much("allow", MOST_GRANTS));
        }
        self.found.grants.push(Granted { path: path.to_owned(), folder, rights });
        Ok(())
    }

    fn refuse(&mut self, path: &Path, write: bool) {
        if self.found.refused.iter().filter(|r| r.write == write).count() < MOST_TRIED {
            self.found.refused.push(Refused { path: path.to_owned(), write });
        }
    }
}

/// Of each kind that nothing allows and that is tried afterwards; what is denied is tried besides, for each rule.
const MOST_TRIED: usize = 16;

fn too_much(what: &str, most: usize) -> Error {
    Error::runner(format!("the path policy has Landlock {what} more than {most} files one by one"))
        .hint("patterns that begin with ** or name many files cost one rule a file: name folders (dir/**)")
}

#[cfg(test)]
mod tests;
