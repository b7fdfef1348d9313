//! `hardrun cp`: docker's rules for what a source and a destination mean.

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::facts::Facts;
use crate::observe::events::{self, Event};
use crate::observe::human;
use crate::request::parse_bool;
use crate::site::reach;
use crate::state::{Container, lookup};
use crate::storage::copy::{self, Seen, says_folder};
use crate::ui;
use rustix::fs::FileType;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the numbers of users and groups. Without it what goes in is the container's root's, what comes out the caller's
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    archive: bool,
    /// Copy what a symlink at the end of the source points to
    #[arg(short = 'L', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    follow_link: bool,
    /// Do not say how much was copied
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    quiet: bool,
    /// What to copy; - for a tar from standard input
    #[arg(value_name = "[CONTAINER:]SRC_PATH|-", allow_hyphen_values = false)]
    source: String,
    /// Where to; - for a tar to standard output
    #[arg(value_name = "[CONTAINER:]DEST_PATH|-")]
    destination: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { archive, follow_link, quiet, source, destination } = args;
    let (from, source) = split(&source);
    let (to, destination) = split(&destination);
    for (container, path) in [(from, source), (to, destination)] {
        if container.is_some() && path.is_empty() {
            return Err(Error::verb("source and destination paths must not be empty"));
        }
    }
    let copied = match (from, to) {
        (Some(from), None) => {
            let from = Named { name: from, container: lookup::find(&ctx.paths, from)? };
            let copied = copy_out(ctx, &from, source, destination, follow_link, archive)?;
            events::note(&ctx.paths, Event::container(&from.container.record, "archive-path"));
            copied
        }
        (None, Some(to)) => {
            let to = Named { name: to, container: lookup::find(&ctx.paths, to)? };
            let copied = copy_in(ctx, &to, source, destination, follow_link, archive)?;
            events::note(&ctx.paths, Event::container(&to.container.record, "extract-to-dir"));
            copied
        }
        (Some(_), Some(_)) => return Err(Error::verb("copying between containers is not supported")),
        (None, None) => return Err(Error::verb("must specify at least one container source")),
    };
    if !quiet && destination != "-" && std::io::stderr().is_terminal() {
        let to = to.map_or_else(|| destination.to_owned(), |to| format!("{to}:{destination}"));
        eprintln!("Successfully copied {} to {}", human::size(copied), ui::clean(&to));
    }
    Ok(0)
}

/// A container and what it was called.
struct Named<'a> {
    name: &'a str,
    container: Container,
}

/// `CONTAINER:PATH`, or a path: absolute ones and those that begin with a dot hold no container.
fn split(text: &str) -> (Option<&str>, &str) {
    if text.starts_with('/') || text.starts_with('.') {
        return (None, text);
    }
    match text.split_once(':') {
        Some((container, path)) if !container.is_empty() => (Some(container), path),
        _ => (None, text),
    }
}

/// The last component as docker takes it: `.` where the path ends in a dot.
fn base(path: &str) -> String {
    if path.ends_with("/.") || path == "." {
        return ".".into();
    }
    copy::clean(path).file_name().map_or_else(|| "/".into(), |b| b.to_string_lossy().into_owned())
}

/// What is known of one side.
struct End {
    /// Folder that the archive goes to, if its top is not put into the thing itself.
    folder: String,
    base: String,
    exists: bool,
    is_dir: bool,
    says_folder: bool,
}

/// Where the archive goes and what its top is called there: docker's `PrepareArchiveCopy`. `top` is the source's name.
fn prepare(source_is_dir: bool, top: &str, to: &End, whole: &str) -> Result<(String, String)> {
    let named = |top: &str| if matches!(top, "." | "/") { String::new() } else { top.to_owned() };
    if to.exists && to.is_dir {
        return Ok((whole.to_owned(), named(top)));
    }
    if to.exists && source_is_dir {
        return Err(Error::verb("cannot copy directory"));
    }
    if !to.exists && !source_is_dir && to.says_folder {
        return Err(Error::verb("no such directory"));
    }
    Ok((to.folder.clone(), to.base.clone()))
}

