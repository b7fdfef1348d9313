//! `run`'s help in docker's columns, by topic, from the clap table.

use clap::{Arg, ArgAction, Command};
use std::fmt::Write as _;

/// Text for a terminal of `width` columns. `verb` is the whole of it: `hardrun run`.
pub fn render(command: &Command, verb: &str, width: usize) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut out = format!("Usage:  {verb} [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n{about}\n");
    let flags: Vec<&Arg> = command.get_arguments().filter(|a| !a.is_positional() && !a.is_hide_set()).collect();
    let column = flags.iter().map(|a| left(a).len()).max().unwrap_or(0).min(34) + 2;
    for heading in headings(&flags) {
        let _ = write!(out, "\n{heading}:\n");
        for flag in flags.iter().filter(|a| a.get_help_heading().unwrap_or("Options") == heading) {
            line(&mut out, &left(flag), &flag.get_help().map(ToString::to_string).unwrap_or_default(), column, width);
        }
    }
    out.push_str("\nEverything after the image is the command's: 'hardrun run alpine --help' asks alpine.\n");
    out.push_str("'hardrun rules' lists what is refused and how each refusal is overridden.\n");
    out
}

/// Columns of the terminal, 80 where there is none.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|s| usize::from(s.ws_col)).filter(|w| *w >= 40).unwrap_or(80).min(120)
}

fn headings<'a>(flags: &[&'a Arg]) -> Vec<&'a str> {
    let mut all = Vec::new();
    for flag in flags {
        let heading = flag.get_help_heading().unwrap_or("Options");
        if !all.contains(&heading) {
            all.push(heading);
        }
    }
    all
}

/// `  -e, --env list`
fn left(flag: &Arg) -> String {
    let short = flag.get_short().map_or("    ".to_owned(), |c| format!("-{c}, "));
    let long = flag.get_long().unwrap_or_default();
    let switch = matches!(flag.get_action(), ArgAction::SetTrue | ArgAction::Help)
        || flag.get_num_args().is_some_and(|n| n.min_values() == 0);
    let value = match flag.get_value_names() {
        Some([name, ..]) if !switch => format!(" {name}"),
        _ => String::new(),
    };
    format!("  {short}--{long}{value}")
}

fn line(out: &mut String, left: &str, help: &str, column: usize, width: usize) {
    let room = width.saturating_sub(column).max(20);
    let mut rows = vec![String::new()];
    for word in help.split_whitespace() {
        let row = rows.last_mut().expect("never empty");
        if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > room {
            rows.push(word.to_owned());
        } else {
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(word);
        }
    }
    let mut left = left;
    if left.len() + 1 > column {
        let _ = writeln!(out, "{left}");
        left = "";
    }
    for row in rows {
        let _ = writeln!(out, "{left:column$}{row}");
        left = "";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RunArgs;

    fn help(width: usize) -> String {
        let command = <RunArgs as clap::Args>::augment_args(Command::new("run").about("Run a command"));
        render(&command, "hardrun run", width)
    }

    #[test]
    fn topics_and_columns() {
        let text = help(80);
        assert!(text.starts_with("Usage:  hardrun run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun a command\n"));
        for heading in ["Hardening", "Isolation", "Resources", "Mounts", "Network", "Process", "Container", "Image"] {
            assert!(text.contains(&format!("\n{heading}:\n")), "{heading}");
        }
        assert!(text.contains("\n  -e, --env list "));
        assert!(text.contains("\n      --privileged "));
        assert!(text.contains("\n  -d, --detach "));
    }

    #[test]
    fn the_whole_text() {
        insta::assert_snapshot!(help(80));
    }

    #[test]
    fn every_line_fits() {
        for width in [72, 80, 120] {
            let text = help(width);
            let longest = text.lines().filter(|l| l.starts_with("  ")).map(|l| l.chars().count()).max().unwrap();
            assert!(longest <= width, "{longest} > {width}");
        }
    }
}
