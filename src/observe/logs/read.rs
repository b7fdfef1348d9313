//! What `logs` shows of what is there.

use super::{Line, Stream, files};
use crate::error::{Context, Result};
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Only so many of the newest entries.
    pub tail: Option<u64>,
    pub timestamps: bool,
    pub details: bool,
}

/// Where a log is shown: what the container wrote to its stderr goes to ours.
pub struct Sink<'w> {
    pub stdout: &'w mut dyn Write,
    pub stderr: &'w mut dyn Write,
}

/// Whether there is more to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    More,
    /// Everything after this is later than what was asked for.
    Past,
}

/// Show what there is.
pub fn show(folder: &Path, query: &Query, sink: &mut Sink<'_>) -> Result<()> {
    let attempt = || format!("read the log in {}", folder.display());
    let mut files = files::open_all(folder).verb_context(attempt)?;
    from_start(&mut files, query, sink).verb_context(attempt).map(drop)
}

/// Show the files, the oldest first; the last one is left standing behind its last complete line.
pub fn from_start(files: &mut [File], query: &Query, sink: &mut Sink<'_>) -> io::Result<Shown> {
    let first = skip_to_tail(files, query.tail)?;
    for file in &mut files[first..] {
        if drain(file, query, sink)? == Shown::Past {
            return Ok(Shown::Past);
        }
    }
    Ok(Shown::More)
}

/// Show complete entries from where the file stands on, and leave it behind the last of them.
pub fn drain(file: &mut File, query: &Query, sink: &mut Sink<'_>) -> io::Result<Shown> {
    let mut at = file.stream_position()?;
    let mut reader = BufReader::with_capacity(64 * 1024, &mut *file);
    let mut line = Vec::new();
    let mut shown = Shown::More;
    while shown == Shown::More {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            break;
        }
        at += length;
        // What is no entry: what a crash of the host left of one.
        if let Ok(line) = serde_json::from_slice(&line) {
            shown = one(&line, query, sink)?;
        }
    }
    drop(reader);
    file.seek(SeekFrom::Start(at))?;
    sink.stdout.flush()?;
    sink.stderr.flush()?;
    Ok(shown)
}

fn one(line: &Line, query: &Query, sink: &mut Sink<'_>) -> io::Result<Shown> {
    if query.until.is_some_and(|until| line.time.0 > until) {
        return Ok(Shown::Past);
    }
    if query.since.is_some_and(|since| line.time.0 < since) {
        return Ok(Shown::More);
    }
    let out = match line.stream {
        Stream::Stdout => &mut sink.stdout,
        Stream::Stderr => &mut sink.stderr,
    };
    let mut prefix = String::new();
    if query.timestamps {
        prefix.push_str(&nine_digits(line.time.0));
        prefix.push(' ');
    }
    if query.details {
        let attributes: Vec<String> =
            line.attrs.iter().map(|(k, v)| format!("{}={}", escaped(k), escaped(v))).collect();
        prefix.push_str(&attributes.join(","));
        prefix.push(' ');
    }
    out.write_all(prefix.as_bytes())?;
    out.write_all(line.log.as_bytes())?;
    Ok(Shown::More)
}

/// As docker writes them, so that a script can take them apart again: Go's `url.QueryEscape`.
fn escaped(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        b' ' => "+".to_owned(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// RFC 3339 with all nine digits, so that columns line up.
fn nine_digits(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Put the files so that the last `tail` entries are ahead. Gives the first file that has any of them.
fn skip_to_tail(files: &mut [File], tail: Option<u64>) -> io::Result<usize> {
    let Some(mut wanted) = tail else { return Ok(0) };
    for at in (0..files.len()).rev() {
        match back(&mut files[at], wanted)? {
            Some(start) => {
                files[at].seek(SeekFrom::Start(start))?;
                return Ok(at);
            }
            None => wanted -= count(&mut files[at])?,
        }
    }
    for file in files {
        file.rewind()?;
    }
    Ok(0)
}

/// Where the last `wanted` lines begin. `None` where there are fewer.
fn back(file: &mut File, wanted: u64) -> io::Result<Option<u64>> {
    let mut end = file.seek(SeekFrom::End(0))?;
    // The line break that ends the last line counts too: of what comes before it, `wanted` lines are to be passed.
    let mut left = wanted + 1;
    let mut block = vec![0; 64 * 1024];
    while end > 0 {
        let length = end.min(block.len() as u64);
        let start = end - length;
        file.seek(SeekFrom::Start(start))?;
        let block = &mut block[..length as usize];
        file.read_exact(block)?;
        for at in (0..block.len()).rev().filter(|at| block[*at] == b'\n').collect::<Vec<_>>() {
            left -= 1;
            if left == 0 {
                return Ok(Some(start + at as u64 + 1));
            }
        }
        end = start;
    }
    // As many lines as are wanted, from the first on.
    Ok((left <= 1).then_some(0))
}

fn count(file: &mut File) -> io::Result<u64> {
    file.rewind()?;
    let (mut lines, mut block) = (0, vec![0; 64 * 1024]);
    loop {
        match file.read(&mut block)? {
            0 => break,
            length => lines += block[..length].iter().filter(|b| **b == b'\n').count() as u64,
        }
    }
    file.rewind()?;
    Ok(lines)
}
