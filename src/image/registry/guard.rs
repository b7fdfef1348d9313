//! The rule insecure-registry where it bites: a refusal or an override is on record before anything goes out.

use crate::audit::{Entry, Event};
use crate::error::{Error, Result};
use crate::image::reference::Reference;
use crate::policy::rules::insecure_registry::RULE;
use crate::state::Paths;
use std::collections::HashSet;
use std::sync::Mutex;

/// Puts one line into the audit log.
pub type Record<'a> = &'a (dyn Fn(Event, &str) -> Result<()> + Sync);

pub struct Guard<'a> {
    /// `--allow insecure-registry` was given.
    allowed: bool,
    record: Record<'a>,
    note: super::client::Note<'a>,
    /// What was overridden already: said and recorded once.
    passed: Mutex<HashSet<String>>,
}

impl<'a> Guard<'a> {
    pub fn new(allowed: bool, record: Record<'a>, note: super::client::Note<'a>) -> Guard<'a> {
        Guard { allowed, record, note, passed: Mutex::default() }
    }

    pub fn allows(&self) -> bool {
        self.allowed
    }

    /// Refuse, or under the override say and record what is let pass.
    pub fn judge(&self, asked: &str) -> Result<()> {
        if !self.allowed {
            return Err(match (self.record)(Event::Refusal, asked) {
                Ok(()) => refused(asked),
                // It is refused all the same; that it could not be recorded is said with it.
                Err(e) => refused(asked).because(e),
            });
        }
        let mut passed = self.passed.lock().expect("no panics while held");
        if passed.insert(asked.to_owned()) {
            (self.record)(Event::Override, asked)?;
            (self.note)(&format!("rule {} overridden: {asked}", RULE.id));
        }
        Ok(())
    }
}

/// A launch's exit status, for nothing was started or written.
fn refused(asked: &str) -> Error {
    Error::new(crate::error::Kind::Refused, format!("refused by rule {}: {asked}", RULE.id)).hint(format!(
        "risk: {}\nsafer: {}; or a tunnel that ends on 127.0.0.1\noverride: --allow {}",
        RULE.risk, RULE.instead, RULE.id
    ))
}

/// The audit log of a store, for one pull, push or login: `what`.
pub fn record(
    paths: &Paths,
    what: &str,
    reference: &Reference,
    reason: Option<&str>,
    event: Event,
    asked: &str,
) -> Result<()> {
    record_rule(paths, what, RULE.id, reference, reason, event, asked)
}

/// The same for another rule.
pub fn record_rule(
    paths: &Paths,
    what: &str,
    rule: &str,
    reference: &Reference,
    reason: Option<&str>,
    event: Event,
    asked: &str,
) -> Result<()> {
    let entry = Entry {
        event,
        image: reference.familiar(),
        image_digest: reference.digest.clone().unwrap_or_default(),
        plan: String::new(),
        container: String::new(),
        rules: vec![rule.to_owned()],
        asked: vec![asked.to_owned()],
        reason: reason.filter(|_| event == Event::Override).map(str::to_owned),
        status: None,
        note: Some(what.into()),
    };
    crate::audit::append(paths, entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_recorded_before_it_happens() {
        let log = Mutex::new(Vec::new());
        let record = |event: Event, asked: &str| {
            log.lock().unwrap().push(format!("{} {asked}", event.name()));
            Ok(())
        };
        let note = |_: &str| ();
        let e = Guard::new(false, &record, &note).judge("x over http").unwrap_err();
        assert!(e.message.contains("rule insecure-registry: x over http"));
        assert!(e.hint.unwrap().contains("--allow insecure-registry"));
        let guard = Guard::new(true, &record, &note);
        guard.judge("y over http").unwrap();
        guard.judge("y over http").unwrap();
        assert_eq!(*log.lock().unwrap(), ["refusal x over http", "override y over http"]);
    }

    #[test]
    fn what_cannot_be_recorded_is_not_overridden() {
        let record = |_: Event, _: &str| Err(Error::runner("disk full"));
        let note = |_: &str| ();
        assert_eq!(Guard::new(true, &record, &note).judge("x").unwrap_err().message, "disk full");
        let chain = Guard::new(false, &record, &note).judge("x").unwrap_err().chain();
        assert!(chain[0].contains("refused by rule") && chain[1] == "disk full");
    }
}
