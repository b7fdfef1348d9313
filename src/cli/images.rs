//! `hardrun images`

use super::Context;
use crate::error::Result;
use crate::image::list::{Filter, Row};
use crate::image::store::Store;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::human;
use crate::ui;
use jiff::Timestamp;
use jiff::tz::TimeZone;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show all images; hardrun has no intermediate ones
    #[arg(short, long)]
    all: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// `table`, `json`, or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only some: reference=PATTERN, dangling=true|false, label=KEY[=VALUE], before=IMAGE, since=IMAGE
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Only images of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

const COLUMNS: Columns<Shown> = Columns {
    of: "*formatter.imageContext",
    fields: &[
        Field { name: "Containers", heading: "CONTAINERS", value: |_| "N/A".into() },
        Field { name: "CreatedAt", heading: "CREATED AT", value: |s| s.created_at().into() },
        Field { name: "CreatedSince", heading: "CREATED", value: |s| s.created_since().into() },
        Field { name: "Digest", heading: "DIGEST", value: |s| none(s.row.digest.as_deref()).into() },
        Field { name: "ID", heading: "IMAGE ID", value: |s| s.id().into() },
        Field { name: "Repository", heading: "REPOSITORY", value: |s| none(s.row.repository.as_deref()).into() },
        Field { name: "SharedSize", heading: "SHARED SIZE", value: |_| "N/A".into() },
        Field { name: "Size", heading: "SIZE", value: |s| human::size(s.row.size).into() },
        Field { name: "Tag", heading: "TAG", value: |s| none(s.row.tag.as_deref()).into() },
        Field { name: "UniqueSize", heading: "UNIQUE SIZE", value: |_| "N/A".into() },
        Field { name: "VirtualSize", heading: "VIRTUAL SIZE", value: |s| human::long_size(s.row.size).into() },
    ],
};

struct Shown {
    row: Row,
    now: Timestamp,
    no_trunc: bool,
}

impl Shown {
    fn id(&self) -> String {
        if self.no_trunc { self.row.id.to_string() } else { self.row.id.short().to_owned() }
    }
    fn created_since(&self) -> String {
        match self.row.created {
            Some(at) => format!("{} ago", human::duration(self.now.duration_since(at).as_secs())),
            None => "N/A".into(),
        }
    }
    fn created_at(&self) -> String {
        match self.row.created {
            Some(at) => at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
            None => "N/A".into(),
        }
    }
}

fn none(text: Option<&str>) -> String {
    text.unwrap_or("<none>").to_owned()
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { all: _, quiet, no_trunc, digests, format, filter, name } = args;
    let mut filters = Filter::all(&filter)?;
    if let Some(name) = name {
        filters.push(Filter::Reference(name));
    }
    let columns: &[&str] = match digests {
        true => &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"],
        false => &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    };
    let listing = Listing::parse(format.as_deref(), columns, quiet.then_some("ID"))?;
    let now = Timestamp::now();
    let store = Store::open(&ctx.paths)?;
    store.recover()?;
    let rows = store.list(&filters)?;
    let rows: Vec<Shown> = rows.into_iter().map(|row| Shown { row, now, no_trunc }).collect();
    ui::stdout(&listing.render(&COLUMNS, &rows, ui::on_terminal())?)?;
    Ok(0)
}
