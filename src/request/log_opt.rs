//! `--log-driver`, `--log-opt`

/// Driver and options as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDriver {
    pub driver: Option<String>,
    pub opts: Vec<(String, String)>,
}
