//! `--gpus`

/// A request for GPUs. It is judged by a rule; there is no GPU driver to carry it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuRequest {
    pub typed: String,
}
