//! Reading the log, and checking it.

use super::append::head_path;
use super::entry::Event;
use super::head::Head;
use super::line::{self, Record, ZERO};
use super::rotate;
use crate::error::{Context as _, Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A line of the log as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// The line's text, without its newline; bytes that are no text replaced.
    pub text: String,
    /// `None`: it cannot be read as a line of the log.
    pub record: Option<Record>,
}

/// Call `each` for every line, in order, those of files that were put aside first. A log that does not exist has none.
pub fn records(path: &Path, mut each: impl FnMut(Line) -> Result<()>) -> Result<()> {
    let mut number = 0;
    for path in rotate::archives(path)?.iter().map(PathBuf::as_path).chain([path]) {
        of_file(path, &mut number, &mut each)?;
    }
    Ok(())
}

/// The same for one file; `number` goes on.
fn of_file(path: &Path, number: &mut u64, each: &mut impl FnMut(Line) -> Result<()>) -> Result<()> {
    let Some(file) = open(path)? else { return Ok(()) };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).verb_context(|| format!("cannot read {}", path.display()))? == 0 {
            return Ok(());
        }
        *number += 1;
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).into_owned();
        let record = line::parse(&text).map(|p| p.record);
        each(Line { number: *number, text, record })?;
    }
}

/// Not followed, and nothing but a file: a FIFO or a device in its place would hold the reader for ever.
fn open(path: &Path) -> Result<Option<File>> {
    let say = || format!("cannot open the audit log {}", path.display());
    match File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
        Ok(file) if !file.metadata().verb_context(say)?.is_file() => {
            Err(Error::verb(say()).because("it is not a file"))
        }
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).verb_context(say),
    }
}

/// One place where the log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// From 1; 0 for the end of the log.
    pub line: u64,
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Lines in the file.
    pub lines: u64,
    /// Hash of the last line, or 64 zeros.
    pub last_hash: String,
    pub problems: Vec<Problem>,
    /// Damage that the log itself recorded when it went on.
    pub recorded: Vec<Problem>,
}

impl Report {
    pub fn intact(&self) -> bool {
        self.problems.is_empty() && self.recorded.is_empty()
    }
}

/// Check every line's hash, every link to the line before, and the end against the head. A shared lock keeps writers
/// out while the end is looked at.
pub fn verify(path: &Path) -> Result<Report> {
    verify_after(path, None)
}

/// The same where older files were moved away: `after` is the hash of the last line of what was moved.
pub fn verify_after(path: &Path, after: Option<&str>) -> Result<Report> {
    let mut report = Report { last_hash: after.unwrap_or(ZERO).into(), ..Report::default() };
    let lock = open(path)?;
    if let Some(log) = &lock {
        rustix::fs::flock(log, rustix::fs::FlockOperation::LockShared)
            .map_err(std::io::Error::from)
            .verb_context(|| format!("cannot lock {}", path.display()))?;
    }
    let (mut seq, mut bytes) = (0u64, 0u64);
    records(path, |l| {
        report.lines = l.number;
        bytes += l.text.len() as u64 + 1;
        let mut problem = |what: String| report.problems.push(Problem { line: l.number, what });
        let Some(parsed) = line::parse(&l.text) else {
            problem("is not a line of the log: half-written or overwritten".into());
            return Ok(());
        };
        let record = &parsed.record;
        if l.number == 1 && after.is_some() {
            seq = record.seq;
        }
        if !parsed.intact {
            problem("was changed: its text does not fit its hash".into());
        }
        if record.prev != report.last_hash {
            problem(match record.seq.checked_sub(seq) {
                Some(0) => "does not follow the line before it: that one was replaced".into(),
                Some(gone) => format!("does not follow the line before it: {gone} lines are missing in between"),
                None => "does not follow the line before it: it was put in, or moved".into(),
            });
        } else if record.seq != seq {
            problem(format!("has number {} where {seq} was due", record.seq));
        }
        if record.event == Event::Recovered {
            let what = record.note.clone().unwrap_or_default();
            report.recorded.push(Problem { line: l.number, what });
        }
        seq = record.seq + 1;
        report.last_hash = parsed.hash;
        Ok(())
    })?;
    let head = match open(&head_path(path))? {
        Some(file) => Head::read(&file).verb_context(|| "cannot read the log's head".into())?,
        None => None,
    };
    let end = |what: String| Problem { line: 0, what };
    match head {
        None if lock.is_none() => {}
        None => {
            report.problems.push(end("the head file is missing or damaged: a cut at the end would not show".into()))
        }
        Some(head) if head.lines > seq => {
            report.problems.push(end(format!(
                "{} lines at the end are gone: line number {} was the last",
                head.lines - seq,
                head.lines - 1
            )));
        }
        Some(head) if head.lines == seq && head.hash != report.last_hash => {
            report.problems.push(end("the last line is not the one that was written last".into()));
        }
        // Behind: a writer died before it wrote the head, and the next one goes on from the last line.
        Some(_) => {}
    }
    Ok(report)
}
