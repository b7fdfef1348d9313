//! `--cpus`: a decimal number of CPUs.

/// Billionths of a CPU, as docker counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    pub nano: i64,
}
