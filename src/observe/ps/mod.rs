//! A container as `ps` lists it.

pub mod filter;
pub mod ports;

use super::format::Value;
use super::format::list::{Columns, Field};
use super::format::print::quote;
use super::{human, mounts};
use crate::plan::NetworkMode;
use crate::state::{Container, State};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::rc::Rc;

/// One line.
#[derive(Debug)]
pub struct Entry {
    pub container: Container,
    /// The reference as typed, or the id where that names another image by now.
    pub image: String,
    /// Bytes that it has written, and with its image; only known where asked for.
    pub size: (u64, u64),
    pub now: Timestamp,
    pub no_trunc: bool,
}

/// What the table shows without a template; `Size` comes last where it was asked for.
pub const TABLE: &[&str] = &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
pub const TABLE_WITH_SIZE: &[&str] = &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Size"];

pub const COLUMNS: Columns<Entry> = Columns {
    of: "*formatter.ContainerContext",
    fields: &[
        Field { name: "Command", heading: "COMMAND", value: |e| quote(&e.command()).into() },
        Field { name: "CreatedAt", heading: "CREATED AT", value: |e| e.created_at().into() },
        Field { name: "HealthStatus", heading: "HEALTH STATUS", value: |e| e.health().into() },
        Field { name: "ID", heading: "CONTAINER ID", value: |e| e.id().into() },
        Field { name: "Image", heading: "IMAGE", value: |e| e.image_shown().into() },
        Field {
            name: "Label",
            heading: "",
            value: |e| Value::Lookup(Rc::new(e.container.record.plan.draft.labels.clone())),
        },
        Field { name: "Labels", heading: "LABELS", value: |e| e.labels().into() },
        Field { name: "LocalVolumes", heading: "LOCAL VOLUMES", value: |e| e.local_volumes().to_string().into() },
        Field { name: "Mounts", heading: "MOUNTS", value: |e| e.mounts().into() },
        Field { name: "Names", heading: "NAMES", value: |e| e.container.record.name.clone().into() },
        Field { name: "Networks", heading: "NETWORKS", value: |e| networks(&e.container).join(",").into() },
        Field { name: "Platform", heading: "PLATFORM", value: |_| Value::NilPointer("*v1.Platform") },
        Field { name: "Ports", heading: "PORTS", value: |e| ports::show(&ports::of(&e.container)).into() },
        Field { name: "RunningFor", heading: "CREATED", value: |e| e.ago(e.container.record.created.0).into() },
        Field { name: "Size", heading: "SIZE", value: |e| e.size_shown().into() },
        Field { name: "State", heading: "STATE", value: |e| e.container.status.state.name().into() },
        Field { name: "Status", heading: "STATUS", value: |e| e.status().into() },
    ],
};

impl Entry {
    fn id(&self) -> String {
        let id = self.container.id();
        if self.no_trunc { id.to_owned() } else { id.get(..12).unwrap_or(id).to_owned() }
    }

    fn image_shown(&self) -> String {
        let image = self.image.as_str();
        if self.no_trunc {
            return image.to_owned();
        }
        if let Some(hex) = image.strip_prefix("sha256:") {
            return hex.get(..12).unwrap_or(hex).to_owned();
        }
        match image.split_once('@') {
            Some((name, _)) => name.to_owned(),
            None if image.is_empty() => "<no image>".to_owned(),
            None => image.to_owned(),
        }
    }

    /// Words with a space in them are put into single quotes; what is longer than 20 characters is cut.
    fn command(&self) -> String {
        let args = &self.container.record.plan.draft.process.args.value;
        let word = |(n, word): (usize, &String)| {
            if n > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() }
        };
        let whole = args.iter().enumerate().map(word).collect::<Vec<_>>().join(" ");
        if self.no_trunc { whole } else { ellipsis(&whole, 20) }
    }

    fn created_at(&self) -> String {
        let at = self.container.record.created.0.to_zoned_datetime(TimeZone::system());
        at.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
    }

    /// `3 minutes`
    fn since(&self, at: Timestamp) -> String {
        human::duration(self.now.duration_since(at).as_secs())
    }

    fn ago(&self, at: Timestamp) -> String {
        format!("{} ago", self.since(at))
    }

    fn health(&self) -> String {
        health(&self.container).to_owned()
    }

    fn labels(&self) -> String {
        let labels = &self.container.record.plan.draft.labels;
        labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
    }

    fn local_volumes(&self) -> usize {
        let points = mounts::mount_points(&self.container.record.plan.draft);
        points.iter().filter(|m| m.driver == "local").count()
    }

    fn mounts(&self) -> String {
        let points = mounts::mount_points(&self.container.record.plan.draft);
        let shown = |name: &str| if self.no_trunc { name.to_owned() } else { ellipsis(name, 15) };
        points.iter().map(|m| shown(m.name_or_source())).collect::<Vec<_>>().join(",")
    }

    fn size_shown(&self) -> String {
        let (own, whole) = self.size;
        match whole {
            0 => human::size(own),
            whole => format!("{} (virtual {})", human::size(own), human::size(whole)),
        }
    }

    /// Docker's sentence about the state.
    fn status(&self) -> String {
        let status = &self.container.status;
        let up = || self.since(status.started.0);
        match status.state {
            State::Running => match health(&self.container) {
                "" | "none" => format!("Up {}", up()),
                "starting" => format!("Up {} (health: starting)", up()),
                health => format!("Up {} ({health})", up()),
            },
            State::Paused => format!("Up {} (Paused)", up()),
            State::Restarting => format!("Restarting ({}) {}", status.exit_code, self.ago(status.finished.0)),
            State::Dead => "Dead".into(),
            State::Created => "Created".into(),
            State::Exited => format!("Exited ({}) {}", status.exit_code, self.ago(status.finished.0)),
        }
    }
}

/// Of a container without a check `none`.
fn health(container: &Container) -> &str {
    match &container.status.health {
        Some(health) => &health.status,
        None => "none",
    }
}

/// Names of the networks that it is on, or will be when it runs.
pub fn networks(container: &Container) -> Vec<String> {
    let draft = &container.record.plan.draft;
    let endpoints = &container.status.network.endpoints;
    match &draft.namespaces.network.value {
        NetworkMode::None => vec!["none".into()],
        NetworkMode::Host => vec!["host".into()],
        NetworkMode::Container(_) => Vec::new(),
        _ if !endpoints.is_empty() => endpoints.iter().map(|e| e.network.clone()).collect(),
        _ => draft.network.endpoints.iter().map(|e| e.network.clone()).collect(),
    }
}

/// At most `most` characters, the last of them `…` where some are missing.
fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
