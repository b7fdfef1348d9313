//! `-o size=`: a limit on what a volume can hold, where the file system knows project quotas.

use crate::error::{Context, Error, Result};
use crate::sys::quota;
use std::fs::File;
use std::path::Path;

/// Projects are numbers that administrators give out too (/etc/projects), from below. These are far above, and one is
/// taken only if nothing belongs to it and it has no limit.
const FIRST: u32 = 0x4852_0000;
const COUNT: u32 = 0x0001_0000;

/// Put an empty folder into a project of its own with this limit in bytes. Returns the project. The lock on the volumes of
/// the root is held; two roots on one file system that look for a number at the same moment differ in where they begin.
pub fn set(folder: &Path, bytes: u64) -> Result<u32> {
    let say = || format!("limiting {}", folder.display());
    let file = File::open(folder).verb_context(say)?;
    let start = std::process::id();
    for n in 0..COUNT {
        let project = FIRST + start.wrapping_add(n) % COUNT;
        match quota::usage(&file, project) {
            Ok((0, 0)) => {}
            Ok(_) => continue,
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
            Err(e) => {
                return Err(Error::verb("quota size requested but no quota support").because(e).hint(format!(
                    "{} has to be on ext4 or xfs mounted with the option prjquota (Linux 5.14)",
                    folder.display()
                )));
            }
        }
        quota::set_project(&file, project).verb_context(say)?;
        quota::limit(&file, project, bytes).verb_context(say)?;
        return Ok(project);
    }
    Err(Error::verb(say()).because("every project number is taken"))
}

/// Take the limit away, so that the number is free again when the files are gone.
pub fn clear(folder: &Path, project: u32) {
    let cleared = File::open(folder).and_then(|file| quota::limit(&file, project, 0));
    if let Err(e) = cleared {
        crate::ui::warn(&format!("the quota of project {project} is still set: {e}"));
    }
}
