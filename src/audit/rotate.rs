//! Rotation. The file is put aside under a number, and the next line goes into a new one: it follows the last line of the old,
//! in number and in hash, so the files together are one chain. None is ever deleted here: whoever moves the oldest away
//! keeps the hash of its last line, from which the rest can be checked.

use super::append::{head_path, lock, open};
use super::head::Head;
use crate::error::{Context as _, Error, Result};
use std::path::{Path, PathBuf};

/// The files that were put aside, the oldest first.
pub fn archives(log: &Path) -> Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return Ok(Vec::new()) };
    let say = || format!("cannot read {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.verb_context(say)?,
    };
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry.verb_context(say)?;
        let file = entry.file_name();
        let number = file.to_str().and_then(|f| f.strip_prefix(name.to_str()?)?.strip_prefix('.')?.parse().ok());
        found.extend(number.map(|n| (n, entry.path())));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Bytes of the file that was put aside last; `None`: there is none.
pub(super) fn newest_size(log: &Path) -> Option<u64> {
    archives(log).ok()?.pop()?.symlink_metadata().ok().map(|m| m.len())
}

/// Put the log aside. Returns where it is now and the hash of its last line; `None`: there was nothing in it.
///
/// # Errors
/// The log is not as the last writer left it: that is put in order by the next line, and looked at first.
pub fn rotate(log: &Path) -> Result<Option<(PathBuf, String)>> {
    let attempt = || format!("cannot put the audit log {} aside", log.display());
    if log.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let file = open(log, true).verb_context(attempt)?;
    lock(&file).verb_context(attempt)?;
    let size = file.metadata().verb_context(attempt)?.len();
    if size == 0 {
        return Ok(None);
    }
    let head_file = open(&head_path(log), false).verb_context(attempt)?;
    let head = Head::read(&head_file).verb_context(attempt)?.filter(|head| head.bytes == size).ok_or_else(|| {
        Error::verb(attempt())
            .because("its head does not fit its size")
            .hint("`hardrun audit-log verify` looks at it; the next launch writes down what it finds")
    })?;
    let hash = head.hash.clone();
    file.sync_all().verb_context(attempt)?;
    let last = archives(log)?.pop().and_then(|path| path.extension()?.to_str()?.parse::<u64>().ok()).unwrap_or(0);
    let mut aside = log.as_os_str().to_owned();
    aside.push(format!(".{}", last + 1));
    let aside = PathBuf::from(aside);
    // A writer that waits for the lock finds that its file is not the log any more, and opens it anew. One that comes before
    // the head is written finds an empty log, and the file put aside as long as the head says.
    std::fs::rename(log, &aside).verb_context(attempt)?;
    let fresh = open(log, true).verb_context(attempt)?;
    lock(&fresh).verb_context(attempt)?;
    if fresh.metadata().verb_context(attempt)?.len() == 0 {
        Head { bytes: 0, hash: hash.clone(), ..head }.write(&head_file).verb_context(attempt)?;
    }
    Ok(Some((aside, hash)))
}
