//! How long, and how often.

use std::time::Duration;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// Between two reads; also the window in which a blob must bring `min_bytes`.
    pub stall: Duration,
    /// Fewer bytes than this in one `stall` count as a stall: a server that drips would hold us for ever.
    pub min_bytes: u64,
    /// A whole manifest, token or list.
    pub small: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            min_bytes: 16 << 10,
            small: Duration::from_secs(60),
        }
    }
}

/// How often to try again, and when.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// Before the second try; doubled each time.
    pub delay: Duration,
    /// The longest wait, also for `Retry-After`: a server that asks for more is told to its face.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { times: 4, delay: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

impl Retry {
    /// The wait before try number `n` (from 1); `None` when there is no such try.
    pub fn wait(&self, n: u32, after: Option<Duration>) -> Option<Duration> {
        if n > self.times || after.is_some_and(|a| a > self.longest) {
            return None;
        }
        let backoff = self.delay.saturating_mul(1 << (n - 1).min(16)).min(self.longest);
        Some(after.map_or(backoff, |a| a.max(backoff)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let retry = Retry { times: 4, delay: Duration::from_secs(2), longest: Duration::from_secs(10) };
        let waits: Vec<_> = (1..=5).map(|n| retry.wait(n, None).map(|d| d.as_secs())).collect();
        assert_eq!(waits, [Some(2), Some(4), Some(8), Some(10), None]);
        assert_eq!(retry.wait(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(retry.wait(3, Some(Duration::from_secs(1))), Some(Duration::from_secs(8)));
        assert_eq!(retry.wait(1, Some(Duration::from_secs(11))), None, "longer than is waited at all");
    }
}
