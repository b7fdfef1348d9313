//! `hardrun lock`

use super::Context;
use super::policy::script;
use super::registry_flags::{RegistryFlags, as_verb};
use crate::error::{Error, Result};
use crate::image::lock::{self, Lock};
use crate::image::reference::Reference;
use crate::image::registry;
use crate::image::store::{Image, Store};
use crate::request::PullPolicy;
use crate::ui;
use std::path::PathBuf;

/// Write down which digest each image has now. `run`, `create` and `pull` with --locked then take these and no others.
/// Names that are in the file already and not on the command line stay as they are
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The lock file
    #[arg(short, long, value_name = "FILE", default_value = lock::DEFAULT_NAME)]
    file: PathBuf,
    /// Also the images of every `docker run` and `hardrun run` in this script, or in the scripts of this folder
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Ask the registry also for images that are here
    #[arg(long)]
    pull: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    registry: RegistryFlags,
    /// Images
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { file, from, pull, quiet, registry, mut images } = args;
    let mut status = 0;
    for path in &from {
        for found in script::in_path(path)? {
            match super::policy::trial::image_of(&found) {
                Ok(image) if !images.contains(&image) => images.push(image),
                Ok(_) => {}
                Err(why) => {
                    ui::warn(&format!("{}: {why}: name its image on the command line", found.place()));
                    status = 1;
                }
            }
        }
    }
    if images.is_empty() {
        return Err(Error::verb("no image is named").hint("hardrun lock IMAGE…, or --from FOLDER with scripts"));
    }
    let mut lock = if file.exists() { Lock::read(&file).map_err(as_verb)? } else { Lock::default() };
    let options = registry.options(None, quiet)?;
    let store = Store::open(&ctx.paths)?;
    let policy = if pull { PullPolicy::Always } else { PullPolicy::Missing };
    for name in &images {
        let reference: Reference = name.parse().map_err(as_verb)?;
        let digest = match &reference.digest {
            Some(digest) => digest.clone(),
            None => digest_of(registry::ensure(&store, name, policy, &options).map_err(as_verb)?),
        };
        // A name with a digest alone has no tag to be found by: it says all by itself.
        if reference.tag.is_some() {
            let name = Reference { digest: None, ..reference }.to_string();
            if !quiet {
                ui::stdout(&format!("{name} {digest}\n"))?;
            }
            lock.images.insert(name, digest);
        }
    }
    lock.write(&file)?;
    Ok(status)
}

/// By which the registry knows it.
fn digest_of(image: Image) -> String {
    image.index_digest.unwrap_or(image.manifest_digest)
}
