//! A read-only look into the merged root of some layers without mounting them: whiteouts, opaque folders and symlinks
//! are followed inside the root, never outside.

use super::tree::Tree;
use crate::error::{Context, Error, Result};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// As the kernel.
const SYMLINKS_MAX: u32 = 40;

pub struct View {
    layers: Vec<PathBuf>,
}

/// One folder of the merged root: what each layer has of it, topmost first. Never empty.
struct Merged(Vec<(OwnedFd, PathBuf)>);

/// What a name is in a merged folder.
enum Found {
    Nothing,
    Folder(Merged),
    /// Anything else: an `O_PATH` descriptor of the thing itself, and its path on the host.
    Other(OwnedFd, PathBuf, FileType),
}

impl View {
    /// Layers lowest first.
    pub fn new(layers: &[PathBuf]) -> View {
        View { layers: layers.to_vec() }
    }

    /// The host path of the file or folder that `path` is in the merged root, symlinks followed; `None` if there is none.
    /// A folder is that of the topmost layer that has it.
    pub fn resolve(&self, path: &Path) -> Result<Option<PathBuf>> {
        Ok(match self.walk(path, true)? {
            Found::Nothing => None,
            Found::Folder(merged) => merged.0.into_iter().next().map(|(_, path)| path),
            Found::Other(_, path, _) => Some(path),
        })
    }

    /// Type of the last component itself, not followed.
    pub fn symlink_metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.metadata_of(path, false)
    }

    /// Like `stat`: symlinks followed, inside the root.
    pub fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.metadata_of(path, true)
    }

    fn metadata_of(&self, path: &Path, follow: bool) -> Result<Option<Metadata>> {
        let fd = match self.walk(path, follow)? {
            Found::Nothing => return Ok(None),
            Found::Folder(merged) => merged.0.into_iter().next().expect("never empty").0,
            Found::Other(fd, ..) => fd,
        };
        File::from(fd).metadata().map(Some).context(|| format!("looking at {} in the image", path.display()))
    }

    /// At most `limit` bytes of a regular file; `None` if there is no such file.
    ///
    /// # Errors
    /// Something other than a regular file, or a longer one.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let say = || format!("reading {} in the image", path.display());
        let (fd, file_type) = match self.walk(path, true)? {
            Found::Nothing => return Ok(None),
            Found::Folder(_) => return Err(Error::runner(format!("{} in the image is a folder", path.display()))),
            Found::Other(fd, _, file_type) => (fd, file_type),
        };
        if file_type != FileType::RegularFile {
            return Err(Error::runner(format!("{} in the image is not a regular file", path.display())));
        }
        // The descriptor names the file itself; through /proc it is opened for reading without a second look-up.
        let file = File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).context(say)?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).context(say)?;
        if bytes.len() as u64 > limit {
            return Err(Error::runner(format!("{} in the image is longer than {limit} bytes", path.display())));
        }
        Ok(Some(bytes))
    }

    /// The first of `paths` that is a symlink in the merged root. A /dev, /proc or /sys that is one would lead the
    /// launcher's mounts elsewhere (CVE-2026-41579, CVE-2026-47766).
    pub fn first_symlink<'p>(&self, paths: &[&'p str]) -> Result<Option<&'p str>> {
        for path in paths {
            if self.symlink_metadata(Path::new(path))?.is_some_and(|m| m.file_type().is_symlink()) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn root(&self) -> Result<Merged> {
        let mut out = Vec::with_capacity(self.layers.len());
        for layer in self.layers.iter().rev() {
            let tree = Tree::open(layer).context(|| format!("opening layer {}", layer.display()))?;
            let fd = tree.dir(&[]).context(|| format!("opening layer {}", layer.display()))?;
            out.push((fd, layer.clone()));
        }
        Ok(Merged(out))
    }

    fn walk(&self, path: &Path, follow_last: bool) -> Result<Found> {
        let say = || format!("resolving {} in the image", path.display());
        let mut stack = vec![self.root()?];
        if stack[0].0.is_empty() {
            return Ok(Found::Nothing);
        }
        let mut todo = components(path.as_os_str().as_bytes());
        let mut symlinks = 0;
        while let Some(part) = todo.pop_front() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if stack.len() > 1 {
                        stack.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let Ok(name) = CString::new(part) else { return Ok(Found::Nothing) };
            let folder = stack.last().expect("the root is never popped");
            let last = todo.iter().all(|p| p.is_empty());
            match folder.get(&name).context(say)? {
                Found::Nothing => return Ok(Found::Nothing),
                Found::Folder(merged) => stack.push(merged),
                Found::Other(fd, host, FileType::Symlink) if !last || follow_last || !todo.is_empty() => {
                    symlinks += 1;
                    if symlinks > SYMLINKS_MAX {
                        return Err(Error::runner(format!("{}: too many symlinks in the image", path.display())));
                    }
                    let target = rustix::fs::readlinkat(&fd, c"", Vec::new())
                        .context(|| format!("reading the symlink {}", host.display()))?;
                    if target.to_bytes().starts_with(b"/") {
                        stack.truncate(1);
                    }
                    let mut next = components(target.to_bytes());
                    next.append(&mut todo);
                    todo = next;
                }
                // A file with something behind it is not a folder.
                Found::Other(..) if !todo.is_empty() => return Ok(Found::Nothing),
                other => return Ok(other),
            }
        }
        Ok(Found::Folder(stack.pop().expect("the root is never popped")))
    }
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect()
}

