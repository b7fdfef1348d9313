//! `hardrun save`

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::image::digest::Digest;
use crate::image::store::Store;
use crate::observe::events::Event;
use std::fs::OpenOptions;
use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Save the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Images by name or ID; a repository without a tag stands for all its tags
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { output, platform, images } = args;
    let store = Store::open(&ctx.paths)?;
    let platform = platform.as_deref();
    match output {
        None if std::io::stdout().is_terminal() => {
            return Err(Error::verb("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
        }
        None => store.save(&images, platform, BufWriter::with_capacity(1 << 17, std::io::stdout().lock()))?,
        Some(path) => save_to(&store, &images, platform, &path)?,
    }
    for name in &images {
        // A repository stands for all its tags: docker notes what its name alone means.
        if let Ok(found) = store.described(name)
            && let Ok(id) = Digest::parse(&found.id)
        {
            store.note(Event::image("save", id.as_str(), id.as_str()), &id);
        }
    }
    Ok(0)
}

/// A regular file appears as a whole or not at all; a pipe or device is written to as it is.
fn save_to(store: &Store, images: &[String], platform: Option<&str>, path: &Path) -> Result<()> {
    let say = || format!("writing {}", path.display());
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        let file = OpenOptions::new().write(true).open(path).verb_context(say)?;
        return store.save(images, platform, file);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".hardrun-save-").tempfile_in(folder).verb_context(say)?;
    store.save(images, platform, BufWriter::with_capacity(1 << 17, file.as_file_mut()))?;
    file.persist(path).verb_context(say)?;
    Ok(())
}
