//! Records for tests.

use super::{Record, Stamp, Words};
use crate::plan::Plan;

/// An id that begins with `start`.
pub fn id(start: &str) -> String {
    format!("{start}{}", "0".repeat(64 - start.len()))
}

pub fn record(start: &str, name: &str) -> Record {
    let mut draft = crate::policy::testkit::draft();
    draft.id = id(start);
    draft.name = name.to_owned();
    draft.remove = false;
    let plan = Plan { version: Plan::VERSION, draft, overrides: vec![], fallbacks: vec![], site_policy: None };
    Record {
        version: Record::VERSION,
        id: id(start),
        name: name.to_owned(),
        created: Stamp::default(),
        digest: plan.digest(),
        plan,
        words: Words { named: true, ..Words::default() },
        allow: vec![],
    }
}
