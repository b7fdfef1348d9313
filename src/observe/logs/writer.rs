//! The supervisor's side: lines out of bytes, one write a batch, no timer.

use super::{FILE, Line, Stream};
use crate::error::{Context, Error, Result};
use crate::observe::format::{Missing, Options, Purpose, Template, Value};
use crate::state::Stamp;
use regex::Regex;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Lines are written in batches of about so many bytes: with long attributes a buffer of short lines becomes a hundred times as much.
const BATCH: usize = 64 * 1024;
/// Docker's longest line; a longer one is written in parts.
const LINE: usize = 16 * 1024;

/// Writes the log of one container. The file is made with the first line: most short-lived containers write none.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    attributes: BTreeMap<String, String>,
    max_size: Option<u64>,
    max_file: u32,
    file: Option<File>,
    size: u64,
    /// What came without a line break so far.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    error: Option<io::Error>,
    failed: bool,
}

impl LogWriter {
    /// In `folder`. A file of more than `max_size` bytes is followed by a new one; `max_file` are kept.
    pub fn new(folder: &Path, max_size: Option<u64>, max_file: u32) -> LogWriter {
        LogWriter {
            path: folder.join(FILE),
            attributes: BTreeMap::new(),
            max_size,
            max_file,
            file: None,
            size: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            error: None,
            failed: false,
        }
    }

    /// With every line, see [`attributes`].
    pub fn with_attributes(self, attributes: BTreeMap<String, String>) -> LogWriter {
        LogWriter { attributes, ..self }
    }

    /// Take what the container wrote. What cannot be written is lost, not the container's end; see [`take_error`](Self::take_error).
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let now = Stamp::now();
        let mut partial = std::mem::take(self.partial(stream));
        let mut batch = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            partial.extend_from_slice(piece);
            while partial.len() >= LINE && !partial[..LINE].contains(&b'\n') {
                let rest = partial.split_off(character_boundary(&partial, LINE));
                line(&mut batch, stream, &partial, &self.attributes, now);
                partial = rest;
            }
            if partial.ends_with(b"\n") {
                line(&mut batch, stream, &partial, &self.attributes, now);
                partial.clear();
            }
            if batch.len() >= BATCH {
                self.append(&batch);
                batch.clear();
            }
        }
        *self.partial(stream) = partial;
        self.append(&batch);
    }

    fn partial(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// The container has ended: what it wrote without a line break is a line too.
    pub fn finish(&mut self) {
        let now = Stamp::now();
        let mut batch = Vec::new();
        for (stream, partial) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            if !partial.is_empty() {
                line(&mut batch, stream, partial, &self.attributes, now);
                partial.clear();
            }
        }
        self.append(&batch);
    }

    /// The first error since the last call: a full disk.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    fn append(&mut self, batch: &[u8]) {
        if batch.is_empty() {
            return;
        }
        match self.try_append(batch) {
            Ok(()) => self.failed = false,
            Err(e) if !self.failed => {
                self.failed = true;
                self.error = Some(e);
            }
            Err(_) => {}
        }
    }

    fn try_append(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        if self.max_size.is_some_and(|max| self.size >= max) {
            self.rotate()?;
        }
        if let Some(file) = &mut self.file {
            if let Err(e) = file.write_all(batch) {
                // A part of it may be there: opened anew, the file says where it ends, and the next line is one of its own.
                self.file = None;
                return Err(e);
            }
            self.size += batch.len() as u64;
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let mut file = options.open(&self.path)?;
        self.size = file.metadata()?.len();
        // Where a crash of the host cut the last line, the next one is a line of its own.
        let mut last = [0];
        if self.size > 0 && file.read_at(&mut last, self.size - 1)? == 1 && last != *b"\n" {
            file.write_all(b"\n")?;
            self.size += 1;
        }
        self.file = Some(file);
        Ok(())
    }

    /// `json.log` becomes `json.log.1`, that `json.log.2`, and the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
        let gone = |result: io::Result<()>| match result {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        if self.max_file <= 1 {
            gone(std::fs::remove_file(&self.path))?;
        } else {
            gone(std::fs::remove_file(numbered(self.max_file - 1)))?;
            for n in (1..self.max_file - 1).rev() {
                gone(std::fs::rename(numbered(n), numbered(n + 1)))?;
            }
            gone(std::fs::rename(&self.path, numbered(1)))?;
        }
        self.open()
    }
}

