//! What is seen of containers from outside: logs, lists, docker-shaped views.

pub mod logs;
