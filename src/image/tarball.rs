//! A reader of tar streams written by strangers. The `tar` crate decodes the header block; the walk over the stream is
//! here, for three reasons: a long name or PAX header is read into memory and must have a limit (a stranger writes
//! gigabytes of it), PAX values are bytes that may hold newlines, and holes of sparse files must be known as such.
//!
//! It reads what docker reads (Go's archive/tar): V7, ustar, GNU and PAX; GNU sparse files of the old form and PAX 1.0.

use super::pax;
use crate::error::{Error, Result};
use std::io::Read;
use tar::Header;

const BLOCK: usize = 512;
/// Long names and PAX headers: the largest legitimate ones hold attributes of 64 KiB.
const EXTENSION_MAX: u64 = 1 << 20;
/// Extents of one sparse file.
const SPARSE_MAX: usize = 1 << 16;
/// All extended attributes of one entry.
const XATTRS_MAX: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    CharDevice,
    BlockDevice,
}

/// One entry, with what long-name, PAX and sparse headers say about it already applied.
#[derive(Debug, Clone)]
pub struct Entry {
    pub kind: Kind,
    /// As in the archive: neither cleaned nor checked.
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    /// Bytes of a file, holes included.
    pub size: u64,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data of a sparse file goes: offset and length, in order. `None`: the data is the file.
    pub extents: Option<Vec<(u64, u64)>>,
}

impl Entry {
    /// The name for a message.
    pub fn display(&self) -> String {
        display(&self.name)
    }
}