/// The attributes that `--log-opt` asks for with `labels`, `labels-regex`, `env`, `env-regex` and `tag`, of a container's labels and
/// environment (`KEY=VALUE`). `tag`: its values for a template, `ID`, `Name`, `ImageName`, ….
///
/// # Errors
/// Docker's: an expression or a template that cannot be read.
pub fn attributes(
    options: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    env: &[&str],
    tag: BTreeMap<String, Value>,
) -> Result<BTreeMap<String, String>> {
    let option = |name: &str| options.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let names = |name: &str| -> Vec<&str> { option(name).map(|list| list.split(',').collect()).unwrap_or_default() };
    let pattern = |name: &str| -> Result<Option<Regex>> {
        option(name).map(Regex::new).transpose().context(|| format!("read --log-opt {name}"))
    };
    let env: BTreeMap<String, String> =
        env.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut out = BTreeMap::new();
    for (of, list, regex) in [(labels, "labels", "labels-regex"), (&env, "env", "env-regex")] {
        let (list, regex) = (names(list), pattern(regex)?);
        let asked = |key: &str| list.contains(&key) || regex.as_ref().is_some_and(|r| r.is_match(key));
        out.extend(of.iter().filter(|(key, _)| asked(key)).map(|(k, v)| (k.clone(), v.clone())));
    }
    if let Some(text) = option("tag") {
        let wrong = |e: String| Error::runner("failed to initialize logging driver").because(e);
        let options = Options { missing: Missing::Error, purpose: Purpose::Data, clean: false };
        let shown = Template::parse(text).and_then(|t| t.render(&Value::map(tag), options)).map_err(wrong)?;
        out.insert("tag".to_owned(), shown);
    }
    Ok(out)
}

/// Where to cut, at most at `most`, so that no character of UTF-8 is cut in two.
fn character_boundary(bytes: &[u8], most: usize) -> usize {
    let continues = |n: usize| bytes.get(n).is_some_and(|b| b & 0xC0 == 0x80);
    (most - 3..=most).rev().find(|n| !continues(*n)).unwrap_or(most)
}

fn line(batch: &mut Vec<u8>, stream: Stream, bytes: &[u8], attrs: &BTreeMap<String, String>, time: Stamp) {
    let line = Line { log: String::from_utf8_lossy(bytes).into_owned(), stream, attrs: attrs.clone(), time };
    // Strings and a word: nothing that JSON cannot say.
    if serde_json::to_writer(&mut *batch, &line).is_ok() {
        batch.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<(String, Stream)> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str::<Line>(l).unwrap()).map(|l| (l.log, l.stream)).collect()
    }

    #[test]
    fn lines_are_whole_whatever_pieces_they_come_in() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(dir.path(), None, 1);
        log.write(Stream::Stdout, b"on");
        log.write(Stream::Stderr, b"error\n");
        log.write(Stream::Stdout, b"e\ntwo\nthr");
        log.finish();
        let expected = [
            ("error\n", Stream::Stderr),
            ("one\n", Stream::Stdout),
            ("two\n", Stream::Stdout),
            ("thr", Stream::Stdout),
        ];
        assert_eq!(lines(&dir.path().join(FILE)), expected.map(|(l, s)| (l.to_owned(), s)));
        assert!(log.take_error().is_none());
    }

    #[test]
    fn long_attributes_are_written_in_batches() {
        let dir = tempfile::tempdir().unwrap();
        let attributes: BTreeMap<String, String> = [("a".to_owned(), "x".repeat(1000))].into();
        let mut log = LogWriter::new(dir.path(), Some(1), 100).with_attributes(attributes);
        log.write(Stream::Stdout, "\n".repeat(1000).as_bytes());
        // A file is full after its first batch: their sizes are those of the batches.
        let files: Vec<u64> =
            std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).collect();
        assert!(files.len() > 10 && files.iter().all(|size| *size < BATCH as u64 + 2000), "{files:?}");
    }

    #[test]
    fn a_long_line_comes_in_parts_that_cut_no_character() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(dir.path(), None, 1);
        let text = "é".repeat(20_000) + "\n";
        log.write(Stream::Stdout, text.as_bytes());
        let parts: Vec<String> = lines(&dir.path().join(FILE)).into_iter().map(|(l, _)| l).collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(dir.path(), Some(1), 3);
        for n in 0..5 {
            log.write(Stream::Stdout, format!("{n}\n").as_bytes());
        }
        let of = |name: &str| lines(&dir.path().join(name)).into_iter().map(|(l, _)| l).collect::<String>();
        assert_eq!((of("json.log"), of("json.log.1"), of("json.log.2")), ("4\n".into(), "3\n".into(), "2\n".into()));
        assert!(!dir.path().join("json.log.3").exists());
    }
}
