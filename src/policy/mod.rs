//! Which drafts may run. Pure: everything that rules judge is in the [`Draft`](crate::plan::Draft) and the
//! [`Facts`](crate::facts::Facts).

pub mod allow;
pub mod capabilities;
#[cfg(test)]
mod cases;
pub mod registry;
pub mod render;
mod rule;
pub mod rules;
pub mod sensitive;
#[cfg(test)]
pub mod testkit;
mod verdict;

pub use allow::Allow;
pub use rule::{Finding, Override, Rule, Severity};
pub use verdict::{Verdict, judge};
