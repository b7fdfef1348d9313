//! Reading the policy in a way that nobody but root can have had a hand in. Everything but "it is not there" is an error:
//! where the policy cannot be trusted nothing starts.

use super::parse::{self, Problem};
use super::{Caller, FOLDER, Law, NAME, Site, SitePath};
use crate::error::{Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// More than any policy needs.
const SIZE_MAX: u64 = 1 << 20;

/// The policy of this host. About 10 µs where there is none.
///
/// # Errors
/// Somebody but root could have written it, it cannot be read, or it is wrong: exit code 125.
pub fn load() -> Result<Site> {
    match BEFORE.get() {
        None => load_from(Path::new("/"), FOLDER, 0),
        Some(Ok(site)) => Ok(site.clone()),
        Some(Err(said)) => {
            let mut error = Error::new(said.kind, said.message.clone());
            error.source = said.source.as_ref().map(|source| source.to_string().into());
            error.hint = said.hint.clone();
            Err(error)
        }
    }
}

static BEFORE: OnceLock<Result<Site>> = OnceLock::new();

/// Read the policy now, for every later [`load()`]: in a user namespace root's files are nobody's, and so is everybody else's. Where the
/// policy cannot be used, whoever needs it is told so then.
pub fn remember() {
    BEFORE.get_or_init(|| load_from(Path::new("/"), FOLDER, 0));
}

/// The policy in `folder` below `base`; `owner` is who must own all of it, from `base` on.
pub(super) fn load_from(base: &Path, folder: &str, owner: u32) -> Result<Site> {
    let Some((place, file)) = open(base, folder, owner)? else { return Ok(Site::default()) };
    let text = read(&place.join(NAME), file)?;
    let mut law = parse::parse(&text, &|name| key_file(base, folder, owner, name))
        .map_err(|problems| broken(&place.join(NAME), &problems))?;
    under_real_names(&mut law);
    Ok(Site {
        digest: Some(format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())))),
        today: today(),
        caller: if law.asks_who() { Caller::me() } else { Caller::default() },
        law,
    })
}

/// A path that leads over links counts under both of its names: sources of mounts are compared with links followed.
fn under_real_names(law: &mut Law) {
    let other = |site: &SitePath| {
        let real = site.path.canonicalize().ok().filter(|real| *real != site.path)?;
        Some(SitePath { path: real, ..site.clone() })
    };
    let more: Vec<SitePath> = law.paths.iter().filter_map(other).collect();
    law.paths.extend(more);
}

/// `YYYY-MM-DD`, UTC.
pub fn today() -> String {
    jiff::Timestamp::now().to_string().chars().take(10).collect()
}

/// The policy in a file that is tried out: `policy check FILE`. No owner is asked for.
///
/// # Errors
/// It cannot be read; what is wrong with it comes with its lines.
pub fn try_out(path: &Path) -> Result<std::result::Result<Law, Vec<Problem>>> {
    let file = File::open(path).map_err(|e| Error::verb(format!("cannot open {}", path.display())).because(e))?;
    let text = read(path, file)?;
    let beside = |name: &str| {
        let path = path.parent().unwrap_or(Path::new("")).join(name);
        std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    };
    Ok(parse::parse(&text, &beside).map(|mut law| {
        under_real_names(&mut law);
        law
    }))
}

fn broken(path: &Path, problems: &[Problem]) -> Error {
    let more = match problems.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    untrusted(format!("{}:{first}{more}", path.display()))
        .hint("`hardrun policy check` shows all that is wrong with it")
}

fn untrusted(what: String) -> Error {
    Error::new(crate::error::Kind::Refused, format!("the site's policy cannot be used, so nothing starts: {what}"))
}

/// Every folder from `base` on, then the file; `None` where folder or file is not there.
fn open(base: &Path, folder: &str, owner: u32) -> Result<Option<(PathBuf, File)>> {
    let Some((place, at)) = open_folder(base, folder, owner)? else { return Ok(None) };
    let path = place.join(NAME);
    Ok(open_file(&at, &path, NAME, owner)?.map(|file| (place, file)))
}

fn open_folder(base: &Path, folder: &str, owner: u32) -> Result<Option<(PathBuf, OwnedFd)>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut place = base.to_owned();
    let mut at = openat(CWD, base, flags, Mode::empty()).map_err(|e| cannot_open(base, e))?;
    check(&at, base, owner)?;
    for name in folder.split('/') {
        place.push(name);
        at = match openat(&at, name, flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(cannot_open(&place, e)),
        };
        check(&at, &place, owner)?;
    }
    Ok(Some((place, at)))
}

fn open_file(at: &OwnedFd, path: &Path, name: &str, owner: u32) -> Result<Option<File>> {
    // Not blocking: a FIFO in its place must not hold a start for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(at, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(cannot_open(path, e)),
    };
    check(&file, path, owner)?;
    Ok(Some(file.into()))
}

fn cannot_open(path: &Path, e: Errno) -> Error {
    let error = untrusted(format!("{} cannot be opened", path.display())).because(std::io::Error::from(e));
    match e {
        Errno::LOOP | Errno::NOTDIR => error.hint("links are not followed here: put the file itself in its place"),
        Errno::ACCESS => error.hint(format!("let those who run containers read it: chmod go+r {}", path.display())),
        _ => error,
    }
}

