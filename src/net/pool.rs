//! Which network a network gets that names none.

use super::prefix::Prefix;
use std::net::{IpAddr, Ipv6Addr};

/// docker's pools: sixteen bits each from the first, then 192.168 in pieces of twenty.
const POOLS: [(&str, u8); 6] = [
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/13", 16),
    ("192.168.0.0/16", 20),
];

/// The first network of docker's pools that meets none of those in use. The first of all is the default bridge's.
pub fn choose(used: &[Prefix], default_bridge: bool) -> Option<Prefix> {
    let all = POOLS.iter().flat_map(|(pool, length)| {
        let pool: Prefix = pool.parse().expect("the pools are written right");
        pool.split(*length)
    });
    all.skip(usize::from(!default_bridge)).find(|p| !used.iter().any(|u| u.overlaps(p)))
}

/// A unique local network (RFC 4193) made of the network's id, which is random.
pub fn choose_v6(id: &str, used: &[Prefix]) -> Option<Prefix> {
    let bytes = hex::decode(id.get(..32)?).ok()?;
    (0..=255u8).find_map(|n| {
        let mut address = [0u8; 16];
        address[0] = 0xfd;
        address[1..8].copy_from_slice(&bytes[..7]);
        address[7] = bytes[6].wrapping_add(n);
        let prefix = Prefix::new(IpAddr::V6(Ipv6Addr::from(address)), 64);
        (!used.iter().any(|u| u.overlaps(&prefix))).then_some(prefix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<Prefix> {
        list.iter().map(|p| p.parse().unwrap()).collect()
    }

    #[test]
    fn pools_are_dockers_and_what_is_used_is_skipped() {
        let pick = |used: &[&str], bridge| choose(&nets(used), bridge).map(|p| p.to_string());
        assert_eq!(pick(&[], true).as_deref(), Some("172.17.0.0/16"));
        assert_eq!(pick(&[], false).as_deref(), Some("172.18.0.0/16"));
        assert_eq!(pick(&["172.17.0.1/16"], true).as_deref(), Some("172.18.0.0/16"));
        assert_eq!(pick(&["172.18.5.0/24", "172.19.0.0/16"], false).as_deref(), Some("172.20.0.0/16"));
        assert_eq!(pick(&["172.16.0.0/12"], true).as_deref(), Some("192.168.0.0/20"));
        assert_eq!(pick(&["172.16.0.0/12", "192.168.1.0/24"], true).as_deref(), Some("192.168.16.0/20"));
        assert_eq!(pick(&["172.16.0.0/12", "192.168.0.0/16"], true), None);
    }

    #[test]
    fn a_unique_local_network_follows_from_the_id() {
        let id = "ab".repeat(32);
        let first = choose_v6(&id, &[]).unwrap();
        assert_eq!(first.to_string(), "fdab:abab:abab:abab::/64");
        assert_ne!(choose_v6(&id, &[first]), Some(first));
    }
}
