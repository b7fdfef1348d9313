//! `--add-host host:ip`, `host=ip`, `host:host-gateway`.

/// One extra line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHost {
    pub name: String,
    /// An address, or the word `host-gateway`.
    pub address: String,
}
