//! One file a verb: the clap struct, whose doc comments are the help, and what the verb does with it.

mod apparmor;
mod attach;
mod audit_log;
mod commit;
mod completions;
mod confirm;
mod container;
mod context;
mod cp;
pub(crate) mod create;
mod deferred;
mod df;
mod df_template;
mod df_verbose;
mod diff;
mod doctor;
mod each;
mod elsewhere;
mod events;
mod exec;
mod explain;
mod export;
pub mod flags;
mod globals;
mod help;
mod history;
mod image;
mod images;
mod import;
mod info;
mod inspect;
mod load;
mod lock;
mod login;
mod logout;
mod logs;
mod man;
mod network;
mod pairs;
mod policy;
mod port;
mod prepare;
mod preset;
mod pruned;
mod ps;
mod pull;
mod push;
mod registry_flags;
mod restart;
mod rm;
mod rmi;
mod rules;
mod run;
mod save;
mod score;
mod spec;
mod start;
mod start_all;
mod stats;
mod stop;
mod system;
mod tag;
mod top;
mod update;
mod usage;
mod version;
mod volume;
mod watch;
mod words;

pub use run::RunArgs;
#[cfg(test)]
pub(crate) use usage::translate as translate_usage;

use crate::error::{Error, Result};
use crate::state::Paths;
use clap::{CommandFactory, Parser, Subcommand};
use deferred::Deferred;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a container where a script called `docker run`, with every isolation layer of Linux on
#[derive(Debug, Parser)]
#[command(name = "hardrun", disable_version_flag = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Folder for images, layers, volumes and the audit log
    #[arg(long, global = false, value_name = "DIR", env = "HARDRUN_ROOT")]
    root: Option<PathBuf>,
    /// Print version information and quit
    #[arg(short, long)]
    version: bool,
    #[command(subcommand)]
    verb: Verb,
}

