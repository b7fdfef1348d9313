//! Names, addresses and what follows from the network namespace.

use super::{Inputs, lock};
use crate::error::{Error, Result};
use crate::plan::{
    Draft, EgressRule, EndpointPlan, MountKind, MountPlan, Namespace, NamespacesPlan, NetworkMode, NetworkPlan,
    Published, RootPlan, SeccompProfile, Source, Sourced, UserNamespace,
};
use crate::preset::Key;
use crate::request::{Egress, Exposed, NetworkSpec, NetworkTarget, PortSpec, clean_path};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Name of the network that a container is on where none is named.
const BRIDGE: &str = "bridge";
/// Where the supervisor answers questions about names, inside the container's network namespace: docker's address.
const RESOLVER: &str = "127.0.0.11";

pub(super) fn hostname(inputs: &Inputs<'_>, ns: &NamespacesPlan) -> Result<Sourced<String>> {
    let asked = inputs.request.process.hostname.as_ref().filter(|h| !h.is_empty());
    if ns.uts.value == Namespace::Host {
        if asked.is_some() {
            return Err(Error::runner("conflicting options: hostname and the UTS mode"));
        }
        return Ok(Sourced::new(inputs.host.hostname(), Source::Host));
    }
    Ok(match asked {
        Some(name) => Sourced::flag(name.clone(), "--hostname"),
        None if matches!(ns.network.value, NetworkMode::Container(_)) => match &ns.joins {
            Some(id) => inputs.other(id)?.draft.hostname,
            None => Sourced::default(inputs.id[..12].to_owned()),
        },
        // As docker: whoever shares the host's network sees the host's name.
        None if ns.network.value == NetworkMode::Host => Sourced::new(inputs.host.hostname(), Source::Host),
        None => Sourced::default(inputs.id[..12].to_owned()),
    })
}

/// A port that nobody inside can listen on: docker's filter lets SCTP through, the built-in one does not by itself.
pub(super) fn sctp_shut(draft: &Draft) -> Option<String> {
    let port = draft.network.publish.iter().find(|p| p.protocol == "sctp")?;
    let seccomp = &draft.seccomp;
    let opened = seccomp.opened.contains("sctp") && !seccomp.shut.contains("sctp");
    (!opened && seccomp.profile.value == SeccompProfile::Builtin).then(|| {
        format!(
            "port {}/sctp is published, but the container may open no SCTP socket: a preset with seccomp-open = [\"sctp\"] \
             lets it (`hardrun preset new NAME` begins one)",
            port.container_port
        )
    })
}

pub(super) fn resolve(inputs: &Inputs<'_>, ns: &NamespacesPlan, notices: &mut Vec<String>) -> Result<NetworkPlan> {
    let n = &inputs.request.network;
    let bridged = matches!(ns.network.value, NetworkMode::Bridge | NetworkMode::Named(_));
    let mut hosts = Vec::new();
    for entry in &n.add_host {
        if entry.address == "host-gateway" {
            if !bridged {
                return Err(Error::runner(format!(
                    "--add-host {}:host-gateway: there is no gateway to the host without a bridge network",
                    entry.name
                )));
            }
            if !n.host_access {
                notices.push(format!(
                    "--add-host {}:host-gateway names the host, which a container may not reach: --allow-host-access lets it",
                    entry.name
                ));
            }
        }
        hosts.push((entry.name.clone(), entry.address.clone()));
    }
    let publish = publish(inputs, ns, notices)?;
    if !bridged && !n.egress.is_empty() && ns.network.value != NetworkMode::None {
        return Err(Error::runner(
            "--egress: the network belongs to somebody else, whose traffic is not this container's",
        )
        .hint("leave --egress out, or use a bridge network"));
    }
    // Of a port without an address; those that were typed keep theirs.
    let site = &inputs.facts.site.law.publish_address;
    let bare = n.publish_all || n.publish.iter().flat_map(PortSpec::wanted).any(|p| p.host_ip.is_none());
    let publish_address = site.clone().filter(|_| bare && !publish.is_empty()).map(|a| Sourced::new(a, Source::Site));
    Ok(NetworkPlan {
        publish_address,
        hosts,
        endpoints: if bridged { endpoints(inputs)? } else { Vec::new() },
        publish,
        egress: egress(inputs, bridged)?,
        host_access: n.host_access,
        dns: n.dns.clone(),
        dns_search: n.dns_search.clone(),
        dns_options: n.dns_options.clone(),
    })
}

