//! One container on its networks: validate, set up, take down.
//!
//! [`attach`] is called by the supervisor between build and start; what it returns holds everything until
//! [`Attached::detach`].

use super::bridge::Host;
use super::conntrack;
use super::dns::{self, Dns, Sockets, Zone};
use super::egress::Ways;
use super::elements::{Element, Family, Fields};
use super::lease::{self, Lease};
use super::link::{Links, Pair};
use super::netns::{self, sysctl};
use super::ports::{Held, Inside};
use super::store::{Lock, Network, Store};
use super::sweep;
use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::{EndpointPlan, NetworkPlan};
use crate::rootless::forward::{self, Forwarder};
use crate::state::{self, Paths};
use rustix::event::PollFd;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The container to attach, and to what.
pub struct Target<'a> {
    pub paths: &'a Paths,
    /// Its network namespace.
    pub netns: BorrowedFd<'a>,
    /// 64 hexadecimal digits.
    pub container: &'a str,
    pub name: &'a str,
    pub hostname: &'a str,
    pub plan: &'a NetworkPlan,
    /// Whether the container of an id has a supervisor; this one's has.
    pub alive: &'a dyn Fn(&str) -> bool,
}

/// What a container's `--egress` has refused so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    pub packets: u64,
    pub bytes: u64,
}

/// A container on its networks.
#[derive(Debug)]
pub struct Attached {
    host: Host,
    netns: OwnedFd,
    inside: Links,
    container: String,
    name: String,
    hostname: String,
    plan: NetworkPlan,
    joined: Vec<Joined>,
    /// Index in `joined` of the network that is the way out.
    gateway: Option<usize>,
    held: Vec<Held>,
    /// Of an ordinary user's container: what passes connections to the ports on.
    forwarder: Option<Forwarder>,
    ways: Option<Ways>,
    dns: Option<Dns>,
    interfaces: u32,
    /// Lines for the operator: what was changed on the host.
    pub notices: Vec<String>,
}

#[derive(Debug)]
struct Joined {
    network: Network,
    asked: EndpointPlan,
    lease: Lease,
    interface: String,
}

/// Put a container on the networks of its plan.
///
/// # Errors
/// docker's where it has them: a network that is not there, an address or a port that is taken. Whatever was set up by
/// then has been taken down.
pub fn attach(target: &Target<'_>) -> Result<Attached> {
    as_runner(attach_all(target))
}

/// The container does not start, whatever the verb was.
fn as_runner<T>(result: Result<T>) -> Result<T> {
    result.map_err(|e| e.of_kind(Kind::Runner))
}

fn attach_all(target: &Target<'_>) -> Result<Attached> {
    let store = Store::new(target.paths);
    let plan = target.plan;
    let mut networks = Vec::new();
    for asked in &plan.endpoints {
        networks.push((joinable(&store, &asked.network)?, asked));
    }
    // Before anything is made: a port that is taken is the most likely reason not to start.
    let held: Vec<Held> = plan.publish.iter().map(Held::take).collect::<Result<_>>()?;
    let (inside, sockets) = netns::inside(target.netns, prepare_inside)?;
    let mut attached = Attached {
        host: Host::open(target.paths)?,
        netns: target.netns.try_clone_to_owned().context(|| "hold the container's network".into())?,
        inside,
        container: target.container.to_owned(),
        name: target.name.to_owned(),
        hostname: target.hostname.to_owned(),
        plan: plan.clone(),
        joined: Vec::new(),
        gateway: None,
        held,
        forwarder: None,
        ways: plan.egress.as_ref().map(|rules| Ways::new(&rules.value, Vec::new())),
        dns: None,
        interfaces: 0,
        notices: Vec::new(),
    };
    let gateway = way_out(&networks);
    let result = attached.join_all(&store, &networks, gateway, target.alive).and_then(|()| {
        attached.dns = Some(Dns::new(sockets, dns::servers(&plan.dns), attached.zones(), target.paths)?);
        attached.joined.iter().try_for_each(|j| attached.await_up(j))?;
        attached.pass_ports_on()
    });
    match result {
        Ok(()) => Ok(attached),
        Err(e) => {
            // The first error is the one to tell; what cannot be taken down now is swept by the next command.
            let _ = attached.detach();
            Err(e)
        }
    }
}

