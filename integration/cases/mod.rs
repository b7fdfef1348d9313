//! Every case, by what it is about.

mod exit_codes;

use crate::harness::Case;

pub fn all() -> Vec<Case> {
    [exit_codes::CASES, crate::measure::CASES].concat()
}
