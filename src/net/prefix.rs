//! Networks as an address and a length.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: all host bits are zero. Written as `172.18.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The network of `length` that `address` is in; a length that is too long is the longest.
    pub fn new(address: IpAddr, length: u8) -> Prefix {
        let length = length.min(if address.is_ipv4() { 32 } else { 128 });
        let prefix = Prefix { address, length };
        Prefix { address: to_ip(address, prefix.first()), length }
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn length(&self) -> u8 {
        self.length
    }

    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn host_mask(&self) -> u128 {
        let bits = u32::from(self.width() - self.length);
        if bits == 128 { u128::MAX } else { (1 << bits) - 1 }
    }

    fn first(&self) -> u128 {
        number(self.address) & !self.host_mask()
    }

    /// The highest address: of an IPv4 network its broadcast address.
    pub fn last(&self) -> IpAddr {
        to_ip(self.address, self.first() | self.host_mask())
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_ipv4() && number(ip) & !self.host_mask() == self.first()
    }

    pub fn holds(&self, other: &Prefix) -> bool {
        other.length >= self.length && self.contains(other.address)
    }

    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.holds(other) || other.holds(self)
    }

    /// What is left of this network without the addresses of another: as few networks as it takes, lowest first.
    pub fn without(&self, other: &Prefix) -> Vec<Prefix> {
        if other.holds(self) {
            return Vec::new();
        }
        if !self.holds(other) {
            return vec![*self];
        }
        self.split(self.length + 1).flat_map(|half| half.without(other)).collect()
    }

    /// Whether an interface may have this address: not the network's own, not the broadcast address.
    pub fn is_host(&self, ip: IpAddr) -> bool {
        let edge = self.length < self.width() - 1;
        self.contains(ip) && !(edge && (ip == self.address || (self.is_ipv4() && ip == self.last())))
    }

    /// Addresses that hosts may have, lowest first.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let prefix = *self;
        let (first, last) = (prefix.first(), number(prefix.last()));
        (first..=last).map(move |n| to_ip(prefix.address, n)).filter(move |ip| prefix.is_host(*ip))
    }

    /// The networks of `length` that this one is made of, lowest first.
    pub fn split(&self, length: u8) -> impl Iterator<Item = Prefix> + use<> {
        let prefix = *self;
        let step = 1u128 << (prefix.width() - length).min(127);
        let (first, last) = (prefix.first(), number(prefix.last()));
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let at = next.filter(|n| *n <= last)?;
            next = at.checked_add(step);
            Some(Prefix::new(to_ip(prefix.address, at), length))
        })
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// A number as an address of the family of `like`.
fn to_ip(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = String;

    /// docker's words for what Go's `net.ParseCIDR` refuses. Host bits are dropped.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid CIDR address: {text}");
        let (address, length) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let length = length.parse::<u8>().ok().filter(|n| *n <= most).ok_or_else(bad)?;
        Ok(Prefix::new(address, length))
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn networks_and_hosts() {
        assert_eq!(prefix("172.18.3.4/16").to_string(), "172.18.0.0/16");
        assert_eq!(prefix("172.18.0.0/16").last().to_string(), "172.18.255.255");
        let hosts: Vec<String> = prefix("10.0.0.0/30").hosts().map(|h| h.to_string()).collect();
        assert_eq!(hosts, ["10.0.0.1", "10.0.0.2"]);
        let hosts: Vec<String> = prefix("10.0.0.0/31").hosts().map(|h| h.to_string()).collect();
        assert_eq!(hosts, ["10.0.0.0", "10.0.0.1"]);
        assert_eq!(prefix("fd00::/64").hosts().next().unwrap().to_string(), "fd00::1");
        assert!(
            prefix("::/0").contains("fd00::1".parse().unwrap())
                && prefix("0.0.0.0/0").last().to_string() == "255.255.255.255"
        );
        let parts: Vec<String> = prefix("192.168.0.0/16").split(20).take(2).map(|p| p.to_string()).collect();
        assert_eq!(parts, ["192.168.0.0/20", "192.168.16.0/20"]);
        assert_eq!(prefix("192.168.0.0/16").split(20).count(), 16);
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/+8", "::/129"] {
            assert_eq!(bad.parse::<Prefix>(), Err(format!("invalid CIDR address: {bad}")));
        }
    }

    #[test]
    fn what_is_left_without_a_part() {
        let left = |whole: &str, part: &str| {
            let left = prefix(whole).without(&prefix(part));
            left.iter().map(Prefix::to_string).collect::<Vec<_>>()
        };
        assert_eq!(left("10.0.0.0/30", "10.0.0.1/32"), ["10.0.0.0/32", "10.0.0.2/31"]);
        assert_eq!(left("10.0.0.0/30", "10.0.0.0/8"), [] as [&str; 0]);
        assert_eq!(left("10.0.0.0/30", "10.0.0.4/30"), ["10.0.0.0/30"]);
        assert_eq!(left("10.0.0.0/30", "::/0"), ["10.0.0.0/30"]);
        assert_eq!(left("::/0", "fd00:ec2::254/128").len(), 128);
    }

    proptest! {
        #[test]
        fn overlap_is_containment_of_one_in_the_other(a: IpAddr, b: IpAddr, la in 0u8..=128, lb in 0u8..=128) {
            let (a, b) = (Prefix::new(a, la), Prefix::new(b, lb));
            prop_assert!(a.contains(a.address()) && a.contains(a.last()));
            prop_assert_eq!(a.overlaps(&b), a.contains(b.address()) || b.contains(a.address()));
            prop_assert_eq!(a.to_string().parse::<Prefix>(), Ok(a));
        }
    }
}