fn joinable(store: &Store<'_>, reference: &str) -> Result<Network> {
    let network = store.get(reference)?;
    match network.driver.as_str() {
        "bridge" => Ok(network),
        _ => Err(Error::verb(format!("network {} cannot be joined together with others", network.name))),
    }
}

/// Which of several networks is the way out: the one with the highest priority that leads out, the first of equals.
fn way_out(networks: &[(Network, &EndpointPlan)]) -> Option<usize> {
    let leading = networks.iter().enumerate().filter(|(_, (n, _))| !n.internal);
    leading.max_by_key(|(at, (_, asked))| (asked.gw_priority, std::cmp::Reverse(*at))).map(|(at, _)| at)
}

/// In the container's namespace, before it has an interface.
fn prepare_inside() -> Result<(Links, Sockets)> {
    crate::sys::net::loopback_up().context(|| "set up loopback in the container's network".into())?;
    for (key, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("disable_ipv6", "1")] {
        // Duplicate address detection would hold an address for 1.6 s, and is decided before the interface is there. A
        // kernel without IPv6 has none of these. Networks with IPv6 turn it on again for their interface.
        let _ = sysctl(&format!("ipv6/conf/default/{key}"), value);
    }
    let links = Links::open().context(|| "speak to the kernel about the container's network".into())?;
    Ok((links, Sockets::open()?))
}

impl Attached {
    fn join_all(
        &mut self,
        store: &Store<'_>,
        networks: &[(Network, &EndpointPlan)],
        gateway: Option<usize>,
        alive: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let lock = store.lock()?;
        for (at, (network, asked)) in networks.iter().enumerate() {
            self.join(&lock, network, asked, Some(at) == gateway, alive)?;
        }
        if gateway.is_none() && !self.held.is_empty() {
            self.notices.push("published ports are discarded: an internal network has no way in".into());
            self.held.clear();
        }
        self.ways_own();
        self.forget_clients()
    }

    /// Of published UDP ports; see [`conntrack`].
    fn forget_clients(&self) -> Result<()> {
        let udp = self.held.iter().filter(|h| h.port.protocol == "udp").map(|h| h.port.host_port);
        conntrack::forget_udp(&udp.collect::<Vec<u16>>()).context(|| "forget clients of published ports".into())
    }

    fn join(
        &mut self,
        lock: &Lock,
        network: &Network,
        asked: &EndpointPlan,
        gateway: bool,
        alive: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let (bridge, network, said) = self.host.bring_up(lock, network)?;
        self.notices.extend(said);
        let result = self.link(lock, bridge, &network, asked, gateway, alive);
        if result.is_err() {
            // Nobody else may be on it.
            let _ = sweep::unused(&self.host, lock, &network.id);
        }
        result
    }

    fn link(
        &mut self,
        lock: &Lock,
        bridge: u32,
        network: &Network,
        asked: &EndpointPlan,
        gateway: bool,
        alive: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let lease = self.lease(lock, network, asked, gateway, alive)?;
        let interface = format!("eth{}", self.interfaces);
        let attempt = || format!("connect the container to network {}", network.name);
        let addresses = lease.addresses(network);
        let result = (|| {
            // First the rules, then the link that they are about.
            self.host.tables.add(&lease.elements).context(attempt)?;
            let pair = Pair {
                host: &lease.port,
                master: bridge,
                inside: &interface,
                mac: lease.mac,
                netns: self.netns.as_fd(),
                mtu: network.mtu(),
            };
            self.host.links.add_veth(&pair).context(attempt)?;
            // The port is a piece of the bridge: an address of its own would only make it speak to the container.
            let _ = sysctl(&format!("ipv6/conf/{}/disable_ipv6", lease.port), "1");
            let hairpin = gateway && self.held.iter().any(Held::is_open);
            if hairpin || !network.icc() {
                let port = self.host.links.index(&lease.port).context(attempt)?;
                self.host.links.set_port(port.unwrap_or_default(), hairpin, !network.icc()).context(attempt)?;
            }
            let index = self.inside.index(&interface).context(attempt)?.unwrap_or_default();
            if lease.ip6.is_some() {
                netns::inside(self.netns.as_fd(), || sysctl(&format!("ipv6/conf/{interface}/disable_ipv6"), "0"))?;
            }
            let gateways: Vec<IpAddr> = network.ipam.iter().map(|c| c.gateway).filter(|_| gateway).collect();
            self.inside.configure(index, &addresses, &gateways).context(attempt)
        })();
        if let Err(e) = result {
            let _ = self.host.links.delete(&lease.port);
            let _ = sweep::release(&self.host, lock, &lease);
            return Err(e);
        }
        if gateway {
            self.gateway = Some(self.joined.len());
        }
        self.interfaces += 1;
        self.joined.push(Joined { network: network.clone(), asked: asked.clone(), lease, interface });
        Ok(())
    }