fn copy_out(ctx: &Context, from: &Named, source: &str, to: &str, follow: bool, keep_owners: bool) -> Result<u64> {
    let (name, container) = (from.name, &from.container);
    if to == "-" {
        if std::io::stdout().is_terminal() {
            return Err(Error::verb("refusing to write an archive to a terminal").hint("hardrun cp … - | tar t"));
        }
        let (source, _) = followed(ctx, from, source, follow)?;
        let top = base(&source);
        let mut visit = copy::read(
            &ctx.paths,
            container,
            name,
            &source,
            if matches!(top.as_str(), "." | "/") { "" } else { &top },
            false,
        )?;
        let copied = std::io::copy(&mut visit.stream, &mut std::io::stdout().lock());
        visit.finish()?;
        return copied.verb_context(|| "writing to standard output".into());
    }
    check_output(to)?;
    let named = base(source);
    let (source, seen) = followed(ctx, from, source, follow)?;
    let end = local_destination(to)?;
    let whole = end.path.clone();
    let (folder, top) = prepare(seen.is_dir(), &named, &end.end, &whole)?;
    // Links above it are followed as they will be when it is written.
    let real = Path::new(&folder).canonicalize().unwrap_or_else(|_| PathBuf::from(&folder));
    let target = if top.is_empty() { real } else { real.join(&top) };
    reach::may_write("cp to", &target, seen.is_dir(), &Facts::gather(&ctx.paths)?)?;
    let mut visit = copy::read(&ctx.paths, container, name, &source, &top, false)?;
    let mut counted = Counted { inner: &mut visit.stream, count: 0 };
    let unpacked = copy::unpack_on_host(&mut counted, Path::new(&folder), keep_owners);
    let copied = counted.count;
    // What went wrong in the container explains a broken archive.
    visit.finish()?;
    let dropped = unpacked?;
    for (count, what) in [
        (dropped.set_id, "set-id modes were dropped from {} files: a container's file gets no rights on the host"),
        (dropped.capabilities, "file capabilities were dropped from {} files"),
        (dropped.devices, "{} device nodes were left out"),
    ] {
        if count > 0 {
            ui::note(&what.replace("{}", &count.to_string()));
        }
    }
    Ok(copied)
}

/// The source in a container, and what it is; with `-L` what a link at its end leads to.
fn followed(ctx: &Context, from: &Named, source: &str, follow: bool) -> Result<(String, Seen)> {
    let missing = |path: &str| {
        let path = Path::new("/").join(copy::clean(path));
        Error::verb(format!("Could not find the file {} in container {}", path.display(), from.name))
    };
    let look = |path: &str| copy::look(&ctx.paths, &from.container, from.name, path)?.ok_or_else(|| missing(path));
    let seen = look(source)?;
    match &seen.link {
        Some(target) if follow => {
            let target = join_link(source, target);
            // The link's end, whatever further links it takes; a folder or a file.
            let seen = match copy::look(&ctx.paths, &from.container, from.name, &format!("{target}/.")) {
                Ok(Some(seen)) => return Ok((format!("{target}/."), seen)),
                _ => look(&target)?,
            };
            Ok((target, seen))
        }
        _ => Ok((source.to_owned(), seen)),
    }
}

/// Where a symlink in a container leads.
fn join_link(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let parent = copy::clean(path);
    let parent = parent.parent().unwrap_or(Path::new(""));
    let joined = Path::new("/").join(parent).join(target);
    format!("/{}", copy::clean(&joined.to_string_lossy()).display())
}

/// Docker's first look at a destination on the host.
fn check_output(path: &str) -> Result<()> {
    let absolute = std::path::absolute(path).verb_context(|| format!("finding {path}"))?;
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    if !parent.exists() {
        return Err(Error::verb(format!(
            "invalid output path: directory {:?} does not exist",
            parent.display().to_string()
        )));
    }
    let bad = |what: &str| {
        let path = absolute.display().to_string();
        Err(Error::verb(format!("invalid output path: {path:?} must be a directory or a regular file: {what}")))
    };
    use std::os::unix::fs::FileTypeExt;
    match std::fs::metadata(&absolute).map(|m| m.file_type()) {
        Ok(t) if t.is_char_device() || t.is_block_device() => bad("got a device"),
        Ok(t) if t.is_fifo() || t.is_socket() => bad("got an irregular file"),
        _ => Ok(()),
    }
}

