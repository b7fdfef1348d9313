//! `hardrun explain`

use super::Context;
use super::prepare::Prepared;
use super::run::{self, RunArgs};
use crate::error::{Context as _, Result};
use crate::plan::explain;
use crate::request::OutputFormat;
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

/// The exit status is that of a launch that was refused (125), or 0.
pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let request = run::resolve(args.run)?;
    let prepared = Prepared::new(request, ctx)?;
    let plan = prepared.plan();
    let rows = explain::rows(&plan, &prepared.facts.kernel);
    match prepared.request.own.format {
        Some(OutputFormat::Json) => {
            let value = serde_json::json!({
                "decisions": rows,
                "refused": prepared.verdict.refused,
                "overrides": plan.overrides,
                "fallbacks": plan.fallbacks,
                "notices": prepared.draft.notices,
            });
            let json = serde_json::to_string_pretty(&value).context(|| "write the explanation as JSON".into())?;
            ui::stdout(&format!("{json}\n"))?;
        }
        _ => ui::stdout(&explain::text(&rows))?,
    }
    run::verdict(&prepared)
}