    /// Choose addresses and write down what they entail. A network that is full, or an address that is taken, is looked
    /// at again without those whose supervisors are gone.
    fn lease(
        &self,
        lock: &Lock,
        network: &Network,
        asked: &EndpointPlan,
        gateway: bool,
        alive: &dyn Fn(&str) -> bool,
    ) -> Result<Lease> {
        let lease = match self.new_lease(network, asked, gateway) {
            Ok(lease) => lease,
            Err(_) => {
                sweep::dead(&self.host, lock, &network.id, alive)?;
                self.new_lease(network, asked, gateway)?
            }
        };
        lease::write(lock, &self.host.paths, &lease)?;
        Ok(lease)
    }

    fn new_lease(&self, network: &Network, asked: &EndpointPlan, gateway: bool) -> Result<Lease> {
        let address = |text: &Option<String>| -> Result<Option<IpAddr>> {
            let parse = |t: &String| t.parse().map_err(|_| Error::verb(format!("invalid IP address: {t}")));
            text.as_ref().map(parse).transpose()
        };
        let leases = lease::all(&self.host.paths, &network.id)?;
        if leases.iter().any(|l| l.container == self.container) {
            return Err(Error::verb(format!(
                "endpoint with name {} already exists in network {}",
                self.name, network.name
            )));
        }
        let taken: BTreeSet<IpAddr> =
            leases.iter().flat_map(|l| [Some(IpAddr::V4(l.ip)), l.ip6.map(IpAddr::V6)]).flatten().collect();
        // Whoever has it may still run.
        let unreadable = lease::unreadable(&self.host.paths, &network.id)?;
        let taken: BTreeSet<IpAddr> = taken.into_iter().chain(unreadable.into_iter().map(IpAddr::V4)).collect();
        let Some(config) = network.config(true) else {
            return Err(Error::verb(format!("network {} has no IPv4 network", network.name)));
        };
        let IpAddr::V4(ip) = lease::choose(network, config, address(&asked.ip)?, &taken)? else {
            return Err(Error::verb("an IPv4 network gives IPv4 addresses"));
        };
        let ip6 = match network.config(false) {
            Some(config) => match lease::choose(network, config, address(&asked.ip6)?, &taken)? {
                IpAddr::V6(ip6) => Some(ip6),
                IpAddr::V4(_) => None,
            },
            None if asked.ip6.is_some() => {
                return Err(Error::verb(format!("invalid endpoint settings: network {} has no IPv6", network.name)));
            }
            None => None,
        };
        let mac = match &asked.mac {
            Some(text) => lease::parse_mac(text).ok_or_else(|| {
                Error::verb(format!("invalid MAC address {text}"))
                    .hint("the lowest bit of its first byte must be 0: that marks groups")
            })?,
            None => lease::mac_of(ip),
        };
        if leases.iter().any(|l| l.mac == mac) {
            return Err(Error::verb(format!(
                "MAC address {} is already in use on network {}",
                lease::show_mac(mac),
                network.name
            )));
        }
        let endpoint = crate::plan::draft::new_id()?;
        let mut lease = Lease {
            version: Lease::VERSION,
            container: self.container.clone(),
            network: network.id.clone(),
            port: self.host.names.port(&endpoint),
            endpoint,
            ip,
            ip6,
            mac,
            name: self.name.clone(),
            names: self.names(&asked.aliases),
            limited: self.ways.is_some(),
            elements: Vec::new(),
        };
        lease.elements = self.elements(&lease, gateway)?;
        Ok(lease)
    }

