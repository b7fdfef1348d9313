//! `hardrun pull`

use super::Context;
use super::registry_flags::{RegistryFlags, as_verb};
use crate::error::{Context as _, Error, Result};
use crate::image::lock::{self, Lock};
use crate::image::reference::Reference;
use crate::image::registry::{self, Channel};
use crate::image::store::Store;
use crate::request::parse_bool;
use crate::ui;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Download all tagged images in the repository
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    all_tags: bool,
    /// Platform of the image if the registry has several, such as linux/arm64
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM", value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Print nothing but the name
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    quiet: bool,
    /// Only what a lock file names, by the digest in it; hardrun.lock unless another file is named
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = lock::DEFAULT_NAME, value_name = "FILE")]
    locked: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryFlags,
    /// Accepted and without effect: content trust was removed from docker
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    disable_content_trust: Option<bool>,
    /// Name of the image, with its registry unless it is docker.io
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { all_tags, platform, quiet, locked, registry, disable_content_trust, name } = args;
    if disable_content_trust == Some(false) {
        ui::note(
            "--disable-content-trust=false has no effect: docker's content trust was removed; pin the image by digest instead",
        );
    }
    let options = registry.options(platform, quiet)?;
    let mut reference = Reference::parse_bare(&name).map_err(as_verb)?;
    if all_tags && (reference.tag.is_some() || reference.digest.is_some()) {
        return Err(Error::verb("tag can't be used with --all-tags/-a"));
    }
    if let Some(file) = &locked {
        if all_tags {
            return Err(Error::verb("--locked names single images: it can't be used with --all-tags/-a"));
        }
        reference = Lock::read(file).and_then(|lock| lock.pin(&name, file)).map_err(as_verb)?;
    }
    if !all_tags && reference.tag.is_none() && reference.digest.is_none() {
        reference = reference.with_tag("latest").map_err(as_verb)?;
        if !quiet {
            // Docker's line.
            println!("Using default tag: latest");
        }
    }
    let store = Store::open(&ctx.paths)?;
    registry::pull(&store, &reference, &options, all_tags, Channel::Stdout)?;
    writeln!(std::io::stdout(), "{}", ui::clean(&reference.to_string()))
        .verb_context(|| "writing to standard output".into())?;
    Ok(0)
}
