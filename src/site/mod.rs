//! The site's own law: `/etc/hardrun/policy.toml`.
//!
//! The policy is part of the [`Facts`](crate::facts::Facts), so whatever is judged is judged by it: a new container, one that
//! is started again, a process that is added. There is no flag and no variable that leaves it out or names another file. The
//! pure part takes text ([`parse`]); [`load()`] is the only one that knows where the file is.

mod caller;
mod image;
mod judge;
mod law;
pub mod limits;
mod load;
mod parse;
pub mod pattern;
pub mod reach;
mod roots;
pub mod rules;
mod schema;
pub mod signature;

pub use caller::Caller;
pub use judge::Permission;
pub use law::{Ceilings, Grant, Law, Signed, SitePath};
pub use load::{load, remember, today, try_out};
pub use parse::{Problem, parse};
pub use schema::{Name, PathMode, PolicyFile, Unlisted};

use serde::{Deserialize, Serialize};

/// Below `/`.
const FOLDER: &str = "etc/hardrun";
const NAME: &str = "policy.toml";
/// Where the policy is.
pub const PATH: &str = "/etc/hardrun/policy.toml";

/// The policy, and what its entries are compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Site {
    /// `sha256:…` of the file; `None`: there is none.
    pub digest: Option<String>,
    /// `YYYY-MM-DD`, UTC.
    pub today: String,
    /// Gathered only where an entry asks for it.
    pub caller: Caller,
    pub law: Law,
}

impl Site {
    /// A policy that is tried out, for this caller today.
    pub fn trial(law: Law) -> Site {
        Site { digest: None, today: today(), caller: Caller::me(), law }
    }

    /// For facts that say nothing of a site.
    pub fn is_none(&self) -> bool {
        *self == Site::default()
    }
}

impl Law {
    fn asks_who(&self) -> bool {
        self.allow.iter().any(|g| !g.users.is_empty() || !g.groups.is_empty())
    }
}

/// JSON Schema of the policy file.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(PolicyFile).to_value()
}

#[cfg(test)]
mod tests;
