//! `--detach-keys`: the key sequence that detaches a terminal client.

/// The sequence as typed and as bytes; no bytes: none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    pub typed: String,
    pub bytes: Vec<u8>,
}
