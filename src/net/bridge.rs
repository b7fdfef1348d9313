//! A network's bridge and rules: made for its first container, taken away after its last.

use super::elements::{Element, Family, Fields, Tables};
use super::forward::{self, Guest};
use super::lease;
use super::link::Links;
use super::names::Names;
use super::netns::{read_sysctl, sysctl};
use super::prefix::Prefix;
use super::store::{Lock, Network, Store, make_private, run_folder, write_whole};
use super::{program, ruleset};
use crate::error::{Context as _, Error, Result};
use crate::state::Paths;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;

/// A network that is up: `RUN/net/ID/network.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Up {
    network: Network,
    guests: Vec<Guest>,
}

/// The kernel's side of one root's networks.
#[derive(Debug)]
pub struct Host {
    pub paths: Paths,
    pub names: Names,
    pub links: Links,
    pub tables: Tables,
}

impl Host {
    pub fn open(paths: &Paths) -> Result<Host> {
        let attempt = || "speak to the kernel about networks".to_string();
        // An ordinary user's are not in the host's network.
        crate::rootless::enter_network()?;
        let names = Names::of(paths);
        let tables = Tables::open(&names.table).context(attempt)?;
        Ok(Host { paths: paths.clone(), links: Links::open().context(attempt)?, tables, names })
    }

    fn note(&self, id: &str) -> PathBuf {
        run_folder(&self.paths).join(id).join("network.json")
    }

    fn read_note(&self, id: &str) -> Option<Up> {
        serde_json::from_slice(&std::fs::read(self.note(id)).ok()?).ok()
    }

    fn write_note(&self, up: &Up) -> Result<()> {
        let path = self.note(&up.network.id);
        let attempt = || format!("write {}", path.display());
        make_private(&lease::folder(&self.paths, &up.network.id)).context(attempt)?;
        let json = serde_json::to_vec(up).context(attempt)?;
        write_whole(&path, &json, false).context(attempt)
    }

    /// Make sure that a network's bridge and rules are there. Returns its index, the network as it is up, and lines that
    /// say what was changed on the host.
    pub fn bring_up(&self, lock: &Lock, network: &Network) -> Result<(u32, Network, Vec<String>)> {
        let whole = self.tables.are_whole().context(|| attempt(network))?;
        // Other addresses than before may be the host's: one that is there in part makes way with all others.
        let beyond = beyond()?;
        if !whole || !beyond.is_empty() && self.tables.add(&beyond).is_err() {
            self.restore(lock)?;
        }
        if let Some(up) = self.read_note(&network.id)
            && let Some(index) = self.links.index(&up.network.bridge()).context(|| attempt(network))?
        {
            return Ok((index, up.network, Vec::new()));
        }
        let network = self.settle(lock, network)?;
        let mut up = Up { network, guests: Vec::new() };
        // Before anything is made: whoever finds the note can take away what it names.
        self.write_note(&up)?;
        let result = self.make(&mut up);
        if result.is_err() && lease::all(&self.paths, &up.network.id).is_ok_and(|l| l.is_empty()) {
            let _ = self.take_down(lock, &up.network.id);
        }
        let (index, lines) = result?;
        Ok((index, up.network, lines))
    }

    /// The network's addresses: chosen now if they never were, or if another took them while nobody used the network.
    fn settle(&self, lock: &Lock, network: &Network) -> Result<Network> {
        let mut network = network.clone();
        // The bridge may be there though nothing is known of it, where the run state was deleted under running containers.
        let own = self.links.index(&network.bridge()).context(|| attempt(&network))?;
        let used = self.occupied(own)?;
        let meets = |network: &Network, used: &[Prefix]| {
            network.ipam.iter().find_map(|c| used.iter().find(|u| u.overlaps(&c.subnet) && u.length() > 0).copied())
        };
        let taken = meets(&network, &used);
        if let Some(other) = taken {
            if network.name != super::store::BRIDGE {
                return Err(Error::verb(format!(
                    "network {} overlaps with {other}, which the host uses",
                    network.name
                ))
                .hint("remove the network and make it again with another --subnet"));
            }
            network.ipam.clear();
        }
        if network.config(true).is_none() || (network.enable_ipv6 && network.config(false).is_none()) {
            let store = Store::new(&self.paths);
            if network.created.is_zero() {
                network.created = crate::state::Stamp::now();
            }
            store.choose_beside(&mut network, &used)?;
            store.write(lock, &network)?;
        }
        Ok(network)
    }

