//! Blobs on their way into the store: hashed while they are written, renamed into place when the digest is right.

use super::digest::{Digest, HashWriter};
use super::fsutil;
use super::work::is_still;
use crate::error::{Context, Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A blob whose digest is known beforehand. Dropped without [`commit`](Self::commit), what was written stays for the next
/// attempt, which takes it up at [`resume_offset`](Self::resume_offset).
#[derive(Debug)]
pub struct BlobWriter {
    partial: PathBuf,
    target: PathBuf,
    expected: Digest,
    size: Option<u64>,
    out: HashWriter<File>,
    resumed: u64,
}

impl BlobWriter {
    /// `None` if the blob is there by now. Waits while another process writes the same blob.
    pub(super) fn open(partial: PathBuf, target: PathBuf, expected: Digest, size: Option<u64>) -> Result<Option<Self>> {
        let say = || format!("opening {}", partial.display());
        let file = loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&partial)
                .verb_context(say)?;
            flock(&file, FlockOperation::LockExclusive).verb_context(say)?;
            if target.exists() {
                if is_still(&file, &partial) {
                    std::fs::remove_file(&partial).verb_context(say)?;
                }
                return Ok(None);
            }
            // Whoever held the lock before may have moved or removed the file.
            if is_still(&file, &partial) {
                break file;
            }
        };
        let mut writer = BlobWriter { partial, target, expected, size, out: HashWriter::new(file), resumed: 0 };
        writer.take_up()?;
        Ok(Some(writer))
    }

    /// Hash what an earlier attempt left.
    fn take_up(&mut self) -> Result<()> {
        let mut buf = vec![0u8; 128 * 1024];
        loop {
            let n = self.out.inner.read(&mut buf).verb_context(|| format!("reading {}", self.partial.display()))?;
            if n == 0 {
                break;
            }
            self.out.seed(&buf[..n]);
        }
        self.resumed = self.out.count();
        match self.size {
            Some(size) if self.resumed > size => self.restart(),
            _ => Ok(()),
        }
    }

    /// Bytes that are there already: ask for the rest.
    pub fn resume_offset(&self) -> u64 {
        self.resumed
    }

    /// Bytes written so far, those of earlier attempts included.
    pub fn written(&self) -> u64 {
        self.out.count()
    }

    /// Forget what was written: the server sends the blob from its beginning.
    pub fn restart(&mut self) -> Result<()> {
        let say = || format!("emptying {}", self.partial.display());
        let file = self.out.inner.try_clone().verb_context(say)?;
        file.set_len(0).verb_context(say)?;
        self.out = HashWriter::new(file);
        self.out.inner.seek(SeekFrom::Start(0)).verb_context(say)?;
        self.resumed = 0;
        Ok(())
    }

    /// Check size and digest and put the blob into the store.
    ///
    /// # Errors
    /// Where the digest is wrong what was written is thrown away: resuming it would fail for ever.
    pub fn commit(self) -> Result<()> {
        let BlobWriter { partial, target, expected, size, out, .. } = self;
        let (file, digest, count) = out.finish();
        if let Some(size) = size.filter(|s| count < *s) {
            return Err(Error::verb(format!("blob {expected} ends after {count} of {size} bytes")));
        }
        if size.is_some_and(|s| count > s) || digest != expected {
            std::fs::remove_file(&partial).verb_context(|| format!("removing {}", partial.display()))?;
            return Err(match size.filter(|s| count > *s) {
                Some(size) => {
                    Error::verb(format!("blob {expected} is longer than the {size} bytes it was said to have"))
                }
                None => {
                    Error::verb(format!("blob {expected} has the digest {digest}: it was damaged or tampered with"))
                }
            });
        }
        place(&file, &partial, &target)
    }

    /// Throw away what was written.
    pub fn discard(self) -> Result<()> {
        std::fs::remove_file(&self.partial).verb_context(|| format!("removing {}", self.partial.display()))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.size.is_some_and(|s| self.out.count() + buf.len() as u64 > s) {
            return Err(io::Error::other(format!("blob {} is longer than it was said to be", self.expected)));
        }
        self.out.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A blob whose digest comes out when it is written.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    blobs: PathBuf,
    out: HashWriter<File>,
}

impl Scratch {
    pub(super) fn create(path: PathBuf, blobs: PathBuf) -> Result<Scratch> {
        let file = OpenOptions::new()
            .create_new(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .verb_context(|| format!("making {}", path.display()))?;
        Ok(Scratch { path, blobs, out: HashWriter::new(file) })
    }

    /// Done writing: digest and size are known.
    pub fn finish(self) -> Result<Written> {
        let (_, digest, size) = self.out.finish();
        Ok(Written { path: self.path, blobs: self.blobs, digest, size })
    }
}

impl Write for Scratch {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A blob that is complete but not in the store yet. It keeps no file open: an archive may have thousands of them.
#[derive(Debug)]
pub struct Written {
    path: PathBuf,
    blobs: PathBuf,
    pub digest: Digest,
    pub size: u64,
}

impl Written {
    /// Read it from its beginning.
    pub fn reader(&self) -> Result<File> {
        File::open(&self.path).verb_context(|| format!("opening {}", self.path.display()))
    }

    /// Put it into the store.
    pub fn commit(self) -> Result<(Digest, u64)> {
        place(&self.reader()?, &self.path, &self.blobs.join(self.digest.hex()))?;
        Ok((self.digest, self.size))
    }
}

/// On disk first, then under its name: a name in the store always has its content.
fn place(file: &File, from: &Path, to: &Path) -> Result<()> {
    file.sync_all().verb_context(|| format!("syncing {}", from.display()))?;
    std::fs::rename(from, to).verb_context(|| format!("moving a blob to {}", to.display()))?;
    fsutil::sync_dir(to.parent().expect("a blob has a folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, content: &[u8]) -> Option<BlobWriter> {
        let digest = Digest::of(content);
        BlobWriter::open(dir.join("partial"), dir.join(digest.hex()), digest, Some(content.len() as u64)).unwrap()
    }

    #[test]
    fn a_cut_download_is_taken_up_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(dir.path(), b"hello world").unwrap();
        writer.write_all(b"hello ").unwrap();
        drop(writer);
        let mut writer = open(dir.path(), b"hello world").unwrap();
        assert_eq!(writer.resume_offset(), 6);
        writer.write_all(b"world").unwrap();
        writer.commit().unwrap();
        assert_eq!(std::fs::read(dir.path().join(Digest::of(b"hello world").hex())).unwrap(), b"hello world");
        assert!(open(dir.path(), b"hello world").is_none(), "it is there now");
        assert_eq!(fsutil::list(dir.path()).unwrap().len(), 1, "no partial file is left");
    }

    #[test]
    fn wrong_content_never_gets_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(dir.path(), b"hello world").unwrap();
        writer.write_all(b"hello w0rld").unwrap();
        let e = writer.commit().unwrap_err();
        assert!(e.message.contains("tampered"), "{e}");
        assert!(fsutil::list(dir.path()).unwrap().is_empty());
        let mut writer = open(dir.path(), b"short").unwrap();
        assert!(writer.write_all(b"too long").is_err());
        writer.restart().unwrap();
        writer.write_all(b"sho").unwrap();
        assert!(writer.commit().unwrap_err().message.contains("3 of 5"));
    }
}
