//! `--filter` of `ps`.

use super::ports;
use crate::error::{Error, Result};
use crate::observe::filter::Filters;
use crate::observe::mounts;
use crate::state::{Container, State};
use std::collections::BTreeSet;

pub const KEYS: &[&str] = &[
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network", "publish",
    "since", "status", "volume",
];

const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// What has to be asked of others before a container can be judged.
#[derive(Debug, Default)]
pub struct Wanted {
    filters: Filters,
    /// Ids of the images that `ancestor` named, and of those made from them.
    images: BTreeSet<String>,
    exit_codes: Vec<i32>,
    published: Vec<Range>,
    exposed: Vec<Range>,
    tasks: Option<bool>,
}

/// `80`, `80/udp`, `8000-8010/tcp`
#[derive(Debug, PartialEq)]
struct Range {
    first: u16,
    last: u16,
    protocol: String,
}

impl Wanted {
    /// `family` says which image a name means, and which were made from it; a name that means none fits nothing.
    ///
    /// # Errors
    /// Docker's, for keys and values that it does not know.
    pub fn parse(texts: &[String], family: &dyn Fn(&str) -> Vec<String>) -> Result<Wanted> {
        let filters = Filters::parse(texts, KEYS)?;
        for status in filters.values("status") {
            if !STATES.contains(&status.as_str()) {
                return Err(Error::verb(format!("Invalid filter 'status={status}'")));
            }
        }
        for health in filters.values("health") {
            if !["none", "starting", "healthy", "unhealthy"].contains(&health.as_str()) {
                return Err(Error::verb(format!("Unrecognised filter value for health: {health}")));
            }
        }
        let code = |text: &String| {
            text.parse().map_err(|_| Error::verb(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))
        };
        let ranges = |key: &str| filters.values(key).iter().map(|text| Range::parse(key, text)).collect::<Result<_>>();
        Ok(Wanted {
            images: filters.values("ancestor").iter().flat_map(|name| family(name)).collect(),
            exit_codes: filters.values("exited").iter().map(code).collect::<Result<_>>()?,
            published: ranges("publish")?,
            exposed: ranges("expose")?,
            tasks: filters.truth("is-task")?,
            filters,
        })
    }

    /// Whether containers that do not run are listed without `-a`.
    pub fn wants_all(&self) -> bool {
        self.filters.has("status")
    }

    /// Those that fit, of all that there are, the newest first.
    ///
    /// # Errors
    /// A container that `before` or `since` names and that is not there.
    pub fn choose(&self, all: Vec<Container>, id_of: &dyn Fn(&str) -> Result<String>) -> Result<Vec<Container>> {
        let created = |key: &str| -> Result<_> {
            let Some(name) = self.filters.values(key).first() else { return Ok(None) };
            let missing = || Error::verb(format!("no such container {name}"));
            let id = id_of(name).map_err(|_| missing())?;
            all.iter().find(|c| c.id() == id).map(|c| Some(c.record.created)).ok_or_else(missing)
        };
        let (before, since) = (created("before")?, created("since")?);
        let in_time = |c: &Container| {
            before.is_none_or(|at| c.record.created < at) && since.is_none_or(|at| c.record.created > at)
        };
        let (mut chosen, fits) = (all, |c: &Container| in_time(c) && self.fits(c));
        chosen.retain(fits);
        Ok(chosen)
    }

    fn fits(&self, container: &Container) -> bool {
        let (f, draft) = (&self.filters, &container.record.plan.draft);
        let name = &container.record.name;
        let named = |pattern: &str| {
            let pattern = regex::Regex::new(pattern);
            pattern.is_ok_and(|p| p.is_match(name) || p.is_match(&format!("/{name}")))
        };
        f.any("id", |start| !start.is_empty() && container.id().starts_with(start))
            && f.any("name", named)
            && f.labels(&draft.labels)
            && f.any("status", |state| container.status.state.name() == state)
            && f.any("health", |wanted| super::health(container) == wanted)
            && (!f.has("exited") || self.has_exited(container))
            && (!f.has("ancestor") || self.images.contains(&draft.image.config_digest))
            && (!f.has("volume") || self.mounts(container))
            && (!f.has("network") || self.is_on(container))
            && (!f.has("publish") || self.has_port(container, &self.published, |p| (!p.ip.is_empty()).then_some(p.public)))
            && (!f.has("expose") || self.has_port(container, &self.exposed, |p| Some(p.private)))
            // Tasks are a swarm's: none of these is one.
            && self.tasks != Some(true)
    }

    fn has_exited(&self, container: &Container) -> bool {
        let status = &container.status;
        matches!(status.state, State::Exited | State::Dead) && self.exit_codes.contains(&status.exit_code)
    }

    fn mounts(&self, container: &Container) -> bool {
        let points = mounts::mount_points(&container.record.plan.draft);
        self.filters
            .any("volume", |wanted| points.iter().any(|m| m.name_or_source() == wanted || m.destination == wanted))
    }

