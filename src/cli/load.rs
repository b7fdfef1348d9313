//! `hardrun load`

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::image::archive;
use crate::image::store::Store;
use crate::observe::events::Event;
use crate::request::golang;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read from a docker archive, an OCI archive (either may be compressed with gzip or zstd) or an OCI layout folder;
    /// - or nothing: standard input
    #[arg(short, long, value_name = "FILE|DIR|-")]
    input: Option<PathBuf>,
    /// Accepted for docker's sake: there is no progress to be shown
    #[arg(short, long)]
    quiet: bool,
    /// Of an image for several platforms, load the one for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { input, quiet: _, platform } = args;
    let platform = platform.as_deref();
    let store = Store::open(&ctx.paths)?;
    let loaded = match input.as_deref().filter(|p| *p != Path::new("-")) {
        Some(path) if path.is_dir() => archive::load_folder(&store, path, platform)?,
        Some(path) => {
            let file = File::open(path)
                .map_err(|e| Error::verb(format!("open {}: {}", path.display(), golang::io_error(&e))))?;
            archive::load_archive(&store, file, platform)?
        }
        None => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                return Err(Error::verb("requested load from stdin, but stdin is empty")
                    .hint("hardrun load -i FILE    or: … | hardrun load"));
            }
            archive::load_archive(&store, stdin.lock(), platform)?
        }
    };
    for image in &loaded {
        store.note(Event::image("load", image.id.as_str(), image.id.as_str()), &image.id);
    }
    let mut out = std::io::stdout().lock();
    for image in loaded {
        match image.name {
            Some(name) => writeln!(out, "Loaded image: {}", name.familiar()),
            None => writeln!(out, "Loaded image ID: {}", image.id),
        }
        .verb_context(|| "writing to standard output".into())?;
    }
    Ok(0)
}
