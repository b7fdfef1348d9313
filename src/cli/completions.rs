//! `hardrun completions`

use super::Context;
use crate::error::{Context as _, Result};
use clap_complete::{Shell, generate};
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell to write the script for
    #[arg(value_name = "bash|zsh|fish|elvish|powershell")]
    shell: Shell,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    let mut script = Vec::new();
    generate(args.shell, &mut super::command(), "hardrun", &mut script);
    std::io::stdout().lock().write_all(&script).verb_context(|| "write the completion script".into())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_every_flag() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            generate(shell, &mut super::super::command(), "hardrun", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["cap-add", "security-opt", "print-docker", "audit-log"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
