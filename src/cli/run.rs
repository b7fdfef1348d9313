//! `hardrun run`

use super::Context;
use super::flags::{
    ContainerFlags, ImageFlags, IsolationFlags, MountFlags, NetworkFlags, OwnFlags, ProcessFlags, ResourceFlags,
};
use super::prepare::{self, Prepared};
use crate::control;
use crate::error::{Context as _, Error, Kind, Result};
use crate::launch::client;
use crate::plan::{Draft, explain};
use crate::request::{Env, OutputFormat, Request, RestartPolicy};
use std::io::IsTerminal;

// No doc comment: it would replace the verb's line in the help.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[group(skip)]
#[command(disable_help_flag = true, args_override_self = true)]
pub struct RunArgs {
    #[command(flatten)]
    pub own: OwnFlags,
    #[command(flatten)]
    pub isolation: IsolationFlags,
    #[command(flatten)]
    pub resources: ResourceFlags,
    #[command(flatten)]
    pub mounts: MountFlags,
    #[command(flatten)]
    pub network: NetworkFlags,
    #[command(flatten)]
    pub process: ProcessFlags,
    #[command(flatten)]
    pub container: ContainerFlags,
    #[command(flatten)]
    pub image: ImageFlags,
    /// Print usage
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Hardening")]
    pub help: Option<String>,
    /// Image, command and the command's arguments
    // One positional that swallows the rest: with two, `run alpine --help` would be asked of hardrun.
    #[arg(value_name = "IMAGE [COMMAND] [ARG...]", trailing_var_arg = true, num_args = 0..)]
    pub words: Vec<String>,
}

impl RunArgs {
    /// `--help` was given; not `--help=false`, which docker takes too.
    pub fn wants_help(&self) -> bool {
        self.help.as_deref().is_some_and(|word| crate::request::parse_bool(word) == Ok(true))
    }
}

pub fn run(args: RunArgs, ctx: &Context) -> Result<u8> {
    let request = resolve(args)?;
    let own = request.own.clone();
    if !own.dry_run && !own.print_docker {
        check_terminal(&request)?;
        check_cidfile(&request)?;
    }
    let prepared = Prepared::new(request, ctx).map_err(before_the_command)?;
    if own.print_docker {
        crate::ui::stdout(&crate::plan::print_docker::print(
            &prepared.plan(),
            prepared.request.lifecycle.name.is_some(),
        ))?;
    }
    if own.dry_run {
        dry_run(&prepared, own.format)?;
    }
    if own.dry_run || own.print_docker {
        return verdict(&prepared);
    }
    launch(prepared, ctx).map_err(before_the_command)
}

/// Refuse, or launch: in the background, in the background with the caller attached, or by becoming the launcher.
fn launch(prepared: Prepared, ctx: &Context) -> Result<u8> {
    if let Some(status) = prepared.refuse(ctx)? {
        return Ok(status);
    }
    prepare::sweep(ctx)?;
    if prepared.request.lifecycle.replace
        && let Some(name) = &prepared.request.lifecycle.name
    {
        super::rm::replace(ctx, name)?;
    }
    let detach = prepared.request.lifecycle.detach;
    let record = prepared.record(ctx);
    let draft = &record.plan.draft;
    let (id, wish) = (record.id.clone(), wish(draft)?);
    // A terminal can be let go of, and a container that restarts outlives its first end: both need a supervisor of their own.
    let own_supervisor = draft.stdio.tty || draft.restart.value != RestartPolicy::No;
    let (handoff, held) = prepare::handoff(record, &prepared.facts, ctx)?;
    if detach {
        crate::launch::start(handoff, held, control::Streams::default())?;
        return crate::ui::stdout(&format!("{id}\n")).map(|()| 0);
    }
    if own_supervisor {
        let (ours, theirs) = client::pipes(&wish)?;
        let connection = crate::launch::start(handoff, held, theirs)?;
        return Ok(client::follow(&connection, ours, &wish)?.status());
    }
    match crate::launch::run(handoff, held)? {}
}

/// What the caller wants to see of the container.
fn wish(draft: &Draft) -> Result<client::Wish> {
    let stdio = &draft.stdio;
    Ok(client::Wish {
        stdin: stdio.interactive && stdio.attach_stdin,
        stdout: stdio.attach_stdout,
        stderr: stdio.attach_stderr,
        tty: stdio.tty,
        sig_proxy: stdio.sig_proxy,
        detach_keys: super::watch::detach_keys(stdio.detach_keys.as_deref())?,
    })
}

/// The store's errors end a management verb with 1; here they kept a command from starting, which is 125.
fn before_the_command(mut error: Error) -> Error {
    if error.kind == Kind::Verb {
        error.kind = Kind::Runner;
    }
    error
}

/// The whole plan on stdout.
fn dry_run(prepared: &Prepared, format: Option<OutputFormat>) -> Result<()> {
    let plan = prepared.plan();
    match format {
        Some(OutputFormat::Json) => {
            let json = serde_json::to_string_pretty(&plan).context(|| "write the plan as JSON".into())?;
            crate::ui::stdout(&format!("{json}\n"))
        }
        _ => crate::ui::stdout(&explain::text(&explain::rows(&plan, &prepared.facts.kernel))),
    }
}

/// What a launch would have said: a refusal with its exit status, or what cannot be carried out.
pub fn verdict(prepared: &Prepared) -> Result<u8> {
    if !prepared.verdict.passed() {
        crate::policy::render::print(&prepared.verdict);
        return Ok(Kind::Runner.exit_code());
    }
    for line in prepared.verdict.unused_lines().iter().chain(&prepared.draft.notices) {
        crate::ui::note(line);
    }
    for line in &prepared.request.unsupported {
        crate::ui::warn(line);
    }
    Ok(if prepared.request.unsupported.is_empty() { 0 } else { Kind::Runner.exit_code() })
}

/// The request of this process's caller. Every verb that takes `run`'s words comes through here.
pub fn resolve(args: RunArgs) -> Result<Request> {
    let env = Env::from_process();
    Request::resolve(args, &env)
}

/// `-it` from a pipe or a file cannot work; docker's client exits with 1.
pub fn check_terminal(request: &Request) -> Result<()> {
    let attached = request.process.attach.map_or(request.process.interactive, |a| a.stdin);
    let wanted = request.process.tty && attached && !request.lifecycle.detach;
    if wanted && !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::UsageClient, "the input device is not a TTY"));
    }
    Ok(())
}

/// An id that is there already belongs to another container. The launcher opens the file so that this cannot be raced;
/// here it is said before an image is pulled.
pub fn check_cidfile(request: &Request) -> Result<()> {
    match &request.lifecycle.cidfile {
        Some(path) if path.symlink_metadata().is_ok() => Err(Error::runner(format!(
            "container ID file found, make sure the other container isn't running or delete {}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut Request)) -> Request {
        let mut request = Request::default();
        change(&mut request);
        request
    }

    #[test]
    fn a_cidfile_that_exists_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cid");
        let asked = request(|r| r.lifecycle.cidfile = Some(path.clone()));
        assert!(check_cidfile(&asked).is_ok());
        // A link that leads nowhere is something all the same.
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        let error = check_cidfile(&asked).unwrap_err();
        assert!(error.message.starts_with("container ID file found"));
        assert_eq!(error.kind.exit_code(), 125);
    }
}
