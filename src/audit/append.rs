//! Adding lines, one writer at a time.

use super::entry::Entry;
use super::head::Head;
use super::line::{self, Record, Who, ZERO};
use super::rotate;
use crate::error::{Context as _, Error, Result};
use crate::state::Paths;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a writer waits for the others. One append takes some 30 µs, so this is hundreds of thousands of them: a
/// stopped process holds the lock, and a launch that cannot be recorded must not start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the head of a log is.
pub(super) fn head_path(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

/// Append entries that belong together, in order, all or none.
pub fn append_all(paths: &Paths, entries: &[Entry]) -> Result<()> {
    let path = paths.audit_log();
    let hint = "nothing is launched that cannot be recorded; `hardrun audit-log verify` looks at the log";
    write(&path, entries)
        .context(|| format!("cannot append to the audit log {}", path.display()))
        .map_err(|e| e.hint(hint))
}

fn write(path: &Path, entries: &[Entry]) -> Result<()> {
    let log = open_locked(path)?;
    let head_file = open(&head_path(path), false)?;
    let size = log.metadata().context(|| "fstat failed".into())?.len();
    let head = Head::read(&head_file).context(|| "cannot read its head".into())?;
    let state = match head {
        Some(head) if size == 0 && head.bytes > 0 && rotate::newest_size(path) == Some(head.bytes) => {
            State::after(head)
        }
        head => resume(&log, size, head)?,
    };

    let who = Who::me();
    let time = format!("{:.6}", jiff::Timestamp::now());
    let mut text = String::new();
    if state.torn {
        text.push('\n');
    }
    let (mut lines, mut hash) = (state.lines, state.hash);
    let recovered = state.note.map(Entry::recovered);
    for entry in recovered.iter().chain(entries) {
        let (line, new) = Record::new(lines, &hash, &time, &who, entry).line();
        text.push_str(&line);
        (lines, hash) = (lines + 1, new);
    }
    put(&log, size, text.as_bytes())?;
    if recovered.iter().chain(entries).any(|e| e.event.sync()) {
        log.sync_data().context(|| "fdatasync failed".into())?;
    }
    let head = Head { lines, bytes: size + text.len() as u64, hash };
    head.write(&head_file).context(|| "cannot write its head".into())
}

/// The log under its lock. One that was put aside while we waited is not the log any more.
fn open_locked(path: &Path) -> Result<File> {
    loop {
        let log = open(path, true)?;
        lock(&log)?;
        let ours = log.metadata().context(|| "fstat failed".into())?;
        match path.symlink_metadata() {
            Ok(now) if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) => return Ok(log),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).context(|| format!("cannot look at {}", path.display())),
        }
    }
}

/// Open for appending, making it and its folder if missing. A file that others can write or read, or that is a link, is
/// not the log that was kept here. The head is not appended to but written in place.
pub(super) fn open(path: &Path, append: bool) -> Result<File> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .append(append)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
    };
    let file = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if let Some(dir) = path.parent() {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
                made.context(|| format!("cannot make {}", dir.display()))?;
            }
            open()
        }
        other => other,
    };
    let file = file.context(|| format!("cannot open {}", path.display()))?;
    let meta = file.metadata().context(|| "fstat failed".into())?;
    let mine = meta.uid() == nix::unistd::geteuid().as_raw();
    if !meta.is_file() || !mine || meta.mode() & 0o077 != 0 {
        let what = format!(
            "{} is not a file that only its owner can read (mode {:o}, uid {})",
            path.display(),
            meta.mode() & 0o7777,
            meta.uid()
        );
        return Err(Error::runner(what));
    }
    Ok(file)
}

pub(super) fn lock(log: &File) -> Result<()> {
    let since = Instant::now();
    loop {
        match flock(log, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(e) => return Err(Error::runner("another process holds its lock").because(io::Error::from(e))),
        }
    }
}

