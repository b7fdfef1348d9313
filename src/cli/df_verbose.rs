//! `hardrun system df -v`: a table for each kind of things.

use super::df::{Held, Used};
use crate::error::Result;
use crate::image::disk::OnDisk;
use crate::image::list::Row;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::human;
use crate::observe::ps::{self, Entry};
use jiff::Timestamp;

struct Image<'a> {
    row: &'a Row,
    image: &'a OnDisk,
    shared: u64,
    now: Timestamp,
}

/// The columns know entries of one lifetime: what they show is made here.
struct Cells(Vec<String>);

const IMAGES: Columns<Cells> = Columns {
    of: "*formatter.imageContext",
    fields: &[
        Field { name: "Repository", heading: "REPOSITORY", value: |c| c.0[0].clone().into() },
        Field { name: "Tag", heading: "TAG", value: |c| c.0[1].clone().into() },
        Field { name: "ID", heading: "IMAGE ID", value: |c| c.0[2].clone().into() },
        Field { name: "CreatedSince", heading: "CREATED", value: |c| c.0[3].clone().into() },
        Field { name: "Size", heading: "SIZE", value: |c| c.0[4].clone().into() },
        Field { name: "SharedSize", heading: "SHARED SIZE", value: |c| c.0[5].clone().into() },
        Field { name: "UniqueSize", heading: "UNIQUE SIZE", value: |c| c.0[6].clone().into() },
        Field { name: "Containers", heading: "CONTAINERS", value: |c| c.0[7].clone().into() },
    ],
};

const VOLUMES: Columns<Cells> = Columns {
    of: "*formatter.volumeContext",
    fields: &[
        Field { name: "Name", heading: "VOLUME NAME", value: |c| c.0[0].clone().into() },
        Field { name: "Links", heading: "LINKS", value: |c| c.0[1].clone().into() },
        Field { name: "Size", heading: "SIZE", value: |c| c.0[2].clone().into() },
    ],
};

impl Image<'_> {
    fn cells(&self) -> Cells {
        let none = |text: &Option<String>| text.clone().unwrap_or_else(|| "<none>".into());
        let age = |at: Timestamp| format!("{} ago", human::duration(self.now.duration_since(at).as_secs()));
        Cells(vec![
            none(&self.row.repository),
            none(&self.row.tag),
            self.row.id.short().to_owned(),
            self.row.created.map_or("N/A".into(), age),
            human::size(self.row.size),
            human::long_size(self.shared),
            human::long_size(self.image.size() - self.shared),
            self.image.containers.to_string(),
        ])
    }
}

fn table(columns: &Columns<Cells>, rows: &[Cells], clean: bool) -> Result<String> {
    let names: Vec<&str> = columns.fields.iter().map(|f| f.name).collect();
    Listing::parse(None, &names, None)?.render(columns, rows, clean)
}

pub fn images(images: &[OnDisk], clean: bool) -> Result<String> {
    let now = Timestamp::now();
    let mut rows = Vec::new();
    for image in images {
        let shared = image.shared(images);
        rows.extend(image.rows.iter().map(|row| Image { row, image, shared, now }.cells()));
    }
    table(&IMAGES, &rows, clean)
}

pub fn containers(containers: &[Held], clean: bool) -> Result<String> {
    let columns = ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"];
    let now = Timestamp::now();
    let entry = |held: &Held| Entry {
        image: held.container.record.plan.draft.image.reference.clone(),
        size: (held.size, 0),
        now,
        no_trunc: false,
        container: held.container.clone(),
    };
    let rows: Vec<Entry> = containers.iter().map(entry).collect();
    Listing::parse(None, &columns, None)?.render(&ps::COLUMNS, &rows, clean)
}

pub fn volumes(volumes: &[Used], clean: bool) -> Result<String> {
    let cells = |v: &Used| Cells(vec![v.name.clone(), v.links.to_string(), human::long_size(v.size)]);
    table(&VOLUMES, &volumes.iter().map(cells).collect::<Vec<_>>(), clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_tables() {
        let used = [Used { name: "data".into(), links: 2, size: 2048, ..Used::default() }];
        assert_eq!(volumes(&used, false).unwrap(), "VOLUME NAME   LINKS     SIZE\ndata          2         2.048kB\n");
        assert_eq!(
            images(&[], false).unwrap(),
            "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS\n"
        );
        assert_eq!(
            containers(&[], false).unwrap(),
            "CONTAINER ID   IMAGE     COMMAND   LOCAL VOLUMES   SIZE      CREATED   STATUS    NAMES\n"
        );
    }
}
