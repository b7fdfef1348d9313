//! Links, addresses and routes by rtnetlink.

use super::prefix::Prefix;
use super::wire::{self, Batch, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Socket};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

const OPER_UP: u8 = 6;
const IFF_UP: u32 = libc::IFF_UP as u32;
const AF_BRIDGE: u8 = libc::AF_BRIDGE as u8;

/// A link of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `bridge`, `veth`, …; empty for hardware.
    pub kind: String,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    up: bool,
}

fn link_header(family: u8, index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0u8; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// Without the index of the message, which says nothing to a reader.
fn plain(result: Result<(), (u32, io::Error)>) -> io::Result<()> {
    result.map_err(|(_, e)| e)
}

/// rtnetlink in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Links(Socket);

impl Links {
    pub fn open() -> io::Result<Links> {
        Socket::route().map(Links)
    }

    /// Make a bridge that is up. Multicast snooping is off: without a querier it would drop IPv6 neighbour discovery.
    pub fn add_bridge(&self, name: &str, mac: [u8; 6], mtu: Option<u32>) -> io::Result<()> {
        let mut b = Batch::new();
        b.message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &link_header(0, 0, IFF_UP, IFF_UP));
        b.text(IFLA_IFNAME, name).attribute(IFLA_ADDRESS, &mac);
        if let Some(mtu) = mtu {
            b.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        let info = b.open(IFLA_LINKINFO);
        b.text(IFLA_INFO_KIND, "bridge");
        let data = b.open(IFLA_INFO_DATA);
        b.attribute(IFLA_BR_FORWARD_DELAY, &0u32.to_ne_bytes()).attribute(IFLA_BR_MCAST_SNOOPING, &[0]);
        b.close(data).close(info);
        plain(self.0.transact(&b))
    }

    /// Make a pair: `host` as an up port of bridge `master`, its peer `inside` in the namespace `netns`, down. A peer that
    /// is up in this message fails with ENOTCONN.
    pub fn add_veth(&self, pair: &Pair<'_>) -> io::Result<()> {
        let mut b = Batch::new();
        b.message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &link_header(0, 0, IFF_UP, IFF_UP));
        b.text(IFLA_IFNAME, pair.host).attribute(IFLA_MASTER, &pair.master.to_ne_bytes());
        if let Some(mtu) = pair.mtu {
            b.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        let info = b.open(IFLA_LINKINFO);
        b.text(IFLA_INFO_KIND, "veth");
        let data = b.open(IFLA_INFO_DATA);
        let peer = b.open(VETH_INFO_PEER);
        b.raw(&link_header(0, 0, 0, 0));
        b.text(IFLA_IFNAME, pair.inside).attribute(IFLA_ADDRESS, &pair.mac);
        if let Some(mtu) = pair.mtu {
            b.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        b.attribute(IFLA_NET_NS_FD, &pair.netns.as_raw_fd().to_ne_bytes());
        b.close(peer).close(data).close(info);
        plain(self.0.transact(&b))
    }

    /// Properties of a bridge's port: frames may go back where they came from; frames reach no other isolated port.
    pub fn set_port(&self, index: u32, hairpin: bool, isolated: bool) -> io::Result<()> {
        let mut b = Batch::new();
        b.message(RTM_SETLINK, NLM_F_ACK, &link_header(AF_BRIDGE, index, 0, 0));
        let info = b.open(IFLA_PROTINFO);
        b.attribute(IFLA_BRPORT_MODE, &[u8::from(hairpin)]).attribute(IFLA_BRPORT_ISOLATED, &[u8::from(isolated)]);
        b.close(info);
        plain(self.0.transact(&b))
    }

    /// Set a link up, give it addresses and a way out, all in one call.
    pub fn configure(&self, index: u32, addresses: &[(IpAddr, u8)], gateways: &[IpAddr]) -> io::Result<()> {
        let mut b = Batch::new();
        b.message(RTM_NEWLINK, NLM_F_ACK, &link_header(0, index, IFF_UP, IFF_UP));
        for (ip, length) in addresses {
            add_address(&mut b, index, *ip, *length);
        }
        for gateway in gateways {
            add_default_route(&mut b, index, *gateway);
        }
        plain(self.0.transact(&b))
    }

    pub fn up(&self, index: u32) -> io::Result<()> {
        self.configure(index, &[], &[])
    }

    pub fn add_addresses(&self, index: u32, addresses: &[(IpAddr, u8)]) -> io::Result<()> {
        let mut b = Batch::new();
        for (ip, length) in addresses {
            add_address(&mut b, index, *ip, *length);
        }
        if b.is_empty() { Ok(()) } else { plain(self.0.transact(&b)) }
    }

    /// Remove a link; one that is gone already is as good.
    pub fn delete(&self, name: &str) -> io::Result<()> {
        let mut b = Batch::new();
        b.message(RTM_DELLINK, NLM_F_ACK, &link_header(0, 0, 0, 0)).text(IFLA_IFNAME, name);
        match self.0.transact(&b) {
            Err((_, e)) if e.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => plain(other),
        }
    }

    pub fn index(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(self.get(name)?.map(|(link, _)| link.index))
    }

    /// The link of that name, and whether it passes traffic.
    fn get(&self, name: &str) -> io::Result<Option<(Link, bool)>> {
        let mut b = Batch::new();
        b.message(RTM_GETLINK, NLM_F_ACK, &link_header(0, 0, 0, 0)).text(IFLA_IFNAME, name);
        match self.0.ask(&b) {
            Ok(answers) => Ok(answers.iter().find_map(|a| {
                let attributes = a.body.get(16..)?;
                let state = wire::find(attributes, IFLA_OPERSTATE).and_then(|v| v.first().copied());
                Some((parse_link(&a.body)?, state == Some(OPER_UP)))
            })),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Wait until a link passes traffic. Set-up ends before that: of 120 connections made at once 36 took a second, for
    /// their first packet was lost.
    pub fn await_up(&self, name: &str) -> io::Result<()> {
        let start = Instant::now();
        loop {
            match self.get(name)? {
                Some((_, true)) => return Ok(()),
                // The packets of the first second may be lost, which every protocol bears: no reason to fail a start.
                _ if start.elapsed() > Duration::from_millis(500) => return Ok(()),
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    pub fn all(&self) -> io::Result<Vec<Link>> {
        let mut b = Batch::new();
        b.message(RTM_GETLINK, NLM_F_DUMP, &link_header(0, 0, 0, 0));
        Ok(self.0.ask(&b)?.iter().filter_map(|a| parse_link(&a.body)).collect())
    }

    /// What of this host a container may not reach, wherever packets to it come out: each address, what is delivered here by a route,
    /// and the networks of bridges that no hardware is on, where other engines and virtual machines are. None holds another.
    pub fn own(&self) -> io::Result<Vec<Prefix>> {
        let links = self.all()?;
        let leads_out = |index: u32| {
            links.iter().any(|port| port.master == Some(index) && !matches!(port.kind.as_str(), "veth" | "tun"))
        };
        let inner = |index: u32| links.iter().any(|l| l.index == index && l.kind == "bridge" && !leads_out(index));
        let mut b = Batch::new();
        b.message(RTM_GETADDR, NLM_F_DUMP, &[0u8; 8]);
        let mut found = Vec::new();
        for answer in self.0.ask(&b)? {
            let (Some(header), Some(attributes)) = (answer.body.get(..8), answer.body.get(8..)) else { continue };
            let index = header[4..8].try_into().map_or(0, u32::from_ne_bytes);
            let Some(ip) = wire::find(attributes, 2).or_else(|| wire::find(attributes, 1)).and_then(address) else {
                continue;
            };
            let whole = if ip.is_ipv4() { 32 } else { 128 };
            found.push(Prefix::new(ip, if inner(index) { header[1] } else { whole }));
        }
        let mut b = Batch::new();
        b.message(RTM_GETROUTE, NLM_F_DUMP, &[0u8; 12]);
        found.extend(self.0.ask(&b)?.iter().filter_map(|a| delivered(&a.body)));
        found.retain(|p| !p.address().is_loopback() && !is_link_local(p.address()));
        found.sort_by_key(|p| (p.length(), p.address()));
        let mut kept: Vec<Prefix> = Vec::new();
        for prefix in found {
            if !kept.iter().any(|k| k.holds(&prefix)) {
                kept.push(prefix);
            }
        }
        Ok(kept)
    }

    /// Networks that the host has an address in or a route to, default routes left out. Those of the interface `but` are
    /// not looked at.
    pub fn occupied(&self, but: Option<u32>) -> io::Result<Vec<Prefix>> {
        let mut found = Vec::new();
        let mut b = Batch::new();
        b.message(RTM_GETADDR, NLM_F_DUMP, &[0u8; 8]);
        for answer in self.0.ask(&b)? {
            let (Some(header), Some(attributes)) = (answer.body.get(..8), answer.body.get(8..)) else { continue };
            if but.is_some() && header[4..8].try_into().ok().map(u32::from_ne_bytes) == but {
                continue;
            }
            let ip = wire::find(attributes, 2).or_else(|| wire::find(attributes, 1)).and_then(address);
            found.extend(ip.map(|ip| Prefix::new(ip, header[1])));
        }
        let mut b = Batch::new();
        b.message(RTM_GETROUTE, NLM_F_DUMP, &[0u8; 12]);
        for answer in self.0.ask(&b)? {
            let (Some(header), Some(attributes)) = (answer.body.get(..12), answer.body.get(12..)) else { continue };
            // The interface that it leads out of (RTA_OIF).
            let out = wire::find(attributes, 4).and_then(|v| v.try_into().ok()).map(u32::from_ne_bytes);
            if but.is_some() && out == but {
                continue;
            }
            let ip = wire::find(attributes, 1).and_then(address);
            found.extend(ip.filter(|_| header[1] > 0).map(|ip| Prefix::new(ip, header[1])));
        }
        // Multicast and link-local routes are on every interface and say nothing about who uses which network.
        found.retain(|p| !p.address().is_multicast() && !is_link_local(p.address()));
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// A pair of links: one end on the host, the other in a container.
#[derive(Debug)]
pub struct Pair<'a> {
    pub host: &'a str,
    /// Index of the bridge.
    pub master: u32,
    pub inside: &'a str,
    pub mac: [u8; 6],
    pub netns: BorrowedFd<'a>,
    pub mtu: Option<u32>,
}

pub fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// What a route says to be delivered to this host, interfaces' addresses or not: what a packet of root's containers would meet as input.
/// In the three tables that a host has without rules of its own; in others (transparent proxies' by firewall marks) a
/// route counts for some packets alone.
fn delivered(body: &[u8]) -> Option<Prefix> {
    const TABLES: std::ops::RangeInclusive<u8> = 253..=255;
    const LOCAL: u8 = 2;
    const BROADCAST: u8 = 3;
    const ANYCAST: u8 = 4;
    let (header, attributes) = (body.get(..12)?, body.get(12..)?);
    let (family, length, table, kind) = (header[0], header[1], header[4], header[7]);
    if !TABLES.contains(&table) || !matches!(kind, LOCAL | BROADCAST | ANYCAST) {
        return None;
    }
    let all: IpAddr = match i32::from(family) {
        libc::AF_INET => std::net::Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    // A route to everything has no destination.
    let to = wire::find(attributes, 1).and_then(address).unwrap_or(all);
    Some(Prefix::new(to, length))
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let (header, rest) = (body.get(..16)?, body.get(16..)?);
    let info = wire::find(rest, IFLA_LINKINFO);
    Some(Link {
        index: u32::from_ne_bytes(header[4..8].try_into().ok()?),
        name: wire::find(rest, IFLA_IFNAME).map(wire::string)?,
        kind: info.and_then(|i| wire::find(i, IFLA_INFO_KIND)).map(wire::string).unwrap_or_default(),
        master: wire::find(rest, IFLA_MASTER).and_then(|v| Some(u32::from_ne_bytes(v.try_into().ok()?))),
        up: u32::from_ne_bytes(header[8..12].try_into().ok()?) & IFF_UP != 0,
    })
}

impl Link {
    pub fn is_up(&self) -> bool {
        self.up
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn family(ip: IpAddr) -> u8 {
    (if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn add_address(b: &mut Batch, index: u32, ip: IpAddr, length: u8) {
    const IFA_F_NODAD: u8 = 2;
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    let mut header = [0u8; 8];
    header[0] = family(ip);
    header[1] = length;
    // Duplicate address detection would keep the address from use for 1.6 s; hardrun gives each out once.
    header[2] = if ip.is_ipv6() { IFA_F_NODAD } else { 0 };
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    b.message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &header);
    b.attribute(IFA_LOCAL, &octets(ip)).attribute(IFA_ADDRESS, &octets(ip));
    let network = Prefix::new(ip, length);
    if ip.is_ipv4() && length < 31 {
        b.attribute(IFA_BROADCAST, &octets(network.last()));
    }
}

fn add_default_route(b: &mut Batch, index: u32, gateway: IpAddr) {
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    let (table, protocol, unicast) = (254, 3, 1);
    b.message(
        RTM_NEWROUTE,
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        &[family(gateway), 0, 0, 0, table, protocol, 0, unicast, 0, 0, 0, 0],
    );
    b.attribute(RTA_GATEWAY, &octets(gateway)).attribute(RTA_OIF, &index.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_here_is_told_from_what_is_passed_on() {
        let route = |length: u8, table: u8, kind: u8, to: &str| {
            let to: IpAddr = to.parse().unwrap();
            let mut body = vec![family(to), length, 0, 0, table, 0, 0, kind, 0, 0, 0, 0];
            if length > 0 {
                let octets = octets(to);
                body.extend_from_slice(&(4 + octets.len() as u16).to_ne_bytes());
                body.extend_from_slice(&1u16.to_ne_bytes());
                body.extend_from_slice(&octets);
            }
            delivered(&body).map(|p| p.to_string())
        };
        assert_eq!(route(24, 255, 2, "198.51.100.0").as_deref(), Some("198.51.100.0/24"));
        assert_eq!(route(32, 255, 3, "10.0.0.255").as_deref(), Some("10.0.0.255/32"));
        assert_eq!(route(64, 254, 2, "2001:db8:5::").as_deref(), Some("2001:db8:5::/64"));
        assert_eq!(route(128, 255, 4, "2001:db8::").as_deref(), Some("2001:db8::/128"));
        assert_eq!(route(0, 254, 2, "0.0.0.0").as_deref(), Some("0.0.0.0/0"));
        // One of every unicast route, and a transparent proxy's, which is for marked packets alone.
        assert_eq!((route(24, 254, 1, "192.0.2.0"), route(0, 100, 2, "0.0.0.0")), (None, None));
        assert_eq!(delivered(&[2, 24, 0, 0]), None);
    }
}