struct Local {
    path: String,
    end: End,
}

/// A destination on the host. A symlink at its end is not followed, for an earlier copy may have brought it, and a container chose where it
/// leads: it is replaced. Docker writes through it. Who means the folder that it leads to says so by a slash.
///
/// # Errors
/// A link to a folder without that slash: what is meant is not clear.
fn local_destination(text: &str) -> Result<Local> {
    let absolute = std::path::absolute(text).verb_context(|| format!("finding {text}"))?;
    // Without the slash at its end, with which the kernel would follow a link.
    let path: PathBuf = absolute.components().collect();
    let is_link = path.symlink_metadata().is_ok_and(|m| m.is_symlink());
    let meta = match is_link && !says_folder(text) {
        true => path.symlink_metadata().ok(),
        false => std::fs::metadata(&path).ok(),
    };
    if is_link && !says_folder(text) && path.is_dir() {
        return Err(Error::verb(format!(
            "{text} is a symlink to a folder, which is not followed without being asked for"
        ))
        .hint(format!("copy to {text}/ to write into the folder, or remove the link")));
    }
    let parent = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    if meta.is_none() && !parent.is_dir() {
        return Err(Error::verb(format!("{}: no such directory", parent.display())));
    }
    let end = End {
        folder: parent.to_string_lossy().into_owned(),
        base: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        exists: meta.is_some(),
        is_dir: meta.is_some_and(|m| m.is_dir()),
        says_folder: says_folder(text),
    };
    Ok(Local { path: path.to_string_lossy().into_owned(), end })
}

fn copy_in(ctx: &Context, to: &Named, source: &str, path: &str, follow: bool, keep_owners: bool) -> Result<u64> {
    let (name, container) = (to.name, &to.container);
    let mut path = path.to_owned();
    let mut seen = copy::look(&ctx.paths, container, name, &path)?;
    if let Some(target) = seen.as_ref().and_then(|s| s.link.clone()) {
        path = join_link(&path, &target);
        // Through whatever further links: what counts is whether it is a folder.
        seen = match copy::look(&ctx.paths, container, name, &format!("{path}/.")) {
            Ok(Some(folder)) => Some(folder),
            _ => copy::look(&ctx.paths, container, name, &path)?,
        };
    }
    if let Some(kind) = seen.as_ref().map(Seen::kind) {
        let bad = |what: &str| {
            Err(Error::verb(format!("destination \"{name}:{path}\" must be a directory or a regular file: {what}")))
        };
        match kind {
            FileType::CharacterDevice | FileType::BlockDevice => return bad("got a device"),
            FileType::Fifo | FileType::Socket => return bad("got an irregular file"),
            _ => {}
        }
    }
    let cleaned = copy::clean(&path);
    let parent = Path::new("/").join(cleaned.parent().unwrap_or(Path::new("")));
    let end = End {
        folder: parent.to_string_lossy().into_owned(),
        base: base(&path),
        exists: seen.is_some(),
        is_dir: seen.as_ref().is_some_and(Seen::is_dir),
        says_folder: says_folder(&path),
    };
    if source == "-" {
        if !end.is_dir {
            return Err(Error::verb(format!("destination \"{name}:{path}\" must be a directory")));
        }
        let mut visit = copy::write(&ctx.paths, container, name, &path, keep_owners)?;
        let copied = std::io::copy(&mut std::io::stdin().lock(), &mut visit.stream);
        visit.finish()?;
        return copied.verb_context(|| "reading the archive from standard input".into());
    }
    let (from, top, is_dir) = local_source(source, follow)?;
    // A link that is not followed is packed as one.
    if !from.is_symlink() {
        reach::may_read("cp of", &from, &Facts::gather(&ctx.paths)?)?;
    }
    let (folder, top) = prepare(is_dir, &top, &end, &path)?;
    let mut visit = copy::write(&ctx.paths, container, name, &folder, keep_owners)?;
    let mut counted = Counted { inner: &mut visit.stream, count: 0 };
    let packed = copy::pack_on_host(&from, &top, std::io::BufWriter::with_capacity(1 << 16, &mut counted));
    let copied = counted.count;
    visit.finish()?;
    packed?;
    Ok(copied)
}

