//! `--device-read-bps DEV:RATE` and its like, `--blkio-weight-device DEV:WEIGHT`

use std::path::PathBuf;

/// A device path and its weight, bytes per second or operations per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceValue {
    /// Begins with /dev/.
    pub path: PathBuf,
    pub value: u64,
    pub typed: String,
}
