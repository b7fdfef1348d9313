//! Which drafts may run. Pure.

pub mod registry;
mod rule;
pub mod rules;

pub use rule::{Finding, Rule, Severity};
