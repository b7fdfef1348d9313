//! `hardrun stats`

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::human;
use crate::observe::stats::Sample;
use crate::request::parse_bool;
use crate::state::{Container, lookup};
use crate::ui;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Docker's: the screen is cleared before each table.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show all containers, not just those that run
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    all: bool,
    /// `table`, `json`, or a template such as '{{.Name}} {{.CPUPerc}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show one table and end
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    no_stream: bool,
    /// Don't truncate output
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    no_trunc: bool,
    /// Containers; none: all that run
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// A container and what it used between two looks. `None`: it does not run.
struct Row {
    id: String,
    /// As it was named on the command line.
    typed: String,
    name: String,
    used: Option<(f64, Sample)>,
}

const COLUMNS: Columns<Row> = Columns {
    of: "*container.statsContext",
    fields: &[
        Field {
            name: "BlockIO",
            heading: "BLOCK I/O",
            value: |r| r.pair(|s| (human::size(s.read), human::size(s.written))).into(),
        },
        Field { name: "CPUPerc", heading: "CPU %", value: |r| percent(r.used.map(|u| u.0)).into() },
        Field { name: "Container", heading: "CONTAINER", value: |r| r.typed.clone().into() },
        Field { name: "ID", heading: "CONTAINER ID", value: |r| r.id.clone().into() },
        Field { name: "MemPerc", heading: "MEM %", value: |r| percent(r.used.map(|u| u.1.memory_percent())).into() },
        Field {
            name: "MemUsage",
            heading: "MEM USAGE / LIMIT",
            value: |r| r.pair(|s| (human::binary_size(s.memory), human::binary_size(s.limit))).into(),
        },
        Field { name: "Name", heading: "NAME", value: |r| r.name.clone().into() },
        Field {
            name: "NetIO",
            heading: "NET I/O",
            value: |r| r.pair(|s| (human::size(s.received), human::size(s.sent))).into(),
        },
        Field { name: "PIDs", heading: "PIDS", value: |r| r.used.map_or(0, |u| u.1.processes).to_string().into() },
    ],
};

const SHOWN: &[&str] = &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

impl Row {
    fn pair(&self, of: impl Fn(&Sample) -> (String, String)) -> String {
        let (left, right) = self.used.as_ref().map_or(("0B".into(), "0B".into()), |(_, sample)| of(sample));
        format!("{left} / {right}")
    }
}

fn percent(value: Option<f64>) -> String {
    format!("{:.2}%", value.unwrap_or_default())
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let listing = Listing::parse(args.format.as_deref(), SHOWN, None)?;
    // A field that does not exist is an error before anything is waited for.
    listing.render(&COLUMNS, &[], false)?;
    let mut before = samples(&chosen(&args, ctx, true)?);
    loop {
        std::thread::sleep(PAUSE);
        let containers = chosen(&args, ctx, args.no_stream)?;
        let now = samples(&containers);
        let rows: Vec<Row> = containers.iter().map(|(typed, c)| row(&args, typed, c, &before, &now)).collect();
        let table = listing.render(&COLUMNS, &rows, ui::on_terminal())?;
        if args.no_stream {
            return ui::stdout(&table).map(|()| 0);
        }
        if !show(&format!("{CLEAR}{table}"))? || (containers.is_empty() && !args.containers.is_empty()) {
            return Ok(0);
        }
        before = now;
    }
}

/// Whether somebody still reads.
fn show(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e).verb_context(|| "cannot write to stdout".into()),
    }
}

/// The containers to show, with the word that each is asked for by. `strict`: one that is not there is an error; later
/// one that has gone is left out.
fn chosen(args: &Args, ctx: &Context, strict: bool) -> Result<Vec<(Option<String>, Container)>> {
    if args.containers.is_empty() {
        let (mut all, damaged) = lookup::all(&ctx.paths)?;
        if strict {
            damaged.iter().for_each(ui::error);
        }
        all.retain(|c| args.all || c.is_running());
        return Ok(all.into_iter().map(|c| (None, c)).collect());
    }
    let mut found = Vec::new();
    for name in &args.containers {
        match lookup::find(&ctx.paths, name) {
            Ok(container) => found.push((Some(name.clone()), container)),
            Err(e) if strict => return Err(Error::verb(e.message)),
            Err(_) => {}
        }
    }
    Ok(found)
}

/// By id. A container that ends while it is looked at is one that does not run.
fn samples(containers: &[(Option<String>, Container)]) -> BTreeMap<String, Sample> {
    let running = containers.iter().filter(|(_, c)| c.is_running() && c.status.pid > 0);
    running.filter_map(|(_, c)| Some((c.id().to_owned(), Sample::take(c.status.pid).ok()?))).collect()
}

fn row(
    args: &Args,
    typed: &Option<String>,
    container: &Container,
    before: &BTreeMap<String, Sample>,
    now: &BTreeMap<String, Sample>,
) -> Row {
    let id = container.id();
    let shown = if args.no_trunc { id } else { &id[..id.len().min(12)] };
    let used = now.get(id).map(|now| (before.get(id).map_or(0.0, |before| now.cpu_percent(before)), *now));
    Row {
        id: shown.to_owned(),
        typed: typed.clone().unwrap_or_else(|| shown.to_owned()),
        name: container.record.name.clone(),
        used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_columns() {
        let rows = [Row { id: "2864d57de426".into(), typed: "s2".into(), name: "s2".into(), used: None }];
        let table = Listing::parse(None, SHOWN, None).unwrap().render(&COLUMNS, &rows, false).unwrap();
        assert_eq!(
            table,
            "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS\n\
             2864d57de426   s2        0.00%     0B / 0B             0.00%     0B / 0B   0B / 0B     0\n"
        );
        let json = Listing::parse(Some("json"), SHOWN, None).unwrap().render(&COLUMNS, &rows, false).unwrap();
        assert!(json.starts_with("{\"BlockIO\":\"0B / 0B\",\"CPUPerc\":\"0.00%\",\"Container\":\"s2\""), "{json}");
        let wrong = Listing::parse(Some("{{.Nope}}"), SHOWN, None).unwrap().render(&COLUMNS, &rows, false).unwrap_err();
        assert!(wrong.message.ends_with("can't evaluate field Nope in type *container.statsContext"), "{wrong}");
    }
}
