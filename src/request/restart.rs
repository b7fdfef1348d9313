//! `--restart`

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    No,
    Always,
    UnlessStopped,
    OnFailure {
        /// 0 is without end.
        max: u32,
    },
}
