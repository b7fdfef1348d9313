//! `--umask`: octal

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u32);
