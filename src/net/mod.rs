//! Networks: bridges, links, rules, addresses and names.
//!
//! Everything that a container has on the host is written in its lease before it is made, and changed under one lock a
//! root: a supervisor that is killed leaves nothing that the next command cannot find and take away.

pub mod attach;
pub mod bridge;
mod conntrack;
pub mod describe;
pub mod dns;
pub mod egress;
pub mod elements;
mod forward;
pub mod lease;
pub mod link;
pub mod make;
pub mod names;
pub mod netns;
mod pool;
pub mod ports;
pub mod prefix;
mod program;
mod redirect;
pub mod ruleset;
pub mod store;
pub mod sweep;
mod wire;

pub use attach::{Attached, Target, attach};
pub use program::find as find_program;
pub use store::{Network, Store};
pub use sweep::sweep;
