//! `hardrun ps`

use super::Context;
use crate::error::{Error, Result};
use crate::image::store::Store;
use crate::observe::format::list::Listing;
use crate::observe::ps::filter::Wanted;
use crate::observe::ps::{COLUMNS, Entry, TABLE, TABLE_WITH_SIZE};
use crate::observe::sizes;
use crate::request::parse_bool;
use crate::state::{Container, lookup};
use crate::ui;
use jiff::Timestamp;
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show all containers, not just those that run
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    all: bool,
    /// Only some: ancestor=, before=, exited=, expose=, health=, id=, is-task=, label=, name=, network=, publish=, since=, status=, volume=
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `table`, `json`, or a template such as '{{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the last containers that were made, in any state
    #[arg(short = 'n', long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = number, default_value = "-1", hide_default_value = true)]
    last: i64,
    /// Show the container that was made last, in any state
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    latest: bool,
    /// Don't truncate output
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    no_trunc: bool,
    /// Only show container IDs
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    quiet: bool,
    /// Show sizes of files
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    size: bool,
}

/// In the words of Go's flags.
fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { all, filter, format, last, latest, no_trunc, quiet, size } = args;
    let columns = if size { TABLE_WITH_SIZE } else { TABLE };
    let listing = Listing::parse(format.as_deref(), columns, quiet.then_some("ID"));
    let listing = listing.map_err(|e| in_words(e, "failed to parse template"))?;
    let store = Store::open(&ctx.paths)?;
    let image_id = |name: &str| store.described(name).ok().map(|d| d.id);
    let wanted = Wanted::parse(&filter, &|name| store.family(name))?;
    let (found, damaged) = lookup::all(&ctx.paths)?;
    damaged.iter().for_each(ui::error);
    let mut chosen = wanted.choose(found, &|name| lookup::id_of(&ctx.paths, name))?;
    let most = if latest { 1 } else { last };
    if !all && !wanted.wants_all() && most <= 0 {
        chosen.retain(|c| c.status.state.is_up());
    }
    if most > 0 {
        chosen.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    let with_size = size || listing.wants("Size");
    let now = Timestamp::now();
    let mut names = BTreeMap::new();
    let entry = |container: Container| {
        let image = &container.record.plan.draft.image;
        let current = names.entry(image.reference.clone()).or_insert_with(|| image_id(&image.reference));
        // The name may be another image's by now.
        let same = image.config_digest.is_empty() || current.as_ref() == Some(&image.config_digest);
        Entry {
            image: if same { image.reference.clone() } else { image.config_digest.clone() },
            size: if with_size { sizes::of(&store, &container) } else { (0, 0) },
            now,
            no_trunc,
            container,
        }
    };
    let rows: Vec<Entry> = chosen.into_iter().map(entry).collect();
    let text = listing.render(&COLUMNS, &rows, ui::on_terminal());
    ui::stdout(&text.map_err(|e| in_words(e, "failed to execute template"))?)?;
    Ok(0)
}

/// Docker's `ps` looks through the template before it lists anything, and has words of its own for what is wrong then.
fn in_words(error: Error, words: &str) -> Error {
    let message = error.message.replacen("template parsing error", words, 1);
    Error { message, ..error }
}
