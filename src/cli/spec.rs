//! `hardrun spec`

use super::Context;
use super::prepare::Prepared;
use super::run::{self, RunArgs};
use crate::error::{Context as _, Result};
use crate::spec::{self, Staged};
use crate::ui;

// No doc comment: it would replace the verb's line in the help.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// The words of `docker run`.
    pub fn words(&self) -> &RunArgs {
        &self.run
    }
}

/// Print the OCI runtime `config.json` of what `run` with the same words would start. What the launcher stages has names
/// relative to the bundle; binds have their sources on the host. The exit status is that of a launch that was refused
/// (125), or 0.
pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let prepared = Prepared::new(run::resolve(args.run)?, ctx)?;
    let plan = prepared.plan();
    let spec = spec::to_oci(&plan, &Staged::for_printing(&plan))?;
    let json = serde_json::to_string_pretty(&spec).context(|| "write config.json".into())?;
    ui::stdout(&format!("{json}\n"))?;
    run::verdict(&prepared)
}
