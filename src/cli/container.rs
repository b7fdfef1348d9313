//! `hardrun container`: what has no verb of its own.

use super::Context;
use super::confirm::confirm;
use super::{prepare, pruned};
use crate::error::{Kind, Result};
use crate::image::prune::until;
use crate::image::store::Store;
use crate::observe::events::{self, Event};
use crate::observe::filter::Filters;
use crate::request::parse_bool;
use crate::state::{Container, Folder, lookup};
use crate::storage::volumes;
use crate::ui;
use jiff::Timestamp;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

// `container run`, `container ls` and the like become their own verbs before they are parsed: see `words`.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Remove all containers that do not run
    Prune {
        /// Only some: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
        #[arg(long, value_name = "FILTER")]
        filter: Vec<String>,
        /// Do not ask
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
    },
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let What::Prune { filter, force } = args.what;
    let filters = Filters::parse_pruning(&filter, FILTERS)?;
    if !force && !confirm("all stopped containers.")? {
        return Ok(0);
    }
    let pruned = prune(ctx, &filters)?;
    ui::stdout(&(pruned::list("Containers", &pruned.ids) + &pruned::reclaimed(pruned.reclaimed)))?;
    Ok(0)
}

/// The filters of prunes.
pub const FILTERS: &[&str] = &["label", "label!", "until"];

/// What went: ids, and bytes of files.
#[derive(Debug, Default)]
pub struct Pruned {
    pub ids: Vec<String>,
    pub reclaimed: u64,
}

/// Remove what does not run. One that cannot be removed is said, and the others go.
pub fn prune(ctx: &Context, filters: &Filters) -> Result<Pruned> {
    prepare::sweep(ctx)?;
    let now = Timestamp::now();
    let mut before = None;
    for text in filters.values("until") {
        before = Some(until(text, now)?);
    }
    let (containers, damaged) = lookup::all(&ctx.paths)?;
    damaged.iter().for_each(ui::error);
    let mut pruned = Pruned::default();
    let mut images = Vec::new();
    for container in containers {
        let record = &container.record;
        if !filters.labels(&record.plan.draft.labels) || before.is_some_and(|b| record.created.0 >= b) {
            continue;
        }
        let size = volumes::size(&container.folder.join("upper"));
        match remove(ctx, &container) {
            Ok(true) => {
                images.push(record.plan.draft.image.manifest_digest.clone());
                pruned.ids.push(record.id.clone());
                pruned.reclaimed += size;
            }
            Ok(false) => {}
            Err(e) => ui::error(&e),
        }
    }
    release(ctx, &images)?;
    events::note(&ctx.paths, Event::prune("container", pruned.reclaimed));
    Ok(pruned)
}

/// Whether it was there, did not run, and is gone. Its state is asked under its lock: it may be started just now.
fn remove(ctx: &Context, container: &Container) -> Result<bool> {
    let Some(folder) = Folder::open_now(&container.folder)? else { return Ok(false) };
    let record = folder.record()?;
    crate::launch::remove(&ctx.paths, folder, &record, false).map_err(|e| e.of_kind(Kind::Verb))?;
    Ok(true)
}

/// What only these containers needed of an image that was removed before them.
fn release(ctx: &Context, manifests: &[String]) -> Result<()> {
    if manifests.is_empty() {
        return Ok(());
    }
    let store = Store::open(&ctx.paths)?;
    manifests.iter().filter(|m| !m.is_empty()).try_for_each(|manifest| store.release(manifest))
}
