//! The only place with `unsafe`.

pub mod landlock;
pub mod seccomp;
