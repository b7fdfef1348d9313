//! The small file beside the log: how much of it there is, and its last hash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What the log was when the last line was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub lines: u64,
    pub bytes: u64,
    pub hash: String,
}

/// Fixed, so that writing it again needs no space on the disk.
const LENGTH: usize = 20 + 1 + 20 + 1 + 64 + 1;

impl Head {
    fn text(&self) -> String {
        format!("{:020} {:020} {:64}\n", self.lines, self.bytes, self.hash)
    }

    /// `None`: the file is empty, or not a head.
    pub fn read(file: &File) -> io::Result<Option<Head>> {
        let mut buffer = [0u8; LENGTH + 1];
        let mut got = 0;
        while got < buffer.len() {
            match file.read_at(&mut buffer[got..], got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(std::str::from_utf8(&buffer[..got]).ok().and_then(parse))
    }

    pub fn write(&self, file: &File) -> io::Result<()> {
        file.write_all_at(self.text().as_bytes(), 0)
    }
}

fn parse(text: &str) -> Option<Head> {
    let text = text.strip_suffix('\n').filter(|t| t.len() == LENGTH - 1)?;
    let mut fields = text.split(' ');
    let head = Head {
        lines: fields.next()?.parse().ok()?,
        bytes: fields.next()?.parse().ok()?,
        hash: fields.next()?.to_owned(),
    };
    let hex = head.hash.len() == 64 && head.hash.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && fields.next().is_none()).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_refuses_what_is_not_a_head() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Head::read(&file).unwrap(), None);
        let head = Head { lines: u64::MAX, bytes: 7, hash: "a".repeat(64) };
        assert_eq!(head.text().len(), LENGTH);
        head.write(&file).unwrap();
        assert_eq!(Head::read(&file).unwrap(), Some(head));
        file.write_all_at(b"x", 150).unwrap();
        assert_eq!(Head::read(&file).unwrap(), None, "longer than a head");
    }
}
