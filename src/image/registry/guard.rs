//! The rule insecure-registry where it bites: a refusal or an override is on record before anything goes out.

use crate::audit::{Entry, Event};
use crate::error::{Error, Result};
use crate::image::reference::Reference;
use crate::policy::rules::insecure_registry::RULE;
use crate::site::{Permission, Site};
use crate::state::Paths;
use std::collections::HashSet;
use std::sync::Mutex;

/// Puts one line into the audit log.
pub type Record<'a> = &'a (dyn Fn(Event, &str) -> Result<()> + Sync);

pub struct Guard<'a> {
    /// `--allow insecure-registry` was given, and the site's policy lets it be.
    allowed: bool,
    /// It was given, and this is why the policy does not let it be.
    denied: Option<String>,
    record: Record<'a>,
    note: super::client::Note<'a>,
    /// What was overridden already: said and recorded once.
    passed: Mutex<HashSet<String>>,
}

impl<'a> Guard<'a> {
    /// `asked`: the override was given. Whether it counts here is the site's to say.
    pub fn new(
        asked: bool,
        site: &Site,
        reference: &Reference,
        record: Record<'a>,
        note: super::client::Note<'a>,
    ) -> Guard<'a> {
        let denied = match asked.then(|| site.permits_registry(RULE.id, reference)) {
            Some(Permission::Denied(why)) => Some(why),
            Some(Permission::Given(_)) | None => None,
        };
        Guard { allowed: asked && denied.is_none(), denied, record, note, passed: Mutex::default() }
    }

    pub fn allows(&self) -> bool {
        self.allowed
    }

    /// Refuse, or under the override say and record what is let pass.
    pub fn judge(&self, asked: &str) -> Result<()> {
        if !self.allowed {
            let refused = refused(asked, self.denied.as_deref());
            return Err(match (self.record)(Event::Refusal, asked) {
                Ok(()) => refused,
                // It is refused all the same; that it could not be recorded is said with it.
                Err(e) => refused.because(e),
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
fn refused(asked: &str, denied: Option<&str>) -> Error {
    let way = match denied {
        Some(why) => format!("not here, by the site's policy: {why}"),
        None => format!("--allow {}", RULE.id),
    };
    Error::new(crate::error::Kind::Refused, format!("refused by rule {}: {asked}", RULE.id)).hint(format!(
        "risk: {}\nsafer: {}; or a tunnel that ends on 127.0.0.1\noverride: {way}",
        RULE.risk, RULE.instead
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
    use crate::site::Unlisted;

    fn guard<'a>(asked: bool, record: Record<'a>, note: &'a (dyn Fn(&str) + Sync)) -> Guard<'a> {
        Guard::new(asked, &Site::default(), &"reg.lan/app".parse().unwrap(), record, note)
    }

    #[test]
    fn an_override_that_the_site_denies_is_none() {
        let record = |event: Event, _: &str| {
            assert_eq!(event, Event::Refusal);
            Ok(())
        };
        let note = |_: &str| ();
        let mut deny = Site::default();
        deny.law.deny = vec![RULE.id.into()];
        let mut unlisted = Site::default();
        unlisted.law.unlisted_overrides = Unlisted::Deny;
        for site in [deny, unlisted] {
            let guard = Guard::new(true, &site, &"reg.lan/app".parse().unwrap(), &record, &note);
            assert!(!guard.allows());
            let e = guard.judge("x over http").unwrap_err();
            assert!(e.hint.unwrap().contains("not here, by the site's policy"));
        }
    }

    #[test]
    fn everything_is_recorded_before_it_happens() {
        let log = Mutex::new(Vec::new());
        let record = |event: Event, asked: &str| {
            log.lock().unwrap().push(format!("{} {asked}", event.name()));
            Ok(())
        };
        let note = |_: &str| ();
        let e = guard(false, &record, &note).judge("x over http").unwrap_err();
        assert!(e.message.contains("rule insecure-registry: x over http"));
        assert!(e.hint.unwrap().contains("--allow insecure-registry"));
        let guard = guard(true, &record, &note);
        guard.judge("y over http").unwrap();
        guard.judge("y over http").unwrap();
        assert_eq!(*log.lock().unwrap(), ["refusal x over http", "override y over http"]);
    }

    #[test]
    fn what_cannot_be_recorded_is_not_overridden() {
        let record = |_: Event, _: &str| Err(Error::runner("disk full"));
        let note = |_: &str| ();
        assert_eq!(guard(true, &record, &note).judge("x").unwrap_err().message, "disk full");
        let chain = guard(false, &record, &note).judge("x").unwrap_err().chain();
        assert!(chain[0].contains("refused by rule") && chain[1] == "disk full");
    }
}
