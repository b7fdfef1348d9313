//! What is said between the keeper and those who use it.

use super::Rootless;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What is around the containers' network: prefixes, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The host's own.
    pub own: Vec<String>,
    /// What it has addresses in or routes to.
    pub used: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// What it keeps: answered with descriptors of the user and network namespaces.
    Join,
    Bind {
        address: SocketAddr,
        stream: bool,
    },
    Socket {
        ipv6: bool,
        stream: bool,
    },
    WayOut,
    /// Addresses and networks of the host.
    Surroundings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Joined(Rootless),
    /// With the socket, where one was asked for.
    Done,
    Errno(i32),
    Surroundings(Surroundings),
    /// In words.
    Unable(String),
    /// To who is in another user namespace: perhaps a container's.
    Unheard,
}
