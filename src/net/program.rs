//! Programs of the host: `nft` to install the rules, `iptables` where somebody else's firewall has to be told.

use crate::error::{Context as _, Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where a distribution puts them. The supervisor has no environment, and takes none: PATH is the caller's.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

pub fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

/// Run with these words and this input; what it printed.
pub fn run(program: &Path, words: &[&str], input: &str) -> Result<String> {
    let attempt = || format!("run {} {}", program.display(), words.join(" "));
    let mut child = Command::new(program)
        .args(words)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(attempt)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that refuses its first line does not read the rest: what it says is the error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().context(attempt)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::runner(attempt()).because(said.lines().next().unwrap_or("it failed without a word").to_owned()))
}
