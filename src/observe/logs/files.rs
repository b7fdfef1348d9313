//! The files of one log.

use super::FILE;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More than anyone keeps; a bound for the search.
const MOST: u32 = 1000;
/// A writer turns the files at most that often while they are opened.
const TRIES: u32 = 20;

pub fn path(folder: &Path, number: u32) -> PathBuf {
    match number {
        0 => folder.join(FILE),
        n => folder.join(format!("{FILE}.{n}")),
    }
}

/// The oldest first, opened so that none is missing or twice, although the writer may turn them meanwhile. None where
/// nothing was ever written.
pub fn open_all(folder: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for _ in 0..TRIES {
        files.clear();
        for number in 0..MOST {
            match File::open(path(folder, number)) {
                Ok(file) => files.push(file),
                // Between two renames there is no file of that name.
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(e),
            }
        }
        let newest = inode_at(&path(folder, 0))?;
        if newest == files.first().map(inode).transpose()? && !doubled(&files)? {
            break;
        }
    }
    files.reverse();
    Ok(files)
}

fn doubled(files: &[File]) -> io::Result<bool> {
    let mut inodes = files.iter().map(inode).collect::<io::Result<Vec<_>>>()?;
    inodes.sort_unstable();
    Ok(inodes.windows(2).any(|pair| pair[0] == pair[1]))
}

pub fn inode(file: &File) -> io::Result<u64> {
    file.metadata().map(|m| m.ino())
}

/// `None` where there is no such file.
pub fn inode_at(path: &Path) -> io::Result<Option<u64>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
