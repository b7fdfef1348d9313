//! `hardrun commit`

use super::Context;
use super::registry_flags::as_verb;
use crate::control::{Ask, Client};
use crate::error::{Error, Result};
use crate::image::commit::{self, Options};
use crate::image::import::Change;
use crate::image::reference::Reference;
use crate::image::store::Store;
use crate::observe::events::{self, Event};
use crate::request::parse_bool;
use crate::state::{Container, State, lookup};
use crate::ui;
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who made it, such as "Jane Doe <jane@example.com>"
    #[arg(short, long, value_name = "AUTHOR")]
    author: Option<String>,
    /// Apply a Dockerfile instruction to the image: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL,
    /// HEALTHCHECK or ONBUILD
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Pause the container meanwhile (on by default)
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "true", hide_default_value = true, value_name = "BOOL")]
    pause: bool,
    /// Container by name or ID
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Name of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

/// A container that goes on when this is dropped. Killed in between, `hardrun unpause` lets it go on.
struct Paused(Client);

impl Paused {
    fn new(container: &Container) -> Result<Paused> {
        let client = Client::to(container)?;
        client.ask(&Ask::Pause)?;
        Ok(Paused(client))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Err(e) = self.0.ask(&Ask::Unpause) {
            ui::error(&e);
        }
    }
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { author, change, message, pause, container, name } = args;
    let name = name.map(|text| Reference::from_str(&text)).transpose().map_err(as_verb)?;
    if name.as_ref().is_some_and(|n| n.digest.is_some()) {
        return Err(Error::verb("cannot commit to digest reference"));
    }
    name.as_ref().map_or(Ok(()), super::tag::refuse_digest_like)?;
    let changes = change.iter().map(|text| Change::from_str(text)).collect::<Result<Vec<_>>>()?;
    let container = lookup::find(&ctx.paths, &container)?;
    let store = Store::open(&ctx.paths)?;
    let options = Options { author: author.unwrap_or_default(), message: message.unwrap_or_default(), changes };
    // A paused one stays as it is.
    let paused = if pause && container.is_running() && container.status.state == State::Running {
        match Paused::new(&container) {
            Err(e) if crate::rootless::current().is_some() => {
                crate::ui::note(&format!("{}: what it writes meanwhile may be in the image in part", e.message));
                None
            }
            paused => Some(paused?),
        }
    } else {
        None
    };
    let id = commit::commit(&store, &container, name.as_ref(), &options);
    if let Ok(id) = &id {
        let named = name.as_ref().map(|n| n.familiar()).unwrap_or_default();
        if !named.is_empty() {
            store.note(Event::image("tag", id.as_str(), &named), id);
        }
        let event = Event::container(&container.record, "commit").with("comment", &options.message);
        events::note(&ctx.paths, event.with("imageID", id).with("imageRef", named));
    }
    drop(paused);
    let id = id?;
    ui::stdout(&format!("{id}\n"))?;
    Ok(0)
}
