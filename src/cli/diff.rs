//! `hardrun diff`

use super::Context;
use crate::error::Result;
use crate::state::lookup;
use crate::storage::changes::{changes, mount_points};
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container by name or ID
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let container = lookup::find(&ctx.paths, &args.container)?;
    let draft = &container.record.plan.draft;
    let base = container.status.base.unwrap_or(0);
    let found = changes(&container.folder.join("upper"), &draft.image.layers, &mount_points(draft), base)?;
    let line = |c: &crate::storage::changes::Change| {
        format!("{} /{}\n", c.kind.letter(), ui::clean(&c.path.to_string_lossy()))
    };
    ui::stdout(&found.iter().map(line).collect::<String>())?;
    Ok(0)
}