// Deferred: the two hundred flags of `run` are only built for the verb that is called.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a command in a new container
    Run(Box<Deferred<run::RunArgs>>),
    /// Create a container without starting it
    Create(Box<Deferred<create::Args>>),
    /// List containers
    Ps(Deferred<ps::Args>),
    /// Show what is known of containers, images, networks and volumes, as JSON
    Inspect(Deferred<inspect::Args>),
    /// Show where a container's ports are published
    Port(Deferred<port::Args>),
    /// Start containers
    Start(Deferred<start::Args>),
    /// Attach to a running container
    Attach(Deferred<attach::Args>),
    /// Run a command in a running container
    Exec(Deferred<exec::Args>),
    /// Stop containers
    Stop(Deferred<stop::StopArgs>),
    /// Stop containers and start them again
    Restart(Deferred<stop::StopArgs>),
    /// Send a signal to containers
    Kill(Deferred<stop::KillArgs>),
    /// Suspend all processes of containers
    Pause(Deferred<stop::NamesArgs>),
    /// Let suspended containers go on
    Unpause(Deferred<stop::NamesArgs>),
    /// Wait until containers have ended, and print their exit codes
    Wait(Deferred<stop::NamesArgs>),
    /// Show what a container wrote
    Logs(Deferred<logs::Args>),
    /// Show what happens to containers, images, networks and volumes
    Events(Deferred<events::Args>),
    /// Show the processes of a container
    Top(Deferred<top::Args>),
    /// Show what containers use
    Stats(Deferred<stats::Args>),
    /// Remove containers
    Rm(Deferred<rm::Args>),
    /// Start the containers that are to run always, after a boot (system start-all)
    StartAll(Deferred<start_all::Args>),
    /// Change limits and restart policies of containers
    Update(Box<Deferred<update::Args>>),
    /// Give a container another name
    Rename(Deferred<rm::RenameArgs>),
    /// Load images from a docker archive, an OCI archive or an OCI layout folder
    Load(Deferred<load::Args>),
    /// Make an image from a tar of a root filesystem
    Import(Deferred<import::Args>),
    /// Download an image from a registry
    Pull(Deferred<pull::Args>),
    /// Upload an image to a registry
    Push(Deferred<push::Args>),
    /// Keep the credentials of a registry
    Login(Deferred<login::Args>),
    /// Forget the credentials of a registry
    Logout(Deferred<logout::Args>),
    /// List images
    Images(Deferred<images::Args>),
    /// Remove images
    Rmi(Deferred<rmi::Args>),
    /// Show the steps that an image was made in
    History(Deferred<history::Args>),
    /// Manage images
    Image(Deferred<image::Args>),
    /// Give an image another name
    Tag(Deferred<tag::Args>),
    /// Save images to a tar archive
    Save(Deferred<save::Args>),
    /// Copy files between a container and this host
    Cp(Deferred<cp::Args>),
    /// Show what a container has changed in its image
    Diff(Deferred<diff::Args>),
    /// Make an image of a container's changes
    Commit(Deferred<commit::Args>),
    /// Write a container's files as a tar archive
    Export(Deferred<export::Args>),
    /// Manage containers
    Container(Deferred<container::Args>),
    /// Manage what hardrun keeps on disk
    System(Deferred<system::Args>),
    /// Manage networks
    Network(Deferred<network::Args>),
    /// Manage volumes
    Volume(Deferred<volume::Args>),
    /// List the rules, or explain one
    Rules(Deferred<rules::Args>),
    /// List and show presets
    Preset(Deferred<preset::Args>),
    /// Show the AppArmor profile of a preset or a container, or write it to a file
    #[command(name = "apparmor")]
    AppArmor(Deferred<apparmor::Args>),
    /// Check, show and try out the site's policy
    Policy(Deferred<policy::Args>),
    /// Write down which digests names stand for, for --locked
    Lock(Deferred<lock::Args>),
    /// Say what this host offers and what is missing
    Doctor(Deferred<doctor::Args>),
    /// Show every decision about a container, where it came from and what docker would have done
    Explain(Box<Deferred<explain::Args>>),
    /// Print the OCI runtime config.json
    Spec(Box<Deferred<spec::Args>>),
    /// Print an exposure figure and the difference from docker's default
    Score(Box<Deferred<score::Args>>),
    /// Show or verify the audit log
    AuditLog(Deferred<audit_log::Args>),
    /// Print the man page
    Man(Deferred<man::Args>),
    /// Print a shell completion script
    Completions(Deferred<completions::Args>),
    /// Show the contexts: this host is the only one
    Context(Deferred<context::Args>),
    /// Show what this host and hardrun on it are
    Info(Deferred<info::Args>),
    /// Print version information
    Version(Deferred<version::Args>),
}

/// What every verb gets.
#[derive(Debug, Clone)]
pub struct Context {
    pub paths: Paths,
}

/// The whole command line as one table: what help, man pages and completions are made from.
pub fn command() -> clap::Command {
    Cli::command()
}

/// What a process does from its start to its exit status.
type Process = fn() -> u8;

/// The processes that hardrun starts of itself, by their first argument. Their environment is empty and nothing else is parsed.
const INTERNAL: [(&str, Process); 4] = [
    (crate::launch::LAUNCH_ARGUMENT, crate::launch::launch),
    (crate::launch::exec::EXEC_ARGUMENT, crate::launch::exec::main),
    (crate::rootless::keeper::KEEP_ARGUMENT, crate::rootless::keeper::main),
    (crate::rootless::forward::FORWARD_ARGUMENT, crate::rootless::forward::main),
];

fn internal(word: &OsStr) -> Option<Process> {
    INTERNAL.iter().find(|(name, _)| word == *name).map(|(_, main)| *main)
}

/// Parse the command line, do what it says, and return the exit status.
pub fn main() -> ExitCode {
    if let Some(internal) = std::env::args_os().nth(1).and_then(|word| internal(&word)) {
        // Where the caller is may be a folder that is to be unmounted, that this process may not enter, or that is gone.
        let _ = rustix::process::chdir("/");
        return ExitCode::from(internal());
    }
    match from_words(std::env::args_os().collect()) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            crate::ui::error(&e);
            ExitCode::from(e.kind.exit_code())
        }
    }
}

