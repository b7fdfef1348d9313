//! `hardrun images`: what is in the store, as docker lists it.

use super::digest::Digest;
use super::layers;
use super::layout::Descriptor;
use super::reference::Reference;
use super::store::Store;
use crate::error::{Error, Result};
use crate::observe::filter;
use crate::ui;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// One line of the list: an image under one of its names.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `None`: `<none>`.
    pub repository: Option<String>,
    pub tag: Option<String>,
    /// Of the manifest or index, as the registry knows it.
    pub digest: Option<String>,
    pub id: Digest,
    pub created: Option<Timestamp>,
    /// Bytes of all files in the layers.
    pub size: u64,
    pub labels: BTreeMap<String, String>,
}

impl Row {
    pub fn dangling(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    fn reference(&self) -> Option<String> {
        let repository = self.repository.as_ref()?;
        Some(match &self.tag {
            Some(tag) => format!("{repository}:{tag}"),
            None => repository.clone(),
        })
    }
}

/// What to list.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    Reference(String),
    Dangling(bool),
    Label(String, Option<String>),
    /// Created before or after this image.
    Before(String),
    Since(String),
}

impl Filter {
    const KEYS: [&str; 5] = ["before", "dangling", "label", "reference", "since"];

    /// What `--filter` was given.
    ///
    /// # Errors
    /// Docker's.
    pub fn all(texts: &[String]) -> Result<Vec<Filter>> {
        filter::pairs(texts, filter::LISTING)?.iter().map(|(key, value)| Self::of(key, value)).collect()
    }

    fn of(key: &str, value: &str) -> Result<Filter> {
        Ok(match key {
            "reference" => Filter::Reference(value.into()),
            "dangling" => match value {
                "true" | "1" => Filter::Dangling(true),
                "false" | "0" => Filter::Dangling(false),
                _ => return Err(Error::verb(format!("Invalid filter 'dangling=[{value}]'"))),
            },
            "label" => match value.split_once('=') {
                Some((label, wanted)) => Filter::Label(label.into(), Some(wanted.into())),
                None => Filter::Label(value.into(), None),
            },
            "before" => Filter::Before(value.into()),
            "since" => Filter::Since(value.into()),
            other => return Err(filter::unknown(other, &Self::KEYS)),
        })
    }
}

type Predicate = Box<dyn Fn(&Row) -> bool>;

impl Store {
    /// The newest first.
    pub fn list(&self, filters: &[Filter]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for entry in self.index()?.manifests {
            match self.rows(&entry) {
                Ok(more) => rows.extend(more),
                Err(e) => ui::warn(&format!("image {} cannot be read: {}", entry.digest, e.chain().join(": "))),
            }
        }
        let keep = self.predicates(filters)?;
        rows.retain(|row| keep.iter().all(|wanted| wanted(row)));
        rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.reference().cmp(&b.reference())));
        Ok(rows)
    }

    fn rows(&self, entry: &Descriptor) -> Result<Vec<Row>> {
        let Some((_, id)) = self.ids(entry)? else { return Ok(Vec::new()) };
        let config = self.config(&id)?;
        let diff_ids = config.rootfs().diff_ids().iter().filter_map(|d| Digest::parse(d).ok());
        let size = diff_ids.filter_map(|d| layers::size(&self.paths.layers(), &d)).sum();
        let row = Row {
            repository: None,
            tag: None,
            digest: None,
            created: config.created().as_ref().and_then(|text| text.parse().ok()),
            size,
            labels: config.labels_of_config().map(|l| l.clone().into_iter().collect()).unwrap_or_default(),
            id,
        };
        let digests = entry.repo_digests();
        let digests: Vec<Reference> = digests.iter().filter_map(|text| Reference::parse_bare(text).ok()).collect();
        if let Some(name) = entry.name() {
            let digest = digests.iter().find(|d| d.name() == name.name()).and_then(|d| d.digest.clone());
            return Ok(vec![Row { repository: Some(name.familiar_name()), tag: name.tag, digest, ..row }]);
        }
        if digests.is_empty() {
            return Ok(vec![row]);
        }
        let by_digest =
            |d: &Reference| Row { repository: Some(d.familiar_name()), digest: d.digest.clone(), ..row.clone() };
        Ok(digests.iter().map(by_digest).collect())
    }

    fn predicates(&self, filters: &[Filter]) -> Result<Vec<Predicate>> {
        let mut out: Vec<Predicate> = Vec::new();
        let patterns: Vec<String> =
            filters.iter().filter_map(|f| if let Filter::Reference(p) = f { Some(p.clone()) } else { None }).collect();
        if !patterns.is_empty() {
            out.push(Box::new(move |row| patterns.iter().any(|p| matches_reference(row, p))));
        }
        for filter in filters {
            match filter.clone() {
                Filter::Reference(_) => {}
                Filter::Dangling(wanted) => out.push(Box::new(move |row| row.dangling() == wanted)),
                Filter::Label(key, value) => out.push(Box::new(move |row| {
                    row.labels.get(&key).is_some_and(|has| value.as_ref().is_none_or(|wanted| wanted == has))
                })),
                Filter::Before(name) => {
                    let at = self.created(&name)?;
                    out.push(Box::new(move |row| row.created < at));
                }
                Filter::Since(name) => {
                    let at = self.created(&name)?;
                    out.push(Box::new(move |row| row.created > at));
                }
            }
        }
        Ok(out)
    }

    fn created(&self, name: &str) -> Result<Option<Timestamp>> {
        let (entry, _) = self.find_entry(name)?.ok_or_else(|| super::gc::no_such_image(name))?;
        Ok(self.rows(&entry)?.first().and_then(|row| row.created))
    }
}

/// Docker's: a pattern with a tag is compared with `repository:tag`, one without with the repository.
fn matches_reference(row: &Row, pattern: &str) -> bool {
    let Some(repository) = &row.repository else { return false };
    let full = row.reference().unwrap_or_default();
    glob(pattern.as_bytes(), full.as_bytes()) || glob(pattern.as_bytes(), repository.as_bytes())
}

/// Go's `path.Match`: `*` and `?` stop at a slash, `[…]` is a class, `\` quotes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => {
            let end = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
            (0..=end).any(|at| glob(rest, &text[at..]))
        }
        [b'?', rest @ ..] => matches!(text, [c, tail @ ..] if *c != b'/' && glob(rest, tail)),
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().skip(1).position(|b| *b == b']').map(|at| at + 1) else { return false };
            let (class, after) = (&rest[..end], &rest[end + 1..]);
            matches!(text, [c, tail @ ..] if *c != b'/' && in_class(class, *c) && glob(after, tail))
        }
        [b'\\', c, rest @ ..] | [c, rest @ ..] => matches!(text, [t, tail @ ..] if t == c && glob(rest, tail)),
    }
}

fn in_class(class: &[u8], c: u8) -> bool {
    let (negated, class) = match class {
        [b'^', rest @ ..] => (true, rest),
        other => (false, other),
    };
    let mut found = false;
    let mut rest = class;
    while let [low, tail @ ..] = rest {
        match tail {
            [b'-', high, after @ ..] => {
                found |= (*low..=*high).contains(&c);
                rest = after;
            }
            _ => {
                found |= *low == c;
                rest = tail;
            }
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, wanted) in [
            ("busy*", "busybox", true),
            ("*", "a/b", false),
            ("*/b", "a/b", true),
            ("b?x:[a-l]*", "box:latest", true),
            ("b?x:[^l]*", "box:latest", false),
            ("box\\*", "box*", true),
            ("[", "[", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), wanted, "{pattern} {text}");
        }
    }
}
