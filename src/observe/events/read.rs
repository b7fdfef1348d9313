//! Showing what happened, and what happens.

use super::{Event, file, older};
use crate::error::{Context as _, Result};
use crate::observe::filter::Filters;
use crate::observe::watch::Watch;
use crate::state::Paths;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// The keys of `--filter`.
pub const FILTERS: &[&str] =
    &["config", "container", "daemon", "event", "image", "label", "network", "plugin", "scope", "type", "volume"];

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// `None`: nothing of what was.
    pub since: Option<Timestamp>,
    /// `None`: go on for ever.
    pub until: Option<Timestamp>,
    pub filters: Filters,
}

/// The filters of `events`.
pub fn terms(texts: &[String]) -> Result<Filters> {
    Filters::parse(texts, FILTERS)
}

/// Whether there is more to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    More,
    Past,
}

/// Where reading has got to.
struct Place {
    log: Option<File>,
}

/// Show what was, up to `query.until` or this moment.
pub fn show(paths: &Paths, query: &Query, sink: &mut dyn FnMut(&Event) -> Result<()>) -> Result<()> {
    let mut place = Place { log: None };
    place.start(paths, query, sink).map(drop)
}

/// Show what was since `query.since` and what comes, until `query.until`.
pub fn follow(paths: &Paths, query: &Query, sink: &mut dyn FnMut(&Event) -> Result<()>) -> Result<()> {
    // Before anything happened there is no store.
    let attempt = || format!("make {}", paths.root.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.root).verb_context(attempt)?;
    let watch = Watch::folder(&paths.root)?;
    let mut place = Place { log: None };
    if place.start(paths, query, sink)? == Shown::Past {
        return Ok(());
    }
    loop {
        let left = query.until.map(|until| until.duration_since(Timestamp::now()));
        let left = left.map(|left| Duration::try_from(left).unwrap_or_default());
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(());
        }
        watch.wait(None, left)?;
        if place.go_on(paths, query, sink)? == Shown::Past {
            return Ok(());
        }
    }
}

impl Place {
    fn start(&mut self, paths: &Paths, query: &Query, sink: &mut dyn FnMut(&Event) -> Result<()>) -> Result<Shown> {
        if query.since.is_none() {
            if let Some(mut log) = open(&file(&paths.root))? {
                log.seek(SeekFrom::End(0)).verb_context(|| "read the events".into())?;
                self.log = Some(log);
            }
            return Ok(Shown::More);
        }
        // The newer one first: what is turned in between is then seen twice rather than not at all, and left out by its inode.
        let newest = open(&file(&paths.root))?;
        let before =
            open(&older(&paths.root))?.filter(|old| newest.as_ref().is_none_or(|new| inode(new) != inode(old)));
        for mut log in before.into_iter().chain(newest) {
            if drain(&mut log, query, sink)? == Shown::Past {
                return Ok(Shown::Past);
            }
            self.log = Some(log);
        }
        Ok(Shown::More)
    }

    fn go_on(&mut self, paths: &Paths, query: &Query, sink: &mut dyn FnMut(&Event) -> Result<()>) -> Result<Shown> {
        loop {
            let newest = open(&file(&paths.root))?;
            // Drained after the new one was opened: what was written before the turn is all there.
            if let Some(log) = &mut self.log
                && drain(log, query, sink)? == Shown::Past
            {
                return Ok(Shown::Past);
            }
            match (newest, &self.log) {
                (None, _) => return Ok(Shown::More),
                (Some(new), Some(log)) if inode(&new) == inode(log) => return Ok(Shown::More),
                (new, _) => self.log = new,
            }
        }
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(log) => Ok(Some(log)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).verb_context(|| format!("read {}", path.display())),
    }
}

fn inode(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|m| (m.dev(), m.ino()))
}