fn endpoints(inputs: &Inputs<'_>) -> Result<Vec<EndpointPlan>> {
    let networks = &inputs.request.network.networks;
    if networks.is_empty() {
        return Ok(vec![EndpointPlan { network: BRIDGE.into(), ..EndpointPlan::default() }]);
    }
    let one = |spec: &NetworkSpec| {
        let network = match &spec.target {
            NetworkTarget::Named(name) => name.clone(),
            _ if spec.ip.is_some() || spec.ip6.is_some() => {
                return Err(Error::runner(
                    "invalid endpoint settings: user specified IP address is supported on user defined networks only",
                ));
            }
            _ => BRIDGE.into(),
        };
        Ok(EndpointPlan {
            network,
            aliases: spec.aliases.clone(),
            ip: spec.ip.clone(),
            ip6: spec.ip6.clone(),
            mac: spec.mac.clone(),
            gw_priority: spec.gw_priority.unwrap_or(0),
        })
    };
    networks.iter().map(one).collect()
}

/// What `-p` and `-P` come to. With `-P` every port that the image or `--expose` names and no `-p` does.
fn publish(inputs: &Inputs<'_>, ns: &NamespacesPlan, notices: &mut Vec<String>) -> Result<Vec<Published>> {
    let n = &inputs.request.network;
    let mut publish: Vec<Published> = n.publish.iter().flat_map(PortSpec::wanted).collect();
    if n.publish_all {
        for (port, protocol) in exposed(inputs) {
            if !publish.iter().any(|p| (p.container_port, p.protocol.as_str()) == (port, &protocol)) {
                publish.push(Published {
                    host_ip: None,
                    host_port: None,
                    host_port_last: None,
                    container_port: port,
                    protocol,
                });
            }
        }
    }
    if publish.is_empty() {
        return Ok(publish);
    }
    match &ns.network.value {
        NetworkMode::Bridge | NetworkMode::Named(_) => {}
        NetworkMode::Host => {
            notices.push("Published ports are discarded when using host network mode".into());
            return Ok(Vec::new());
        }
        NetworkMode::None => {
            notices.push("published ports are discarded: the container has loopback only".into());
            return Ok(Vec::new());
        }
        NetworkMode::Container(_) => {
            return Err(Error::runner("conflicting options: port publishing and the container type network mode"));
        }
    }
    if publish.iter().any(|p| p.host_ip.is_none()) {
        match &inputs.facts.site.law.publish_address {
            Some(address) => {
                publish.iter_mut().filter(|p| p.host_ip.is_none()).for_each(|p| p.host_ip = Some(address.clone()));
                notices.push(format!("no address given: published on {address}, by the site's policy"));
            }
            None => notices.push("no address given: published on 127.0.0.1 only; -p 0.0.0.0:… asks for more".into()),
        }
    }
    Ok(publish)
}

/// Ports that the image's config and `--expose` name.
fn exposed(inputs: &Inputs<'_>) -> std::collections::BTreeSet<(u16, String)> {
    let mut ports = std::collections::BTreeSet::new();
    let config = inputs.image.config.config().as_ref();
    for text in config.and_then(|c| c.exposed_ports().as_ref()).into_iter().flatten() {
        // What an image says in a form that is not a port opens nothing.
        if let Ok(exposed) = text.parse::<Exposed>() {
            ports.extend(exposed.ports.iter().map(|p| (p, exposed.protocol.to_string())));
        }
    }
    for exposed in &inputs.request.network.expose {
        ports.extend(exposed.ports.iter().map(|p| (p, exposed.protocol.to_string())));
    }
    ports.retain(|(port, _)| *port != 0);
    ports
}

