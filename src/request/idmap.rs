//! `--uidmap`, `--gidmap`: `CONTAINER:HOST[:LENGTH]`

/// One line of an id map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    pub container: u32,
    pub host: u32,
    pub size: u32,
    pub typed: String,
}
