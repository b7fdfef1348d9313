//! Who has which address: a file a container and network in `RUN/net/NETWORK-ID/leases/`, named by the IPv4 address. It
//! also says what has to be taken away again, so that another command can clean up after a supervisor that was killed.

use super::elements::Element;
use super::prefix::Prefix;
use super::store::{IpamConfig, Lock, Network, make_private, run_folder, write_whole};
use crate::error::{Context as _, Error, Result};
use crate::state::Paths;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// One container on one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Version of this format, [`Lease::VERSION`].
    pub version: u32,
    /// Id of the container.
    pub container: String,
    pub network: String,
    pub endpoint: String,
    pub ip: Ipv4Addr,
    pub ip6: Option<Ipv6Addr>,
    pub mac: [u8; 6],
    /// Host end of the link.
    pub port: String,
    /// The container's name.
    pub name: String,
    /// Every name that it answers to on this network, lower case.
    pub names: Vec<String>,
    /// Outgoing traffic is limited: addresses of names may have been added since.
    #[serde(default)]
    pub limited: bool,
    pub elements: Vec<Element>,
}

impl Lease {
    pub const VERSION: u32 = 1;
}

pub fn folder(paths: &Paths, network: &str) -> PathBuf {
    run_folder(paths).join(network).join("leases")
}

/// Write a lease, new or changed.
pub fn write(_lock: &Lock, paths: &Paths, lease: &Lease) -> Result<()> {
    let folder = folder(paths, &lease.network);
    let path = folder.join(lease.ip.to_string());
    let attempt = || format!("write {}", path.display());
    make_private(&folder).context(attempt)?;
    let json = serde_json::to_vec(lease).context(attempt)?;
    write_whole(&path, &json, false).context(attempt)
}

/// Give an address back.
pub fn remove(_lock: &Lock, paths: &Paths, lease: &Lease) -> Result<()> {
    let path = folder(paths, &lease.network).join(lease.ip.to_string());
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).context(|| format!("remove {}", path.display())),
        _ => Ok(()),
    }
}

/// All leases of a network that can be read, by address.
pub fn all(paths: &Paths, network: &str) -> Result<Vec<Lease>> {
    Ok(files(paths, network)?.into_iter().filter_map(|(_, lease)| lease).collect())
}

/// Addresses of leases that cannot be read: damaged, or written by a newer version. Nobody else gets the address; the file
/// goes with the boot, or by hand once the container is gone.
pub fn unreadable(paths: &Paths, network: &str) -> Result<Vec<Ipv4Addr>> {
    Ok(files(paths, network)?.into_iter().filter(|(_, lease)| lease.is_none()).map(|(ip, _)| ip).collect())
}

fn files(paths: &Paths, network: &str) -> Result<Vec<(Ipv4Addr, Option<Lease>)>> {
    let folder = folder(paths, network);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).context(|| format!("read {}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(ip) = entry.file_name().to_str().and_then(|n| n.parse::<Ipv4Addr>().ok()) else { continue };
        match std::fs::read(entry.path()) {
            Ok(json) => {
                let lease = serde_json::from_slice(&json).ok().filter(|lease: &Lease| lease.version <= Lease::VERSION);
                found.push((ip, lease));
            }
            // Given back meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(_) => found.push((ip, None)),
        }
    }
    found.sort_by_key(|(ip, _)| *ip);
    Ok(found)
}

/// Networks that have a folder here: in use, or left behind.
pub fn networks(paths: &Paths) -> Result<Vec<String>> {
    let folder = run_folder(paths);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).context(|| format!("read {}", folder.display())),
    };
    let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
    Ok(names.filter(|n| n.len() == 64 && n.bytes().all(|b| b.is_ascii_hexdigit())).collect())
}

/// The address that was asked for, or the first that is free.
pub fn choose(
    network: &Network,
    config: &IpamConfig,
    asked: Option<IpAddr>,
    taken: &BTreeSet<IpAddr>,
) -> Result<IpAddr> {
    if let Some(ip) = asked {
        if network.chosen && ip.is_ipv4() {
            return Err(Error::verb(
                "invalid endpoint settings: user specified IP address is supported only when connecting to networks \
                 with user configured subnets",
            ));
        }
        if !config.subnet.contains(ip) {
            return Err(Error::verb(format!(
                "invalid endpoint settings: no configured subnet or ip-range contain the IP address {ip}"
            )));
        }
        if !config.subnet.is_host(ip) || ip == config.gateway || taken.contains(&ip) {
            return Err(Error::verb("Address already in use")
                .hint(format!("{ip} belongs to another container, the gateway or the network")));
        }
        return Ok(ip);
    }
    let range: Prefix = config.ip_range.unwrap_or(config.subnet);
    let free = |ip: &IpAddr| config.subnet.is_host(*ip) && *ip != config.gateway && !taken.contains(ip);
    // As many as there are leases, and three, have to be looked at.
    let looked_at = taken.len() + 4;
    range.split(if range.is_ipv4() { 32 } else { 128 }).take(looked_at).map(|p| p.address()).find(free).ok_or_else(
        || {
            Error::verb(format!(
                "no available IPv{} addresses on this network's address pools: {} ({})",
                if range.is_ipv4() { 4 } else { 6 },
                network.name,
                network.id
            ))
        },
    )
}

