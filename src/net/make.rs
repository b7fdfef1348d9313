//! `network create`, `rm` and `prune`: networks that users make.

use super::bridge::Host;
use super::lease;
use super::prefix::Prefix;
use super::store::{BUILT_IN, Claims, IpamConfig, Lock, Network, Store};
use super::sweep;
use crate::error::{Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::plan::draft::new_id;
use crate::request::{is_network_name, parse_bool};
use crate::state::{Paths, Stamp};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What was asked for, as typed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub name: String,
    pub driver: String,
    pub subnets: Vec<String>,
    pub gateways: Vec<String>,
    pub ip_ranges: Vec<String>,
    pub internal: bool,
    pub ipv6: bool,
    pub attachable: bool,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// Make a network. Nothing of it is in the kernel before its first container.
///
/// # Errors
/// docker's: a name that is taken, addresses that do not fit together or meet others.
pub fn create(paths: &Paths, wanted: Wanted) -> Result<Network> {
    if !is_network_name(&wanted.name) {
        return Err(Error::verb(format!("invalid network name {:?}", wanted.name))
            .hint("only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"));
    }
    if BUILT_IN.contains(&wanted.name.as_str()) || wanted.name == "default" {
        return Err(Error::verb(format!("operation is not permitted on predefined {} network", wanted.name)));
    }
    if !matches!(wanted.driver.as_str(), "" | "bridge") {
        return Err(Error::verb(format!("plugin \"{}\" not found", wanted.driver)).hint("bridge is the only driver"));
    }
    check_options(&wanted.options)?;
    let mut network = Network {
        version: Network::VERSION,
        name: wanted.name.clone(),
        id: new_id()?,
        created: Stamp::now(),
        driver: "bridge".into(),
        enable_ipv6: wanted.ipv6,
        ipam: addresses(&wanted)?,
        chosen: false,
        internal: wanted.internal,
        attachable: wanted.attachable,
        options: wanted.options,
        labels: wanted.labels,
    };
    if !network.enable_ipv6 {
        network.ipam.retain(|c| c.subnet.is_ipv4());
    }
    let store = Store::new(paths);
    let lock = store.lock()?;
    if store.list()?.iter().any(|n| n.name == network.name) {
        return Err(Error::verb(format!("network with name {} already exists", network.name)));
    }
    let host = Host::open(paths)?.occupied(None).map_err(|e| e.of_kind(Kind::Verb))?;
    let used = [&host[..], &store.claimed(&network.id, Claims::All)?].concat();
    if let Some(other) = network.ipam.iter().find_map(|c| used.iter().find(|u| u.overlaps(&c.subnet))) {
        return Err(Error::verb("Pool overlaps with other one on this address space")
            .hint(format!("{other} is in use by the host or another network")));
    }
    store.choose_beside(&mut network, &host)?;
    store.write(&lock, &network)?;
    events::note(paths, Event::network("create", &network.id, &network.name));
    Ok(network)
}

/// Subnets, each with the gateway and range that lie in it.
fn addresses(wanted: &Wanted) -> Result<Vec<IpamConfig>> {
    let parse = |text: &String| text.parse::<Prefix>().map_err(Error::verb);
    let mut configs: Vec<IpamConfig> = Vec::new();
    for text in &wanted.subnets {
        let subnet = parse(text)?;
        if configs.iter().any(|c| c.subnet.is_ipv4() == subnet.is_ipv4()) {
            return Err(Error::verb("a network has one subnet of each address family").hint("leave one --subnet out"));
        }
        let room = if subnet.is_ipv4() { 30 } else { 126 };
        if subnet.length() > room
            || subnet.length() < 8
            || subnet.address().is_multicast()
            || subnet.address().is_loopback()
        {
            return Err(Error::verb(format!("invalid subnet {subnet}"))
                .hint(format!("from /8 to /{room}, of addresses for hosts")));
        }
        let gateway = subnet.hosts().next().ok_or_else(|| Error::verb(format!("invalid subnet {subnet}")))?;
        configs.push(IpamConfig { subnet, gateway, ip_range: None });
    }
    for text in &wanted.ip_ranges {
        let range = parse(text)?;
        let config = configs.iter_mut().find(|c| c.subnet.holds(&range));
        config.ok_or_else(|| Error::verb(format!("no matching subnet for range {text}")))?.ip_range = Some(range);
    }
    for text in &wanted.gateways {
        let gateway: IpAddr =
            text.parse().map_err(|_| Error::verb(format!("invalid gateway {text}: it is no address")))?;
        let config = configs.iter_mut().find(|c| c.subnet.is_host(gateway));
        config.ok_or_else(|| Error::verb(format!("no matching subnet for gateway {text}")))?.gateway = gateway;
    }
    configs.sort_by_key(|c| !c.subnet.is_ipv4());
    Ok(configs)
}

/// Options are carried out or refused: one that does nothing would be believed.
fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in options {
        let good = match key.strip_prefix("com.docker.network.").unwrap_or(key) {
            "bridge.enable_icc" | "bridge.enable_ip_masquerade" => parse_bool(value).is_ok(),
            "driver.mtu" => value.parse::<u32>().is_ok_and(|mtu| (68..=65535).contains(&mtu)),
            "bridge.name" => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
                (1..=15).contains(&value.len()) && value.bytes().all(plain) && value.bytes().any(|b| b != b'.')
            }
            // What hardrun does where no address is given.
            "bridge.host_binding_ipv4" => value == "127.0.0.1",
            _ => return Err(Error::verb(format!("option {key} is not carried out")).hint("leave it out")),
        };
        if !good {
            return Err(Error::verb(format!("invalid value {value:?} for option {key}")));
        }
    }
    Ok(())
}

