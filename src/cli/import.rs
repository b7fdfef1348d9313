//! `hardrun import`

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::image::import::{self, Change, Options};
use crate::image::reference::Reference;
use crate::image::store::Store;
use crate::observe::events::Event;
use crate::request::golang;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Apply a Dockerfile instruction to the image: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL,
    /// HEALTHCHECK or ONBUILD
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message for the image
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Platform of the files, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// The archive (plain, gzip or zstd), or - for standard input
    #[arg(value_name = "FILE|-")]
    file: String,
    /// Name of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { change, message, platform, file, name } = args;
    let name = name.map(|text| Reference::from_str(&text)).transpose()?;
    if name.as_ref().is_some_and(|n| n.digest.is_some()) {
        return Err(Error::verb("cannot import digest reference"));
    }
    name.as_ref().map_or(Ok(()), super::tag::refuse_digest_like)?;
    let changes = change.iter().map(|text| Change::from_str(text)).collect::<Result<Vec<_>>>()?;
    let store = Store::open(&ctx.paths)?;
    let options = Options { changes, message, platform };
    let id = import::import(&store, open(&file)?, name.as_ref(), &options)?;
    if let Some(name) = &name {
        store.note(Event::image("tag", id.as_str(), &name.familiar()), &id);
    }
    store.note(Event::image("import", id.as_str(), id.as_str()), &id);
    writeln!(std::io::stdout(), "{id}").verb_context(|| "writing to standard output".into())?;
    Ok(0)
}

fn open(file: &str) -> Result<Box<dyn Read>> {
    if file == "-" {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            return Err(Error::verb("standard input is a terminal and not an archive")
                .hint("hardrun import FILE NAME    or: … | hardrun import - NAME"));
        }
        return Ok(Box::new(stdin.lock()));
    }
    if file.starts_with("http://") || file.starts_with("https://") {
        return Err(
            Error::verb("hardrun import does not download").hint(format!("curl -fsSL {file} | hardrun import - NAME"))
        );
    }
    let opened = File::open(file).map_err(|e| Error::verb(format!("open {file}: {}", golang::io_error(&e))))?;
    Ok(Box::new(opened))
}