    fn is_on(&self, container: &Container) -> bool {
        let names = super::networks(container);
        let endpoints = &container.status.network.endpoints;
        self.filters.any("network", |wanted| {
            names.iter().any(|name| name == wanted) || endpoints.iter().any(|e| e.network_id == wanted)
        })
    }

    fn has_port(&self, container: &Container, ranges: &[Range], number: impl Fn(&ports::Port) -> Option<u16>) -> bool {
        let ports = ports::of(container);
        ports.iter().any(|port| {
            let in_range =
                |n: u16| ranges.iter().any(|r| (r.first..=r.last).contains(&n) && r.protocol == port.protocol);
            number(port).is_some_and(in_range)
        })
    }
}

impl Range {
    fn parse(key: &str, text: &str) -> Result<Range> {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let number = |digits: &str| {
            digits.parse().map_err(|_| {
                Error::verb(format!(
                    "error while looking up for {key} {text}: strconv.ParseUint: parsing {digits:?}: invalid syntax"
                ))
            })
        };
        Ok(Range { first: number(first)?, last: number(last)?, protocol: protocol.to_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{BoundPort, Stamp, Status, testkit};
    use jiff::Timestamp;

    fn container(id: &str, name: &str, created: i64, status: Status) -> Container {
        let mut record = testkit::record(id, name);
        record.created = Stamp(Timestamp::from_second(created).unwrap());
        record.words.exposed = vec!["53/udp".into()];
        record.plan.draft.image.config_digest = format!("sha256:{id}");
        record.plan.draft.labels = [("app".into(), name.into())].into();
        let alive = status.state.is_up();
        Container { folder: "/nowhere".into(), record, status, alive }
    }

    fn three() -> Vec<Container> {
        let mut up = Status { state: State::Running, ..Status::default() };
        up.network.ports = vec![BoundPort {
            host_ip: "127.0.0.1".into(),
            host_port: 8080,
            container_port: 80,
            protocol: "tcp".into(),
        }];
        let ended = Status { state: State::Exited, exit_code: 3, ..Status::default() };
        vec![
            container("cc", "db", 3, Status::default()),
            container("bb", "web-2", 2, ended),
            container("aa", "web-1", 1, up),
        ]
    }

    fn names(texts: &[&str]) -> Result<String> {
        let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
        let image = |name: &str| match name {
            "busybox" => vec!["sha256:bb".to_owned()],
            "base" => vec!["sha256:base".to_owned(), "sha256:bb".to_owned(), "sha256:cc".to_owned()],
            _ => vec![],
        };
        let id_of = |name: &str| match name {
            "web-2" => Ok(testkit::id("bb")),
            _ => Err(Error::verb("No such container")),
        };
        let chosen = Wanted::parse(&texts, &image)?.choose(three(), &id_of)?;
        Ok(chosen.iter().map(|c| c.record.name.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn keys_choose_as_dockers_do() {
        for (texts, wanted) in [
            (&[][..], "db web-2 web-1"),
            (&["name=web"], "web-2 web-1"),
            (&["name=^/web-1$"], "web-1"),
            (&["name=^db$", "name=1$"], "db web-1"),
            (&["id=b"], "web-2"),
            (&["id="], ""),
            (&["label=app=db"], "db"),
            (&["status=running", "status=created"], "db web-1"),
            (&["exited=3"], "web-2"),
            (&["exited=0"], ""),
            (&["before=web-2"], "web-1"),
            (&["since=web-2"], "db"),
            (&["ancestor=busybox"], "web-2"),
            (&["ancestor=base"], "db web-2"),
            (&["ancestor=nosuch"], ""),
            (&["publish=8080"], "web-1"),
            (&["publish=80"], ""),
            (&["publish=8000-8100/tcp"], "web-1"),
            (&["expose=80"], "web-1"),
            (&["expose=53"], ""),
            (&["expose=53/udp"], "web-1"),
            (&["health=none"], "db web-2 web-1"),
            (&["health=healthy"], ""),
            (&["is-task=true"], ""),
            (&["is-task=false"], "db web-2 web-1"),
            (&["volume=/nosuch"], ""),
        ] {
            assert_eq!(names(texts).unwrap(), wanted, "{texts:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        for (text, wanted) in [
            ("nosuch=x", "Invalid filter 'nosuch'"),
            ("status=nosuch", "Invalid filter 'status=nosuch'"),
            ("health=x", "Unrecognised filter value for health: x"),
            ("exited=x", "strconv.Atoi: parsing \"x\": invalid syntax"),
            ("publish=x", "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax"),
            ("is-task=x", "Invalid filter 'is-task=[x]'"),
            ("since=nosuch", "no such container nosuch"),
        ] {
            let error = names(&[text]).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind.exit_code()), (wanted, 1));
        }
    }
}