/// `argv` with the program's name first.
fn from_words(argv: Vec<OsString>) -> Result<u8> {
    let (globals, called) = globals::take(argv)?;
    let called = words::help_as_flag(called);
    let verb = words::verb_words(&called);
    if verb.is_none() && globals.asks_for_version() {
        return print_line(&version::line(words::program(&called)));
    }
    globals.apply()?;
    if let Some((first, second)) = &verb {
        if let Some(error) = elsewhere::answer(first, &format!("{} {first}", words::program(&called))) {
            return Err(error);
        }
        let asks_for_list = second.as_deref().is_none_or(|w| matches!(w, "--help" | "-h"));
        if let Some(group) = words::group(first)
            && asks_for_list
        {
            return print_group(words::program(&called), first, &group);
        }
    }
    let argv = words::normalise(called.clone());
    let cli = match Cli::try_parse_from(&argv) {
        Ok(cli) => cli,
        Err(e) if !e.use_stderr() || e.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return print_line(e.render().to_string().trim_end());
        }
        Err(e) => return Err(usage::of_call(&e, &called, &argv)),
    };
    if let Some(args) = cli.verb.run_words()
        && args.wants_help()
    {
        return print_help(&words::verb_of(&called));
    }
    if cli.verb.looks_at_the_store() {
        crate::rootless::enter()?;
    }
    let ctx = Context { paths: root(&cli)? };
    cli.verb.run(&ctx).map_err(|e| usage::as_called(e, &called))
}

/// The store, if the site's policy lets it be used. The verb that looks after the policy itself works with any.
fn root(cli: &Cli) -> Result<Paths> {
    let paths = Paths::new(cli.root.as_deref());
    if paths.is_usual() || matches!(cli.verb, Verb::Policy(_)) {
        return Ok(paths);
    }
    match crate::site::load() {
        Ok(site) => site.root(&paths),
        // Whatever starts or fetches something reads it again, and says this then; what runs can be stopped.
        Err(_) => Ok(paths),
    }
}

impl Verb {
    /// The words of `docker run`, for the verbs that take them.
    fn run_words(&self) -> Option<&RunArgs> {
        match self {
            Verb::Run(args) => Some(&args.0),
            Verb::Create(args) => Some(args.0.words()),
            Verb::Explain(args) => Some(args.0.words()),
            Verb::Score(args) => Some(args.0.words()),
            Verb::Spec(args) => Some(args.0.words()),
            _ => None,
        }
    }

    /// Whether an ordinary user's own host is entered for it: where the files of images and containers are.
    fn looks_at_the_store(&self) -> bool {
        !matches!(
            self,
            Verb::Rules(_)
                | Verb::Preset(_)
                | Verb::Policy(_)
                | Verb::Doctor(_)
                | Verb::Man(_)
                | Verb::Completions(_)
                | Verb::Context(_)
                | Verb::Version(_)
                | Verb::Login(_)
                | Verb::Logout(_)
        )
    }