    /// docker's: the name, the short id, the host name, the aliases.
    fn names(&self, aliases: &[String]) -> Vec<String> {
        let mut names = vec![self.name.clone(), self.container[..12].to_owned(), self.hostname.clone()];
        names.extend(aliases.iter().cloned());
        names.iter_mut().for_each(|n| n.make_ascii_lowercase());
        let mut seen = BTreeSet::new();
        names.retain(|n| !n.is_empty() && seen.insert(n.clone()));
        names
    }

    /// What the rules have to know about a container on one network.
    fn elements(&self, lease: &Lease, gateway: bool) -> Result<Vec<Element>> {
        let port = || Fields::new().name(&lease.port).mac(lease.mac);
        let mut all = vec![Element::new(Family::Bridge, "ports4", port().ip(lease.ip.into()))];
        if let Some(ip6) = lease.ip6 {
            for ip in [ip6, lease::link_local(lease.mac)] {
                all.push(Element::new(Family::Bridge, "ports6", port().ip(ip.into())));
                all.push(Element::new(Family::Bridge, "targets6", port().ip(ip.into())));
            }
        }
        let own = [Some(IpAddr::V4(lease.ip)), lease.ip6.map(IpAddr::V6)];
        for ip in own.into_iter().flatten() {
            let key = || Fields::new().ip(ip);
            if self.plan.host_access {
                all.push(Element::versioned(Family::Inet, "trusted", ip, key()));
            }
            if let Some(ways) = &self.ways {
                all.push(Element::versioned(Family::Inet, "limited", ip, key()));
                all.extend(counters(ip));
                all.extend(ways.fixed(ip));
            }
        }
        if self.ways.is_some() {
            all.push(Element::new(Family::Bridge, "limited", Fields::new().name(&lease.port)));
        }
        if gateway {
            let inside = Inside { ip: lease.ip, ip6: lease.ip6 };
            for held in &self.held {
                all.push(held.element(inside)?);
            }
        }
        Ok(all)
    }

    /// Lead what comes to the published ports in the host's network to the container's address in that of an ordinary user.
    fn pass_ports_on(&mut self) -> Result<()> {
        self.forwarder = None;
        if crate::rootless::current().is_none() {
            return Ok(());
        }
        let Some(joined) = self.gateway.and_then(|at| self.joined.get(at)) else { return Ok(()) };
        let inside = Inside { ip: joined.lease.ip, ip6: joined.lease.ip6 };
        let ports: Vec<_> = self.held.iter().filter_map(|held| held.forward(inside)).collect();
        if !ports.is_empty() {
            self.forwarder = Some(forward::start(&ports)?);
        }
        Ok(())
    }

    fn await_up(&self, joined: &Joined) -> Result<()> {
        let port = &joined.lease.port;
        self.host.links.await_up(port).context(|| format!("wait for the container's link {port}"))
    }

    fn ways_own(&mut self) {
        let own: Vec<IpAddr> = self
            .joined
            .iter()
            .flat_map(|j| [Some(IpAddr::V4(j.lease.ip)), j.lease.ip6.map(IpAddr::V6)])
            .flatten()
            .collect();
        if let Some(ways) = &mut self.ways {
            ways.set_own(own);
        }
    }

    fn zones(&self) -> Vec<Zone> {
        let named = self.joined.iter().filter(|j| j.network.has_names());
        named.map(|j| Zone::new(&j.network.id, &j.network.name)).collect()
    }

    /// Connect to one network more, while the container runs.
    pub fn connect(&mut self, asked: &EndpointPlan, alive: &dyn Fn(&str) -> bool) -> Result<()> {
        let paths = self.host.paths.clone();
        let store = Store::new(&paths);
        let network = joinable(&store, &asked.network)?;
        if self.joined.iter().any(|j| j.network.id == network.id) {
            return Err(Error::verb(format!(
                "endpoint with name {} already exists in network {}",
                self.name, network.name
            )));
        }
        let gateway = self.gateway.is_none() && !network.internal;
        let lock = store.lock()?;
        self.join(&lock, &network, asked, gateway, alive)?;
        drop(lock);
        self.changed();
        if gateway {
            self.pass_ports_on()?;
        }
        match self.joined.last() {
            Some(joined) => self.await_up(joined),
            None => Ok(()),
        }
    }

