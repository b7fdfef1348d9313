//! Names, addresses and what follows from the network namespace.

use super::Inputs;
use crate::error::{Error, Result};
use crate::plan::{
    MountKind, MountPlan, Namespace, NamespacesPlan, NetworkMode, NetworkPlan, RootPlan, Source, Sourced, UserNamespace,
};
use crate::request::clean_path;
use std::collections::BTreeMap;
use std::path::Path;

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
        // As docker: whoever shares the host's network sees the host's name.
        None if ns.network.value == NetworkMode::Host => Sourced::new(inputs.host.hostname(), Source::Host),
        None => Sourced::default(inputs.id[..12].to_owned()),
    })
}

pub(super) fn resolve(inputs: &Inputs<'_>, ns: &NamespacesPlan) -> Result<NetworkPlan> {
    let n = &inputs.request.network;
    let mut hosts = Vec::new();
    for entry in &n.add_host {
        if entry.address == "host-gateway" && ns.network.value != NetworkMode::Bridge {
            return Err(Error::runner(format!(
                "--add-host {}:host-gateway: there is no gateway to the host without a bridge network",
                entry.name
            )));
        }
        hosts.push((entry.name.clone(), entry.address.clone()));
    }
    Ok(NetworkPlan { hosts, dns: n.dns.clone(), dns_search: n.dns_search.clone(), dns_options: n.dns_options.clone() })
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
    let process = &inputs.request.process;
    let mut files = vec![("/etc/resolv.conf", resolv_conf(inputs, ns, network)?)];
    if !process.no_hostname {
        files.push(("/etc/hostname", format!("{}\n", hostname.value)));
    }
    if !inputs.request.network.no_hosts {
        files.push(("/etc/hosts", hosts(inputs, ns, &hostname.value, network)?));
    }
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
    Ok(())
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
fn resolv_conf(inputs: &Inputs<'_>, ns: &NamespacesPlan, network: &NetworkPlan) -> Result<String> {
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
    put("nameserver", &network.dns, false);
    put("search", &network.dns_search, true);
    put("options", &network.dns_options, true);
    Ok(text)
}
