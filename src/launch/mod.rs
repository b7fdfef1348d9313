//! Carrying a plan out. The only place that imports libcontainer.
//!
//! `front` runs in the process that parsed the command line: it hands the plan over in a sealed memory file and replaces
//! itself by a fresh exec of the protected executable. `launcher` is that fresh process: single-threaded, without
//! environment, in a mount namespace of its own. It stages the mounts, builds the container, reads its state back,
//! lets it go, and stays as its supervisor.

mod cgroup;
mod cgroup_v1;
mod executor;
mod front;
mod handoff;
mod init;
mod launcher;
mod network;
mod pump;
mod readback;
mod record;
mod supervisor;
mod terminal;

pub use front::run;
pub use handoff::Handoff;
pub use launcher::{LAUNCH_ARGUMENT, main as launch};
pub use record::sweep;
