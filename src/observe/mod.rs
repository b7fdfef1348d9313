//! What is seen of containers from outside: logs, lists, docker-shaped views, their formats and filters.

pub mod events;
pub mod filter;
pub mod format;
pub mod host;
pub mod human;
pub mod inspect;
pub mod logs;
pub mod moment;
pub mod mounts;
pub mod ps;
pub mod shape;
pub mod sizes;
pub mod stats;
pub mod top;
pub mod watch;
