//! sys

pub mod landlock;