/// The flag's destinations, else the preset's where the network is the container's own.
fn egress(inputs: &Inputs<'_>, bridged: bool) -> Result<Option<Sourced<Vec<EgressRule>>>> {
    let asked = &inputs.request.network.egress;
    let of_preset = inputs.preset.egress.as_ref();
    let rules = |to: &mut dyn Iterator<Item = Egress>| -> Vec<EgressRule> {
        let rules: BTreeSet<EgressRule> = to
            .filter_map(|e| match e {
                Egress::None => None,
                Egress::To(rule) => Some(rule),
            })
            .collect();
        rules.into_iter().collect()
    };
    if asked.is_empty() {
        let Some(held) = of_preset.filter(|_| bridged) else { return Ok(None) };
        // Words that the preset's layers have read already.
        let to = rules(&mut held.value.iter().filter_map(|word| word.parse().ok()));
        return Ok(Some(Sourced::new(to, held.source.clone())));
    }
    let to = rules(&mut asked.iter().cloned());
    if let Some(held) = of_preset {
        let more: Vec<String> = to.iter().map(ToString::to_string).filter(|to| !held.value.contains(to)).collect();
        let held: Vec<&str> = held.value.iter().map(String::as_str).collect();
        lock(inputs.preset, Key::Egress, &format!("--egress {}", more.join(", ")), more.is_empty(), || {
            if held.is_empty() { "is none".into() } else { format!("is {}", held.join(", ")) }
        })?;
    }
    Ok(Some(Sourced::flag(to, "--egress")))
}

/// Safe because they reach no further than the container's own network namespace; they replace NET_BIND_SERVICE and
/// NET_RAW for ping.
pub(super) fn sysctls(inputs: &Inputs<'_>, ns: &NamespacesPlan) -> Result<BTreeMap<String, Sourced<String>>> {
    let mut sysctls = BTreeMap::new();
    let own_network = matches!(ns.network.value, NetworkMode::None | NetworkMode::Bridge | NetworkMode::Named(_));
    if own_network {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), Sourced::default("0".into()));
        let last = match ns.user.value {
            UserNamespace::Private { size, .. } => size - 1,
            UserNamespace::Host => i32::MAX as u32,
        };
        sysctls.insert("net.ipv4.ping_group_range".into(), Sourced::default(format!("0 {last}")));
    }
    for asked in &inputs.request.isolation.sysctls {
        if asked.key.starts_with("net.") && !own_network {
            return Err(Error::runner(format!("sysctl {:?} not allowed in a network namespace of others", asked.key)));
        }
        let ipc = asked.key.starts_with("kernel.") || asked.key.starts_with("fs.mqueue.");
        if ipc && ns.ipc.value != Namespace::Private {
            return Err(Error::runner(format!("sysctl {:?} not allowed in an ipc namespace of others", asked.key)));
        }
        sysctls.insert(asked.key.clone(), Sourced::flag(asked.value.clone(), "--sysctl"));
    }
    Ok(sysctls)
}

/// /etc/hosts, /etc/hostname and /etc/resolv.conf, unless the caller mounts something there.
pub(super) fn files(
    inputs: &Inputs<'_>,
    ns: &NamespacesPlan,
    hostname: &Sourced<String>,
    network: &NetworkPlan,
    root: &RootPlan,
    mounts: &mut Vec<MountPlan>,
) -> Result<()> {
    if let NetworkMode::Container(id) = &ns.network.value {
        return shared_files(inputs, id, root, mounts);
    }
    let process = &inputs.request.process;
    let mut files = vec![("/etc/resolv.conf", resolv_conf(inputs, ns, network)?)];
    if !process.no_hostname {
        files.push(("/etc/hostname", format!("{}\n", hostname.value)));
    }
    if !inputs.request.network.no_hosts {
        files.push(("/etc/hosts", hosts(inputs, ns, &hostname.value, network)?));
    }
    put(files, root, mounts);
    Ok(())
}