/// Write all of it, or take back what was written: a full disk leaves no half line.
fn put(log: &File, size: u64, mut text: &[u8]) -> Result<()> {
    while !text.is_empty() {
        match (&mut &*log).write(text) {
            Ok(n) if n > 0 => text = &text[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                // An append-only file (chattr +a) cannot be cut; the next writer then finds the half line and says so.
                let cut = log.set_len(size);
                let e = failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                let error = Error::runner("cannot write").because(e);
                return Err(if cut.is_err() { error.hint("a half-written line is left behind") } else { error });
            }
        }
    }
    Ok(())
}

/// Where the chain goes on, and what there is to say about the log as it was found.
#[derive(Debug, PartialEq, Eq)]
struct State {
    lines: u64,
    hash: String,
    /// The last line has no newline.
    torn: bool,
    note: Option<String>,
}

impl State {
    /// Right behind what the head says.
    fn after(head: Head) -> State {
        State { lines: head.lines, hash: head.hash, torn: false, note: None }
    }
}

fn resume(log: &File, size: u64, head: Option<Head>) -> Result<State> {
    let Some(head) = head else {
        if size == 0 {
            return Ok(State { lines: 0, hash: ZERO.into(), torn: false, note: None });
        }
        return without_head(log, size);
    };
    let at = |lines, hash: &str, note| State { lines, hash: hash.to_owned(), torn: false, note };
    if size == head.bytes {
        return Ok(at(head.lines, &head.hash, None));
    }
    if size < head.bytes {
        let note = format!(
            "the log was cut, or lost its end with the power: {} bytes of {} are gone",
            head.bytes - size,
            head.bytes
        );
        let torn = size > 0 && tail(log, size - 1, size)? != b"\n";
        return Ok(State { torn, ..at(head.lines, &head.hash, Some(note)) });
    }
    // A writer died between the line and the head, or in the middle of the line.
    let extra = tail(log, head.bytes, size)?;
    let (mut lines, mut hash, mut used) = (head.lines, head.hash, 0);
    while let Some(end) = extra[used..].iter().position(|b| *b == b'\n') {
        let parsed = std::str::from_utf8(&extra[used..used + end]).ok().and_then(line::parse);
        match parsed.filter(|p| p.intact && p.record.prev == hash && p.record.seq == lines) {
            Some(parsed) => (lines, hash, used) = (lines + 1, parsed.hash, used + end + 1),
            None => break,
        }
    }
    let left = &extra[used..];
    // Only the newline is missing: the line itself was finished.
    let whole = std::str::from_utf8(left).ok().and_then(line::parse);
    if let Some(parsed) = whole.filter(|p| p.intact && p.record.prev == hash && p.record.seq == lines) {
        return Ok(State { lines: lines + 1, hash: parsed.hash, torn: true, note: None });
    }
    let note = (!left.is_empty()).then(|| match left.ends_with(b"\n") {
        true => format!("{} bytes that are no part of the chain were found at the end", left.len()),
        false => format!("a half-written line of {} bytes was found at the end", left.len()),
    });
    Ok(State { lines, hash, torn: left.last().is_some_and(|b| *b != b'\n'), note })
}

/// The head is gone: the last whole line that is intact says where the chain is.
fn without_head(log: &File, size: u64) -> Result<State> {
    let text = tail(log, size.saturating_sub(1 << 18), size)?;
    let torn = text.last().is_some_and(|b| *b != b'\n');
    let found = text
        .split(|b| *b == b'\n')
        .rev()
        .filter_map(|l| std::str::from_utf8(l).ok().and_then(line::parse))
        .find(|p| p.intact);
    let note = "the log's head was missing or damaged: whether lines at the end are gone cannot be told".to_owned();
    Ok(match found {
        Some(last) => State { lines: last.record.seq + 1, hash: last.hash, torn, note: Some(note) },
        None => State { lines: 0, hash: ZERO.into(), torn, note: Some(format!("{note}; no line of it can be read")) },
    })
}

fn tail(log: &File, from: u64, to: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; (to - from) as usize];
    log.read_exact_at(&mut bytes, from).context(|| "cannot read its end".into())?;
    Ok(bytes)
}
