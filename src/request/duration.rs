//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

/// Nanoseconds; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GoDuration {
    pub nanos: i64,
}
