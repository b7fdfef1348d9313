//! One event, in docker's shape.

use crate::observe::filter::Filters;
use crate::plan::{MountKind, MountPlan};
use crate::state::Record;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Docker's `events.Message`. The first three are of containers and images only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The action once more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The image of a container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// `container`, `image`, `network` or `volume`.
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    pub scope: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What it happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    fn new(kind: &str, action: &str, id: &str) -> Event {
        Event {
            kind: kind.into(),
            action: action.into(),
            actor: Actor { id: id.into(), attributes: BTreeMap::new() },
            scope: "local".into(),
            ..Event::default()
        }
    }

    /// Of a container; its labels, image and name are attributes.
    pub fn container(record: &Record, action: &str) -> Event {
        let draft = &record.plan.draft;
        let mut event = Event::new("container", action, &record.id).old_words();
        event.from = draft.image.reference.clone();
        event.actor.attributes = draft.labels.clone();
        event.with("image", &draft.image.reference).with("name", &record.name)
    }

    /// Of an image; `id` is its ID, for `pull` the name.
    pub fn image(action: &str, id: &str, name: &str) -> Event {
        Event::new("image", action, id).old_words().with("name", name)
    }

    pub fn network(action: &str, id: &str, name: &str) -> Event {
        Event::new("network", action, id).with("name", name).with("type", "bridge")
    }

    /// Of a prune: `kind` is what went, `reclaimed` bytes.
    pub fn prune(kind: &str, reclaimed: u64) -> Event {
        let event = Event::new(kind, "prune", "").with("reclaimed", reclaimed);
        if matches!(kind, "container" | "image") { event.old_words() } else { event }
    }

    /// One for each volume that a container mounts, when it does and when it no longer does.
    pub fn mounts(record: &Record, action: &str) -> Vec<Event> {
        let volumes = record.plan.draft.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Volume { source, .. } => Some((mount, source.parent()?.file_name()?.to_str()?)),
            _ => None,
        });
        let event = |(mount, name): (&MountPlan, &str)| {
            let event = Event::volume(action, name).with("container", &record.id);
            match action {
                "mount" => event
                    .with("destination", &mount.destination)
                    .with("propagation", "")
                    .with("read/write", !mount.readonly.value),
                _ => event,
            }
        };
        volumes.map(event).collect()
    }

    pub fn volume(action: &str, name: &str) -> Event {
        Event::new("volume", action, name).with("driver", "local")
    }

    /// With the labels of what it is about; what is named besides wins.
    pub fn labelled(mut self, labels: impl IntoIterator<Item = (String, String)>) -> Event {
        let own = std::mem::take(&mut self.actor.attributes);
        self.actor.attributes = labels.into_iter().chain(own).collect();
        self
    }

    /// With another attribute.
    pub fn with(mut self, key: &str, value: impl ToString) -> Event {
        self.actor.attributes.insert(key.into(), value.to_string());
        self
    }

    fn old_words(mut self) -> Event {
        self.status.clone_from(&self.action);
        self.id.clone_from(&self.actor.id);
        self
    }

    pub(super) fn stamp(&mut self, at: Timestamp) {
        self.time = at.as_second();
        // Fits until the year 2262.
        self.time_nano = i64::try_from(at.as_nanosecond()).unwrap_or_default();
    }

    pub fn at(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.time_nano.into()).unwrap_or_default()
    }

    /// Docker's line.
    pub fn line(&self) -> String {
        let zone = jiff::tz::TimeZone::system();
        let at = self.at().to_zoned_datetime(zone);
        let zone = if at.offset().is_zero() { "Z".to_owned() } else { at.strftime("%:z").to_string() };
        let mut line =
            format!("{}{zone} {} {} {}", at.strftime("%Y-%m-%dT%H:%M:%S.%9f"), self.kind, self.action, self.actor.id);
        if !self.actor.attributes.is_empty() {
            let attributes: Vec<String> = self.actor.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
            line.push_str(&format!(" ({})", attributes.join(", ")));
        }
        line
    }

    /// Whether filters of docker's `events` let it pass.
    pub(super) fn fits(&self, filters: &Filters) -> bool {
        let attribute = |key: &str| self.actor.attributes.get(key).map_or("", String::as_str);
        let named = |key: &str| {
            filters.any(key, |wanted| self.actor.id.starts_with(wanted) || attribute("name").starts_with(wanted))
        };
        let own = |key: &str| !filters.has(key) || (self.kind == key && named(key));
        let image = if self.kind == "image" { attribute("name") } else { attribute("image") };
        let event = |wanted: &str| {
            self.action == wanted || self.action.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(": "))
        };
        own("container")
            && own("volume")
            && own("network")
            && filters.any("image", |w| [image, self.actor.id.as_str()].iter().any(|i| *i == w || stripped(i) == w))
            && filters.any("event", event)
            && filters.any("type", |wanted| self.kind == wanted)
            && filters.any("scope", |wanted| self.scope == wanted)
            && filters.labels(&self.actor.attributes)
    }
}

/// A name without its tag.
fn stripped(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testkit;

    fn event() -> Event {
        let mut record = testkit::record("aa", "web");
        record.plan.draft.labels = [("l".to_owned(), "1".to_owned())].into();
        record.plan.draft.image.reference = "busybox:1".into();
        let mut event = Event::container(&record, "die").with("exitCode", 137);
        event.stamp("2026-11-28T08:08:46.433508105Z".parse().unwrap());
        event
    }

    #[test]
    fn shaped_as_dockers() {
        let id = testkit::id("aa");
        assert_eq!(
            serde_json::to_string(&event()).unwrap(),
            format!(
                "{{\"status\":\"die\",\"id\":\"{id}\",\"from\":\"busybox:1\",\"Type\":\"container\",\"Action\":\"die\",\"Actor\":\
                 {{\"ID\":\"{id}\",\"Attributes\":{{\"exitCode\":\"137\",\"image\":\"busybox:1\",\"l\":\"1\",\"name\":\"web\"}}}},\
                 \"scope\":\"local\",\"time\":1795853326,\"timeNano\":1795853326433508105}}"
            )
        );
        let line = event().line();
        let words = format!(" container die {id} (exitCode=137, image=busybox:1, l=1, name=web)");
        assert!(line.contains(".433508105") && line.ends_with(&words), "{line}");
        let json = serde_json::to_string(&Event::volume("create", "v")).unwrap();
        assert!(json.starts_with("{\"Type\":\"volume\",\"Action\":\"create\""), "{json}");
    }

    #[test]
    fn filters_are_dockers() {
        let fits = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
            event().fits(&Filters::parse(&texts, super::super::read::FILTERS).unwrap())
        };
        assert!(fits(&[]) && fits(&["container=web"]) && fits(&["container=aa0"]) && fits(&["image=busybox"]));
        assert!(fits(&["event=start", "event=die"]) && fits(&["type=container", "label=l"]) && fits(&["label=l=1"]));
        assert!(!fits(&["container=db"]) && !fits(&["event=start"]) && !fits(&["type=image"]) && !fits(&["label=x"]));
        assert!(!fits(&["volume=web"]) && !fits(&["image=busybox:2"]));
        let mut exec = event();
        exec.action = "exec_create: sh -c x".into();
        let filters = |text: &str| Filters::parse(&[text.to_owned()], super::super::read::FILTERS).unwrap();
        assert!(exec.fits(&filters("event=exec_create")) && !exec.fits(&filters("event=exec")));
    }
}