/// As docker: whoever shares a container's network sees its names.
fn shared_files(inputs: &Inputs<'_>, id: &str, root: &RootPlan, mounts: &mut Vec<MountPlan>) -> Result<()> {
    let other = inputs.other(id)?;
    let mut files = Vec::new();
    for mount in &other.draft.mounts {
        let MountKind::File { content, .. } = &mount.kind else { continue };
        let mut content = content.clone();
        if mount.destination == "/etc/hosts" {
            content.extend(other.addresses.iter().map(|(address, name)| format!("{address}\t{name}\n")));
        }
        files.push((mount.destination.as_str(), content));
    }
    put(files, root, mounts);
    Ok(())
}

/// Files, but for those whose place is taken.
fn put(files: Vec<(&str, String)>, root: &RootPlan, mounts: &mut Vec<MountPlan>) {
    for (destination, content) in files {
        if mounts.iter().any(|m| clean_path(&m.destination) == destination) {
            continue;
        }
        mounts.push(MountPlan {
            destination: destination.to_owned(),
            kind: MountKind::File { content, mode: 0o644 },
            readonly: Sourced::new(root.readonly.value, root.readonly.source.clone()),
            noexec: true,
            asked: String::new(),
            propagation: Sourced::default("private".into()),
        });
    }
}

fn hosts(inputs: &Inputs<'_>, ns: &NamespacesPlan, hostname: &str, network: &NetworkPlan) -> Result<String> {
    let mut text = if ns.network.value == NetworkMode::Host {
        inputs.host.read(Path::new("/etc/hosts"))?
    } else {
        let mut text = "127.0.0.1\tlocalhost\n\
                        ::1\tlocalhost ip6-localhost ip6-loopback\n\
                        fe00::\tip6-localnet\n\
                        ff00::\tip6-mcastprefix\n\
                        ff02::1\tip6-allnodes\n\
                        ff02::2\tip6-allrouters\n"
            .to_owned();
        // Programs look their own name up (Java's getLocalHost, sudo): with loopback only, Debian's address for it.
        if ns.network.value == NetworkMode::None {
            text.push_str(&format!("127.0.1.1\t{hostname}\n"));
        }
        text
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, address) in &network.hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    Ok(text)
}

/// With loopback only, the host's resolvers and search domains would be of no use, and tell where the container runs.
///
/// On a bridge the name server is hardrun's own, which asks those of `--dns` or the host's in turn: a resolver on the
/// host's loopback works too.
fn resolv_conf(inputs: &Inputs<'_>, ns: &NamespacesPlan, network: &NetworkPlan) -> Result<String> {
    let bridged = matches!(ns.network.value, NetworkMode::Bridge | NetworkMode::Named(_));
    let own = [RESOLVER.to_owned()];
    let nameservers = if bridged { &own[..] } else { &network.dns[..] };
    let host = match ns.network.value {
        NetworkMode::None => String::new(),
        _ => inputs.host.read(Path::new("/etc/resolv.conf"))?,
    };
    let mut text = String::new();
    let mut put = |key: &str, flags: &[String], joined: bool| {
        if flags.is_empty() {
            for line in host.lines().filter(|l| l.split_whitespace().next() == Some(key)) {
                text.push_str(line);
                text.push('\n');
            }
        } else if joined {
            // `--dns-search .` stands for none.
            let words: Vec<&str> = flags.iter().map(String::as_str).filter(|f| *f != ".").collect();
            if !words.is_empty() {
                text.push_str(&format!("{key} {}\n", words.join(" ")));
            }
        } else {
            for word in flags {
                text.push_str(&format!("{key} {word}\n"));
            }
        }
    };
    put("nameserver", nameservers, false);
    put("search", &network.dns_search, true);
    put("options", &network.dns_options, true);
    if bridged && !text.lines().any(|l| l.starts_with("options") && l.contains("ndots:")) {
        // As docker: a name of one label is asked for as it is first, for that is what containers are called.
        match text.lines().position(|l| l.starts_with("options")) {
            Some(at) => {
                let lines: Vec<String> = text
                    .lines()
                    .enumerate()
                    .map(|(n, l)| if n == at { format!("{l} ndots:0\n") } else { format!("{l}\n") })
                    .collect();
                text = lines.concat();
            }
            None => text.push_str("options ndots:0\n"),
        }
    }
    Ok(text)
}
