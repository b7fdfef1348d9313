//! `hardrun image prune`: images without a name, or with `all` every image that no container uses.

use super::digest::Digest;
use super::gc::Removed;
use super::layers;
use super::list::Row;
use super::store::Store;
use super::usage;
use crate::error::{Error, Result};
use crate::observe::events::{self, Event};
use crate::observe::filter;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Which of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Created before.
    Until(Timestamp),
    /// With a label, or without it (`label!=`).
    Label { key: String, value: Option<String>, wanted: bool },
    /// Docker's `dangling=true|false`: another way to say `all`.
    Dangling(bool),
}

impl Filter {
    const KEYS: [&str; 4] = ["dangling", "label", "label!", "until"];

    /// What `--filter` of a verb that prunes was given.
    ///
    /// # Errors
    /// Docker's.
    pub fn all(texts: &[String]) -> Result<Vec<Filter>> {
        filter::pairs(texts, filter::PRUNING)?.iter().map(|(key, value)| Self::of(key, value)).collect()
    }

    fn of(key: &str, value: &str) -> Result<Filter> {
        let label = |wanted| match value.split_once('=') {
            Some((key, value)) => Filter::Label { key: key.into(), value: Some(value.into()), wanted },
            None => Filter::Label { key: value.into(), value: None, wanted },
        };
        match key {
            "until" => until(value, Timestamp::now()).map(Filter::Until),
            "label" => Ok(label(true)),
            "label!" => Ok(label(false)),
            "dangling" => match value {
                "true" | "1" => Ok(Filter::Dangling(true)),
                "false" | "0" => Ok(Filter::Dangling(false)),
                _ => Err(Error::verb(format!("Invalid filter 'dangling=[{value}]'"))),
            },
            other => Err(filter::unknown(other, &Self::KEYS)),
        }
    }
}

/// Docker's `until=`: a duration before now, seconds since 1970, or a date.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp> {
    let bad = || {
        Error::verb(format!("invalid filter 'until={text}'")).hint(
            "a duration such as 24h or 1h30m, a date such as 2026-01-31 or 2026-01-31T10:00:00Z, or seconds since 1970",
        )
    };
    if let Ok(duration) = crate::request::GoDuration::from_str(text)
        && !text.is_empty()
        && !text.bytes().all(|b| b.is_ascii_digit())
    {
        return now.checked_sub(jiff::SignedDuration::from_nanos(duration.nanos)).map_err(|_| bad());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Timestamp::from_second(seconds as i64).map_err(|_| bad());
    }
    // Without a zone: this host's.
    let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| bad())?;
    civil.to_zoned_datetime(jiff::tz::TimeZone::system()).map(|at| at.timestamp()).map_err(|_| bad())
}

/// What went.
#[derive(Debug, Default)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    /// Bytes.
    pub reclaimed: u64,
}

impl Store {
    /// # Errors
    /// The first image that cannot be removed; what went before it is gone.
    pub fn prune(&self, all: bool, filters: &[Filter]) -> Result<Pruned> {
        let all = filters.iter().fold(all, |all, f| if let Filter::Dangling(only) = f { !only } else { all });
        let used: BTreeSet<Digest> = usage::containers(&self.paths)?.into_iter().filter_map(|u| u.config).collect();
        let mut images: BTreeMap<Digest, Vec<Row>> = BTreeMap::new();
        for row in self.list(&[])? {
            images.entry(row.id.clone()).or_default().push(row);
        }
        let mut pruned = Pruned::default();
        for (id, rows) in images {
            let named = rows.iter().any(|row| row.tag.is_some());
            if used.contains(&id) || (named && !all) || !filters.iter().all(|f| f.fits(&rows[0])) {
                continue;
            }
            if self.is_held(&id)? {
                continue;
            }
            let config = self.config(&id)?;
            let sizes: Vec<(Digest, u64)> = config
                .rootfs()
                .diff_ids()
                .iter()
                .filter_map(|d| Digest::parse(d).ok())
                .filter_map(|d| layers::size(&self.paths.layers(), &d).map(|size| (d, size)))
                .collect();
            let removed = self.remove(id.as_str(), true)?;
            pruned.reclaimed += sizes.iter().filter(|(d, _)| removed.deleted.contains(d)).map(|(_, s)| s).sum::<u64>();
            pruned.removed.push(removed);
        }
        events::note(&self.paths, Event::prune("image", pruned.reclaimed));
        Ok(pruned)
    }

    /// Whether a container that leaves no record is running from it.
    fn is_held(&self, id: &Digest) -> Result<bool> {
        for entry in self.index()?.manifests {
            if let Some((manifest, config)) = self.ids(&entry).ok().flatten()
                && config == *id
                && layers::in_use(&self.blob_path(&manifest))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Filter {
    fn fits(&self, row: &Row) -> bool {
        match self {
            Filter::Until(at) => row.created.is_some_and(|created| created < *at),
            Filter::Label { key, value, wanted } => {
                let has = row.labels.get(key).is_some_and(|has| value.as_ref().is_none_or(|v| v == has));
                has == *wanted
            }
            Filter::Dangling(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_a_duration_a_date_or_seconds() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let at = |text: &str| until(text, now).unwrap().to_string();
        assert_eq!(at("24h"), "2026-11-27T12:00:00Z");
        assert_eq!(at("1h30m"), "2026-11-28T10:30:00Z");
        assert_eq!(at("2026-01-31T10:00:00Z"), "2026-01-31T10:00:00Z");
        assert_eq!(at("1000000000"), "2001-09-09T01:46:40Z");
        assert!(at("2026-01-31").starts_with("2026-01-3"));
        for bad in ["", "soon", "24x"] {
            assert!(until(bad, now).is_err(), "{bad}");
        }
    }
}
