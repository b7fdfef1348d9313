//! `hardrun restart`

use super::stop::{StopArgs, ask_to_stop, signal, stopped};
use super::{Context, each, prepare, start};
use crate::control::{self, Ask};
use crate::error::Result;
use crate::facts::Facts;
use crate::observe::events::{self, Event};
use crate::state::{Container, lookup};

pub fn restart(args: StopArgs, ctx: &Context) -> Result<u8> {
    // Before anything is stopped: it could not be started again.
    let facts = Facts::gather(&ctx.paths)?;
    prepare::sweep(ctx)?;
    let signal = args.signal.as_deref().map(signal).transpose()?;
    each::print(&args.containers, |name| {
        let container = lookup::find(&ctx.paths, name)?;
        start::may(ctx, &facts, &container)?;
        let wish = Ask::Stop { signal, seconds: args.timeout };
        if let Some(client) = ask_to_stop(ctx, &container, &wish)? {
            stopped(ctx, client, &container, &wish)?;
        }
        // As it is now: no supervisor of before counts. Stopping took its time, and the site may have another policy by now.
        let container = Container { alive: false, ..lookup::find(&ctx.paths, name)? };
        start::start(ctx, &Facts::gather(&ctx.paths)?, &container, control::Streams::default())?;
        events::note(&ctx.paths, Event::container(&container.record, "restart"));
        Ok(())
    })
}
