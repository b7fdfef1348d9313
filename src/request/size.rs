//! Sizes as docker's go-units reads them: `512m`, `1.5g`, `64KiB`, `1024`.

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub i64);
