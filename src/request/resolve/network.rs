//! Network and names.

use super::Notes;
use super::reader::{each, list, non_empty, switch, with};
use crate::cli::flags::NetworkFlags;
use crate::error::{Error, Result};
use crate::request::network::{parse_ip, parse_ipv4, parse_ipv6, parse_mac, parse_search_domain};
use crate::request::{Env, NetworkRequest, NetworkSpec, NetworkTarget, Request};

pub fn resolve(flags: NetworkFlags, request: &mut Request, env: &Env, notes: &mut Notes) -> Result<()> {
    let NetworkFlags {
        add_host,
        allow_host_access,
        egress,
        dns,
        dns_option,
        dns_search,
        expose,
        ip,
        ip6,
        link,
        link_local_ip,
        mac_address,
        network,
        network_alias,
        no_hosts,
        pod,
        pod_id_file,
        publish,
        publish_all,
    } = flags;

    notes.not_applicable("--pod", &pod, "hardrun has no pods");
    notes.not_applicable("--pod-id-file", &pod_id_file, "hardrun has no pods");
    let endpoint = Endpoint {
        ip: with("--ip", non_empty(ip), parse_ipv4)?,
        ip6: with("--ip6", non_empty(ip6), parse_ipv6)?,
        mac: with("--mac-address", non_empty(mac_address), parse_mac)?,
        link_local_ips: each("--link-local-ip", link_local_ip, parse_ip)?,
        aliases: network_alias,
    };
    let mut networks: Vec<NetworkSpec> = list("--network", network)?;
    endpoint.apply(&mut networks)?;
    check_together(&networks)?;
    request.network = NetworkRequest {
        networks,
        publish: list("-p, --publish", publish)?,
        publish_all: switch("-P, --publish-all", publish_all)?.unwrap_or(false),
        expose: list("--expose", expose)?,
        dns: each("--dns", dns, parse_ip)?,
        dns_search: each("--dns-search", dns_search, parse_search_domain)?,
        dns_options: each("--dns-option", dns_option, |w| {
            // A word of a line of /etc/resolv.conf.
            if w.contains(|c: char| c.is_whitespace() || c.is_control()) {
                Err(format!("invalid dns option {w:?}"))
            } else {
                Ok(w.to_owned())
            }
        })?,
        add_host: list("--add-host", add_host)?,
        no_hosts: switch("--no-hosts", no_hosts)?.unwrap_or(false),
        links: each("--link", link, parse_link)?,
        docker_host_plain_tcp: plain_tcp(env),
        egress: list("--egress", egress)?,
        host_access: switch("--allow-host-access", allow_host_access)?.unwrap_or(false),
    };
    what_is_not_carried_out(&request.network, notes);
    Ok(())
}

fn what_is_not_carried_out(network: &NetworkRequest, notes: &mut Notes) {
    if !network.links.is_empty() {
        notes
            .unsupported("--link is not carried out: it is deprecated and hands out the other container's environment");
    }
    for spec in &network.networks {
        let addressed =
            spec.ip.is_some() || spec.ip6.is_some() || spec.mac.is_some() || !spec.link_local_ips.is_empty();
        if addressed && !spec.target.is_user_defined() && spec.target != NetworkTarget::Bridge {
            notes.unsupported(format!("{}: addresses can only be set on a bridge network", spec.typed));
        }
        if !spec.link_local_ips.is_empty() {
            notes.unsupported("--link-local-ip is not carried out: link-local addresses are kept from containers");
        }
        if let Some((key, _)) = spec.driver_opts.first() {
            notes.unsupported(format!("{}: driver option {key} is not carried out", spec.typed));
        }
    }
}

/// The flags that belong to the first network.
struct Endpoint {
    ip: Option<String>,
    ip6: Option<String>,
    mac: Option<String>,
    link_local_ips: Vec<String>,
    aliases: Vec<String>,
}

impl Endpoint {
    /// Put them into the first network; without one they have nothing to act on but the default, which takes no aliases.
    fn apply(self, networks: &mut Vec<NetworkSpec>) -> Result<()> {
        let conflict = |flag: &str, what: &str| {
            Err(Error::runner(format!("conflicting options: cannot specify both {flag} and per-network {what}")))
        };
        let Endpoint { ip, ip6, mac, link_local_ips, aliases } = self;
        let user_defined = networks.first().is_some_and(|n| n.target.is_user_defined());
        if !aliases.is_empty() && !user_defined {
            return Err(Error::runner(
                "--network-alias: network-scoped aliases are only supported for user-defined networks",
            ));
        }
        let given = ip.is_some() || ip6.is_some() || mac.is_some() || !link_local_ips.is_empty();
        if networks.is_empty() && given {
            networks.push(NetworkSpec::plain(NetworkTarget::Bridge, "--ip, --ip6 or --mac-address".into()));
        }
        let Some(first) = networks.first_mut() else { return Ok(()) };
        if !aliases.is_empty() {
            if !first.aliases.is_empty() {
                return conflict("--network-alias", "alias");
            }
            first.aliases = aliases;
        }
        if ip.is_some() && first.ip.is_some() {
            return conflict("--ip", "IPv4 address");
        }
        if ip6.is_some() && first.ip6.is_some() {
            return conflict("--ip6", "IPv6 address");
        }
        if mac.is_some() && first.mac.is_some() {
            return conflict("--mac-address", "MAC address");
        }
        if !link_local_ips.is_empty() && !first.link_local_ips.is_empty() {
            return conflict("--link-local-ip", "link-local IP addresses");
        }
        first.ip = ip.or(first.ip.take());
        first.ip6 = ip6.or(first.ip6.take());
        first.mac = mac.or(first.mac.take());
        first.link_local_ips.extend(link_local_ips);
        Ok(())
    }
}

fn check_together(networks: &[NetworkSpec]) -> Result<()> {
    if networks.len() > 1 && networks.iter().any(|n| !n.target.is_user_defined()) {
        return Err(Error::runner(
            "--network: conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ));
    }
    for (index, spec) in networks.iter().enumerate() {
        if let NetworkTarget::Named(name) = &spec.target
            && networks[..index].iter().any(|n| n.target == spec.target)
        {
            return Err(Error::runner(format!("--network: network {name:?} is specified multiple times")));
        }
    }
    Ok(())
}

fn parse_link(text: &str) -> std::result::Result<String, String> {
    match text.matches(':').count() {
        _ if text.is_empty() => Err("empty string specified for links".into()),
        0 | 1 => Ok(text.to_owned()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// docker would send everything, credentials included, over this connection in the clear.
fn plain_tcp(env: &Env) -> Option<String> {
    let verified = env.get("DOCKER_TLS_VERIFY").is_some_and(|v| !v.is_empty());
    env.get("DOCKER_HOST").filter(|host| host.starts_with("tcp://") && !verified).map(str::to_owned)
}
