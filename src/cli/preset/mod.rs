//! `hardrun preset`

mod check;
mod new;
mod show;
mod test;

use super::Context;
use crate::error::{Context as _, Result};
use crate::preset;
use crate::ui::clean;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List presets with what they are for
    List {
        /// Print JSON
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Show a preset
    Show {
        /// Name, or path of a file
        #[arg(value_name = "PRESET")]
        name: String,
        /// Show it with everything it extends, and where each value is from
        #[arg(long)]
        resolved: bool,
        /// Print JSON (implies --resolved)
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Print a new preset with a comment for every key, to be filled in
    New {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The preset that it extends
        #[arg(long, value_name = "PRESET", default_value = preset::DEFAULT)]
        from: String,
        /// Write it to a file, which must not exist yet, instead of stdout
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check preset files: exit status 1 and one line for each error, with file, line and key
    Check {
        /// Files to check
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print JSON
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Show in which keys two presets differ: exit status 1 if they do
    Diff {
        /// Name, or path of a file
        #[arg(value_name = "A")]
        a: String,
        /// Name, or path of a file
        #[arg(value_name = "B")]
        b: String,
        /// Print JSON
        #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
        format: String,
    },
    /// Put a preset to its proof: a real program at real work, and what was granted and never used
    Test(test::Args),
    /// Print the JSON Schema of preset files
    Schema,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let (text, status) = match args.what {
        What::List { format } => (list(&format)?, 0),
        What::Show { name, resolved, format } => (show::show(&name, resolved, &format)?, 0),
        What::New { name, from, output } => (new::new(&name, &from, output.as_deref())?, 0),
        What::Check { files, format } => check::check(&files, &format)?,
        What::Diff { a, b, format } => {
            let (text, differ) = show::diff(&a, &b, &format)?;
            (text, u8::from(differ))
        }
        What::Test(args) => test::test(&args, ctx)?,
        What::Schema => (json(&preset::json_schema())?, 0),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).verb_context(|| "cannot write to stdout".into())?;
    Ok(status)
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).verb_context(|| "cannot write JSON".into())?;
    text.push('\n');
    Ok(text)
}

fn list(format: &str) -> Result<String> {
    let all = preset::list()?;
    if format == "json" {
        let entries: Vec<_> = all
            .iter()
            .map(|p| {
                let path = p.path.as_ref().map(|path| path.display().to_string());
                let (description, images) = (&p.file.description, &p.file.images);
                serde_json::json!({ "name": p.name, "path": path, "description": description, "images": images })
            })
            .collect();
        return json(&entries);
    }
    let width = all.iter().map(|p| p.name.chars().count()).max().unwrap_or(0);
    Ok(all.iter().map(|p| format!("{:width$}  {}\n", clean(&p.name), clean(&p.file.description))).collect())
}
