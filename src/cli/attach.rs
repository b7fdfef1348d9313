//! `hardrun attach`

use super::{Context, watch};
use crate::error::{Error, Result};
use crate::launch::client::Wish;
use crate::state::{State, lookup};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not attach stdin
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: Option<bool>,
    /// Keys that detach from the container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let container = lookup::find(&ctx.paths, &args.container)?;
    match container.status.state {
        State::Paused => return Err(Error::verb("You cannot attach to a paused container, unpause it first")),
        State::Restarting => {
            return Err(Error::verb("You cannot attach to a restarting container, wait until it is running"));
        }
        State::Running => {}
        _ => return Err(Error::verb("You cannot attach to a stopped container, start it first")),
    }
    let stdio = &container.record.plan.draft.stdio;
    let wish = Wish {
        stdin: !args.no_stdin && stdio.interactive,
        stdout: true,
        stderr: true,
        tty: stdio.tty,
        sig_proxy: args.sig_proxy.unwrap_or(true) && !stdio.tty,
        detach_keys: watch::detach_keys(args.detach_keys.as_deref())?,
    };
    watch::attach(&container, &wish)
}
