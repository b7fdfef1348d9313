//! Which files below /proc and /sys open for writing and for reading.

use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `w PATH` and `r PATH` lines for what opens. Processes' own folders are left out: they are many, and each belongs to
/// the one who looks.
pub fn print(roots: &[&str]) {
    for root in roots {
        walk(Path::new(root), &mut |path| {
            if open(path, true).is_ok() {
                println!("w {}", path.display());
            }
            if open(path, false).is_ok() {
                println!("r {}", path.display());
            }
        });
    }
}

/// `PATH RESULT` for each.
pub fn try_all(files: &[&str], write: bool) {
    for file in files {
        let result = match open(Path::new(file), write) {
            Ok(()) => "open".to_owned(),
            Err(e) => e.raw_os_error().map_or(e.to_string(), |n| format!("{:?}", nix::errno::Errno::from_raw(n))),
        };
        println!("{file} {result}");
    }
}

/// Open without waiting, without making or emptying anything; a path masked by /dev/null or by an empty folder
/// does not count as open.
fn open(path: &Path, write: bool) -> std::io::Result<()> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = std::fs::OpenOptions::new().read(!write).write(write).custom_flags(flags).open(path)?;
    let m = file.metadata()?;
    if m.file_type().is_char_device() && m.rdev() == nix::sys::stat::makedev(1, 3) && path != Path::new("/dev/null") {
        return Err(std::io::Error::from_raw_os_error(libc::ENOENT));
    }
    Ok(())
}

fn walk(dir: &Path, each: &mut impl FnMut(&Path)) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let Ok(m) = std::fs::symlink_metadata(&path) else { continue };
        if m.is_dir() {
            if !is_process(&path) {
                walk(&path, each);
            }
        } else if !m.is_symlink() {
            each(&path);
        }
    }
}

fn is_process(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    path.parent() == Some(Path::new("/proc")) && name.bytes().all(|b| b.is_ascii_digit())
}