/// docker's: `02:42` and the IPv4 address, so that a neighbour's table is right after an address was reused.
pub fn mac_of(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x02, 0x42, a, b, c, d]
}

pub fn show_mac(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

/// Six bytes of hexadecimal with colons; a group address is nobody's.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0u8; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    (parts.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

/// The link-local address that the kernel makes of a MAC address.
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |x: u8, y: u8| u16::from_be_bytes([x, y]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::store::Store;
    use std::collections::BTreeMap;

    fn network(subnet: &str, range: Option<&str>) -> Network {
        let subnet: Prefix = subnet.parse().unwrap();
        Network {
            version: 1,
            name: "n".into(),
            id: "a1".repeat(32),
            created: crate::state::Stamp::default(),
            driver: "bridge".into(),
            enable_ipv6: false,
            ipam: vec![IpamConfig {
                subnet,
                gateway: subnet.hosts().next().unwrap(),
                ip_range: range.map(|r| r.parse().unwrap()),
            }],
            chosen: false,
            internal: false,
            attachable: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    fn pick(n: &Network, asked: Option<&str>, taken: &[&str]) -> Result<String> {
        let taken = taken.iter().map(|ip| ip.parse().unwrap()).collect();
        choose(n, &n.ipam[0], asked.map(|ip| ip.parse().unwrap()), &taken).map(|ip| ip.to_string())
    }

    #[test]
    fn the_first_free_address_or_the_one_asked_for() {
        let n = network("10.9.0.0/29", None);
        assert_eq!(pick(&n, None, &[]).unwrap(), "10.9.0.2");
        assert_eq!(pick(&n, None, &["10.9.0.2", "10.9.0.4"]).unwrap(), "10.9.0.3");
        assert_eq!(pick(&n, None, &["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5"]).unwrap(), "10.9.0.6");
        let full = pick(&n, None, &["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6"]).unwrap_err();
        assert!(full.message.contains("no available IPv4 addresses"), "{full}");
        assert_eq!(pick(&n, Some("10.9.0.5"), &[]).unwrap(), "10.9.0.5");
        for taken in ["10.9.0.1", "10.9.0.0", "10.9.0.7", "10.9.0.3"] {
            assert_eq!(pick(&n, Some(taken), &["10.9.0.3"]).unwrap_err().message, "Address already in use", "{taken}");
        }
        assert!(pick(&n, Some("10.8.0.5"), &[]).unwrap_err().message.contains("no configured subnet"));
        let ranged = network("10.9.0.0/24", Some("10.9.0.128/30"));
        assert_eq!(pick(&ranged, None, &["10.9.0.128"]).unwrap(), "10.9.0.129");
        assert_eq!(pick(&ranged, Some("10.9.0.5"), &[]).unwrap(), "10.9.0.5");
        let v6 = network("fd00:1::/64", None);
        assert_eq!(pick(&v6, None, &["fd00:1::2"]).unwrap(), "fd00:1::3");
        let chosen = Network { chosen: true, ..network("10.9.0.0/24", None) };
        assert!(pick(&chosen, Some("10.9.0.5"), &[]).unwrap_err().message.contains("user configured subnets"));
    }

    #[test]
    fn mac_addresses() {
        assert_eq!(show_mac(mac_of("172.17.0.2".parse().unwrap())), "02:42:ac:11:00:02");
        assert_eq!(parse_mac("02:42:ac:11:00:02"), Some([2, 0x42, 0xac, 0x11, 0, 2]));
        for bad in ["", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:42:ac:11:00", "x"] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
        assert_eq!(link_local([2, 0x42, 0xac, 0x11, 0, 2]).to_string(), "fe80::42:acff:fe11:2");
    }

    #[test]
    fn leases_are_files_that_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path()));
        let lock = Store::new(&paths).lock().unwrap();
        let lease = Lease {
            version: Lease::VERSION,
            container: "c1".into(),
            network: "a1".repeat(32),
            endpoint: "e".repeat(64),
            ip: "10.9.0.2".parse().unwrap(),
            ip6: None,
            mac: mac_of("10.9.0.2".parse().unwrap()),
            port: "hr1234560123456".into(),
            name: "web".into(),
            names: vec!["web".into()],
            limited: false,
            elements: Vec::new(),
        };
        write(&lock, &paths, &lease).unwrap();
        std::fs::write(folder(&paths, &lease.network).join("10.9.0.3"), "cut sho").unwrap();
        assert_eq!(all(&paths, &lease.network).unwrap(), std::slice::from_ref(&lease));
        assert_eq!(unreadable(&paths, &lease.network).unwrap(), ["10.9.0.3".parse::<Ipv4Addr>().unwrap()]);
        let newer = Lease { version: Lease::VERSION + 1, ip: "10.9.0.4".parse().unwrap(), ..lease.clone() };
        write(&lock, &paths, &newer).unwrap();
        assert_eq!(all(&paths, &lease.network).unwrap(), std::slice::from_ref(&lease));
        assert_eq!(unreadable(&paths, &lease.network).unwrap().len(), 2);
        assert_eq!(networks(&paths).unwrap(), std::slice::from_ref(&lease.network));
        remove(&lock, &paths, &lease).unwrap();
        remove(&lock, &paths, &lease).unwrap();
        assert!(all(&paths, &lease.network).unwrap().is_empty());
    }
}
