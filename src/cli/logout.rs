//! `hardrun logout`

use super::Context;
use crate::error::Result;
use crate::image::registry::{self, Server};
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Registry; docker.io without one
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    let server = Server::parse(args.server.as_deref())?;
    ui::stdout(&format!("Removing login credentials for {}\n", ui::clean(&server.key)))?;
    if let Err(e) = registry::logout(&server) {
        // As docker: said, and no failure.
        ui::warn(&format!("could not erase credentials: {}", e.chain().join(": ")));
    }
    Ok(0)
}
