//! `hardrun history`

use super::Context;
use crate::error::Result;
use crate::image::history::Step;
use crate::image::store::Store;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::human;
use crate::request::parse_bool;
use crate::ui;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Docker's table shows so much of a step.
const COLUMN: usize = 45;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// `table`, `json`, or a template such as '{{.CreatedBy}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Sizes and dates for people
    #[arg(short = 'H', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "true", hide_default_value = true, value_name = "BOOL")]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Of an image for several platforms, show the one for this platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Name or ID of the image
    #[arg(value_name = "IMAGE")]
    image: String,
}

struct Shown {
    step: Step,
    now: Timestamp,
    human: bool,
    no_trunc: bool,
}

const COLUMNS: Columns<Shown> = Columns {
    of: "*image.historyContext",
    fields: &[
        Field { name: "Comment", heading: "COMMENT", value: |s| s.step.comment.clone().into() },
        Field { name: "CreatedAt", heading: "CREATED AT", value: |s| s.created_at().into() },
        Field { name: "CreatedBy", heading: "CREATED BY", value: |s| s.created_by().into() },
        Field { name: "CreatedSince", heading: "CREATED", value: |s| s.created_since().into() },
        Field { name: "ID", heading: "IMAGE", value: |s| s.id().into() },
        Field { name: "Size", heading: "SIZE", value: |s| s.size().into() },
    ],
};

impl Shown {
    fn id(&self) -> String {
        match &self.step.id {
            Some(id) if self.no_trunc => id.to_string(),
            Some(id) => id.short().to_owned(),
            None => "<missing>".into(),
        }
    }
    fn created_at(&self) -> String {
        let local = |at: Timestamp| at.to_zoned_datetime(TimeZone::system());
        self.step.created.map_or_else(
            || "N/A".into(),
            |at| {
                let at = local(at);
                // Go writes Z where the zone is UTC.
                let zone = if at.offset().is_zero() { "Z".into() } else { at.strftime("%:z").to_string() };
                format!("{}{zone}", at.strftime("%Y-%m-%dT%H:%M:%S"))
            },
        )
    }
    fn created_since(&self) -> String {
        match self.step.created {
            Some(at) if self.human => format!("{} ago", human::duration(self.now.duration_since(at).as_secs())),
            _ => self.created_at(),
        }
    }
    fn created_by(&self) -> String {
        let text = self.step.created_by.replace('\t', " ");
        if self.no_trunc || text.chars().count() <= COLUMN {
            return text;
        }
        text.chars().take(COLUMN - 1).chain(['…']).collect()
    }
    fn size(&self) -> String {
        if self.human { human::size(self.step.size) } else { self.step.size.to_string() }
    }
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { format, human, no_trunc, platform, quiet, image } = args;
    let when = if human { "CreatedSince" } else { "CreatedAt" };
    let columns = ["ID", when, "CreatedBy", "Size", "Comment"];
    let listing = Listing::parse(format.as_deref(), &columns, quiet.then_some("ID"))?;
    let now = Timestamp::now();
    let steps = Store::open(&ctx.paths)?.history(&image, platform.as_deref())?;
    let rows: Vec<Shown> = steps.into_iter().map(|step| Shown { step, now, human, no_trunc }).collect();
    ui::stdout(&listing.render(&COLUMNS, &rows, ui::on_terminal())?)?;
    Ok(0)
}
