//! Ports of the host: each is held by a socket that never listens, so that nobody else takes it while it is published.

use super::elements::{Element, Family, Fields};
use crate::error::{Error, Result};
use crate::plan::Published;
use crate::rootless::forward::Target;
use crate::state::BoundPort;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A published port, held.
#[derive(Debug)]
pub struct Held {
    pub port: BoundPort,
    host: SocketAddr,
    protocol: u8,
    socket: OwnedFd,
}

/// Addresses of the container that ports lead to.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    pub ip: Ipv4Addr,
    pub ip6: Option<Ipv6Addr>,
}

impl Held {
    /// Take a port of the host.
    ///
    /// # Errors
    /// docker's where it is taken; an address that is not the host's; a protocol that the kernel has not.
    pub fn take(wanted: &Published) -> Result<Held> {
        let ip: IpAddr = match &wanted.host_ip {
            None => Ipv4Addr::LOCALHOST.into(),
            Some(text) => text.parse().map_err(|_| Error::runner(format!("invalid IP address: {text}")))?,
        };
        let ip = match ip {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
            v4 => v4,
        };
        if ip == IpAddr::V6(Ipv6Addr::LOCALHOST) {
            return Err(Error::runner(format!("publish {wanted}: packets to ::1 cannot be led elsewhere"))
                .hint("publish on 127.0.0.1, which localhost means too"));
        }
        let (kind, protocol, number) = match wanted.protocol.as_str() {
            "tcp" => (SocketType::STREAM, rustix::net::ipproto::TCP, libc::IPPROTO_TCP),
            "udp" => (SocketType::DGRAM, rustix::net::ipproto::UDP, libc::IPPROTO_UDP),
            _ => (SocketType::STREAM, rustix::net::ipproto::SCTP, libc::IPPROTO_SCTP),
        };
        let first = wanted.host_port.unwrap_or(0);
        let last = wanted.host_port_last.unwrap_or(first);
        let mut refused = None;
        for port in first..=last {
            match hold_for(SocketAddr::new(ip, port), kind, protocol) {
                Ok((socket, host)) => {
                    let port = BoundPort {
                        host_ip: ip.to_string(),
                        host_port: host.port(),
                        container_port: wanted.container_port,
                        protocol: wanted.protocol.clone(),
                    };
                    return Ok(Held { port, host, protocol: number as u8, socket });
                }
                Err(e) => refused = Some((port, e)),
            }
        }
        let (port, e) = refused.unwrap_or((first, rustix::io::Errno::INVAL));
        let host = SocketAddr::new(ip, port);
        Err(match e {
            rustix::io::Errno::ADDRINUSE if first != last => {
                Error::runner(format!("Bind for {ip}:{first}-{last} failed: all ports are allocated"))
            }
            rustix::io::Errno::ADDRINUSE => Error::runner(format!("Bind for {host} failed: port is already allocated")),
            rustix::io::Errno::PROTONOSUPPORT | rustix::io::Errno::SOCKTNOSUPPORT => {
                Error::runner(format!("Bind for {host} failed: the kernel has no {}", wanted.protocol))
            }
            rustix::io::Errno::ADDRNOTAVAIL => {
                Error::runner(format!("Bind for {host} failed: cannot assign requested address"))
                    .hint("the address has to be one of the host's")
            }
            rustix::io::Errno::ACCESS => Error::runner(format!("Bind for {host} failed: permission denied"))
                .hint("an ordinary user takes ports from net.ipv4.ip_unprivileged_port_start on"),
            e => Error::runner(format!("Bind for {host} failed")).because(e),
        })
    }

    /// Reached from elsewhere than the host itself.
    pub fn is_open(&self) -> bool {
        !self.host.ip().is_loopback()
    }

    /// The socket, and where what comes to it is passed on to, for an ordinary user's containers.
    pub fn forward(&self, inside: Inside) -> Option<(BorrowedFd<'_>, Target)> {
        let ip = match self.host.ip() {
            IpAddr::V4(_) => IpAddr::V4(inside.ip),
            IpAddr::V6(_) => IpAddr::V6(inside.ip6?),
        };
        let stream = i32::from(self.protocol) == libc::IPPROTO_TCP;
        Some((self.socket.as_fd(), Target { to: SocketAddr::new(ip, self.port.container_port), stream }))
    }

