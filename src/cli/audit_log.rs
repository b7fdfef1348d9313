//! `hardrun audit-log`

use super::Context;
use crate::audit::{self, Line, Record};
use crate::error::{Error, Result};
use crate::ui::{self, clean};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::str::FromStr;

/// The log has a line for every launch, refusal and override. Each line holds the hash of the one before it, so a line
/// that was changed, removed or cut off is found by `verify`. It does not stop root from writing the whole log anew:
/// keep the last hash, which `verify` prints, on another machine.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what was launched, refused and overridden
    Show(Show),
    /// Check every line against its hash and the line before it; exit 1 and name the line if one was changed
    Verify {
        /// How to print
        #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
        format: Format,
        /// Where older files were moved away: the hash of the last line of what was moved, as `rotate` printed it
        #[arg(long, value_name = "HASH")]
        after: Option<String>,
    },
    /// Put the log aside under a number (audit.log.1, …) and go on in a new file; the chain goes on. Print the file and the
    /// hash of its last line, from which the rest can be verified once it is moved away
    Rotate,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// How to print: a table, or the lines as they are (JSON, one a line)
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Only from then on: 2026-01-31T12:00:00Z, 2026-01-31, seconds since 1970, or 10m, 2h, 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only until then
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Only the last N that match
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct When(pub(super) Timestamp);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(When(moment));
        }
        if let Ok(midnight) = format!("{text}T00:00:00Z").parse::<Timestamp>() {
            return Ok(When(midnight));
        }
        if let Ok(seconds) = text.parse::<i64>() {
            return Timestamp::from_second(seconds).map(When).map_err(|e| e.to_string());
        }
        let ago = match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
            Some(days) => days.checked_mul(24).map(SignedDuration::from_hours),
            None => text.parse::<SignedDuration>().ok(),
        };
        ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok())
            .map(When)
            .ok_or_else(|| "neither a time (2026-01-31T12:00:00Z) nor how long ago (10m, 2h, 7d)".to_owned())
    }
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Show(show) => self::show(&show, ctx),
        What::Verify { format, after } => verify(format, after.as_deref(), ctx),
        What::Rotate => rotate(ctx),
    }
}

fn show(show: &Show, ctx: &Context) -> Result<u8> {
    let path = ctx.paths.audit_log();
    let keep = show.tail.unwrap_or(usize::MAX);
    let mut chosen: VecDeque<Line> = VecDeque::new();
    let mut unreadable = Vec::new();
    audit::records(&path, |line| {
        let Some(record) = &line.record else {
            unreadable.push(line.number);
            return Ok(());
        };
        let at = record.time.parse::<Timestamp>().ok().map(When);
        let early = show.since.is_some_and(|since| at.is_some_and(|at| at < since));
        let late = show.until.is_some_and(|until| at.is_some_and(|at| at > until));
        if !early && !late && keep > 0 {
            if chosen.len() == keep {
                chosen.pop_front();
            }
            chosen.push_back(line);
        }
        Ok(())
    })?;
    let text = match show.format {
        Format::Json => chosen.iter().map(|l| format!("{}\n", l.text)).collect(),
        Format::Table => table(chosen.iter().filter_map(|l| l.record.as_ref())),
    };
    ui::stdout(&text)?;
    for number in unreadable {
        ui::warn(&format!("line {number} of {} cannot be read: run `hardrun audit-log verify`", path.display()));
    }
    Ok(0)
}