/// Remove a network that nobody is on.
pub fn remove(paths: &Paths, reference: &str, alive: &dyn Fn(&str) -> bool) -> Result<Network> {
    let store = Store::new(paths);
    let lock = store.lock()?;
    let network = store.find(reference)?.ok_or_else(|| Error::verb(format!("No such network: {reference}")))?;
    if network.is_built_in() {
        return Err(Error::verb(format!("{} is a pre-defined network and cannot be removed", network.name)));
    }
    remove_locked(paths, &lock, &network, alive)?;
    Ok(network)
}

fn remove_locked(paths: &Paths, lock: &Lock, network: &Network, alive: &dyn Fn(&str) -> bool) -> Result<()> {
    if !lease::all(paths, &network.id)?.is_empty() || lease::networks(paths)?.contains(&network.id) {
        let host = Host::open(paths)?;
        sweep::dead(&host, lock, &network.id, alive)?;
        if !lease::all(paths, &network.id)?.is_empty() {
            return Err(Error::verb(format!(
                "error while removing network: network {} id {} has active endpoints",
                network.name, network.id
            )));
        }
        host.take_down(lock, &network.id)?;
    }
    Store::new(paths).remove(lock, network)?;
    events::note(paths, Event::network("destroy", &network.id, &network.name));
    Ok(())
}

/// Remove every network of a user's that nobody is on and that `wanted` takes; their names.
pub fn prune(paths: &Paths, wanted: &dyn Fn(&Network) -> bool, alive: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
    let store = Store::new(paths);
    let lock = store.lock()?;
    let mut removed = Vec::new();
    for network in store.list()?.iter().filter(|n| !n.is_built_in() && wanted(n)) {
        let used = lease::all(paths, &network.id)?.iter().any(|l| alive(&l.container));
        if !used {
            remove_locked(paths, &lock, network, alive)?;
            removed.push(network.name.clone());
        }
    }
    // Docker's networks take no room either.
    events::note(paths, Event::prune("network", 0));
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(change: impl FnOnce(&mut Wanted)) -> Wanted {
        let mut wanted = Wanted { name: "front".into(), ..Wanted::default() };
        change(&mut wanted);
        wanted
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn addresses_belong_together() {
        let w = wanted(|w| {
            w.subnets = words(&["fd00:9::/64", "10.9.0.0/24"]);
            w.gateways = words(&["10.9.0.254"]);
            w.ip_ranges = words(&["10.9.0.128/25"]);
        });
        let configs = addresses(&w).unwrap();
        assert_eq!(configs[0].gateway.to_string(), "10.9.0.254");
        assert_eq!(configs[0].ip_range.unwrap().to_string(), "10.9.0.128/25");
        assert_eq!(configs[1].gateway.to_string(), "fd00:9::1");
        let slip = |change: fn(&mut Wanted)| addresses(&wanted(change)).unwrap_err().message;
        assert_eq!(slip(|w| w.subnets = words(&["x"])), "invalid CIDR address: x");
        assert_eq!(slip(|w| w.gateways = words(&["10.0.0.1"])), "no matching subnet for gateway 10.0.0.1");
        assert_eq!(slip(|w| w.ip_ranges = words(&["10.0.0.0/24"])), "no matching subnet for range 10.0.0.0/24");
        assert!(slip(|w| w.subnets = words(&["10.0.0.0/24", "10.1.0.0/24"])).contains("one subnet"));
        assert!(slip(|w| w.subnets = words(&["127.0.0.0/8"])).contains("invalid subnet"));
        assert!(slip(|w| w.subnets = words(&["10.0.0.0/31"])).contains("invalid subnet"));
    }

    #[test]
    fn options_are_carried_out_or_refused() {
        let check = |key: &str, value: &str| check_options(&[(key.to_owned(), value.to_owned())].into());
        check("com.docker.network.bridge.name", "br-app").unwrap();
        check("com.docker.network.driver.mtu", "1400").unwrap();
        check("com.docker.network.bridge.enable_icc", "false").unwrap();
        for (key, value) in [
            ("com.docker.network.bridge.name", "a/b"),
            ("com.docker.network.bridge.name", ".."),
            ("com.docker.network.bridge.name", "sixteen-letters-"),
            ("com.docker.network.driver.mtu", "x"),
            ("com.docker.network.bridge.enable_icc", "maybe"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("parent", "eth0"),
        ] {
            assert!(check(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn networks_come_and_go_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path()));
        let alive = |_: &str| false;
        let made = create(&paths, wanted(|w| w.subnets = words(&["10.251.9.0/24"]))).unwrap();
        let again = create(&paths, wanted(|_| {})).unwrap_err();
        assert_eq!(again.message, "network with name front already exists");
        let overlap = create(
            &paths,
            wanted(|w| {
                w.name = "other".into();
                w.subnets = words(&["10.251.0.0/16"]);
            }),
        );
        assert_eq!(overlap.unwrap_err().message, "Pool overlaps with other one on this address space");
        for name in ["bridge", "none", "-x", "a b"] {
            assert!(create(&paths, wanted(|w| w.name = name.into())).is_err(), "{name}");
        }
        assert!(
            create(
                &paths,
                wanted(|w| {
                    w.name = "o".into();
                    w.driver = "overlay".into();
                })
            )
            .is_err()
        );
        assert_eq!(remove(&paths, &made.id[..8], &alive).unwrap().name, "front");
        assert_eq!(remove(&paths, "front", &alive).unwrap_err().message, "No such network: front");
        assert!(remove(&paths, "bridge", &alive).unwrap_err().message.contains("pre-defined"));
        create(&paths, wanted(|w| w.subnets = words(&["10.251.9.0/24"]))).unwrap();
        assert_eq!(prune(&paths, &|_| true, &alive).unwrap(), ["front"]);
    }
}