    /// Take the container off a network, by name or id, while it runs.
    pub fn disconnect(&mut self, reference: &str) -> Result<()> {
        let paths = self.host.paths.clone();
        let store = Store::new(&paths);
        let found = self.joined.iter().position(|j| j.network.name == reference || j.network.id.starts_with(reference));
        let Some(at) = found.filter(|_| !reference.is_empty()) else {
            return Err(Error::verb(format!("container {} is not connected to network {reference}", self.container)));
        };
        let lock = store.lock()?;
        let joined = self.joined.remove(at);
        let mut errors = Vec::new();
        let gone = self.host.links.delete(&joined.lease.port);
        errors.extend(gone.context(|| format!("remove the container's link {}", joined.lease.port)).err());
        errors.extend(sweep::release(&self.host, &lock, &joined.lease).err());
        errors.extend(sweep::unused(&self.host, &lock, &joined.network.id).err());
        match self.gateway {
            Some(gateway) if gateway == at => errors.extend(self.next_way_out(&lock).err()),
            Some(gateway) if gateway > at => self.gateway = Some(gateway - 1),
            _ => {}
        }
        drop(lock);
        self.changed();
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// The way out was taken away: another network's, with the published ports.
    fn next_way_out(&mut self, lock: &Lock) -> Result<()> {
        self.gateway = self.joined.iter().position(|j| !j.network.internal);
        self.forwarder = None;
        let Some(at) = self.gateway else { return Ok(()) };
        let lease = self.joined[at].lease.clone();
        let elements = self.elements(&lease, true)?;
        let joined = &mut self.joined[at];
        joined.lease.elements = elements;
        lease::write(lock, &self.host.paths, &joined.lease)?;
        let attempt = || format!("make network {} the way out", joined.network.name);
        self.host.tables.add(&joined.lease.elements).context(attempt)?;
        if self.held.iter().any(Held::is_open)
            && let Some(port) = self.host.links.index(&joined.lease.port).context(attempt)?
        {
            self.host.links.set_port(port, true, !joined.network.icc()).context(attempt)?;
        }
        let index = self.inside.index(&joined.interface).context(attempt)?.unwrap_or_default();
        let gateways: Vec<IpAddr> = joined.network.ipam.iter().map(|c| c.gateway).collect();
        self.inside.configure(index, &[], &gateways).context(attempt)?;
        self.pass_ports_on()
    }

    fn changed(&mut self) {
        self.ways_own();
        let zones = self.zones();
        if let Some(dns) = &mut self.dns {
            dns.set_zones(zones);
        }
    }

    /// The container has another name (`docker rename`).
    pub fn rename(&mut self, name: &str) -> Result<()> {
        let paths = self.host.paths.clone();
        let lock = Store::new(&paths).lock()?;
        self.name = name.to_owned();
        for at in 0..self.joined.len() {
            let names = self.names(&self.joined[at].asked.aliases);
            let lease = &mut self.joined[at].lease;
            lease.name = name.to_owned();
            lease.names = names;
            lease::write(&lock, &paths, lease)?;
        }
        Ok(())
    }

    /// What `inspect` shows.
    pub fn network(&self) -> state::Network {
        let endpoint = |j: &Joined| {
            let v4 = j.network.config(true);
            let v6 = j.network.config(false).filter(|_| j.lease.ip6.is_some());
            let mut aliases = j.asked.aliases.clone();
            if j.network.has_names() {
                aliases.push(self.container[..12].to_owned());
            }
            state::Endpoint {
                network: j.network.name.clone(),
                network_id: j.network.id.clone(),
                endpoint_id: j.lease.endpoint.clone(),
                interface: j.interface.clone(),
                ip: j.lease.ip.to_string(),
                prefix: v4.map_or(0, |c| c.subnet.length()),
                gateway: v4.filter(|_| !j.network.internal).map(|c| c.gateway.to_string()).unwrap_or_default(),
                mac: lease::show_mac(j.lease.mac),
                ip6: j.lease.ip6.map(|ip| ip.to_string()).unwrap_or_default(),
                prefix6: v6.map_or(0, |c| c.subnet.length()),
                gateway6: v6.filter(|_| !j.network.internal).map(|c| c.gateway.to_string()).unwrap_or_default(),
                aliases,
                asked_ip: j.asked.ip.clone().unwrap_or_default(),
                asked_ip6: j.asked.ip6.clone().unwrap_or_default(),
            }
        };
        state::Network {
            endpoints: self.joined.iter().map(endpoint).collect(),
            ports: self.held.iter().map(|h| h.port.clone()).collect(),
            sandbox: String::new(),
        }
    }

    /// The text of the container's /etc/hosts, completed: its own addresses at the end, and the gateway where the plan
    /// says `host-gateway`.
    pub fn hosts(&self, planned: &str, domainname: Option<&str>) -> String {
        let way_out = self.gateway.and_then(|at| self.joined.get(at)).or_else(|| self.joined.first());
        let gateway = way_out.and_then(|j| j.network.config(true)).map(|c| c.gateway.to_string()).unwrap_or_default();
        let mut text = String::new();
        for line in planned.lines() {
            match line.strip_prefix("host-gateway\t") {
                Some(_) if gateway.is_empty() => {}
                Some(name) => text.push_str(&format!("{gateway}\t{name}\n")),
                None => text.push_str(&format!("{line}\n")),
            }
        }
        let name = match domainname.filter(|d| !d.is_empty()) {
            Some(domain) => format!("{0}.{domain} {0}", self.hostname),
            None => self.hostname.clone(),
        };
        for joined in &self.joined {
            text.push_str(&format!("{}\t{name}\n", joined.lease.ip));
            if let Some(ip6) = joined.lease.ip6 {
                text.push_str(&format!("{ip6}\t{name}\n"));
            }
        }
        text
    }

    /// What to poll for besides; see [`Dns::fds`].
    pub fn fds(&self) -> Vec<PollFd<'_>> {
        self.dns.as_ref().map(Dns::fds).unwrap_or_default()
    }

