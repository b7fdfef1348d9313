//! What a blob or archive is compressed with is decided by its first bytes, not by what somebody called it.

use crate::error::{Error, Result};
use std::io::{BufReader, Chain, Cursor, Read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Suffix of the media type of a layer.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        }
    }
}

const SNIFF: usize = 6;
/// A zstd frame may ask for a window of 2 GiB of memory; 128 MiB is what `zstd -d` grants without being asked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A reader whose first bytes were looked at.
pub type Sniffed<R> = Chain<Cursor<Vec<u8>>, R>;

/// The reader as it was, and what it holds.
///
/// # Errors
/// Formats that docker would hand to another program: bzip2 and xz.
pub fn sniff<R: Read>(mut reader: R) -> Result<(Compression, Sniffed<R>)> {
    let mut head = Vec::with_capacity(SNIFF);
    let read = reader.by_ref().take(SNIFF as u64).read_to_end(&mut head);
    read.map_err(|e| Error::verb("reading the archive").because(e))?;
    let kind = match head.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or a skippable frame in front of one.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => return Err(unsupported("xz", "xz")),
        [b'B', b'Z', b'h', ..] => return Err(unsupported("bzip2", "bzip2")),
        _ => Compression::None,
    };
    Ok((kind, Cursor::new(head).chain(reader)))
}

fn unsupported(format: &str, program: &str) -> Error {
    Error::verb(format!("the archive is compressed with {format}, which hardrun does not read")).hint(format!(
        "decompress it on the way in: {program} -dc FILE | hardrun load    (or: … | hardrun import - NAME)"
    ))
}

/// A reader of the uncompressed bytes. Gzip files and zstd files of several members are read to their end.
pub fn decoder<'a, R: Read + 'a>(kind: Compression, reader: R) -> Result<Box<dyn Read + 'a>> {
    const CHUNK: usize = 128 * 1024;
    Ok(match kind {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, reader))),
        Compression::Zstd => {
            let start = |e| Error::verb("starting the zstd decoder").because(e);
            let mut zstd = zstd::stream::read::Decoder::new(reader).map_err(start)?;
            zstd.window_log_max(ZSTD_WINDOW_LOG).map_err(start)?;
            Box::new(zstd)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn round(data: &[u8]) -> (Compression, Vec<u8>) {
        let (kind, reader) = sniff(data).unwrap();
        let mut out = Vec::new();
        decoder(kind, reader).unwrap().read_to_end(&mut out).unwrap();
        (kind, out)
    }

    #[test]
    fn plain_gzip_and_zstd_are_told_by_their_first_bytes() {
        let gzip = |text: &[u8]| {
            let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            w.write_all(text).unwrap();
            w.finish().unwrap()
        };
        assert_eq!(round(b"plain"), (Compression::None, b"plain".to_vec()));
        assert_eq!(round(b""), (Compression::None, vec![]));
        let two_members = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(round(&two_members), (Compression::Gzip, b"onetwo".to_vec()));
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        assert_eq!(round(&[zstd(b"one"), zstd(b"two")].concat()), (Compression::Zstd, b"onetwo".to_vec()));
    }

    #[test]
    fn other_formats_are_refused_with_the_command_that_helps() {
        let e = sniff(&b"\xfd7zXZ\0rest"[..]).err().unwrap();
        assert!(e.hint.unwrap().contains("xz -dc FILE | hardrun load"));
    }
}
