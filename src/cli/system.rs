//! `hardrun system`: what has no verb of its own.

use super::container::{self, FILTERS};
use super::{Context, confirm, df, network, pruned};
use crate::error::{Error, Result};
use crate::image::prune::Filter;
use crate::image::store::Store;
use crate::observe::filter::Filters;
use crate::request::parse_bool;
use crate::storage::volumes;
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

// `system start-all` and `system events` become their own verbs before they are parsed: see `words`.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what images, containers and volumes take on the disk
    Df(df::Args),
    /// Remove what nobody uses: containers, networks, images and, if asked for, volumes
    Prune(PruneArgs),
}

#[derive(Debug, clap::Args)]
struct PruneArgs {
    /// Remove all images that no container uses, not just those without a name
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    all: bool,
    /// Only some: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    force: bool,
    /// Remove anonymous volumes too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    volumes: bool,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Df(args) => df::run(&args, ctx),
        What::Prune(args) => prune(&args, ctx),
    }
}

fn prune(args: &PruneArgs, ctx: &Context) -> Result<u8> {
    let filters = Filters::parse_pruning(&args.filter, FILTERS)?;
    if args.volumes && filters.has("until") {
        return Err(Error::verb("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    if !args.force && !confirm::ask(&warning(args))? {
        return Ok(0);
    }
    let containers = container::prune(ctx, &filters)?;
    let mut text = pruned::list("Containers", &containers.ids);
    let mut reclaimed = containers.reclaimed;
    text += &pruned::list("Networks", &network::pruned(ctx, &filters)?);
    if args.volumes {
        let pruned = volumes::prune(&ctx.paths, false, &|volume| !filters.labels(&volume.labels))?;
        text += &pruned::list("Volumes", &pruned.names);
        reclaimed += pruned.reclaimed;
    }
    let of_images = Filter::all(&args.filter)?;
    let images = Store::open(&ctx.paths)?.prune(args.all, &of_images)?;
    let lines: Vec<String> = images.removed.iter().flat_map(super::image::lines).collect();
    text += &pruned::list("Images", &lines);
    reclaimed += images.reclaimed;
    ui::stdout(&(text + &pruned::reclaimed(reclaimed)))?;
    Ok(0)
}

/// Docker's words.
fn warning(args: &PruneArgs) -> String {
    let mut lines = vec!["all stopped containers", "all networks not used by at least one container"];
    if args.volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.push(match args.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    });
    let mut text = "WARNING! This will remove:\n".to_owned();
    lines.iter().for_each(|line| text.push_str(&format!("  - {line}\n")));
    if !args.filter.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        args.filter.iter().for_each(|filter| text.push_str(&format!("  - {filter}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        let args = PruneArgs { all: true, filter: vec!["label=x".into()], force: false, volumes: true };
        assert_eq!(
            warning(&args),
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  \
             - all anonymous volumes not used by at least one container\n  - all images without at least one container \
             associated to them\n\n  Items to be pruned will be filtered with:\n  - label=x\n"
        );
    }
}