/// Bytes from an archive for a message.
pub fn display(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What long-name and PAX headers say about the next entry.
#[derive(Default)]
struct Pending {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_major: Option<Vec<u8>>,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_old: bool,
}

pub struct Tarball<R> {
    inner: R,
    /// Data bytes of the current entry that were not read yet, and the padding behind them.
    left: u64,
    padding: u64,
    last: String,
    done: bool,
}

impl<R: Read> Tarball<R> {
    pub fn new(inner: R) -> Self {
        Tarball { inner, left: 0, padding: 0, last: String::new(), done: false }
    }

    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry, or `None` at the end of the archive. What was left of the current entry's data is passed over.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut pending = Pending::default();
        let mut extended = false;
        loop {
            self.finish_entry()?;
            let Some(header) = self.header()? else {
                return match extended {
                    true => Err(self.bad("the archive ends between an extended header and its entry")),
                    false => Ok(None),
                };
            };
            let name = header.path_bytes().into_owned();
            let size = self.number(header.entry_size(), &header.as_old().size, &name, "size")?;
            match header.as_old().linkflag[0] {
                b'L' => pending.name = Some(self.long_name(size, &name)?),
                b'K' => pending.link = Some(self.long_name(size, &name)?),
                b'x' => {
                    let data = self.extension(size, &name)?;
                    self.pax(&data, &name, &mut pending)?;
                }
                b'g' => {
                    // A comment by `git archive` in practice; docker passes over it too.
                    self.extension(size, &name)?;
                    continue;
                }
                _ => return self.entry(&header, size, pending).map(Some),
            }
            extended = true;
        }
    }

    fn entry(&mut self, header: &Header, size: u64, pending: Pending) -> Result<Entry> {
        let name = pending.sparse_name.or(pending.name).unwrap_or_else(|| header.path_bytes().into_owned());
        self.last = display(&name);
        let old = header.as_old();
        let flag = old.linkflag[0];
        let kind = match flag {
            // Archives from before 1988 have no type for folders.
            0 | b'0' if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(Error::verb(format!(
                    "entry {} has type {:?}, which a layer cannot hold",
                    display(&name),
                    other as char
                )));
            }
        };
        let mut entry = Entry {
            kind,
            link: pending.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
            // As in Go: the stored size of an entry without data means nothing.
            size: if kind == Kind::File { pending.size.unwrap_or(size) } else { 0 },
            mode: self.number(header.mode(), &old.mode, &name, "mode")? & 0o7777,
            uid: pending.uid.map_or_else(|| self.number(header.uid(), &old.uid, &name, "uid"), Ok)?,
            gid: pending.gid.map_or_else(|| self.number(header.gid(), &old.gid, &name, "gid"), Ok)?,
            mtime: pending.mtime.map_or_else(|| self.mtime(header, &name), Ok)?,
            xattrs: pending.xattrs,
            extents: None,
            name,
        };
        self.left = entry.size;
        self.padding = entry.size.wrapping_neg() % BLOCK as u64;
        if pending.sparse_old {
            return Err(self
                .bad("uses a sparse format of GNU tar before 1.15.92 (PAX 0.x)")
                .hint("make the archive again without --sparse, or with --sparse-version=1.0"));
        }
        if flag == b'S' {
            self.old_sparse(header, &mut entry)?;
        } else if pending.sparse_major.is_some() && kind == Kind::File {
            let real = pending.sparse_size.ok_or_else(|| self.bad("is sparse but does not say how long it is"))?;
            self.pax_sparse(real, &mut entry)?;
        }
        Ok(entry)
    }

    /// Read the header block. Two blocks of zeroes, or the end of the stream, end the archive.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.done {
            return Ok(None);
        }
        for _ in 0..2 {
            let mut block = [0u8; BLOCK];
            match self.fill(&mut block)? {
                0 => {
                    self.done = true;
                    return Ok(None);
                }
                BLOCK => {}
                _ => return Err(self.bad("the archive is cut off in a header")),
            }
            if block.iter().any(|b| *b != 0) {
                let header = Header::from_byte_slice(&block);
                self.check_sum(header, &block)?;
                return Ok(Some(header.clone()));
            }
        }
        self.done = true;
        Ok(None)
    }

    fn check_sum(&self, header: &Header, block: &[u8; BLOCK]) -> Result<()> {
        let field = 148..156;
        let sum = |byte: fn(u8) -> i64| -> i64 {
            block.iter().enumerate().map(|(i, b)| if field.contains(&i) { 32 } else { byte(*b) }).sum()
        };
        let told = header.cksum().map(i64::from).ok();
        // Ancient writers added signed bytes.
        if told == Some(sum(i64::from)) || told == Some(sum(|b| i64::from(b as i8))) {
            return Ok(());
        }
        Err(self.bad("a tar header whose check sum is wrong: this is not a tar archive, or it is damaged"))
    }

    /// Read until `buf` is full or the stream ends.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.inner.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.bad("the archive cannot be read").because(e)),
            }
        }
        Ok(filled)
    }

    fn finish_entry(&mut self) -> Result<()> {
        let mut rest = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        let mut buf = [0u8; 16 * 1024];
        while rest > 0 {
            let want = rest.min(buf.len() as u64) as usize;
            if self.fill(&mut buf[..want])? != want {
                return Err(self.bad("the archive is cut off"));
            }
            rest -= want as u64;
        }
        Ok(())
    }

    /// The data of a header that describes the next entry.
    fn extension(&mut self, size: u64, name: &[u8]) -> Result<Vec<u8>> {
        if size > EXTENSION_MAX {
            return Err(Error::verb(format!(
                "entry {} has an extended header of {size} bytes; at most {EXTENSION_MAX} are read",
                display(name)
            )));
        }
        let mut data = vec![0; size as usize];
        self.padding = size.wrapping_neg() % BLOCK as u64;
        if self.fill(&mut data)? != data.len() {
            return Err(self.bad("the archive is cut off in an extended header"));
        }
        Ok(data)
    }

    fn long_name(&mut self, size: u64, name: &[u8]) -> Result<Vec<u8>> {
        let mut data = self.extension(size, name)?;
        if let Some(end) = data.iter().position(|b| *b == 0) {
            data.truncate(end);
        }
        Ok(data)
    }

    fn pax(&self, data: &[u8], name: &[u8], pending: &mut Pending) -> Result<()> {
        let bad = |what: &str| Error::verb(format!("entry {}: {what}", display(name)));
        for (key, value) in pax::records(data).map_err(bad)? {
            let number = || pax::number(value).ok_or_else(|| bad("a PAX number that is none"));
            match key {
                b"path" => pending.name = Some(value.to_vec()),
                b"linkpath" => pending.link = Some(value.to_vec()),
                b"size" => pending.size = Some(number()?),
                b"uid" => pending.uid = Some(number()?),
                b"gid" => pending.gid = Some(number()?),
                b"mtime" => pending.mtime = Some(pax::time(value).ok_or_else(|| bad("a PAX time that is none"))?),
                b"GNU.sparse.major" => pending.sparse_major = Some(value.to_vec()),
                b"GNU.sparse.name" => pending.sparse_name = Some(value.to_vec()),
                b"GNU.sparse.realsize" => pending.sparse_size = Some(number()?),
                b"GNU.sparse.map" | b"GNU.sparse.offset" | b"GNU.sparse.numblocks" => pending.sparse_old = true,
                _ => {
                    if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                        if pending.xattrs.len() == XATTRS_MAX {
                            return Err(bad("too many extended attributes"));
                        }
                        pending.xattrs.retain(|(known, _)| known != attribute);
                        pending.xattrs.push((attribute.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }

    /// GNU's old sparse format: extents in the header and in blocks behind it.
    fn old_sparse(&mut self, header: &Header, entry: &mut Entry) -> Result<()> {
        let bad = |t: &Self| t.bad("has a sparse map that makes no sense");
        let gnu = header.as_gnu().ok_or_else(|| bad(self))?;
        let mut raw: Vec<tar::GnuSparseHeader> = gnu.sparse.iter().map(copy_extent).collect();
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if self.fill(block.as_mut_bytes())? != BLOCK || raw.len() > SPARSE_MAX {
                return Err(bad(self));
            }
            raw.extend(block.sparse.iter().map(copy_extent));
            more = block.is_extended();
        }
        let mut extents = Vec::new();
        for extent in raw.iter().filter(|e| !e.is_empty()) {
            let pair = (extent.offset(), extent.length());
            let (Ok(offset), Ok(length)) = pair else { return Err(bad(self)) };
            extents.push((offset, length));
        }
        let real = gnu.real_size().map_err(|_| bad(self))?;
        self.set_extents(entry, extents, real)
    }

    /// PAX 1.0: the data begins with the map, decimal numbers one a line, padded to a block.
    fn pax_sparse(&mut self, real: u64, entry: &mut Entry) -> Result<()> {
        let mut numbers = Vec::new();
        let mut wanted = 1usize;
        let mut digits: Vec<u8> = Vec::new();
        while numbers.len() < wanted {
            let mut block = [0u8; BLOCK];
            if self.left < BLOCK as u64 || self.fill(&mut block)? != BLOCK {
                return Err(self.bad("has a sparse map that is cut off"));
            }
            self.left -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    digits.push(byte);
                    continue;
                }
                let number = pax::number(&digits).filter(|_| digits.len() <= 20);
                numbers.push(number.ok_or_else(|| self.bad("has a sparse map that is not made of numbers"))?);
                digits.clear();
                if numbers.len() == 1 {
                    wanted = usize::try_from(numbers[0])
                        .ok()
                        .filter(|n| *n <= SPARSE_MAX)
                        .ok_or_else(|| self.bad("has a sparse map with too many extents"))?
                        * 2
                        + 1;
                }
                if numbers.len() == wanted {
                    break;
                }
            }
            if digits.len() > BLOCK {
                return Err(self.bad("has a sparse map that is not made of numbers"));
            }
        }
        let extents = numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        self.set_extents(entry, extents, real)
    }

    /// Extents must be in order, inside the file, and add up to the data that follows.
    fn set_extents(&mut self, entry: &mut Entry, extents: Vec<(u64, u64)>, real: u64) -> Result<()> {
        let mut end = 0u64;
        let mut total = 0u64;
        for (offset, length) in &extents {
            let this_end = offset.checked_add(*length).filter(|e| *offset >= end && *e <= real);
            end = this_end.ok_or_else(|| self.bad("has a sparse map that makes no sense"))?;
            total += length;
        }
        if total != self.left {
            return Err(self.bad("has a sparse map that does not fit its data"));
        }
        entry.size = real;
        entry.extents = Some(extents);
        Ok(())
    }

    fn mtime(&self, header: &Header, name: &[u8]) -> Result<(i64, u32)> {
        let seconds = self.number(header.mtime(), &header.as_old().mtime, name, "time")?;
        // GNU tar writes times before 1970 in two's complement.
        Ok((seconds as i64, 0))
    }

    /// A number of the header; a blank field is 0, as in Go.
    fn number<T: Default>(&self, value: std::io::Result<T>, field: &[u8], name: &[u8], what: &str) -> Result<T> {
        if field.iter().all(|b| matches!(b, 0 | b' ')) {
            return Ok(T::default());
        }
        value.map_err(|e| Error::verb(format!("entry {} has a {what} that is not a number", display(name))).because(e))
    }

    fn bad(&self, what: &str) -> Error {
        match self.last.is_empty() {
            true => Error::verb(what),
            false => Error::verb(format!("entry {}: {what}", self.last)),
        }
    }
}

fn copy_extent(e: &tar::GnuSparseHeader) -> tar::GnuSparseHeader {
    tar::GnuSparseHeader { offset: e.offset, numbytes: e.numbytes }
}

/// The stored data of the current entry.
impl<R: Read> Read for Tarball<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let want = self.left.min(buf.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buf[..want])?;
        if n == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the archive is cut off"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}
