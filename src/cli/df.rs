//! `hardrun system df`

use super::Context;
use crate::error::Result;
use crate::image::disk::{self, OnDisk};
use crate::image::store::Store;
use crate::image::usage;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::human;
use crate::request::parse_bool;
use crate::state::{Container, lookup};
use crate::storage::volumes;
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// `table`, `json`, or a template such as '{{.Type}} {{.Size}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show each of them
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    verbose: bool,
}

/// One kind of things.
struct Row {
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
    /// Docker leaves the percentage out for a build cache, and shows none of nothing but for images.
    percentage: bool,
}

impl Row {
    fn reclaimable(&self) -> String {
        let size = human::long_size(self.reclaimable);
        match (self.percentage, self.size) {
            (true, 1..) => format!("{size} ({}%)", self.reclaimable * 100 / self.size),
            _ => size,
        }
    }
}

const COLUMNS: Columns<Row> = Columns {
    of: "*formatter.diskUsageImagesContext",
    fields: &[
        Field { name: "Active", heading: "ACTIVE", value: |r| r.active.to_string().into() },
        Field { name: "Reclaimable", heading: "RECLAIMABLE", value: |r| r.reclaimable().into() },
        Field { name: "Size", heading: "SIZE", value: |r| human::long_size(r.size).into() },
        Field { name: "TotalCount", heading: "TOTAL", value: |r| r.total.to_string().into() },
        Field { name: "Type", heading: "TYPE", value: |r| r.kind.into() },
    ],
};

/// Everything there is.
struct Usage {
    images: Vec<OnDisk>,
    containers: Vec<Held>,
    volumes: Vec<Used>,
}

/// A container, and bytes of the files that it has written.
pub(super) struct Held {
    pub container: Container,
    pub size: u64,
}

/// A volume, the containers that mount it, and bytes of its files.
#[derive(Debug, Default)]
pub(super) struct Used {
    pub name: String,
    pub labels: volumes::Pairs,
    pub mountpoint: std::path::PathBuf,
    pub links: usize,
    pub size: u64,
}

pub fn run(args: &Args, ctx: &Context) -> Result<u8> {
    let columns = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
    let listing = Listing::parse(args.format.as_deref(), &columns, None)?;
    let usage = Usage::gather(ctx)?;
    let clean = ui::on_terminal();
    let text = match (args.verbose, args.format.as_deref()) {
        (true, None | Some("" | "table")) => usage.verbose()?,
        (true, Some(format)) => {
            super::df_template::render(format, &usage.images, &usage.containers, &usage.volumes, clean)?
        }
        (false, _) => listing.render(&COLUMNS, &usage.rows(), clean)?,
    };
    ui::stdout(&text).map(|()| 0)
}

impl Usage {
    fn gather(ctx: &Context) -> Result<Usage> {
        let store = Store::open(&ctx.paths)?;
        store.recover()?;
        let (containers, damaged) = lookup::all(&ctx.paths)?;
        damaged.iter().for_each(ui::error);
        let users = usage::containers(&ctx.paths)?;
        let used = |volume: volumes::Volume| Used {
            links: volumes::users(&volume, &users).len(),
            size: volumes::size(&volume.mountpoint),
            name: volume.name,
            labels: volume.labels,
            mountpoint: volume.mountpoint,
        };
        let held = |container: Container| Held { size: volumes::size(&container.folder.join("upper")), container };
        Ok(Usage {
            images: store.on_disk()?,
            containers: containers.into_iter().map(held).collect(),
            volumes: volumes::list(&ctx.paths)?.into_iter().map(used).collect(),
        })
    }

    fn rows(&self) -> [Row; 4] {
        let (layers, free) = disk::totals(&self.images);
        let stopped = |c: &&Held| !c.container.is_running();
        let unused = |v: &&Used| v.links == 0;
        [
            Row {
                kind: "Images",
                total: self.images.len(),
                active: self.images.iter().filter(|i| i.containers > 0).count(),
                size: layers,
                reclaimable: free,
                percentage: true,
            },
            Row {
                kind: "Containers",
                total: self.containers.len(),
                active: self.containers.iter().filter(|c| c.container.is_running()).count(),
                size: self.containers.iter().map(|c| c.size).sum(),
                reclaimable: self.containers.iter().filter(stopped).map(|c| c.size).sum(),
                percentage: true,
            },
            Row {
                kind: "Local Volumes",
                total: self.volumes.len(),
                active: self.volumes.iter().filter(|v| v.links > 0).count(),
                size: self.volumes.iter().map(|v| v.size).sum(),
                reclaimable: self.volumes.iter().filter(unused).map(|v| v.size).sum(),
                percentage: true,
            },
            // There is none: images are built elsewhere.
            Row { kind: "Build Cache", total: 0, active: 0, size: 0, reclaimable: 0, percentage: false },
        ]
    }

    fn verbose(&self) -> Result<String> {
        let clean = ui::on_terminal();
        let images = super::df_verbose::images(&self.images, clean)?;
        let containers = super::df_verbose::containers(&self.containers, clean)?;
        let volumes = super::df_verbose::volumes(&self.volumes, clean)?;
        Ok(format!(
            "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\nLocal Volumes space usage:\n\n{volumes}\n\
             Build cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_table() {
        let row =
            |kind, size, reclaimable, percentage| Row { kind, total: 2, active: 1, size, reclaimable, percentage };
        let rows = [row("Images", 2000, 500, true), row("Containers", 0, 0, true), row("Build Cache", 10, 10, false)];
        let columns = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
        let table = Listing::parse(None, &columns, None).unwrap().render(&COLUMNS, &rows, false).unwrap();
        assert_eq!(
            table,
            "TYPE          TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images        2         1         2kB       500B (25%)\n\
             Containers    2         1         0B        0B\n\
             Build Cache   2         1         10B       10B\n"
        );
    }
}
