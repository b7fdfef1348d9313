//! `--device-cgroup-rule "TYPE MAJOR:MINOR ACCESS"`

/// One checked rule, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// `a`, `c` or `b`
    pub kind: char,
    /// `None` is `*`.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: String,
    /// Without its flag: what goes into `Draft::device_cgroup_rules`.
    pub typed: String,
}
