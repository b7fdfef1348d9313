//! `hardrun stop`, `restart`, `kill`, `wait`, `pause`, `unpause`: short words with a supervisor.

use super::{Context, each, prepare, start};
use crate::control::{self, Answer, Ask, Client};
use crate::error::{Error, Result};
use crate::observe::events::{self, Event};
use crate::request::Signal;
use crate::state::{Container, lookup};
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Seconds to wait before the container is killed
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<i64>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct KillArgs {
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct NamesArgs {
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

fn signal(word: &str) -> Result<i32> {
    Signal::from_str(word).map(|s| s.0).map_err(|_| Error::verb(format!("Invalid signal: {word}")))
}

pub fn stop(args: StopArgs, ctx: &Context) -> Result<u8> {
    prepare::sweep(ctx)?;
    let signal = args.signal.as_deref().map(signal).transpose()?;
    // All are told before any is waited for.
    let ask = |name: &String| {
        let container = lookup::find(&ctx.paths, name)?;
        Ok((ask_to_stop(&container, signal, args.timeout)?, container))
    };
    let asked: Vec<Result<(Option<Client>, Container)>> = args.containers.iter().map(ask).collect();
    let mut asked = asked.into_iter();
    each::print(&args.containers, |_| match asked.next() {
        Some(Ok((Some(client), container))) => stopped(ctx, &client, &container),
        Some(Ok((None, _))) | None => Ok(()),
        Some(Err(e)) => Err(e),
    })
}

fn stopped(ctx: &Context, client: &Client, container: &Container) -> Result<()> {
    ended(client)?;
    events::note(&ctx.paths, Event::container(&container.record, "stop"));
    Ok(())
}

/// `None`: it does not run, which docker is content with.
fn ask_to_stop(container: &Container, signal: Option<i32>, seconds: Option<i64>) -> Result<Option<Client>> {
    if !container.alive || !container.status.state.is_up() {
        return Ok(None);
    }
    let Some(client) = Client::connect(&container.folder)? else { return Ok(None) };
    // A supervisor that ends just now takes no message any more, and needs none.
    Ok(client.send(&Ask::Stop { signal, seconds }).is_ok().then_some(client))
}

/// Wait until the container has ended. A supervisor that has gone without a word has taken the container with it.
pub fn ended(client: &Client) -> Result<()> {
    answer(client).map(drop)
}

/// The exit code of the container, when it has ended; `None`: its supervisor has gone without a word.
fn answer(client: &Client) -> Result<Option<i32>> {
    loop {
        match client.answer()? {
            Some((Answer::Ended { code, .. }, _)) => return Ok(Some(code)),
            Some((Answer::Failed(error), _)) => return Err(error.into_error()),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

pub fn restart(args: StopArgs, ctx: &Context) -> Result<u8> {
    // Before anything is stopped: it could not be started again.
    crate::site::load()?;
    prepare::sweep(ctx)?;
    let signal = args.signal.as_deref().map(signal).transpose()?;
    each::print(&args.containers, |name| {
        let container = lookup::find(&ctx.paths, name)?;
        start::may(ctx, &container)?;
        if let Some(client) = ask_to_stop(&container, signal, args.timeout)? {
            stopped(ctx, &client, &container)?;
        }
        // As it is now: no supervisor of before counts.
        let container = Container { alive: false, ..lookup::find(&ctx.paths, name)? };
        start::start(ctx, &container, control::Streams::default())?;
        events::note(&ctx.paths, Event::container(&container.record, "restart"));
        Ok(())
    })
}

pub fn kill(args: KillArgs, ctx: &Context) -> Result<u8> {
    let number = signal(&args.signal)?;
    each::print(&args.containers, |name| {
        let not_running = |e: Error| Error::verb(format!("Cannot kill container: {name}: {}", e.message));
        let container = lookup::find(&ctx.paths, name).map_err(not_running)?;
        if !container.status.state.is_up() {
            return Err(not_running(Error::verb(format!("Container {} is not running", container.id()))));
        }
        let client = Client::to(&container).map_err(not_running)?;
        client.ask(&Ask::Signal { number })?;
        // As docker: what is killed for good is gone when this returns.
        if number == libc::SIGKILL
            && let Some(client) = Client::connect(&container.folder)?
            && client.send(&Ask::Wait).is_ok()
        {
            ended(&client)?;
        }
        Ok(())
    })
}

pub fn wait(args: NamesArgs, ctx: &Context) -> Result<u8> {
    let mut status = 0;
    for name in &args.containers {
        match wait_for(name, ctx) {
            Ok(code) => crate::ui::stdout(&format!("{code}\n"))?,
            Err(e) => {
                crate::ui::error(&e);
                status = 1;
            }
        }
    }
    Ok(status)
}

fn wait_for(name: &str, ctx: &Context) -> Result<i32> {
    let container = lookup::find(&ctx.paths, name)?;
    if container.alive
        && container.status.state.is_up()
        && let Some(client) = Client::connect(&container.folder)?
    {
        if client.send(&Ask::Wait).is_ok()
            && let Some(code) = answer(&client)?
        {
            return Ok(code);
        }
        // It ended just then, or its supervisor was killed: the status tells.
        return lookup::find(&ctx.paths, container.id()).map(|now| now.status.exit_code);
    }
    Ok(container.status.exit_code)
}

pub fn pause(args: NamesArgs, ctx: &Context) -> Result<u8> {
    each::print(&args.containers, |name| ask(ctx, name, &Ask::Pause))
}

pub fn unpause(args: NamesArgs, ctx: &Context) -> Result<u8> {
    each::print(&args.containers, |name| {
        let container = lookup::find(&ctx.paths, name)?;
        if !container.alive {
            return Err(Error::verb(format!("Container {} is not paused", container.id())));
        }
        ask(ctx, name, &Ask::Unpause)
    })
}

fn ask(ctx: &Context, name: &str, ask: &Ask) -> Result<()> {
    let container = lookup::find(&ctx.paths, name)?;
    if !container.is_running() {
        return Err(Error::verb(format!("Container {} is not running", container.id())));
    }
    Client::to(&container)?.ask(ask).map(drop).map_err(|e| e.of_kind(crate::error::Kind::Verb))
}