    fn make(&self, up: &mut Up) -> Result<(u32, Vec<String>)> {
        let network = &up.network;
        let bridge = network.bridge();
        let attempt = || attempt(network);
        let mut elements = elements(network);
        elements.extend(self.uplinks()?);
        self.tables.add(&elements).context(attempt)?;
        match self.links.add_bridge(&bridge, bridge_mac(network), network.mtu()) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // Left by a supervisor that was killed between the note and here, or somebody else's.
                if network.options.contains_key("com.docker.network.bridge.name") {
                    return Err(Error::verb(format!("interface {bridge} exists already"))
                        .hint("choose another com.docker.network.bridge.name"));
                }
            }
            other => other.context(attempt)?,
        }
        let Some(index) = self.links.index(&bridge).context(attempt)? else {
            return Err(Error::runner(attempt()).hint("the bridge was removed by somebody else"));
        };
        let ipv6 = network.config(false).is_some();
        for (key, value) in [("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", if ipv6 { "0" } else { "1" })] {
            // A kernel without IPv6 has none of these.
            if let Err(e) = sysctl(&format!("ipv6/conf/{bridge}/{key}"), value)
                && ipv6
            {
                return Err(e);
            }
        }
        let addresses: Vec<(IpAddr, u8)> = network.ipam.iter().map(|c| (c.gateway, c.subnet.length())).collect();
        for address in addresses {
            match self.links.add_addresses(index, &[address]) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                other => other.context(attempt)?,
            }
        }
        let mut lines = Vec::new();
        if !network.internal {
            // After the guard of CVE-2020-8558, which is in the rules.
            sysctl(&format!("ipv4/conf/{bridge}/route_localnet"), "1")?;
            lines.extend(forwarding(ipv6)?);
        }
        let (guests, said) = forward::admit(&self.tables, &self.links, &bridge, ipv6)?;
        lines.extend(said);
        if !guests.is_empty() {
            // As before: whoever finds the note can take away what it names.
            up.guests = guests;
            self.write_note(up)?;
            up.guests.iter().try_for_each(Guest::enter)?;
        }
        Ok((index, lines))
    }

    /// Install the rules, with all that the networks and leases there are have in them: for the first container there is
    /// nothing, but somebody may have flushed the host's rules while containers run.
    pub fn restore(&self, _lock: &Lock) -> Result<()> {
        let Some(nft) = program::find("nft") else {
            return Err(Error::runner("set up a network: there is no nft on this host")
                .hint("install nftables, or run with --network none"));
        };
        // One of the two may be left.
        self.tables.delete().context(|| "replace the rules of hardrun's networks".into())?;
        program::run(&nft, &["-f", "-"], &ruleset::text(&self.names))?;
        for id in lease::networks(&self.paths)? {
            let Some(up) = self.read_note(&id) else { continue };
            let mut all = elements(&up.network);
            all.extend(lease::all(&self.paths, &id)?.into_iter().flat_map(|l| l.elements));
            self.tables.add(&all).context(|| attempt(&up.network))?;
        }
        let beyond = beyond()?;
        if !beyond.is_empty() {
            self.tables.add(&beyond).context(|| "keep containers from the host's own addresses".into())?;
        }
        self.tables.add(&self.uplinks()?).context(|| "find the ways out of the host".into())
    }

    /// Networks that are in use on the host: where the containers' network is not the host's, on both.
    pub fn occupied(&self, but: Option<u32>) -> Result<Vec<Prefix>> {
        let mut used = self.links.occupied(but).context(|| "look at the host's addresses".into())?;
        used.extend(parsed(&crate::rootless::surroundings()?.used));
        Ok(used)
    }

    /// Bridges of the host that have hardware among their ports: the way out of hosts whose LAN is on a bridge.
    fn uplinks(&self) -> Result<Vec<Element>> {
        let links = self.links.all().context(|| "list the host's interfaces".into())?;
        let leads_out = |index: u32| {
            links.iter().any(|port| port.master == Some(index) && !matches!(port.kind.as_str(), "veth" | "tun"))
        };
        let bridges = links.iter().filter(|l| l.kind == "bridge" && leads_out(l.index));
        Ok(bridges.map(|l| Element::new(Family::Inet, "uplinks", Fields::new().name(&l.name))).collect())
    }

    /// Take a network's bridge and rules away, and the tables with the last one. Nobody has a lease on it.
    ///
    /// # Errors
    /// All of them: it does not stop at the first.
    pub fn take_down(&self, _lock: &Lock, id: &str) -> Result<()> {
        let mut errors = Vec::new();
        let last = lease::networks(&self.paths)?.iter().all(|other| other == id);
        if let Some(up) = self.read_note(id) {
            up.guests.iter().for_each(Guest::leave);
            errors.extend(self.links.delete(&up.network.bridge()).err());
            if !last && self.tables.exist().unwrap_or(true) {
                errors.extend(self.tables.remove(&elements(&up.network)).err());
            }
        }
        match std::fs::remove_dir_all(run_folder(&self.paths).join(id)) {
            Err(e) if e.kind() != ErrorKind::NotFound => errors.push(e),
            _ => {}
        }
        if last {
            errors.extend(self.tables.delete().err());
        }
        match errors.into_iter().next() {
            None => Ok(()),
            Some(first) => Err(first).context(|| format!("take down network {}", id.get(..12).unwrap_or(id))),
        }
    }
}

