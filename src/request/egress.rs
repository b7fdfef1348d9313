//! `--egress none`, `HOST[:PORT]`, `CIDR[:PORT]`, `NAME[:PORT]`.

use crate::plan::{EgressRule, EgressTo};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One `--egress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// Nowhere, unless another `--egress` says where.
    None,
    To(EgressRule),
}

impl FromStr for Egress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Egress::None);
        }
        let bad = |why: &str| format!("invalid egress {text:?}: {why}");
        let (host, port) = split_port(text);
        let port = match port {
            None => None,
            Some(word) => match word.parse::<u16>() {
                Ok(port) if port > 0 && word.bytes().all(|b| b.is_ascii_digit()) => Some(port),
                _ => return Err(bad(&format!("{word:?} is not a port"))),
            },
        };
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if let Some(net) = network(host).map_err(|e| bad(&e))? {
            return Ok(Egress::To(EgressRule { to: EgressTo::Net(net), port }));
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if !is_host_name(&name) {
            return Err(bad("neither an address, nor a network, nor a name"));
        }
        Ok(Egress::To(EgressRule { to: EgressTo::Name(name), port }))
    }
}

/// A port stands behind the only colon, or behind a bracket: `2001:db8::1` has none, `[2001:db8::1]:443` has.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, tail)) = rest.split_once(']')
    {
        return match tail {
            "" => (host, None),
            // `[2001:db8::]/32:443` is read as a network with a port.
            _ => match tail.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => (text, None),
            },
        };
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

/// An address or a network, written with its length and without host bits.
fn network(text: &str) -> Result<Option<String>, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return if length.is_some() { Err(format!("{address:?} is not an address")) } else { Ok(None) };
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(word) => word.parse::<u8>().ok().filter(|n| *n <= most).ok_or(format!("{word:?} is not a length"))?,
    };
    Ok(Some(match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", Ipv6Addr::from(u128::from(v6) & mask))
        }
    }))
}

/// A name that can be asked of a name server. The last label is not all digits: `1.2.3` is a slip, not a host.
fn is_host_name(name: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && !name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to(text: &str) -> Result<(EgressTo, Option<u16>), String> {
        text.parse::<Egress>().map(|e| match e {
            Egress::None => panic!("none"),
            Egress::To(rule) => (rule.to, rule.port),
        })
    }

    #[test]
    fn hosts_networks_and_names() {
        let net = |text: &str| EgressTo::Net(text.into());
        assert_eq!("none".parse(), Ok(Egress::None));
        assert_eq!(to("192.0.2.7"), Ok((net("192.0.2.7/32"), None)));
        assert_eq!(to("192.0.2.7:443"), Ok((net("192.0.2.7/32"), Some(443))));
        assert_eq!(to("192.0.2.7/24:53"), Ok((net("192.0.2.0/24"), Some(53))));
        assert_eq!(to("0.0.0.0/0"), Ok((net("0.0.0.0/0"), None)));
        assert_eq!(to("2001:db8::7"), Ok((net("2001:db8::7/128"), None)));
        assert_eq!(to("[2001:db8::7]:443"), Ok((net("2001:db8::7/128"), Some(443))));
        assert_eq!(to("[2001:db8::7/32]:443"), Ok((net("2001:db8::/32"), Some(443))));
        assert_eq!(to("::/0"), Ok((net("::/0"), None)));
        assert_eq!(to("Deb.Debian.ORG.:80"), Ok((EgressTo::Name("deb.debian.org".into()), Some(80))));
    }

    #[test]
    fn slips_say_what_is_wrong() {
        for (text, why) in [
            ("", "names no host"),
            (":80", "names no host"),
            ("a:x", "\"x\" is not a port"),
            ("a:0", "\"0\" is not a port"),
            ("a:+1", "\"+1\" is not a port"),
            ("192.0.2.0/33", "\"33\" is not a length"),
            ("web/24", "\"web\" is not an address"),
            ("1.2.3", "neither an address"),
            ("a b", "neither an address"),
            ("-a", "neither an address"),
        ] {
            let error = text.parse::<Egress>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn addresses_round_trip(ip: IpAddr, port in 1_u16..) {
            let length = if ip.is_ipv4() { 32 } else { 128 };
            let text = if ip.is_ipv4() { format!("{ip}:{port}") } else { format!("[{ip}]:{port}") };
            prop_assert_eq!(to(&text), Ok((EgressTo::Net(format!("{ip}/{length}")), Some(port))));
        }
        #[test]
        fn no_text_panics(text in "[0-9a-f:./\\[\\]-]{0,24}") {
            let _ = text.parse::<Egress>();
        }
    }
}