    fn run(self, ctx: &Context) -> Result<u8> {
        match self {
            Verb::Run(args) => run::run(args.0, ctx),
            Verb::Create(args) => create::run(args.0, ctx),
            Verb::Ps(args) => ps::run(args.0, ctx),
            Verb::Inspect(args) => inspect::run(args.0, ctx),
            Verb::Port(args) => port::run(args.0, ctx),
            Verb::Start(args) => start::run(args.0, ctx),
            Verb::Attach(args) => attach::run(args.0, ctx),
            Verb::Exec(args) => exec::run(args.0, ctx),
            Verb::Stop(args) => stop::stop(args.0, ctx),
            Verb::Restart(args) => restart::restart(args.0, ctx),
            Verb::Kill(args) => stop::kill(args.0, ctx),
            Verb::Pause(args) => stop::pause(args.0, ctx),
            Verb::Unpause(args) => stop::unpause(args.0, ctx),
            Verb::Wait(args) => stop::wait(args.0, ctx),
            Verb::Logs(args) => logs::run(args.0, ctx),
            Verb::Events(args) => events::run(args.0, ctx),
            Verb::Top(args) => top::run(args.0, ctx),
            Verb::Stats(args) => stats::run(args.0, ctx),
            Verb::Container(args) => container::run(args.0, ctx),
            Verb::System(args) => system::run(args.0, ctx),
            Verb::Rm(args) => rm::run(args.0, ctx),
            Verb::StartAll(args) => start_all::run(args.0, ctx),
            Verb::Update(args) => update::run(args.0, ctx),
            Verb::Rename(args) => rm::rename(args.0, ctx),
            Verb::Load(args) => load::run(args.0, ctx),
            Verb::Import(args) => import::run(args.0, ctx),
            Verb::Pull(args) => pull::run(args.0, ctx),
            Verb::Push(args) => push::run(args.0, ctx),
            Verb::Login(args) => login::run(args.0, ctx),
            Verb::Logout(args) => logout::run(args.0, ctx),
            Verb::History(args) => history::run(args.0, ctx),
            Verb::Image(args) => image::run(args.0, ctx),
            Verb::Images(args) => images::run(args.0, ctx),
            Verb::Rmi(args) => rmi::run(args.0, ctx),
            Verb::Tag(args) => tag::run(args.0, ctx),
            Verb::Save(args) => save::run(args.0, ctx),
            Verb::Cp(args) => cp::run(args.0, ctx),
            Verb::Diff(args) => diff::run(args.0, ctx),
            Verb::Commit(args) => commit::run(args.0, ctx),
            Verb::Export(args) => export::run(args.0, ctx),
            Verb::Network(args) => network::run(args.0, ctx),
            Verb::Volume(args) => volume::run(args.0, ctx),
            Verb::Rules(args) => rules::run(args.0, ctx),
            Verb::Preset(args) => preset::run(args.0, ctx),
            Verb::AppArmor(args) => apparmor::run(args.0, ctx),
            Verb::Policy(args) => policy::run(args.0, ctx),
            Verb::Lock(args) => lock::run(args.0, ctx),
            Verb::Doctor(args) => doctor::run(args.0, ctx),
            Verb::Explain(args) => explain::run(args.0, ctx),
            Verb::Spec(args) => spec::run(args.0, ctx),
            Verb::Score(args) => score::run(args.0, ctx),
            Verb::AuditLog(args) => audit_log::run(args.0, ctx),
            Verb::Man(args) => man::run(args.0, ctx),
            Verb::Completions(args) => completions::run(args.0, ctx),
            Verb::Context(args) => context::run(args.0, ctx),
            Verb::Info(args) => info::run(args.0, ctx),
            Verb::Version(args) => version::run(args.0, ctx),
        }
    }
}

/// docker's columns for a verb that takes the words of `docker run`.
fn print_help(verb: &str) -> Result<u8> {
    let mut command = command();
    command.build();
    let name = verb.rsplit(' ').next().unwrap_or_default();
    let sub = command.find_subcommand(name).ok_or_else(|| Error::verb(format!("{verb} has no help")))?;
    print_line(help::render(sub, verb, help::width()).trim_end())
}

/// The verbs of a group of docker's that is only a group.
fn print_group(program: &str, name: &str, verbs: &[(&str, &str)]) -> Result<u8> {
    let table = command();
    let mut out = format!("Usage:  {program} {name} COMMAND\n\nCommands:\n");
    for (word, verb) in verbs {
        let verb = verb.split(' ').next().unwrap_or_default();
        let about = table.find_subcommand(verb).and_then(|c| c.get_about()).map(ToString::to_string);
        out.push_str(&format!("  {word:<11} {}\n", about.unwrap_or_default()));
    }
    out.push_str(&format!("\nRun '{program} {name} COMMAND --help' for more information on a command."));
    print_line(&out)
}

/// A verb's answer and a line break.
fn print_line(text: &str) -> Result<u8> {
    crate::ui::stdout(&format!("{text}\n")).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_internal_name_is_a_verb() {
        for (name, _) in INTERNAL {
            assert!(internal(OsStr::new(name)).is_some() && command().find_subcommand(name).is_none(), "{name}");
        }
        assert!(internal(OsStr::new("run")).is_none());
    }

    #[test]
    fn the_table_is_sound() {
        // clap's own assertions over every verb: no letter, name or id twice.
        command().debug_assert();
    }

    #[test]
    fn verbs_that_take_runs_words_know_its_flags() {
        let mut command = command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        assert!(run.get_arguments().count() > 160);
        assert_eq!(run.get_about().unwrap().to_string(), "Run a command in a new container");
    }
}