/// Owned by root, written by root only, and of the right kind. An access list that lets others write shows in the group's bits.
fn check(at: &OwnedFd, path: &Path, owner: u32) -> Result<()> {
    let stat = fstat(at).map_err(|e| cannot_open(path, e))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let path = path.display();
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(untrusted(format!("{path} is neither a file nor a folder")));
    }
    if stat.st_uid != owner {
        return Err(untrusted(format!("{path} belongs to uid {}, not to root", stat.st_uid))
            .hint(format!("look at what it says, then: chown root:root {path}")));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(untrusted(format!(
            "{path} can be written by others than root (mode {:04o})",
            stat.st_mode & 0o7777
        ))
        .hint(format!("look at what it says, then: chmod go-w {path}")));
    }
    Ok(())
}

fn read(path: &Path, file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.take(SIZE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| untrusted(format!("{} cannot be read", path.display())).because(e))?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(untrusted(format!("{} is longer than {SIZE_MAX} bytes", path.display())));
    }
    String::from_utf8(bytes).map_err(|e| untrusted(format!("{} is no text", path.display())).because(e))
}

/// A key's file, held to the same as the policy.
fn key_file(base: &Path, folder: &str, owner: u32, name: &str) -> std::result::Result<String, String> {
    let said = |e: Error| e.chain().join(": ");
    let (place, at) = open_folder(base, folder, owner).map_err(said)?.ok_or("the policy's folder is gone")?;
    let path = place.join(name);
    let file = open_file(&at, &path, name, owner).map_err(said)?;
    read(&path, file.ok_or_else(|| format!("there is no file {}", path.display()))?).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    struct Place(tempfile::TempDir);

    impl Place {
        fn new(text: Option<&str>) -> Place {
            let place = Place(tempfile::tempdir().unwrap());
            std::fs::create_dir_all(place.at("etc/hardrun")).unwrap();
            for folder in ["", "etc", "etc/hardrun"] {
                place.mode(folder, 0o755);
            }
            if let Some(text) = text {
                std::fs::write(place.at("etc/hardrun/policy.toml"), text).unwrap();
                place.mode("etc/hardrun/policy.toml", 0o644);
            }
            place
        }
        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }
        fn mode(&self, path: &str, mode: u32) {
            std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        fn load(&self) -> Result<Site> {
            load_from(self.0.path(), "etc/hardrun", self.0.path().metadata().unwrap().uid())
        }
        fn error(&self) -> String {
            let e = self.load().expect_err("not to be trusted");
            assert_eq!(e.kind.exit_code(), 125);
            format!("{} {}", e.chain().join(": "), e.hint.unwrap_or_default())
        }
    }

    #[test]
    fn no_policy_is_no_law() {
        assert_eq!(Place::new(None).load().unwrap(), Site::default());
        let place = Place::new(None);
        std::fs::remove_dir(place.at("etc/hardrun")).unwrap();
        assert_eq!(place.load().unwrap(), Site::default());
    }

    #[test]
    fn a_policy_is_read_with_its_digest() {
        let site = Place::new(Some("preset = \"strict\"\n")).load().unwrap();
        assert_eq!(site.law.preset.as_deref(), Some("strict"));
        assert!(site.digest.unwrap().starts_with("sha256:"));
        assert_eq!(site.today.len(), 10);
    }

    #[test]
    fn what_others_can_write_is_not_trusted_and_that_is_said_with_the_way_out() {
        for (path, mode) in
            [("", 0o777), ("", 0o1777), ("etc", 0o775), ("etc/hardrun", 0o757), ("etc/hardrun/policy.toml", 0o664)]
        {
            let place = Place::new(Some(""));
            place.mode(path, mode);
            let text = place.error();
            assert!(text.contains("can be written by others") && text.contains("chmod go-w"), "{path}: {text}");
        }
        // The folder counts where there is no file yet: whoever can write there decides what there will be.
        let place = Place::new(None);
        place.mode("etc/hardrun", 0o777);
        assert!(place.error().contains("can be written by others"));
        let place = Place::new(Some(""));
        let uid = place.0.path().metadata().unwrap().uid();
        let e = load_from(place.0.path(), "etc/hardrun", uid + 1).unwrap_err();
        assert!(e.message.contains("belongs to uid"), "{}", e.message);
    }

    #[test]
    fn links_and_odd_things_in_its_place_are_refused() {
        let place = Place::new(None);
        std::fs::write(place.at("elsewhere"), "").unwrap();
        symlink(place.at("elsewhere"), place.at("etc/hardrun/policy.toml")).unwrap();
        assert!(place.error().contains("links are not followed"));
        std::fs::remove_file(place.at("etc/hardrun/policy.toml")).unwrap();
        std::fs::create_dir(place.at("etc/hardrun/policy.toml")).unwrap();
        place.mode("etc/hardrun/policy.toml", 0o755);
        assert!(place.error().contains("cannot be read"));
        let place = Place::new(None);
        std::fs::remove_dir(place.at("etc/hardrun")).unwrap();
        symlink(place.at("etc"), place.at("etc/hardrun")).unwrap();
        assert!(place.error().contains("links are not followed"));
    }

    #[test]
    fn a_wrong_policy_stops_everything_and_names_its_line() {
        let text = Place::new(Some("\nprest = \"strict\"\n")).error();
        assert!(text.contains("policy.toml:2: prest: unknown field"), "{text}");
        assert!(text.contains("hardrun policy check"), "{text}");
        assert!(Place::new(Some("a = \"\u{fffd}")).error().contains("policy.toml:1"));
        let place = Place::new(None);
        std::fs::write(place.at("etc/hardrun/policy.toml"), b"\xff\xfe").unwrap();
        place.mode("etc/hardrun/policy.toml", 0o644);
        assert!(place.error().contains("is no text"));
        let long = "#".repeat(SIZE_MAX as usize + 1);
        assert!(Place::new(Some(&long)).error().contains("longer than"));
    }
}
