//! One file a rule.

pub mod mount;

/// What every rule's file uses.
mod prelude {
    pub use super::mount;
    pub use crate::facts::{Facts, PathClass};
    pub use crate::plan::*;
    pub use crate::policy::rule::{Finding, Override, Rule, Severity, asked};
    pub use crate::policy::sensitive::pattern::Relation;
}

pub mod dangerous_capability;
pub mod engine_data;
pub mod engine_socket;
pub mod foreign_container;
pub mod host_cgroupns;
pub mod host_dev_mount;
pub mod host_ipc;
pub mod host_network;
pub mod host_pid;
pub mod host_proc_mount;
pub mod host_root_mount;
pub mod host_secrets;
pub mod host_sys_mount;
pub mod host_userns;
pub mod host_uts;
pub mod kernel_mountpoint;
pub mod own_state;
pub mod paths_unmasked;
pub mod privileged;
pub mod sensitive_mount_rw;
pub mod shared_propagation;
