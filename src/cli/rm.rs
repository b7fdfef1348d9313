//! `hardrun rm` and `rename`

use super::{Context, prepare};
use crate::control::{Answer, Ask, Client};
use crate::error::{Error, Kind, Result};
use crate::image::store::Store;
use crate::state::{Container, Folder, State, folder, lookup, names};
use std::time::{Duration, Instant};

/// How long `-f` waits for a container that is on its way up: a start takes as long as the host is busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kill a container that runs
    #[arg(short, long)]
    force: bool,
    /// Remove the container's anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
    /// Remove a link (there are none)
    #[arg(short, long)]
    link: bool,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct RenameArgs {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Its new name
    #[arg(value_name = "NEW_NAME")]
    name: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    prepare::sweep(ctx)?;
    if args.link {
        return Err(Error::verb("there are no links between containers to remove").hint("use a network with aliases"));
    }
    let mut status = 0;
    for name in &args.containers {
        match remove(ctx, name, args.force, args.volumes) {
            Ok(true) => crate::ui::stdout(&format!("{name}\n"))?,
            // As docker: with -f a container that is not there is said, and is no failure.
            Ok(false) => {}
            Err(e) => {
                crate::ui::error(&e);
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Whether it was there.
fn remove(ctx: &Context, name: &str, force: bool, volumes: bool) -> Result<bool> {
    let id = match lookup::id_of(&ctx.paths, name) {
        Ok(id) => id,
        Err(e) if force && e.message.starts_with("No such container") => {
            crate::ui::error(&e);
            return Ok(false);
        }
        Err(e) => return Err(e),
    };
    let give_up = Instant::now() + PATIENCE;
    let folder = loop {
        match lookup::find(&ctx.paths, &id) {
            // Also one on its way up: what is asked then is answered as soon as it runs.
            Ok(container) if container.alive && (force || container.status.state.is_up()) => end(&container, force)?,
            Ok(_) => {}
            // Its record is damaged: it can still be removed.
            Err(e) if !force => return Err(e.hint("remove it with -f")),
            Err(_) => {}
        }
        let lost = force && !folder::has_lock(&ctx.paths.containers().join(&id));
        if lost && let Ok(container) = lookup::find(&ctx.paths, &id) {
            // Whether it has a supervisor is not known without its lock: one that answers ends it.
            end(&container, force)?;
        }
        let opened = if lost { Folder::open_without_lock(&ctx.paths, &id) } else { Folder::open(&ctx.paths, &id) };
        if let Some(folder) = opened? {
            break folder;
        }
        // Removed by its own supervisor (--rm), or by somebody else.
        if !ctx.paths.containers().join(&id).exists() {
            return Ok(true);
        }
        // On its way up, for the first time or once more: it is ended as soon as it can be told to.
        if !force || Instant::now() > give_up {
            return Err(Error::verb(format!("container {name} is being started or stopped just now")));
        }
    };
    let verb = |e: Error| e.of_kind(Kind::Verb);
    match folder.record() {
        Ok(record) => {
            crate::launch::remove(&ctx.paths, folder, &record, volumes).map_err(verb)?;
            let image = &record.plan.draft.image.manifest_digest;
            // The container is gone; what only it needed of an image is freed with the next command otherwise.
            if let Err(e) = Store::open(&ctx.paths).and_then(|store| store.release(image)) {
                crate::ui::warn(&format!("the image store was not cleaned: {}", e.chain().join(": ")));
            }
        }
        Err(_) => folder.remove(&ctx.paths).map_err(verb)?,
    }
    Ok(true)
}

fn end(container: &Container, force: bool) -> Result<()> {
    if !force {
        let (what, how) = match container.status.state {
            State::Paused => {
                ("paused", "Unpause and then stop the container before attempting removal or force remove")
            }
            State::Restarting => ("restarting", "Stop the container before attempting removal or force remove"),
            _ => ("running", "Stop the container before attempting removal or force remove"),
        };
        return Err(Error::verb(format!("You cannot remove a {what} container {}. {how}", container.id())));
    }
    // One that does not answer yet is asked again.
    let Ok(Some(client)) = Client::connect(&container.folder) else { return Ok(()) };
    // Both: a kill at once, and the word that no restart is wanted.
    match client.send(&Ask::Stop { signal: Some(libc::SIGKILL), seconds: Some(0) }) {
        Ok(()) => client.ended().map(drop),
        // It ends just now.
        Err(_) => Ok(()),
    }
}

/// `--replace`: a container of that name goes first.
pub fn replace(ctx: &Context, name: &str) -> Result<()> {
    if names::holder(&ctx.paths, name).is_none() {
        return Ok(());
    }
    remove(ctx, name, true, true).map(drop)
}

pub fn rename(args: RenameArgs, ctx: &Context) -> Result<u8> {
    prepare::sweep(ctx)?;
    let failed = format!("failed to rename container named {}", args.container);
    // What docker's engine says, then what its client makes of it.
    give_name(args, ctx).map_err(|e| {
        crate::ui::error(&e);
        Error::verb(failed)
    })
}

fn give_name(args: RenameArgs, ctx: &Context) -> Result<u8> {
    let container = lookup::find(&ctx.paths, &args.container)?;
    let name = crate::request::parse_name(args.name.trim_start_matches('/'))
        .map_err(Error::verb)?
        .ok_or_else(|| Error::verb("Neither old nor new names may be empty"))?;
    if name == container.record.name {
        return Err(Error::verb("Renaming a container with the same name as its current name"));
    }
    let verb = |e: Error| e.of_kind(Kind::Verb);
    let give_up = Instant::now() + PATIENCE;
    // Whoever has its lock writes its record: a supervisor, which may come, go, or replace itself for the next start.
    while Instant::now() < give_up {
        if let Some(client) = Client::connect(&container.folder)? {
            if client.send(&Ask::Rename { name: name.clone() }).is_ok() {
                match client.answer()? {
                    Some((Answer::Failed(error), _)) => return Err(verb(error.into_error())),
                    Some(_) => return Ok(0),
                    None => {}
                }
            }
        } else if let Some(folder) = Folder::open(&ctx.paths, container.id())? {
            let mut record = folder.record()?;
            return crate::launch::rename(&ctx.paths, &folder, &mut record, name).map(|()| 0).map_err(verb);
        } else if !container.folder.exists() {
            return Err(Error::verb(format!("No such container: {}", args.container)));
        }
    }
    Err(Error::verb(format!("container {} is being started or removed just now", args.container)))
}