impl Merged {
    fn get(&self, name: &CString) -> std::io::Result<Found> {
        let mut folders = Vec::new();
        for (dir, host) in &self.0 {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = match rustix::fs::openat(dir, name.as_c_str(), flags, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => continue,
                // Longer than a file name can be.
                Err(Errno::NAMETOOLONG) => return Ok(Found::Nothing),
                Err(e) => return Err(e.into()),
            };
            let stat = rustix::fs::fstat(&fd)?;
            let file_type = FileType::from_raw_mode(stat.st_mode);
            let host = host.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            match file_type {
                FileType::Directory => {
                    let opaque = is_opaque(&fd)?;
                    folders.push((fd, host));
                    if opaque {
                        break;
                    }
                }
                // A whiteout, or a file under a folder, ends what the layers below add.
                _ if !folders.is_empty() => break,
                FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(Found::Nothing),
                other => return Ok(Found::Other(fd, host, other)),
            }
        }
        Ok(if folders.is_empty() { Found::Nothing } else { Found::Folder(Merged(folders)) })
    }
}

fn is_opaque(fd: &OwnedFd) -> std::io::Result<bool> {
    let mut value = [0u8; 8];
    // An O_PATH descriptor has no attributes; its path through /proc has.
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    match rustix::fs::getxattr(path, crate::storage::opaque(), &mut value) {
        Ok(n) => Ok(value[..n] == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Fixture {
            let dir = tempfile::tempdir().unwrap();
            for layer in ["low", "high"] {
                std::fs::create_dir_all(dir.path().join(layer).join("etc")).unwrap();
            }
            Fixture { dir }
        }
        fn path(&self, p: &str) -> PathBuf {
            self.dir.path().join(p)
        }
        fn view(&self) -> View {
            View::new(&[self.path("low"), self.path("high")])
        }
    }

    fn text(view: &View, path: &str) -> Option<String> {
        view.read(Path::new(path), 100).unwrap().map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn upper_layers_hide_lower_ones_and_whiteouts_hide_names() {
        let f = Fixture::new();
        std::fs::write(f.path("low/etc/passwd"), "low").unwrap();
        std::fs::write(f.path("low/etc/group"), "low").unwrap();
        std::fs::write(f.path("low/etc/gone"), "low").unwrap();
        std::fs::write(f.path("high/etc/passwd"), "high").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, f.path("high/etc/gone"), FileType::CharacterDevice, Mode::empty(), 0)
            .unwrap();
        let view = f.view();
        assert_eq!(text(&view, "/etc/passwd").as_deref(), Some("high"));
        assert_eq!(text(&view, "etc//./group").as_deref(), Some("low"));
        assert_eq!(text(&view, "/etc/gone"), None);
        assert_eq!(view.resolve(Path::new("/etc")).unwrap(), Some(f.path("high/etc")));
        assert_eq!(view.resolve(Path::new("/etc/group")).unwrap(), Some(f.path("low/etc/group")));
        assert_eq!(view.resolve(Path::new("/etc/group/x")).unwrap(), None);
    }

    #[test]
    fn symlinks_are_followed_across_layers_and_never_outside() {
        let f = Fixture::new();
        std::fs::write(f.path("secret"), "outside").unwrap();
        std::fs::write(f.path("low/etc/real"), "inside").unwrap();
        symlink("/etc/real", f.path("high/etc/abs")).unwrap();
        symlink("../../../../secret", f.path("high/etc/up")).unwrap();
        symlink(f.path("secret"), f.path("high/etc/host")).unwrap();
        symlink("loop", f.path("high/etc/loop")).unwrap();
        symlink("etc", f.path("high/dev")).unwrap();
        let view = f.view();
        assert_eq!(text(&view, "/etc/abs").as_deref(), Some("inside"));
        assert_eq!(text(&view, "/dev/../etc/abs").as_deref(), Some("inside"));
        assert_eq!(text(&view, "/etc/up"), None);
        assert_eq!(text(&view, "/etc/host"), None);
        assert!(view.read(Path::new("/etc/loop"), 10).is_err());
        assert!(view.symlink_metadata(Path::new("/dev")).unwrap().unwrap().is_symlink());
        assert!(view.metadata(Path::new("/dev")).unwrap().unwrap().is_dir());
        assert_eq!(view.first_symlink(&["/proc", "/dev"]).unwrap(), Some("/dev"));
    }

    #[test]
    fn an_opaque_folder_hides_what_is_below() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: trusted attributes need root");
            return;
        }
        let f = Fixture::new();
        std::fs::write(f.path("low/etc/passwd"), "low").unwrap();
        rustix::fs::setxattr(f.path("high/etc"), crate::storage::opaque(), b"y", rustix::fs::XattrFlags::empty())
            .unwrap();
        assert_eq!(text(&f.view(), "/etc/passwd"), None);
    }

    #[test]
    fn only_regular_files_of_the_allowed_length_are_read() {
        let f = Fixture::new();
        std::fs::write(f.path("low/long"), [b'x'; 101]).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, f.path("low/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(f.view().read(Path::new("/long"), 100).is_err());
        assert!(f.view().read(Path::new("/fifo"), 100).is_err());
        assert!(f.view().read(Path::new("/etc"), 100).is_err());
    }
}
