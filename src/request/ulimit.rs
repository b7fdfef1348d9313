//! `--ulimit NAME=SOFT[:HARD]`

/// A resource limit; `u64::MAX` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Lower case, as docker names it (`nofile`).
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}
