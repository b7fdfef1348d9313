//! `hardrun rmi`

use super::Context;
use crate::error::{Context as _, Result};
use crate::image::store::Store;
use crate::ui;
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove an image with several names, or the name of one that is in use
    #[arg(short, long)]
    force: bool,
    /// Accepted for docker's sake: hardrun keeps no untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Images by name or ID
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { force, no_prune: _, images } = args;
    let store = Store::open(&ctx.paths)?;
    let mut failed = false;
    for name in &images {
        match store.remove(name, force) {
            Ok(removed) => {
                let mut out = std::io::stdout().lock();
                let untagged = removed.untagged.iter().map(|name| format!("Untagged: {name}"));
                let deleted = removed.deleted.iter().map(|digest| format!("Deleted: {digest}"));
                for line in untagged.chain(deleted) {
                    writeln!(out, "{line}").verb_context(|| "writing to standard output".into())?;
                }
            }
            Err(e) => {
                ui::error(&e);
                // With -f docker mentions an image that is not there, and is content.
                failed |= !force || !e.message.starts_with("No such image");
            }
        }
    }
    Ok(u8::from(failed))
}
