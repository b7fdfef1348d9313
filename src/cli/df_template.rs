//! `hardrun system df -v --format`: one value with lists of everything, of which a template takes what it wants.

use super::df::{Held, Used};
use crate::error::{Error, Result};
use crate::image::disk::OnDisk;
use crate::observe::format::{Field, List, Missing, Options, Purpose, Struct, Template, Value};
use crate::observe::human;
use crate::observe::ps::{self, Entry};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::rc::Rc;

/// The whole answer. Like docker's, it ends where the template ends.
pub fn render(format: &str, images: &[OnDisk], containers: &[Held], volumes: &[Used], clean: bool) -> Result<String> {
    let text = match format {
        "json" => "{{json .}}",
        other => other.strip_prefix("table").map_or(other, str::trim_start),
    };
    let text = text.replace("\\t", "\t").replace("\\n", "\n");
    let wrong = |e: String| Error::verb(format!("template parsing error: {e}"));
    let options = Options { missing: Missing::Absent, purpose: Purpose::Data, clean };
    let template = Template::parse(&text).map_err(wrong)?;
    template.render(&value(images, containers, volumes), options).map_err(wrong)
}

/// Docker's `diskUsageContext`, in the order of its fields.
fn value(images: &[OnDisk], containers: &[Held], volumes: &[Used]) -> Value {
    let now = Timestamp::now();
    let list = |items: Vec<Value>| Value::List(List(Some(items.into())));
    let fields = [
        ("Images", list(images.iter().flat_map(|image| of_image(image, images, now)).collect())),
        ("Containers", list(containers.iter().map(|held| of_container(held, now)).collect())),
        ("Volumes", list(volumes.iter().map(of_volume).collect())),
        ("BuildCache", list(Vec::new())),
    ];
    let field = |(name, value)| Field { name, json: Some(name), omit_empty: false, embedded: false, value };
    let name = "*formatter.diskUsageContext";
    Value::Struct(Rc::new(Struct { name, fields: fields.into_iter().map(field).collect(), text: None, entry: false }))
}

fn of_image(image: &OnDisk, all: &[OnDisk], now: Timestamp) -> Vec<Value> {
    let none = |text: &Option<String>| Value::from(text.clone().unwrap_or_else(|| "<none>".into()));
    let shared = image.shared(all);
    let age = |at: Timestamp| format!("{} ago", human::duration(now.duration_since(at).as_secs()));
    let date = |at: Timestamp| at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string();
    let row = |row: &crate::image::list::Row| {
        let fields = [
            ("Containers", image.containers.to_string().into()),
            ("CreatedAt", row.created.map_or("N/A".into(), date).into()),
            ("CreatedSince", row.created.map_or("N/A".into(), age).into()),
            ("Digest", row.digest.clone().unwrap_or_default().into()),
            ("ID", row.id.to_string().into()),
            ("Repository", none(&row.repository)),
            ("SharedSize", human::long_size(shared).into()),
            ("Size", human::size(row.size).into()),
            ("Tag", none(&row.tag)),
            ("UniqueSize", human::long_size(image.size() - shared).into()),
            ("VirtualSize", human::long_size(row.size).into()),
        ];
        Value::row("*formatter.imageContext", fields)
    };
    image.rows.iter().map(row).collect()
}

fn of_container(held: &Held, now: Timestamp) -> Value {
    let entry = Entry {
        image: held.container.record.plan.draft.image.reference.clone(),
        size: (held.size, 0),
        now,
        no_trunc: true,
        container: held.container.clone(),
    };
    Value::row(ps::COLUMNS.of, ps::COLUMNS.fields.iter().map(|f| (f.name, (f.value)(&entry))))
}

fn of_volume(used: &Used) -> Value {
    let labels = used.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let fields = [
        ("Availability", "N/A".into()),
        ("Driver", "local".into()),
        ("Group", "N/A".into()),
        ("Label", Value::Lookup(Rc::new(used.labels.clone()))),
        ("Labels", labels.into()),
        ("Links", used.links.to_string().into()),
        ("Mountpoint", used.mountpoint.display().to_string().into()),
        ("Name", used.name.clone().into()),
        ("Scope", "local".into()),
        ("Size", human::long_size(used.size).into()),
        ("Status", "N/A".into()),
    ];
    Value::row("*formatter.volumeContext", fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_value() {
        let used = [Used { name: "data".into(), links: 2, size: 2048, ..Used::default() }];
        let show = |format: &str| render(format, &[], &[], &used, false);
        assert_eq!(show("{{range .Volumes}}{{.Name}} {{.Size}}\\n{{end}}").unwrap(), "data 2.048kB\n");
        assert!(
            show("json")
                .unwrap()
                .starts_with("{\"Images\":[],\"Containers\":[],\"Volumes\":[{\"Availability\":\"N/A\"")
        );
        assert!(show("{{json .}}").unwrap().ends_with("\"BuildCache\":[]}"));
        let error = show("table {{.Type}}").unwrap_err().message;
        assert!(error.ends_with("can't evaluate field Type in type *formatter.diskUsageContext"), "{error}");
    }
}
