//! `hardrun export`

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::observe::events::{self, Event};
use crate::state::lookup;
use crate::storage::copy;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Container by name or ID
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { output, container: name } = args;
    if output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::verb("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let container = lookup::find(&ctx.paths, &name)?;
    let write = |out: &mut dyn Write| -> Result<()> {
        // Without what is mounted: volumes, binds and the kernel's own file systems are not the container's.
        let mut visit = copy::read(&ctx.paths, &container, &name, "/", "", true)?;
        let copied = std::io::copy(&mut visit.stream, out);
        visit.finish()?;
        copied.verb_context(|| "writing the archive".into()).map(drop)
    };
    events::note(&ctx.paths, Event::container(&container.record, "export"));
    let Some(path) = output else {
        write(&mut std::io::stdout().lock())?;
        return Ok(0);
    };
    let say = || format!("writing {}", path.display());
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        write(&mut std::fs::OpenOptions::new().write(true).open(&path).verb_context(say)?)?;
        return Ok(0);
    }
    // A regular file appears as a whole or not at all.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".hardrun-export-").tempfile_in(folder).verb_context(say)?;
    write(file.as_file_mut())?;
    file.persist(&path).verb_context(say)?;
    Ok(0)
}