/// A source on the host: what to pack, its name, and whether it is a folder.
fn local_source(text: &str, follow: bool) -> Result<(PathBuf, String, bool)> {
    // Without the slash at its end, with which the kernel would follow a link.
    let absolute: PathBuf =
        std::path::absolute(text).verb_context(|| format!("finding {text}"))?.components().collect();
    let gone = |e: std::io::Error| {
        let why =
            if e.kind() == std::io::ErrorKind::NotFound { "no such file or directory".into() } else { e.to_string() };
        Error::verb(format!("lstat {}: {why}", absolute.display()))
    };
    let named = match base(text) {
        // `..` and the like have a name where they lead.
        name if name == "/" || name == ".." => base(&absolute.to_string_lossy()),
        name => name,
    };
    let meta = absolute.symlink_metadata().map_err(gone)?;
    let path = if (follow || says_folder(text)) && meta.is_symlink() {
        absolute.canonicalize().map_err(gone)?
    } else {
        absolute.clone()
    };
    let is_dir = path.symlink_metadata().map_err(gone)?.is_dir();
    if says_folder(text) && !is_dir {
        return Err(Error::verb("not a directory"));
    }
    Ok((path, named, is_dir))
}

/// Counts what goes through.
struct Counted<T> {
    inner: T,
    count: u64,
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count += n as u64;
        Ok(n)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.count += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_and_paths_are_told_apart() {
        assert_eq!(split("web:/a:b"), (Some("web"), "/a:b"));
        assert_eq!(split("web:a"), (Some("web"), "a"));
        for path in ["/a:b", "./a:b", "a", "-", "../x:y", ":x"] {
            assert_eq!(split(path), (None, path));
        }
    }

    #[test]
    fn a_link_at_the_end_of_a_destination_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        for (link, target) in [("to-file", "file"), ("to-nothing", "none"), ("to-folder", "folder")] {
            std::os::unix::fs::symlink(at(target), at(link)).unwrap();
        }
        for link in ["to-file", "to-nothing"] {
            let end = local_destination(&at(link)).unwrap();
            assert_eq!((end.path, end.end.base, end.end.exists, end.end.is_dir), (at(link), link.into(), true, false));
        }
        assert!(local_destination(&at("to-folder")).is_err());
        for meant in ["to-folder/", "to-folder/.", "folder"] {
            assert!(local_destination(&at(meant)).unwrap().end.is_dir, "{meant}");
        }
    }

    #[test]
    fn the_top_of_the_archive_is_named_as_docker_does() {
        let end = |exists, is_dir, says_folder| End {
            folder: "/to".into(),
            base: "base".into(),
            exists,
            is_dir,
            says_folder,
        };
        let go = |dir, top: &str, to: End| prepare(dir, top, &to, "/to/base").map_err(|e| e.message);
        let ok = |folder: &str, top: &str| Ok((folder.to_owned(), top.to_owned()));
        assert_eq!(go(true, "d", end(true, true, false)), ok("/to/base", "d"));
        assert_eq!(go(true, ".", end(true, true, false)), ok("/to/base", ""));
        assert_eq!(go(true, ".", end(false, false, false)), ok("/to", "base"));
        assert_eq!(go(true, "d", end(false, false, true)), ok("/to", "base"));
        assert_eq!(go(false, "f", end(true, false, false)), ok("/to", "base"));
        assert_eq!(go(true, "d", end(true, false, false)), Err("cannot copy directory".into()));
        assert_eq!(go(false, "f", end(false, false, true)), Err("no such directory".into()));
        assert_eq!(
            (base("/a/b/"), base("/a/."), base("/"), base(".")),
            ("b".into(), ".".into(), "/".into(), ".".into())
        );
        assert_eq!(join_link("/a/b", "../c"), "/c");
        assert_eq!(join_link("/a/b", "/x/../y"), "/x/../y");
    }
}
