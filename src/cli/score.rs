//! `hardrun score`

use super::Context;
use super::prepare::Prepared;
use super::run::{self, RunArgs};
use crate::error::{Context as _, Result};
use crate::plan::score;
use crate::request::OutputFormat;
use crate::ui;

// No doc comment: it would replace the verb's line in the help.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// Print the table of weights and what each stands for
    #[arg(long, help_heading = "Hardening")]
    weights: bool,
}

impl Args {
    /// The words of `docker run`.
    pub fn words(&self) -> &RunArgs {
        &self.run
    }
}

/// A container that would be refused has a figure too: the exit status says whether it would run (0) or not (125).
pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    if args.weights && args.run.words.is_empty() {
        return match args.run.own.format.as_deref() {
            Some("json") => json(&score::WEIGHTS).map(|()| 0),
            _ => ui::stdout(&score::weights_text()).map(|()| 0),
        };
    }
    let request = run::resolve(args.run)?;
    let prepared = Prepared::new(request, ctx)?;
    let score = score::score(&prepared.draft, &prepared.facts);
    match prepared.request.own.format {
        Some(OutputFormat::Json) => json(&score)?,
        _ => ui::stdout(&score::text(&score))?,
    }
    if args.weights {
        ui::stdout(&format!("\n{}", score::weights_text()))?;
    }
    run::verdict(&prepared)
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<()> {
    let json = serde_json::to_string_pretty(value).context(|| "write the figure as JSON".into())?;
    ui::stdout(&format!("{json}\n"))
}
