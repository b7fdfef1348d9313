//! The processes of a container as the host's `ps` shows them.
//!
//! As with docker, the numbers are the host's: process ids that `kill` takes on the host, and user ids that are those of the
//! container's own range (its root is not the host's).

use crate::error::{Context as _, Error, Result};
use crate::launch::processes;
use crate::state::Container;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};

/// Docker's narrowest column, and the blanks behind one.
const LEAST: usize = 20;
const PADDING: usize = 3;
/// Most process ids that `ps` is given by name; beyond, it shows all and the rest is left out here.
const MOST_NAMED: usize = 4096;

/// The table for `ps OPTIONS`; none is `-ef`.
///
/// # Errors
/// Docker's: the options are `ps`'s own errors, or leave the PID column out.
pub fn table(container: &Container, options: &[String]) -> Result<String> {
    let pids = processes::of(container.status.pid)?;
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default[..] } else { options };
    check(options)?;
    let lines = match ps(options, &pids)? {
        Some(text) => select(&text, &pids)?,
        None if options == default => own(&pids),
        None => return Err(Error::verb("there is no ps on this host").hint("without options, top needs none")),
    };
    Ok(align(&lines))
}

/// Docker refuses other names for the column that it goes by.
fn check(options: &[String]) -> Result<()> {
    let text = options.join(" ");
    for (at, _) in text.match_indices("pid=") {
        let before = text[..at].chars().next_back();
        let own_word = before.is_none_or(|c| c.is_whitespace() || c == ',' || c == 'o');
        if own_word {
            let word: String = text[at..].chars().take_while(|c| !c.is_whitespace()).collect();
            return Err(Error::verb(format!("specifying {word:?} is not allowed")));
        }
    }
    Ok(())
}

/// `None` where there is no `ps`.
fn ps(options: &[String], pids: &BTreeSet<i32>) -> Result<Option<String>> {
    let run = |extra: Option<String>| -> Result<Option<Output>> {
        let mut command = Command::new("ps");
        command.args(options).args(extra).stdin(Stdio::null()).env("COLUMNS", "10000");
        match command.output() {
            Ok(output) => Ok(Some(output)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).verb_context(|| "run ps".into()),
        }
    };
    let named: Vec<String> = pids.iter().map(i32::to_string).collect();
    let mut output = None;
    if named.len() <= MOST_NAMED {
        output = run(Some(format!("-q{}", named.join(","))))?;
    }
    // Options that do not go together with -q.
    if output.as_ref().is_none_or(|o| !o.status.success()) {
        output = run(None)?;
    }
    let Some(output) = output else { return Ok(None) };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::verb(format!("ps: {}", said.lines().next().unwrap_or("it failed").trim())));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The heading and the lines of these processes, cut into cells; the last cell takes the rest of its line.
fn select(text: &str, pids: &BTreeSet<i32>) -> Result<Vec<Vec<String>>> {
    let mut lines = text.lines();
    let heading: Vec<String> = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let Some(at) = heading.iter().position(|h| h == "PID") else {
        return Err(Error::verb("Couldn't find PID field in ps output"));
    };
    let width = heading.len();
    let mut table = vec![heading];
    let mut before = false;
    for line in lines {
        let cells = cells(line, width);
        let pid = cells.get(at).map(|c| c.parse::<i32>());
        match pid {
            Some(Ok(pid)) => before = pids.contains(&pid),
            // A line of a thread (`-m`) has `-` and belongs to the process before it.
            Some(Err(_)) if cells.get(at).is_some_and(|c| c == "-") => {}
            _ => return Err(Error::verb(format!("Unexpected pid '{}'", cells.get(at).map_or("", String::as_str)))),
        }
        if before {
            table.push(cells);
        }
    }
    Ok(table)
}

fn cells(line: &str, width: usize) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.len() <= width || width == 0 {
        return words.into_iter().map(str::to_owned).collect();
    }
    let last = words[width - 1..].join(" ");
    words[..width - 1].iter().map(|w| (*w).to_owned()).chain([last]).collect()
}

/// What `ps -ef` would say, from /proc.
fn own(pids: &BTreeSet<i32>) -> Vec<Vec<String>> {
    let heading = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    let boot = boot_time();
    let tick = rustix::param::clock_ticks_per_second();
    // Processes that have ended meanwhile are left out.
    table.extend(pids.iter().filter_map(|pid| one(*pid, boot, tick)));
    table
}

fn one(pid: i32, boot: i64, tick: u64) -> Option<Vec<String>> {
    use std::os::unix::fs::MetadataExt;
    let folder = format!("/proc/{pid}");
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let (head, rest) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |n: usize| fields.get(n)?.parse::<u64>().ok();
    let (used, began) = ((number(11)? + number(12)?) / tick, boot + (number(19)? / tick) as i64);
    let age = (jiff::Timestamp::now().as_second() - began).max(1) as u64;
    let at = jiff::Timestamp::from_second(began).ok()?.to_zoned_datetime(jiff::tz::TimeZone::system());
    let shown = if age < 86_400 { at.strftime("%H:%M") } else { at.strftime("%b%d") };
    let command = fs::read(format!("{folder}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
    Some(vec![
        fs::metadata(&folder).ok()?.uid().to_string(),
        pid.to_string(),
        fields.get(1)?.to_string(),
        (used * 100 / age).min(99).to_string(),
        shown.to_string(),
        terminal(number(4)?),
        format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        if command.is_empty() { format!("[{name}]") } else { command },
    ])
}

/// The name of a controlling terminal by its device number.
fn terminal(number: u64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

/// Seconds since 1970.
fn boot_time() -> i64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().find_map(|l| l.strip_prefix("btime ")).and_then(|n| n.trim().parse().ok()).unwrap_or_default()
}

fn align(table: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = table.iter().filter(|row| row.len() > column + 1).map(|row| row[column].chars().count() + PADDING);
        cells.max().unwrap_or(0).max(LEAST)
    };
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in table {
        for (n, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if n + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[n] - cell.chars().count()));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn only_the_containers_processes_in_dockers_columns() {
        let text = "UID        PID  CMD\nroot         1  init\n100000      42  sh -c  sleep 1\n-   -  thread\n";
        let table = select(text, &[42].into()).unwrap();
        assert_eq!(
            table,
            [words(&["UID", "PID", "CMD"]), words(&["100000", "42", "sh -c sleep 1"]), words(&["-", "-", "thread"])]
        );
        let line = |a: &str, b: &str, c: &str| format!("{a:20}{b:20}{c}\n");
        let wanted = [line("UID", "PID", "CMD"), line("100000", "42", "sh -c sleep 1"), line("-", "-", "thread")];
        assert_eq!(align(&table), wanted.concat());
        assert_eq!(select("CMD\nsh\n", &[1].into()).unwrap_err().message, "Couldn't find PID field in ps output");
    }

    #[test]
    fn the_pid_column_keeps_its_name() {
        for bad in [&["-o", "pid=x"][..], &["-opid="], &["-o", "cmd,pid=PP"]] {
            assert!(check(&words(bad)).unwrap_err().message.contains("is not allowed"), "{bad:?}");
        }
        assert!(check(&words(&["-o", "pid,ppid=x"])).is_ok());
    }

    #[test]
    fn this_process_as_proc_has_it() {
        let me = std::process::id() as i32;
        let table = own(&[me, i32::MAX].into());
        assert_eq!(table.len(), 2);
        assert_eq!((table[1][1].as_str(), table[1].len()), (me.to_string().as_str(), 8));
        assert_eq!((terminal(0), terminal((136 << 8) | 3)), ("?".to_owned(), "pts/3".to_owned()));
    }
}