/// The host's own addresses and whatever else is delivered to it, where packets to them would leave the containers' network as to any other: an ordinary user's.
fn beyond() -> Result<Vec<Element>> {
    // What the rules have in these sets from the beginning: an interval that overlaps is refused.
    let there = [
        "169.254.0.0/16",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fe80::/10",
        "fd00:ec2::254/128",
    ];
    let there: Vec<Prefix> = there.iter().filter_map(|text| text.parse().ok()).collect();
    let surroundings = crate::rootless::surroundings()?;
    let mut own: Vec<Prefix> = parsed(&surroundings.own).collect();
    for known in there {
        own = own.iter().flat_map(|p| p.without(&known)).collect();
    }
    let bar = |p: Prefix| Element::versioned(Family::Inet, "never", p.address(), Fields::new().net(&p)).as_interval();
    Ok(own.into_iter().map(bar).collect())
}

fn parsed(texts: &[String]) -> impl Iterator<Item = Prefix> {
    texts.iter().filter_map(|text| text.parse().ok())
}

fn attempt(network: &Network) -> String {
    format!("set up network {}", network.name)
}

/// What the rules have to know about a network.
pub fn elements(network: &Network) -> Vec<Element> {
    let bridge = network.bridge();
    let inet = |set: &str, key: Fields| Element::new(Family::Inet, set, key);
    let name = || Fields::new().name(&bridge);
    let mut all = vec![inet("bridges", name())];
    if network.internal {
        all.push(inet("internal", name()));
    }
    if network.icc() {
        all.push(inet("pairs", name().name(&bridge)));
    }
    for config in &network.ipam {
        let subnet = &config.subnet;
        let versioned = |set: &str, key| Element::versioned(Family::Inet, set, subnet.address(), key);
        all.push(versioned("nets", name().net(subnet)).as_interval());
        all.push(versioned("inside", Fields::new().net(subnet)));
        if network.masquerades() {
            all.push(versioned("masked", Fields::new().net(subnet)));
        }
    }
    all
}

/// Locally administered, and of the network alone: the same whenever the bridge is made.
fn bridge_mac(network: &Network) -> [u8; 6] {
    let id = hex::decode(&network.id[..10]).unwrap_or_default();
    let mut mac = [0x02, 0, 0, 0, 0, 0];
    for (to, from) in mac[1..].iter_mut().zip(id) {
        *to = from;
    }
    mac
}

/// Let the host pass packets on. It is not turned off again: somebody else may rely on it by then.
fn forwarding(ipv6: bool) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if read_sysctl("ipv4/ip_forward").as_deref() == Some("0") {
        sysctl("ipv4/ip_forward", "1")?;
        lines.push(
            "net.ipv4.ip_forward was 0 and is 1 now, as containers need it: the host passes packets on".to_owned(),
        );
    }
    if ipv6 && read_sysctl("ipv6/conf/all/forwarding").as_deref() == Some("0") {
        // A host that forwards ignores router advertisements, unless told otherwise: it would lose its own way out.
        for entry in std::fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten() {
            let key = format!("ipv6/conf/{}/accept_ra", entry.file_name().to_string_lossy());
            if read_sysctl(&key).as_deref() == Some("1") {
                sysctl(&key, "2")?;
            }
        }
        sysctl("ipv6/conf/all/forwarding", "1")?;
        lines.push(
            "net.ipv6.conf.all.forwarding was 0 and is 1 now, as containers need it: the host passes packets on"
                .to_owned(),
        );
    }
    Ok(lines)
}
