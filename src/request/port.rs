//! Port specifications: `-p [ip:][host[-range]:]container[-range][/proto]`, the long form and `--expose`.

use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// Both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    pub start: u16,
    pub end: u16,
}

/// One `--publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    pub host_ip: Option<IpAddr>,
    /// `None`: an ephemeral port. As long as `container`, or (any free port of it) longer where that is one port.
    pub host: Option<PortRange>,
    pub container: PortRange,
    pub protocol: Protocol,
    /// With its flag: `-p 80:80`.
    pub typed: String,
}

/// One `--expose`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub ports: PortRange,
    pub protocol: Protocol,
}
