//! `hardrun image`: what has no verb of its own.

use super::confirm::confirm;
use super::{Context, pruned};
use crate::error::Result;
use crate::image::gc::Removed;
use crate::image::prune::Filter;
use crate::image::store::Store;
use crate::request::parse_bool;
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

// `image ls`, `image rm` and the like become their own verbs before they are parsed: see `words`.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Remove unused images
    Prune {
        /// Remove all images that no container uses, not just those without a name
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        all: bool,
        /// Only some: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
        #[arg(long, value_name = "FILTER")]
        filter: Vec<String>,
        /// Do not ask
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
    },
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Prune { all, filter, force } => prune(all, &filter, force, ctx),
    }
}

fn prune(all: bool, filters: &[String], force: bool, ctx: &Context) -> Result<u8> {
    let filters = Filter::all(filters)?;
    let what = match all {
        true => "all images without at least one container associated to them.",
        false => "all dangling images.",
    };
    if !force && !confirm(what)? {
        return Ok(0);
    }
    let pruned = Store::open(&ctx.paths)?.prune(all, &filters)?;
    let lines: Vec<String> = pruned.removed.iter().flat_map(lines).collect();
    ui::stdout(&(pruned::list("Images", &lines) + &pruned::reclaimed(pruned.reclaimed)))?;
    Ok(0)
}

/// Docker's lines for an image that was pruned.
pub fn lines(removed: &Removed) -> impl Iterator<Item = String> + use<'_> {
    let untagged = removed.untagged.iter().map(|name| format!("untagged: {name}"));
    untagged.chain(removed.deleted.iter().map(|digest| format!("deleted: {digest}")))
}
