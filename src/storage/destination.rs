//! Where a path of the container leads, before anything is mounted there.
//!
//! An image can have symlinks where the plan has names: `/data -> /proc`, `/etc/hosts -> /proc/1/attr/exec`. The rules
//! judge names, so what the links make of them is judged here, and a mount that would land on what the kernel's own file
//! systems will be is refused (CVE-2019-16884, CVE-2025-52881). What only shows once other mounts are in place is caught
//! when the state is read back.

use crate::error::{Context, Error, Result};
use crate::plan::{MountKind, MountPlan};
use crate::policy::rules::kernel_mountpoint::reserved;
use pathrs::flags::OpenFlags;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// Follow `path` through the symlinks below `root`, never out of it. What does not exist is itself. Below /proc, /sys and
/// /dev the image's files do not count: they will be covered.
fn follow(root: &Path, path: &str) -> Result<PathBuf> {
    let attempt = || format!("follow {path} inside the image");
    let mut todo = words(Path::new(path));
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(word) = todo.pop_front() {
        match word.as_bytes() {
            b"/" => at = PathBuf::from("/"),
            b".." => {
                at.pop();
            }
            _ => {
                at.push(&word);
                if ["/proc", "/sys", "/dev"].iter().any(|kernels| at.starts_with(kernels)) {
                    continue;
                }
                let here = root.join(at.strip_prefix("/").unwrap_or(&at));
                let target = match std::fs::read_link(&here) {
                    Ok(target) => target,
                    // Not a link, or not there.
                    Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOENT | libc::ENOTDIR)) => continue,
                    Err(e) => return Err(e).context(attempt),
                };
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::runner(attempt()).because("too many symlinks"));
                }
                at.pop();
                for word in words(&target).into_iter().rev() {
                    todo.push_front(word);
                }
            }
        }
    }
    Ok(at)
}

/// The components of a path as words; the root is `/`. As bytes: a name that is not UTF-8 is a name to the kernel.
fn words(path: &Path) -> VecDeque<OsString> {
    path.components().filter(|c| *c != Component::CurDir).map(|c| c.as_os_str().to_owned()).collect()
}

/// Refuse a mount that the image's symlinks send to the kernel's file systems or to the root itself.
pub fn refuse_redirected_mount(root: &Path, destination: &str, asked: &str) -> Result<()> {
    let leads = follow(root, destination)?;
    if !reserved(&leads) {
        return Ok(());
    }
    let asked = if asked.is_empty() { destination } else { asked };
    let what = format!("refusing the mount {asked}: in the image {destination} leads to {}", leads.display());
    Err(Error::runner(what).hint(
        "the launch sets the confinement up through that folder, and the mount would redirect it (CVE-2025-52881); \
         mount elsewhere, or rebuild the image without the symlink",
    ))
}

/// Make what a dangling symlink of the image points at, so that something can be mounted there, as docker does: Debian's
/// and Ubuntu's /etc/resolv.conf leads to a file that a service writes under /run. libcontainer 0.7 makes a missing
/// destination, but not at the end of a link. `owner` is the host id of the container's root.
pub fn make_dangling(root: &Path, mount: &MountPlan, owner: u32) -> Result<()> {
    let destination = mount.destination.as_str();
    let directory = match &mount.kind {
        MountKind::Bind { directory, .. } => *directory,
        MountKind::File { .. } => false,
        MountKind::Tmpfs { .. } | MountKind::Image { .. } => true,
        MountKind::Volume { subpath, .. } => subpath.is_none(),
    };
    let leads = follow(root, destination)?;
    if leads == Path::new(destination) {
        return Ok(());
    }
    let attempt = || format!("make {}, where the image's {destination} leads", leads.display());
    let inside = pathrs::Root::open(root).context(attempt)?;
    if inside.resolve(&leads).is_ok() {
        return Ok(());
    }
    let _ids = crate::sys::process::files_as(owner, owner).context(attempt)?;
    let folder = if directory { Some(leads.as_path()) } else { leads.parent() };
    if let Some(folder) = folder {
        inside.mkdir_all(folder, &Permissions::from_mode(0o755)).context(attempt)?;
    }
    if !directory {
        let flags = OpenFlags::O_CREAT | OpenFlags::O_EXCL | OpenFlags::O_NOFOLLOW | OpenFlags::O_CLOEXEC;
        inside.create_file(&leads, flags, &Permissions::from_mode(0o644)).context(attempt)?;
    }
    Ok(())
}

