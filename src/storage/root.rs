//! The root file system: the image's layers, idmapped and read-only, under an overlay whose upper folder belongs to the
//! container's base id. Nothing is copied and nothing is chowned but that one folder.

use super::Stage;
use crate::error::{Context, Error, Result};
use crate::sys::mounts::{Attributes, attach, clone_tree, set_attributes};
use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount};
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Overlay takes its options in one page.
const OPTIONS_LIMIT: usize = 4095;

/// Mount the root at `stage/root` and return its path.
///
/// `layers` are lowest first. `userns` maps them; without one they keep the host's ids. `writable` is a folder of the
/// container's own on a real file system, where `upper` and `work` are made. A `volatile` overlay skips the sync when
/// it is unmounted (Linux 5.10): right for a container whose files are removed anyway. `label` is the SELinux label of
/// every file.
pub fn mount_root(
    stage: &Stage,
    layers: &[PathBuf],
    userns: Option<BorrowedFd<'_>>,
    owner: u32,
    writable: &Path,
    volatile: bool,
    label: Option<&str>,
) -> Result<PathBuf> {
    let top = layers.last().ok_or_else(|| Error::runner("the image has no layers"))?;
    let mode = std::fs::metadata(top).context(|| format!("look at the layer {}", top.display()))?.permissions().mode();
    let lower = stage.folder("l")?;
    for (n, layer) in layers.iter().enumerate() {
        mount_layer(layer, &lower.join(n.to_string()), userns)?;
    }
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    for folder in [&upper, &work] {
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            // Of a container that has run before: what it wrote is there.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
            made => made.context(|| format!("make {}", folder.display()))?,
        }
        chown(folder, Some(owner), Some(owner)).context(|| format!("give {} to the container", folder.display()))?;
    }
    if std::fs::read_dir(&upper).is_ok_and(|mut d| d.next().is_none()) {
        std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(mode & 0o7777))
            .context(|| format!("set the mode of {}", upper.display()))?;
    }

    let root = stage.folder("root")?;
    // Relative names keep the option string short: the working folder is the one that holds the layers.
    let here = openat(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    rustix::process::chdir(&lower).context(|| format!("enter {}", lower.display()))?;
    let names: Vec<String> = (0..layers.len()).rev().map(|n| n.to_string()).collect();
    let folders = format!("lowerdir={},upperdir={},workdir={}", names.join(":"), escape(&upper)?, escape(&work)?);
    let mut options = format!("{folders},xino=off");
    if crate::rootless::current().is_some() {
        // Marks of the overlay's own are attributes that an ordinary user may set. Linux 5.11.
        options.push_str(",userxattr");
    }
    if volatile {
        options.push_str(",volatile");
    }
    if let Some(label) = label {
        options.push(',');
        options.push_str(&crate::selinux::mount_option(label));
    }
    if options.len() > OPTIONS_LIMIT {
        return Err(Error::runner(format!("mount the root: {} layers do not fit the overlay's options", layers.len())));
    }
    let options = CString::new(options).context(|| "mount the root".into())?;
    let mounted = mount("overlay", &root, "overlay", MountFlags::NOSUID | MountFlags::NODEV, &*options)
        .context(|| format!("mount an overlay of {} layers on {}", layers.len(), root.display()));
    let mounted = match mounted {
        Err(why) if crate::rootless::current().is_some() => super::fuse::mount(&root, &folders, why),
        mounted => mounted,
    };
    match here {
        Some(here) => rustix::process::fchdir(here).context(|| "return to the working folder".into())?,
        None => rustix::process::chdir("/").context(|| "return to /".into())?,
    }
    mounted?;
    Ok(root)
}

/// Give what a container wrote under another range of ids to its new range: another container has the old one just now.
/// Nothing is done where both are the same. `folder` holds `upper`; ids outside the old range stay.
pub fn shift(folder: &Path, from: Option<u32>, to: u32) -> Result<()> {
    let Some(from) = from.filter(|from| *from != to) else { return Ok(()) };
    let shift = super::shift::Shift { from, to, size: super::idrange::SIZE };
    let folders = ["upper", "work"].map(|name| folder.join(name));
    folders.iter().filter(|path| path.exists()).try_for_each(|path| shift.apply(path))
}

