//! `--device HOST[:CONTAINER][:rwm]`

/// A host device node, or a CDI name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    pub kind: DeviceKind,
    /// With its flag: `--device /dev/sda`.
    pub typed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    Node {
        /// Absolute path on the host.
        host: std::path::PathBuf,
        /// Absolute path in the container.
        container: String,
        /// Some of `r`, `w`, `m`; `None`: not given (docker's default is all three).
        access: Option<String>,
    },
    /// `vendor/class=name`
    Cdi(String),
}
