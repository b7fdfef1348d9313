//! `hardrun top`

use super::Context;
use crate::error::{Error, Result};
use crate::observe::events::{self, Event};
use crate::observe::top;
use crate::state::{State, lookup};
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container, and options for ps
    #[arg(value_name = "CONTAINER [ps OPTIONS]", trailing_var_arg = true, allow_hyphen_values = true, required = true, num_args = 1..)]
    words: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Some((name, options)) = args.words.split_first() else {
        return Err(Error::verb("\"hardrun top\" requires at least 1 argument."));
    };
    let container = lookup::find(&ctx.paths, name)?;
    if container.status.state == State::Restarting {
        return Err(Error::verb(format!("Container {name} is restarting, wait until the container is running")));
    }
    if !container.is_running() {
        return Err(Error::verb(format!("Container {} is not running", container.id())));
    }
    let table = top::table(&container, options)?;
    events::note(&ctx.paths, Event::container(&container.record, "top"));
    ui::stdout(&if ui::on_terminal() { ui::clean_lines(&table) } else { table })?;
    Ok(0)
}
