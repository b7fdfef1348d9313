//! What is seen of containers from outside: logs, lists, docker-shaped views, their formats and filters.

pub mod filter;
pub mod format;
pub mod human;
pub mod logs;
pub mod moment;
pub mod shape;
pub mod watch;