/// Refuse a device node that the image's symlinks send to /proc, /sys or the root. Under /dev is where it belongs.
pub fn refuse_redirected_device(root: &Path, destination: &str) -> Result<()> {
    let leads = follow(root, destination)?;
    if leads.starts_with("/dev") && leads != Path::new("/dev") {
        return Ok(());
    }
    refuse_redirected_mount(root, destination, &format!("--device …:{destination}"))
}

/// Refuse a working directory that the image's symlinks send to /proc or /sys: a folder of the host may be open there.
pub fn refuse_redirected_workdir(root: &Path, workdir: &str) -> Result<()> {
    let leads = follow(root, workdir)?;
    if !leads.starts_with("/proc") && !leads.starts_with("/sys") {
        return Ok(());
    }
    let what = format!("refusing the working directory {workdir}: in the image it leads to {}", leads.display());
    Err(Error::runner(what).hint("a folder of the image: -w /work (CVE-2024-21626)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn image() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc", "run", "var", "srv/data"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (target, link) in [
            ("/proc", "p"),
            ("proc/sys", "relative"),
            ("../../../../dev", "srv/d"),
            ("/p/self/../1/attr/exec", "etc/hosts"),
            ("/run", "var/run"),
            ("/dev/shm", "run/shm"),
            ("/", "r"),
            ("loop", "loop"),
            ("/nowhere/yet", "dangling"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        dir
    }

    #[test]
    fn links_to_the_kernels_folders_are_followed_and_refused() {
        let dir = image();
        for bad in
            ["/p", "/p/sys/kernel", "/relative", "/srv/d", "/srv/d/null", "/etc/hosts", "/r", "/r/r/sys", "/loop"]
        {
            let error = refuse_redirected_mount(dir.path(), bad, "-v /x:/y").unwrap_err();
            assert_eq!(error.kind.exit_code(), 125, "{bad}: {error}");
        }
        let error = refuse_redirected_mount(dir.path(), "/etc/hosts", "/etc/hosts").unwrap_err();
        assert!(error.message.contains("leads to /proc/1/attr/exec"), "{error}");
    }

    #[test]
    fn what_a_dangling_link_points_at_is_made_inside_the_image() {
        let dir = image();
        symlink("../run/resolve/stub.conf", dir.path().join("etc/resolv.conf")).unwrap();
        symlink("../../../../up/here", dir.path().join("etc/folder")).unwrap();
        let at = |destination: &str, kind| MountPlan {
            destination: destination.into(),
            kind,
            ..crate::policy::testkit::bind("/x:/y")
        };
        let file = || MountKind::File { content: String::new(), mode: 0o644 };
        let tmpfs = MountKind::Tmpfs { size: 1, mode: 0o700, uid: 0, gid: 0 };
        make_dangling(dir.path(), &at("/etc/resolv.conf", file()), 0).unwrap();
        make_dangling(dir.path(), &at("/etc/folder", tmpfs), 0).unwrap();
        make_dangling(dir.path(), &at("/etc/none", file()), 0).unwrap();
        assert!(dir.path().join("run/resolve/stub.conf").is_file());
        assert!(dir.path().join("up/here").is_dir());
        assert!(!dir.path().join("etc/none").exists(), "what is no link is left to libcontainer");
    }

    #[test]
    fn a_link_by_way_of_a_name_that_is_not_text_is_followed_too() {
        let dir = image();
        let odd = std::ffi::OsStr::from_bytes(b"odd\xff");
        symlink("/proc", dir.path().join(odd)).unwrap();
        symlink(odd, dir.path().join("data")).unwrap();
        assert!(refuse_redirected_mount(dir.path(), "/data", "-v /x:/data").is_err());
        assert!(refuse_redirected_workdir(dir.path(), "/data/self/fd/7").is_err());
    }

    #[test]
    fn ordinary_links_are_left_alone() {
        let dir = image();
        for good in ["/srv/data", "/var/run/app", "/run/shm", "/dangling/x", "/not/there", "/etc/resolv.conf"] {
            refuse_redirected_mount(dir.path(), good, "-v /x:/y").unwrap();
            refuse_redirected_workdir(dir.path(), good).unwrap();
        }
        assert!(refuse_redirected_workdir(dir.path(), "/p/self/fd/7").is_err());
    }
}
