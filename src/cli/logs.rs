//! `hardrun logs`

use super::Context;
use crate::error::{Error, Result};
use crate::observe::logs::{self, Query, Sink, Stream};
use crate::observe::moment;
use crate::plan::LogDriverPlan;
use crate::state::lookup;
use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show the attributes that --log-opt asked for
    #[arg(long)]
    details: bool,
    /// Go on showing what comes
    #[arg(short, long)]
    follow: bool,
    /// Only what was written since a time, such as 2013-01-02T13:23:37Z, or so long ago, such as 42m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only so many lines from the end
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", allow_hyphen_values = true)]
    tail: String,
    /// Put its time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Only what was written before a time, such as 2013-01-02T13:23:37Z, or so long ago, such as 42m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let query = Query {
        since: moment::flag("since", args.since.as_deref())?,
        until: moment::flag("until", args.until.as_deref())?,
        // As docker: what is no number, or less than none, is all of them.
        tail: args.tail.parse().ok(),
        timestamps: args.timestamps,
        details: args.details,
    };
    let container = lookup::find(&ctx.paths, &args.container)?;
    if container.record.plan.draft.log.value.driver == LogDriverPlan::None {
        return Err(Error::verb("configured logging driver does not support reading"));
    }
    let ordered = RefCell::new(Ordered::default());
    let mut stdout = Out { to: Stream::Stdout, ordered: &ordered };
    let mut stderr = Out { to: Stream::Stderr, ordered: &ordered };
    let mut sink = Sink { stdout: &mut stdout, stderr: &mut stderr };
    let folder = container.folder.as_path();
    let shown = match args.follow {
        true => logs::follow(folder, &query, &mut sink, || supervisor(ctx, container.id())),
        false => logs::show(folder, &query, &mut sink),
    };
    match shown {
        // Whoever reads has had enough (`| head`); or the container was removed (--rm) before anything could be looked at.
        Err(e) if is(&e, ErrorKind::BrokenPipe) || (is(&e, ErrorKind::NotFound) && !folder.exists()) => Ok(0),
        other => other.map(|()| 0),
    }
}

/// Who runs the container: its supervisor while it is up, also between two starts. `None` at its end.
fn supervisor(ctx: &Context, id: &str) -> Result<Option<i32>> {
    match lookup::find(&ctx.paths, id) {
        Ok(container) if container.alive && container.status.state.is_up() => Ok(Some(container.status.supervisor)),
        Ok(_) => Ok(None),
        Err(_) if !ctx.paths.containers().join(id).exists() => Ok(None),
        Err(e) => Err(e),
    }
}

fn is(e: &Error, kind: ErrorKind) -> bool {
    let mut cause = e.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static));
    while let Some(inner) = cause {
        let os = inner.downcast_ref::<rustix::io::Errno>().map(|e| io::Error::from(*e).kind());
        if inner.downcast_ref::<io::Error>().map(io::Error::kind).or(os) == Some(kind) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Both streams in few writes and yet in the order in which they were written: with `2>&1` a script sees what the
/// terminal of the container would have shown.
#[derive(Default)]
struct Ordered {
    held: Vec<u8>,
    of: Option<Stream>,
}

/// Bytes that are held back.
const HELD: usize = 64 * 1024;

impl Ordered {
    fn write(&mut self, to: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.of != Some(to) || self.held.len() + bytes.len() > HELD {
            self.flush()?;
            self.of = Some(to);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        match self.of.take() {
            Some(Stream::Stdout) => {
                let mut out = io::stdout().lock();
                out.write_all(&held)?;
                out.flush()
            }
            Some(Stream::Stderr) => io::stderr().lock().write_all(&held),
            None => Ok(()),
        }
    }
}

struct Out<'a> {
    to: Stream,
    ordered: &'a RefCell<Ordered>,
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ordered.borrow_mut().write(self.to, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ordered.borrow_mut().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_known_by_their_innermost_cause() {
        use crate::error::Context as _;
        let failed: io::Result<()> = Err(io::Error::from(ErrorKind::BrokenPipe));
        let e = failed.verb_context(|| "read the log".into()).unwrap_err();
        assert!(is(&e, ErrorKind::BrokenPipe) && !is(&e, ErrorKind::NotFound));
        let gone: rustix::io::Result<()> = Err(rustix::io::Errno::NOENT);
        assert!(is(&gone.verb_context(|| "watch".into()).unwrap_err(), ErrorKind::NotFound));
        assert!(!is(&Error::verb("x"), ErrorKind::NotFound));
    }
}
