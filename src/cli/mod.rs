//! One file a verb: the clap struct, whose doc comments are the help, and what the verb does with it.

mod audit_log;
mod completions;
mod doctor;
mod explain;
mod fields;
mod images;
mod import;
mod load;
mod man;
mod prepare;
mod preset;
mod pull;
mod rmi;
mod rules;
mod run;
mod save;
mod score;
mod spec;
mod tag;

use crate::state::Paths;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a container where a script called `docker run`, with every isolation layer of Linux on
#[derive(Debug, Parser)]
#[command(name = "hardrun", version, disable_help_subcommand = false)]
pub struct Cli {
    /// Folder for images, layers, volumes and the audit log
    #[arg(long, global = false, value_name = "DIR", env = "HARDRUN_ROOT")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a command in a new container
    Run(run::Args),
    /// Load images from a docker archive, an OCI archive or an OCI layout folder
    Load(load::Args),
    /// Make an image from a tar of a root filesystem
    Import(import::Args),
    /// Download an image from a registry
    Pull(pull::Args),
    /// List images
    Images(images::Args),
    /// Remove images
    Rmi(rmi::Args),
    /// Give an image another name
    Tag(tag::Args),
    /// Save images to a tar archive
    Save(save::Args),
    /// List the rules, or explain one
    Rules(rules::Args),
    /// List and show presets
    Preset(preset::Args),
    /// Say what this host offers and what is missing
    Doctor(doctor::Args),
    /// Show every decision about a container, where it came from and what docker would have done
    Explain(explain::Args),
    /// Print the OCI runtime config.json
    Spec(spec::Args),
    /// Print an exposure figure and the difference from docker's default
    Score(score::Args),
    /// Show or verify the audit log
    AuditLog(audit_log::Args),
    /// Print the man page
    Man(man::Args),
    /// Print a shell completion script
    Completions(completions::Args),
}

/// What every verb gets.
#[derive(Debug, Clone)]
pub struct Context {
    pub paths: Paths,
}

/// Parse the command line, do what it says, and return the exit status.
pub fn main() -> ExitCode {
    // The launching process is hardrun again, with this one argument and an empty environment: nothing is parsed.
    if std::env::args_os().nth(1).is_some_and(|a| a == crate::launch::LAUNCH_ARGUMENT) {
        return ExitCode::from(crate::launch::launch());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 125 } else { 0 });
        }
    };
    let ctx = Context { paths: Paths::new(cli.root.as_deref()) };
    let done = match cli.verb {
        Verb::Run(args) => run::run(args, &ctx),
        Verb::Load(args) => load::run(args, &ctx),
        Verb::Import(args) => import::run(args, &ctx),
        Verb::Pull(args) => pull::run(args, &ctx),
        Verb::Images(args) => images::run(args, &ctx),
        Verb::Rmi(args) => rmi::run(args, &ctx),
        Verb::Tag(args) => tag::run(args, &ctx),
        Verb::Save(args) => save::run(args, &ctx),
        Verb::Rules(args) => rules::run(args, &ctx),
        Verb::Preset(args) => preset::run(args, &ctx),
        Verb::Doctor(args) => doctor::run(args, &ctx),
        Verb::Explain(args) => explain::run(args, &ctx),
        Verb::Spec(args) => spec::run(args, &ctx),
        Verb::Score(args) => score::run(args, &ctx),
        Verb::AuditLog(args) => audit_log::run(args, &ctx),
        Verb::Man(args) => man::run(args, &ctx),
        Verb::Completions(args) => completions::run(args, &ctx),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            crate::ui::error(&e);
            ExitCode::from(e.kind.exit_code())
        }
    }
}
