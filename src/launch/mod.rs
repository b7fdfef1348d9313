//! Carrying a plan out. The only place that imports libcontainer.
//!
//! `front` runs in the process that parsed the command line: it hands the plan over in a sealed memory file and replaces
//! itself by a fresh exec of the protected executable. `launcher` is that fresh process: single-threaded, without
//! environment, in a mount namespace of its own. It stages the mounts, builds the container, reads its state back,
//! lets it go, and stays as its supervisor.

mod asks;
mod build;
mod caller;
mod cgroup;
mod cgroup_rootless;
mod cgroup_v1;
mod cgroup_v2;
pub mod client;
mod connections;
mod credentials;
mod denials;
mod device_program;
mod end;
mod enter;
mod enter_cgroup;
pub mod exec;
mod exec_ends;
mod exec_entry;
mod executor;
mod freezer;
mod front;
pub(crate) mod handoff;
mod handshake;
mod health;
mod init;
mod join;
mod keeper;
mod launcher;
mod limit_files;
mod limits;
mod network;
mod pipes;
mod poll;
mod process;
pub mod processes;
mod readback;
mod remove;
mod rename;
mod restart;
mod ruleset;
mod staging;
mod streams;
mod supervisor;
mod systemd;
pub mod terminal;
mod tree;
mod update;

pub use front::{run, start};
pub use handoff::Handoff;
pub use launcher::{LAUNCH_ARGUMENT, main as launch};
pub use network::alive;
pub use process::{Signals, is_exiting as process_is_exiting, start_time as process_started};
pub use remove::{Swept, remove, sweep};
pub use rename::rename;
