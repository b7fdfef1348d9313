//! The ordered list of all rules.

use super::rule::Rule;

pub static RULES: &[Rule] = &[];
