//! `hardrun rules`

use super::Context;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args, _ctx: &Context) -> Result<u8> {
    Err(crate::error::Error::verb("not built yet"))
}
