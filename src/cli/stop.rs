//! `hardrun stop`, `kill`, `wait`, `pause`, `unpause`: short words with a supervisor.

use super::{Context, each, prepare};
use crate::control::{Answer, Ask, Client};
use crate::error::{Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::request::Signal;
use crate::state::{Container, lookup};
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL")]
    pub(super) signal: Option<String>,
    /// Seconds to wait before the container is killed
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS", allow_hyphen_values = true)]
    pub(super) timeout: Option<i64>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    pub(super) containers: Vec<String>,
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

pub(super) fn signal(word: &str) -> Result<i32> {
    Signal::from_str(word).map(|s| s.0).map_err(|_| Error::verb(format!("Invalid signal: {word}")))
}

pub fn stop(args: StopArgs, ctx: &Context) -> Result<u8> {
    prepare::sweep(ctx)?;
    let signal = args.signal.as_deref().map(signal).transpose()?;
    let wish = Ask::Stop { signal, seconds: args.timeout };
    // All are told before any is waited for.
    let ask = |name: &String| {
        let container = lookup::find(&ctx.paths, name)?;
        Ok((ask_to_stop(ctx, &container, &wish)?, container))
    };
    let asked: Vec<Result<(Option<Client>, Container)>> = args.containers.iter().map(ask).collect();
    let mut asked = asked.into_iter();
    each::print(&args.containers, |_| match asked.next() {
        Some(Ok((Some(client), container))) => stopped(ctx, client, &container, &wish),
        Some(Ok((None, _))) | None => Ok(()),
        Some(Err(e)) => Err(e),
    })
}

/// Wait until a container that was asked to stop has. Its supervisor may have replaced itself for the next start before it read the
/// question: then it is asked again.
pub(super) fn stopped(ctx: &Context, client: Client, container: &Container, wish: &Ask) -> Result<()> {
    let mut client = client;
    while client.ended()?.is_none() {
        match ask_to_stop(ctx, container, wish)? {
            Some(next) => client = next,
            None => break,
        }
    }
    events::note(&ctx.paths, Event::container(&container.record, "stop"));
    Ok(())
}

/// `None`: it does not run, which docker is content with.
pub(super) fn ask_to_stop(ctx: &Context, container: &Container, wish: &Ask) -> Result<Option<Client>> {
    while let Some(client) = connect(ctx, container)? {
        if client.sent(wish)? {
            return Ok(Some(client));
        }
    }
    Ok(None)
}

/// A connection to the container's supervisor. `None`: it does not run any more, or is gone.
fn connect(ctx: &Context, container: &Container) -> Result<Option<Client>> {
    match lookup::find(&ctx.paths, container.id()) {
        Ok(now) if now.alive && now.status.state.is_up() => Client::connect(&now.folder),
        Ok(_) => Ok(None),
        Err(_) if !container.folder.exists() => Ok(None),
        Err(e) => Err(e),
    }
}

pub fn kill(args: KillArgs, ctx: &Context) -> Result<u8> {
    let number = signal(&args.signal)?;
    each::print(&args.containers, |name| {
        let not_running = |e: Error| {
            let told = Error::verb(format!("Cannot kill container: {name}: {}", e.chain().join(": ")));
            Error { hint: e.hint, ..told }
        };
        let container = lookup::find(&ctx.paths, name).map_err(not_running)?;
        if !container.status.state.is_up() {
            return Err(not_running(Error::verb(format!("Container {} is not running", container.id()))));
        }
        send_signal(ctx, &container, number).map_err(|e| not_running(e).of_kind(Kind::Verb))?;
        // As docker: what is killed for good is gone when this returns.
        while number == libc::SIGKILL
            && let Some(client) = connect(ctx, &container)?
        {
            if !client.sent(&Ask::Wait)? {
                continue;
            }
            match client.answer()? {
                Some((Answer::Ended { .. }, _)) => break,
                // So many wait already that one more is not taken.
                Some((Answer::Failed(_), _)) => std::thread::sleep(Duration::from_millis(20)),
                _ => {}
            }
        }
        Ok(())
    })
}

/// # Errors
/// Docker's, where it does not run.
fn send_signal(ctx: &Context, container: &Container, number: i32) -> Result<()> {
    while let Some(client) = connect(ctx, container)? {
        if !client.sent(&Ask::Signal { number })? {
            continue;
        }
        match client.answer()? {
            Some((Answer::Failed(error), _)) => return Err(error.into_error()),
            Some(_) => return Ok(()),
            // Between two starts its supervisor replaced itself before it read the question.
            None => {}
        }
    }
    Err(Error::verb(format!("Container {} is not running", container.id())))
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
        if client.sent(&Ask::Wait)?
            && let Some(code) = client.ended()?
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
