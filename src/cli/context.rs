//! `hardrun context`: there is one, this host.

use super::Context;
use crate::error::{Error, Result};
use crate::observe::format::Value;
use crate::observe::format::inspect::Inspect;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::request::parse_bool;
use crate::ui;
use serde_json::json;

/// The one that there is.
pub const DEFAULT: &str = "default";
const ENDPOINT: &str = "hardrun://";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what is known of contexts, as JSON
    Inspect {
        /// `json`, or a template such as '{{.Name}}'
        #[arg(short, long, value_name = "FORMAT")]
        format: Option<String>,
        #[arg(value_name = "CONTEXT")]
        names: Vec<String>,
    },
    /// List contexts
    #[command(visible_alias = "list")]
    Ls {
        /// `table`, `json`, or a template such as '{{.Name}}'
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Only show names
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        quiet: bool,
    },
    /// Print the name of the current context
    Show,
    /// Choose the current context
    Use {
        #[arg(value_name = "CONTEXT")]
        name: String,
    },
}

/// Whether there is a context of this name.
///
/// # Errors
/// Docker's words for one that is not there.
pub fn check(name: &str) -> Result<()> {
    match name {
        DEFAULT | "" => Ok(()),
        other => Err(Error::verb(format!("context {other:?}: context not found"))
            .hint("hardrun works on this host alone: there is the context \"default\"")),
    }
}

struct Row;

const COLUMNS: Columns<Row> = Columns {
    of: "*formatter.clientContextContext",
    fields: &[
        Field { name: "Current", heading: "CURRENT", value: |_| true.into() },
        Field { name: "Description", heading: "DESCRIPTION", value: |_| "This host, without a daemon".into() },
        Field { name: "DockerEndpoint", heading: "DOCKER ENDPOINT", value: |_| ENDPOINT.into() },
        Field { name: "Error", heading: "ERROR", value: |_| "".into() },
        Field { name: "Name", heading: "NAME", value: |_| DEFAULT.into() },
    ],
};

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    match args.what {
        What::Inspect { format, names } => inspect(format.as_deref(), &names),
        What::Ls { format, quiet } => list(format.as_deref(), quiet),
        What::Show => {
            ui::stdout("default\n")?;
            Ok(0)
        }
        What::Use { name } => {
            check(&name)?;
            ui::stdout(&format!("{DEFAULT}\n"))?;
            ui::note("current context is now \"default\"");
            Ok(0)
        }
    }
}

fn list(format: Option<&str>, quiet: bool) -> Result<u8> {
    let format = match format {
        // The current one has a star.
        None | Some("" | "table") if !quiet => Some(
            "table {{.Name}}{{if eq (print .Current) \"true\"}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
        ),
        other => other,
    };
    let listing = Listing::parse(format, &["Name"], quiet.then_some("Name"))?;
    ui::stdout(&listing.render(&COLUMNS, &[Row], ui::on_terminal())?)?;
    Ok(0)
}

fn inspect(format: Option<&str>, names: &[String]) -> Result<u8> {
    let format = Inspect::parse(format)?;
    let asked = if names.is_empty() { &[DEFAULT.to_owned()][..] } else { names };
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for name in asked {
        match check(name) {
            Ok(()) => found.push(Value::from(json!({
                "Name": DEFAULT,
                "Metadata": {},
                "Endpoints": { "docker": { "Host": ENDPOINT, "SkipTLSVerify": false } },
                "TLSMaterial": {},
                "Storage": { "MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>" },
            }))),
            Err(e) => errors.push(e),
        }
    }
    let (text, wrong) = format.render(&found, ui::on_terminal());
    ui::stdout(&text)?;
    errors.extend(wrong);
    errors.iter().for_each(ui::error);
    Ok(u8::from(!errors.is_empty()))
}
