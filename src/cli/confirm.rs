//! The question that docker asks before it removes many things.

use crate::error::{Context as _, Result};
use std::io::Write;

/// `what` is what will be removed, docker's words after `WARNING! This will remove `. Anything but `y` is no, and so is the
/// end of standard input.
pub fn confirm(what: &str) -> Result<bool> {
    ask(&format!("WARNING! This will remove {what}"))
}

/// The same after any text.
pub fn ask(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    write!(out, "{text}\nAre you sure you want to continue? [y/N] ")
        .and_then(|()| out.flush())
        .verb_context(|| "cannot write to stdout".into())?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).verb_context(|| "reading the answer from standard input".into())?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
