//! What the program says on its own behalf. Everything goes to stderr, one line each, with control characters of
//! untrusted text (image names, labels, paths) made visible, so that no image can drive the operator's terminal.

use crate::error::{Context as _, Error, Result};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

/// Replace control characters (C0, DEL, C1), what changes the direction of text, and separators of lines and paragraphs by a visible
/// escape.
pub fn clean(text: &str) -> String {
    cleaned(text, |_| false)
}

/// The same for text of several lines: line breaks and tabs stay.
pub fn clean_lines(text: &str) -> String {
    cleaned(text, |c| matches!(c, '\n' | '\t'))
}

fn cleaned(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Marks of direction (Unicode's Bidi_Control), and the separators U+2028 and U+2029.
        let unseen = matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if (c.is_control() || unseen) && !stays(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether stderr may be coloured: a terminal, and NO_COLOR unset or empty.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Whether stdout is a terminal: text from images and containers then has its control characters made visible.
pub fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

fn line(prefix: &str, code: &str, text: &str) {
    let mut err = std::io::stderr().lock();
    // A closed stderr must not change the exit status of the workload, so a failed write is not an error.
    let _ = if colour() {
        writeln!(err, "\x1b[{code}mhardrun:\x1b[0m {prefix}{}", clean(text))
    } else {
        writeln!(err, "hardrun: {prefix}{}", clean(text))
    };
}

/// Something hardrun did differently from docker, in one line.
pub fn note(text: &str) {
    match KEPT.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
        Some(kept) => kept.push(text.to_owned()),
        None => line("", "36", text),
    }
}

/// Notes of a process whose own stderr nobody reads, for whoever started it.
static KEPT: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// From now on, keep notes instead of printing them.
pub fn keep_notes() {
    *KEPT.lock().unwrap_or_else(|e| e.into_inner()) = Some(Vec::new());
}

/// What was kept; from now on they are printed.
pub fn kept_notes() -> Vec<String> {
    KEPT.lock().unwrap_or_else(|e| e.into_inner()).take().unwrap_or_default()
}

/// Something the operator should look at.
pub fn warn(text: &str) {
    line("warning: ", "33", text);
}

/// Print an error with its causes and hint.
pub fn error(e: &Error) {
    let chain = e.chain();
    line("", "31", &chain[0]);
    let mut err = std::io::stderr().lock();
    for cause in &chain[1..] {
        // A parser shows the line and a caret: keep its lines apart, indented so that they cannot pass for ours.
        let mut lines = cause.lines();
        let _ = writeln!(err, "  caused by: {}", clean(lines.next().unwrap_or_default()));
        for l in lines {
            let _ = writeln!(err, "    {}", clean(l));
        }
    }
    if let Some(hint) = &e.hint {
        for l in hint.lines() {
            let _ = writeln!(err, "  hint: {}", clean(l));
        }
    }
}

/// Write a verb's answer to stdout. A reader that went away (`| head`) is no error; a full disk is.
pub fn stdout(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.verb_context(|| "cannot write to stdout".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_hides_text_is_made_visible() {
        for c in ['\u{1b}', '\u{7f}', '\u{9b}', '\u{61c}', '\u{200e}', '\u{200f}', '\u{202e}', '\u{2066}', '\u{2069}'] {
            assert_eq!(clean(&format!("a{c}b")), format!("a{}b", c.escape_default()));
        }
        // Not even where line breaks stay.
        for c in ['\u{2028}', '\u{2029}'] {
            assert_eq!(clean_lines(&format!("a{c}\n")), format!("a{}\n", c.escape_default()));
        }
        assert_eq!(clean("é漢 \u{1f600}"), "é漢 \u{1f600}");
    }
}
