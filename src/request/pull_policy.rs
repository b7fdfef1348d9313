//! `--pull`

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    Missing,
    Never,
    /// podman: as `always` where the registry has a newer one.
    Newer,
}