    /// The entry of the rules that leads to the container.
    pub fn element(&self, inside: Inside) -> Result<Element> {
        let ip = match (self.host.ip(), inside.ip6) {
            (IpAddr::V4(_), _) => IpAddr::V4(inside.ip),
            (IpAddr::V6(_), Some(ip6)) => IpAddr::V6(ip6),
            (IpAddr::V6(_), None) => {
                return Err(Error::runner(format!("publish on {}: the container has no IPv6 address", self.host))
                    .hint("use a network that was made with --ipv6"));
            }
        };
        let to = Fields::new().ip(ip).port(self.port.container_port);
        let host = self.host.ip();
        let (set, key) = match () {
            () if host.is_unspecified() => ("anywhere", Fields::new()),
            () if host.is_loopback() => ("loopback", Fields::new().ip(host)),
            () => ("published", Fields::new().ip(host)),
        };
        let key = key.protocol(self.protocol).port(self.host.port());
        Ok(Element::versioned(Family::Inet, set, host, key).to(to))
    }
}

/// Of an ordinary user's containers the socket is one of the host's network, and connections to it are passed on.
fn hold_for(
    address: SocketAddr,
    kind: SocketType,
    protocol: rustix::net::Protocol,
) -> Result<(OwnedFd, SocketAddr), rustix::io::Errno> {
    if crate::rootless::current().is_none() {
        return hold(address, kind, protocol);
    }
    if protocol == rustix::net::ipproto::SCTP {
        return Err(rustix::io::Errno::PROTONOSUPPORT);
    }
    let socket = crate::rootless::bound(address, kind)
        .map_err(|e| rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))?;
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((socket, bound))
}

fn hold(
    address: SocketAddr,
    kind: SocketType,
    protocol: rustix::net::Protocol,
) -> Result<(OwnedFd, SocketAddr), rustix::io::Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // What reaches it was not led to the container, and nobody reads it.
    sockopt::set_socket_recv_buffer_size(&socket, 0)?;
    bind(&socket, &address)?;
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((socket, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(ip: Option<&str>, port: Option<u16>, last: Option<u16>) -> Published {
        Published {
            host_ip: ip.map(str::to_owned),
            host_port: port,
            host_port_last: last,
            container_port: 80,
            protocol: "tcp".into(),
        }
    }

    #[test]
    fn a_port_is_held_and_the_conflict_is_dockers() {
        let held = Held::take(&wanted(None, None, None)).unwrap();
        let port = held.port.host_port;
        assert!(port != 0 && held.port.host_ip == "127.0.0.1" && !held.is_open());
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
        let error = Held::take(&wanted(Some("127.0.0.1"), Some(port), None)).unwrap_err();
        assert_eq!(error.message, format!("Bind for 127.0.0.1:{port} failed: port is already allocated"));
        let other = Held::take(&wanted(None, Some(port), port.checked_add(20))).unwrap();
        assert!(other.port.host_port > port);
        drop(held);
        Held::take(&wanted(None, Some(port), None)).unwrap();
        let foreign = Held::take(&wanted(Some("192.0.2.254"), Some(port), None)).unwrap_err();
        assert!(foreign.message.contains("cannot assign requested address"), "{foreign}");
        assert!(Held::take(&wanted(Some("::1"), None, None)).unwrap_err().hint.is_some());
    }

    #[test]
    fn loopback_is_in_a_map_of_its_own() {
        let inside = Inside { ip: "172.17.0.2".parse().unwrap(), ip6: None };
        let set = |ip| {
            let held = Held::take(&wanted(Some(ip), None, None)).unwrap();
            serde_json::to_value(held.element(inside).unwrap()).unwrap()["set"].as_str().unwrap().to_owned()
        };
        assert_eq!(set("127.0.0.1"), "loopback4");
        assert_eq!(set("0.0.0.0"), "anywhere4");
        let v6 = Held::take(&wanted(Some("::"), None, None)).unwrap();
        assert!(v6.element(inside).unwrap_err().message.contains("no IPv6 address"));
    }
}