/// Mount some layers, read-only, on `at`: the root of another image inside a container.
pub fn mount_layers_read_only(
    stage: &Stage,
    name: &str,
    layers: &[PathBuf],
    userns: Option<BorrowedFd<'_>>,
    label: Option<&str>,
    at: &Path,
) -> Result<()> {
    let attempt = || format!("mount an image of {} layers", layers.len());
    let lower = stage.folder(name)?;
    let mut names = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        let path = lower.join(n.to_string());
        mount_layer(layer, &path, userns)?;
        names.insert(0, escape(&path)?);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    if let [only] = names.as_slice() {
        // Overlay wants two lower folders at least where there is no upper one.
        let empty = stage.folder(&format!("{name}e"))?;
        names = vec![escape(&empty)?, only.clone()];
    }
    let mut options = format!("lowerdir={}", names.join(":"));
    if let Some(label) = label {
        options.push(',');
        options.push_str(&crate::selinux::mount_option(label));
    }
    if crate::rootless::current().is_some() {
        options.push_str(",userxattr");
    }
    let options = CString::new(options).context(attempt)?;
    mount("overlay", at, "overlay", flags, &*options).context(attempt)
}

/// Overlay's option parser takes `,` and `:` for separators and `\` for its escape.
fn escape(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::runner(format!("the path {} is not UTF-8", path.display())))?;
    Ok(text.replace('\\', "\\\\").replace(',', "\\,").replace(':', "\\:"))
}

fn mount_layer(layer: &Path, at: &Path, userns: Option<BorrowedFd<'_>>) -> Result<()> {
    let attempt = || format!("mount the layer {}", layer.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder: OwnedFd = openat(CWD, layer, flags, Mode::empty()).context(attempt)?;
    let tree = clone_tree(&folder, false).context(attempt)?;
    let set = Attributes::NOSUID | Attributes::NODEV;
    set_attributes(&tree, set, userns, false).context(|| {
        format!(
            "map the ids of the layer {} (needs idmapped mounts on its file system: Linux 5.19 for overlay)",
            layer.display()
        )
    })?;
    std::fs::create_dir(at).context(attempt)?;
    attach(&tree, at).context(attempt)
}

/// Make the working folder and its parents inside the root if they are missing, as docker does, owned by the container's
/// root. Symlinks are followed inside the root only.
pub fn make_workdir(root: &Path, workdir: &str, owner: u32) -> Result<()> {
    let attempt = || format!("make the working directory {workdir}");
    let inside = pathrs::Root::open(root).context(attempt)?;
    if let Ok(found) = inside.resolve(workdir) {
        let found: OwnedFd = found.into();
        let stat = rustix::fs::fstat(found).context(attempt)?;
        return match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(()),
            _ => Err(Error::runner(format!("the working directory {workdir} is not a folder in the image"))),
        };
    }
    let _ids = crate::sys::process::files_as(owner, owner).context(attempt)?;
    inside.mkdir_all(workdir, &std::fs::Permissions::from_mode(0o755)).context(attempt)?;
    Ok(())
}

/// An image whose /dev, /proc or /sys is a symlink sends the mounts of the launch elsewhere (CVE-2026-41579,
/// CVE-2026-47766 in runc and crun): refused.
pub fn refuse_redirected(root: &Path) -> Result<()> {
    for name in ["dev", "proc", "sys"] {
        match std::fs::symlink_metadata(root.join(name)) {
            Ok(m) if m.is_dir() => {}
            Ok(m) => {
                let kind = if m.is_symlink() { "a symlink" } else { "not a folder" };
                return Err(Error::runner(format!("refusing the image: its /{name} is {kind}"))
                    .hint("the launch mounts on it, and would be sent elsewhere (CVE-2026-41579); rebuild the image with a folder there"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::runner(format!("look at the image's /{name}")).because(e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_separators_in_paths_are_escaped() {
        assert_eq!(escape(Path::new("/a,b:c\\d")).unwrap(), "/a\\,b\\:c\\\\d");
    }

    #[test]
    fn a_working_folder_is_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/real", dir.path().join("link")).unwrap();
        for good in ["/", "/real", "/link"] {
            make_workdir(dir.path(), good, 0).unwrap();
        }
        let error = make_workdir(dir.path(), "/file", 0).unwrap_err();
        assert!(error.message.contains("/file is not a folder"), "{error}");
    }

    #[test]
    fn a_symlinked_dev_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        refuse_redirected(dir.path()).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("dev")).unwrap();
        let error = refuse_redirected(dir.path()).unwrap_err();
        assert!(error.message.contains("/dev is a symlink"), "{error}");
    }
}