/// Show complete lines from where the file stands on, and leave it behind the last of them.
fn drain(log: &mut File, query: &Query, sink: &mut dyn FnMut(&Event) -> Result<()>) -> Result<Shown> {
    let attempt = || "read the events".to_string();
    let mut at = log.stream_position().verb_context(attempt)?;
    let mut reader = BufReader::with_capacity(64 * 1024, &mut *log);
    let mut line = Vec::new();
    let mut shown = Shown::More;
    while shown == Shown::More {
        line.clear();
        let length = read_line(&mut reader, &mut line).verb_context(attempt)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        at += length;
        // What is no event is what a crash of the host left of one.
        let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
        if query.until.is_some_and(|until| event.at() > until) {
            shown = Shown::Past;
        } else if query.since.is_none_or(|since| event.at() >= since) && event.fits(&query.filters) {
            sink(&event)?;
        }
    }
    drop(reader);
    log.seek(SeekFrom::Start(at)).verb_context(attempt)?;
    Ok(shown)
}

fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    reader.read_until(b'\n', line).map(|length| length as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::events::write::append;

    fn paths() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(&dir.path().join("root")));
        (dir, paths)
    }

    fn names(paths: &Paths, query: &Query) -> Vec<String> {
        let mut names = Vec::new();
        show(paths, query, &mut |event| {
            names.push(event.actor.id.clone());
            Ok(())
        })
        .unwrap();
        names
    }

    fn all() -> Query {
        Query { since: Some(Timestamp::UNIX_EPOCH), ..Query::default() }
    }

    #[test]
    fn appended_turned_and_read_in_order() {
        let (_dir, paths) = paths();
        assert!(names(&paths, &all()).is_empty());
        for n in 0..5 {
            // Three lines fill a file.
            append(&paths.root, Event::volume("create", &format!("v{n}")), 400).unwrap();
        }
        assert_eq!(names(&paths, &all()), ["v0", "v1", "v2", "v3", "v4"]);
        for n in 5..9 {
            append(&paths.root, Event::volume("create", &format!("v{n}")), 400).unwrap();
        }
        assert_eq!(names(&paths, &all()).last().map(String::as_str), Some("v8"));
        assert!(names(&paths, &all()).len() < 9, "only one file of before is kept");
        assert!(names(&paths, &Query::default()).is_empty());
        let past = Query { until: Some(Timestamp::from_second(1).unwrap()), ..all() };
        assert!(names(&paths, &past).is_empty());
    }

    #[test]
    fn a_line_that_a_full_disk_cut_short_spoils_no_other() {
        let (_dir, paths) = paths();
        append(&paths.root, Event::volume("create", "one"), 1 << 20).unwrap();
        let mut log = File::options().append(true).open(file(&paths.root)).unwrap();
        std::io::Write::write_all(&mut log, b"{\"Type\":\"vol").unwrap();
        append(&paths.root, Event::volume("create", "two"), 1 << 20).unwrap();
        assert_eq!(names(&paths, &all()), ["one", "two"]);
    }

    #[test]
    fn whoever_follows_sees_what_comes_across_a_turn() {
        let (_dir, paths) = paths();
        append(&paths.root, Event::volume("create", "before"), 1 << 20).unwrap();
        let until = Timestamp::now().checked_add(jiff::SignedDuration::from_millis(700)).unwrap();
        let writer = {
            let paths = paths.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                for n in 0..6 {
                    append(&paths.root, Event::volume("create", &format!("v{n}")), 400).unwrap();
                }
            })
        };
        let mut seen = Vec::new();
        follow(&paths, &Query { until: Some(until), ..Query::default() }, &mut |event| {
            seen.push(event.actor.id.clone());
            Ok(())
        })
        .unwrap();
        writer.join().unwrap();
        assert_eq!(seen.last().map(String::as_str), Some("v5"));
        assert!(!seen.contains(&"before".to_owned()));
    }

    #[test]
    fn many_writers_lose_nothing() {
        let (_dir, paths) = paths();
        let writers: Vec<_> = (0..8)
            .map(|w| {
                let paths = paths.clone();
                std::thread::spawn(move || {
                    for n in 0..50 {
                        append(&paths.root, Event::volume("create", &format!("{w}-{n}")), 4 << 20).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|w| w.join().unwrap());
        let mut seen = names(&paths, &all());
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 400);
    }
}
