//! `--sysctl KEY=VALUE`

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// With dots.
    pub key: String,
    pub value: String,
}
