//! `hardrun tag`

use super::Context;
use crate::error::{Error, Result};
use crate::image::reference::Reference;
use crate::image::store::Store;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name or ID of the image
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,
    /// Its other name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { source, target } = args;
    let name: Reference = target
        .parse()
        .map_err(|e: Error| Error::verb(format!("\"{target}\" is not a valid repository/tag")).because(e))?;
    if name.digest.is_some() {
        return Err(Error::verb("refusing to create a tag with a digest reference"));
    }
    refuse_digest_like(&name)?;
    Store::open(&ctx.paths)?.tag(&source, &name)?;
    Ok(0)
}

/// A name that reads as an image's ID would be one thing to whoever reads it and another to the store.
pub fn refuse_digest_like(name: &Reference) -> Result<()> {
    match name.looks_like_digest() {
        true => Err(Error::verb("refusing to create an ambiguous tag using digest algorithm as name")),
        false => Ok(()),
    }
}
