//! What is said between the keeper and those who use it.

use super::Rootless;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Joined(Rootless),
    /// With the socket, where one was asked for.
    Done,
    Errno(i32),
    /// In words.
    Unable(String),
}
