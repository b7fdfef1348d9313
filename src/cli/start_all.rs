//! `hardrun system start-all`: after a boot, what is to run always is started again.

use super::{Context, prepare, start};
use crate::control;
use crate::error::{Context as _, Error, Result};
use crate::facts::Facts;
use crate::request::RestartPolicy;
use crate::state::{Container, State, lookup};

/// A unit that runs this once a boot, after the network.
const UNIT: &str = "\
[Unit]
Description=start hardrun's containers with a restart policy
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=@hardrun@ system start-all
# The supervisors are processes of their own: ending this unit must not end them.
KillMode=process

[Install]
WantedBy=multi-user.target
";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a systemd unit that does this at every boot, and do nothing
    #[arg(long)]
    unit: bool,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    if args.unit {
        let own = std::env::current_exe().verb_context(|| "find hardrun's own file".into())?;
        return crate::ui::stdout(&UNIT.replace("@hardrun@", &own.display().to_string())).map(|()| 0);
    }
    let facts = Facts::gather(&ctx.paths)?;
    prepare::sweep(ctx)?;
    let (containers, damaged) = lookup::all(&ctx.paths)?;
    damaged.iter().for_each(crate::ui::error);
    let mut status = u8::from(!damaged.is_empty());
    // The oldest first: others may need it.
    for container in containers.iter().rev().filter(|c| is_wanted(c)) {
        match start::start(ctx, &facts, container, control::Streams::default()) {
            Ok(_) => crate::ui::stdout(&format!("{}\n", container.record.name))?,
            Err(e) => {
                crate::ui::error(&Error::verb(format!("start {}", container.record.name)).because(e));
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Docker's rule at the start of its daemon.
fn is_wanted(container: &Container) -> bool {
    let status = &container.status;
    if container.alive || status.state == State::Created {
        return false;
    }
    match container.record.plan.draft.restart.value {
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !status.stopped_by_hand,
        RestartPolicy::OnFailure { .. } => !status.stopped_by_hand && status.exit_code != 0,
        RestartPolicy::No => false,
    }
}
