//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read as docker (that is, Go) reads them.

use super::url::Origin;
use crate::error::{Error, Result};
use std::net::IpAddr;

/// The proxy for requests to this origin, or `None` for a direct connection. Loopback is never proxied.
pub fn choose(origin: &Origin, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<ureq::Proxy>> {
    let names = if origin.tls { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| env(name).filter(|v| !v.is_empty()).map(|v| (name, v)))
    };
    let Some((name, value)) = first(names) else { return Ok(None) };
    if origin.is_loopback() {
        return Ok(None);
    }
    if let Some((_, list)) = first(["NO_PROXY", "no_proxy"])
        && list.split(',').any(|entry| exempts(entry.trim(), origin))
    {
        return Ok(None);
    }
    // The value may hold a password, so neither it nor the parser's opinion of it is shown.
    ureq::Proxy::new(&value).map(Some).map_err(|_| Error::verb(format!("{name} is not a proxy address")))
}

/// Whether one entry of `NO_PROXY` covers the origin: `*`, an address, a range, `host` (with its subdomains),
/// `.host` or `*.host` (only its subdomains); each but the range with an optional port.
fn exempts(entry: &str, origin: &Origin) -> bool {
    if entry == "*" {
        return true;
    }
    let host = origin.host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    if let Some((network, bits)) = entry.split_once('/') {
        return match (network.parse(), bits.parse(), address) {
            (Ok(network), Ok(bits), Some(address)) => in_network(address, network, bits),
            _ => false,
        };
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.starts_with('[') => match port.parse::<u16>() {
            Ok(port) => (name, Some(port)),
            Err(_) => return false,
        },
        _ => (entry, None),
    };
    if port.is_some_and(|p| p != origin.port) {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if let (Ok(listed), Some(address)) = (name.parse::<IpAddr>(), address) {
        return listed == address;
    }
    let name = name.strip_prefix('*').filter(|n| n.starts_with('.')).unwrap_or(&name);
    match name.strip_prefix('.') {
        Some(parent) => !parent.is_empty() && host.strip_suffix(parent).is_some_and(|h| h.ends_with('.')),
        None => !name.is_empty() && (host == name || host.strip_suffix(name).is_some_and(|h| h.ends_with('.'))),
    }
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (a, n, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    // A shift by the whole width is what 0 bits mean: every address.
    bits <= width && (bits == 0 || (a ^ n) >> (width - bits) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::new(text, true).unwrap()
    }
    fn used(origin_text: &str, vars: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
        choose(&origin(origin_text), &env).unwrap().map(|p| format!("{}:{}", p.host(), p.port()))
    }

    #[test]
    fn by_scheme_and_never_for_loopback() {
        let vars = [("HTTPS_PROXY", "http://proxy.lan:3128")];
        assert_eq!(used("registry.example", &vars).unwrap(), "proxy.lan:3128");
        assert_eq!(used("127.0.0.1:5000", &vars), None);
        assert_eq!(used("localhost", &vars), None);
        assert_eq!(used("registry.example", &[("HTTP_PROXY", "http://proxy.lan:3128")]), None);
        assert_eq!(used("registry.example", &[("https_proxy", "proxy.lan:8080")]).unwrap(), "proxy.lan:8080");
        assert_eq!(used("registry.example", &[("HTTPS_PROXY", "")]), None);
    }

    #[test]
    fn no_proxy() {
        for (list, host, exempt) in [
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("a.example", "sub.a.example", true),
            ("a.example", "ba.example", false),
            (".a.example", "sub.a.example", true),
            (".a.example", "a.example", false),
            ("*.a.example", "sub.a.example", true),
            ("x, A.EXAMPLE ,y", "a.example", true),
            ("a.example:5000", "a.example:5000", true),
            ("a.example:5000", "a.example", false),
            ("10.0.0.0/8", "10.2.3.4:5000", true),
            ("10.0.0.0/8", "11.2.3.4", false),
            ("0.0.0.0/0", "11.2.3.4", true),
            ("10.0.0.1", "10.0.0.1:5000", true),
            ("2001:db8::1", "[2001:db8::1]:5000", true),
            ("2001:db8::/32", "[2001:db8:5::1]", true),
            ("10.0.0.0/99", "10.0.0.1", false),
            ("", "a.example", false),
        ] {
            let vars = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
            assert_eq!(used(host, &vars).is_none(), exempt, "{list:?} {host}");
        }
    }

    #[test]
    fn a_bad_proxy_is_an_error_without_its_value() {
        let env = |name: &str| (name == "HTTPS_PROXY").then(|| "gopher://user:s3cret@x".to_string());
        let e = choose(&origin("a.example"), &env).unwrap_err();
        assert!(e.message.contains("HTTPS_PROXY") && !e.chain().join(" ").contains("s3cret"));
    }
}