    pub fn next_timeout(&self) -> Option<Duration> {
        self.dns.as_ref().and_then(Dns::next_timeout)
    }

    /// Answer what the container has asked. Does not wait.
    pub fn step(&mut self) {
        if let Some(dns) = &mut self.dns {
            dns.step(self.ways.as_mut().map(|w| (w, &self.host.tables)));
        }
    }

    /// What was refused because of `--egress`, on all networks.
    pub fn refused(&self) -> Result<Refused> {
        let mut sum = Refused::default();
        for joined in self.joined.iter().filter(|_| self.ways.is_some()) {
            let own = [Some(IpAddr::V4(joined.lease.ip)), joined.lease.ip6.map(IpAddr::V6)];
            for element in own.into_iter().flatten().flat_map(counters) {
                let (packets, bytes) = self.host.tables.count(&element).context(|| "count refused packets".into())?;
                sum.packets += packets;
                sum.bytes += bytes;
            }
        }
        Ok(sum)
    }

    /// Take everything down. The container's processes are gone, or never were.
    ///
    /// # Errors
    /// The first of those met: what can be taken down is.
    pub fn detach(mut self) -> Result<()> {
        let paths = self.host.paths.clone();
        let lock = Store::new(&paths).lock()?;
        let mut errors = Vec::new();
        for joined in self.joined.drain(..) {
            errors.extend(sweep::release(&self.host, &lock, &joined.lease).err());
            errors.extend(sweep::unused(&self.host, &lock, &joined.network.id).err());
        }
        drop(lock);
        errors.extend(self.forget_clients().err());
        errors.into_iter().next().map_or(Ok(()), |e| as_runner(Err(e)))
    }
}

/// Where refused packets of one address are counted.
fn counters(ip: IpAddr) -> [Element; 2] {
    [Family::Inet, Family::Bridge].map(|family| Element::versioned(family, "refused", ip, Fields::new().ip(ip)))
}

impl Lease {
    /// Addresses of the container's interface, with the lengths of their networks.
    fn addresses(&self, network: &Network) -> Vec<(IpAddr, u8)> {
        let length = |ipv4| network.config(ipv4).map_or(if ipv4 { 32 } else { 128 }, |c| c.subnet.length());
        let mut all = vec![(IpAddr::V4(self.ip), length(true))];
        all.extend(self.ip6.map(|ip| (IpAddr::V6(ip), length(false))));
        all
    }
}