fn table<'a>(records: impl Iterator<Item = &'a Record>) -> String {
    let head = ["TIME", "EVENT", "WHO", "CONTAINER", "IMAGE", "RULES", "DETAIL"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(records.map(row)).collect();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(record: &Record) -> [String; 7] {
    let who = match (record.who.sudo_uid, record.who.login_uid) {
        (Some(sudo), _) if sudo != record.who.uid => format!("{} (sudo {sudo})", record.who.uid),
        (None, Some(login)) if login != record.who.uid => format!("{} (login {login})", record.who.uid),
        _ => record.who.uid.to_string(),
    };
    let status = record.status.map(|s| format!("exit {s}"));
    let asked = (!record.asked.is_empty()).then(|| record.asked.join(", "));
    let reason = record.reason.as_ref().map(|r| format!("reason: {r}"));
    let detail: Vec<String> = [status, asked, reason, record.note.clone()].into_iter().flatten().collect();
    [
        // To the second; `--format json` has the rest.
        record.time.split('.').next().map(|t| format!("{}Z", t.trim_end_matches('Z'))).unwrap_or_default(),
        record.event.name().to_owned(),
        who,
        record.container.chars().take(12).collect(),
        record.image.clone(),
        record.rules.join(","),
        detail.join("; "),
    ]
    .map(|cell| clean(if cell.is_empty() { "-" } else { &cell }))
}

fn rotate(ctx: &Context) -> Result<u8> {
    match audit::rotate(&ctx.paths.audit_log())? {
        Some((aside, hash)) => ui::stdout(&format!("{} {hash}\n", aside.display()))?,
        None => ui::note("the audit log is empty: there is nothing to put aside"),
    }
    Ok(0)
}

fn verify(format: Format, after: Option<&str>, ctx: &Context) -> Result<u8> {
    let path = ctx.paths.audit_log();
    let report = audit::verify_after(&path, after)?;
    if format == Format::Json {
        let text =
            serde_json::to_string_pretty(&report).map_err(|e| Error::verb("cannot print the report").because(e))?;
        ui::stdout(&format!("{text}\n"))?;
        return Ok(u8::from(!report.intact()));
    }
    if report.intact() {
        ui::stdout(&format!("{}: {} lines, intact; last hash {}\n", path.display(), report.lines, report.last_hash))?;
        return Ok(0);
    }
    let mut out = String::new();
    for problem in &report.problems {
        let _ = match problem.line {
            0 => writeln!(out, "{}: end: {}", path.display(), clean(&problem.what)),
            line => writeln!(out, "{}: line {line}: {}", path.display(), clean(&problem.what)),
        };
    }
    for noted in &report.recorded {
        let _ = writeln!(
            out,
            "{}: line {}: recorded when the log went on: {}",
            path.display(),
            noted.line,
            clean(&noted.what)
        );
    }
    ui::stdout(&out)?;
    Err(Error::verb(format!("the audit log {} is not what was written", path.display()))
        .hint("keep a copy before anything else; what came before the first line named is still in its chain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let when = |text: &str| text.parse::<When>().map(|w| w.0.to_string());
        assert_eq!(when("2026-01-31T12:00:00Z").unwrap(), "2026-01-31T12:00:00Z");
        assert_eq!(when("2026-01-31T12:00:00+02:00").unwrap(), "2026-01-31T10:00:00Z");
        assert_eq!(when("2026-01-31").unwrap(), "2026-01-31T00:00:00Z");
        assert_eq!(when("0").unwrap(), "1970-01-01T00:00:00Z");
        let ago = "2h".parse::<When>().unwrap().0;
        assert!((Timestamp::now().as_second() - ago.as_second() - 7200).abs() < 5);
        assert!("7d".parse::<When>().unwrap() < When(ago));
        for bad in ["", "soon", "d", "-"] {
            assert!(when(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_table_shows_no_control_characters() {
        let record: Record = serde_json::from_value(serde_json::json!({
            "seq": 0, "time": "2026-01-31T12:00:00.123456Z", "event": "launch", "uid": 0, "sudo_uid": 1000, "pid": 1,
            "image": "evil\u{1b}[2J", "prev": "0"
        }))
        .unwrap();
        let table = table([&record].into_iter());
        assert!(!table.contains('\u{1b}'));
        assert!(table.contains("2026-01-31T12:00:00Z  launch  0 (sudo 1000)"), "{table}");
    }
}
