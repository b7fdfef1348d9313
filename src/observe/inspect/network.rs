//! The network's part of docker's `inspect`.

use crate::net::store::Store;
use crate::observe::ps::{networks, ports};
use crate::plan::{EndpointPlan, NetworkMode};
use crate::state::{Container, Endpoint, Paths};
use serde_json::{Map, Value, json};

/// Name of the network whose addresses docker shows at the top as well.
const BRIDGE: &str = "bridge";

pub fn settings(paths: &Paths, container: &Container) -> Value {
    let status = &container.status;
    let running = container.is_running();
    let ports: Map<String, Value> =
        ports::by_port(&ports::of(container)).into_iter().map(|(port, bound)| (port, bindings(&bound))).collect();
    let top = status.network.endpoints.iter().find(|e| e.network == BRIDGE).cloned().unwrap_or_default();
    let sandbox = if running { status.network.sandbox.as_str() } else { "" };
    json!({
        "Bridge": "",
        // There is one for each container: it needs no id of its own.
        "SandboxID": if sandbox.is_empty() { "" } else { container.id() },
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": ports,
        "SandboxKey": sandbox,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": top.endpoint_id,
        "Gateway": top.gateway,
        "GlobalIPv6Address": top.ip6,
        "GlobalIPv6PrefixLen": top.prefix6,
        "IPAddress": top.ip,
        "IPPrefixLen": top.prefix,
        "IPv6Gateway": top.gateway6,
        "MacAddress": top.mac,
        "Networks": endpoints(paths, container),
    })
}

/// A port that is exposed and not published has none.
fn bindings(bound: &[(String, u16)]) -> Value {
    match bound {
        [] => Value::Null,
        bound => bound
            .iter()
            .map(|(ip, port)| json!({ "HostIp": ip, "HostPort": port.to_string() }))
            .collect::<Vec<_>>()
            .into(),
    }
}

/// The networks that it is on; of one that does not run, those that it will be on.
fn endpoints(paths: &Paths, container: &Container) -> Value {
    let record = &container.record;
    let network = &record.plan.draft.network;
    let asked = |name: &str| network.endpoints.iter().find(|e| e.network == name).cloned().unwrap_or_default();
    let mut map = Map::new();
    for name in networks(container) {
        let found = container.status.network.endpoints.iter().find(|e| e.network == name).cloned();
        // As with docker the network is known by its id from the first start on.
        let network_id = || match container.status.started.is_zero() {
            true => String::new(),
            false => Store::new(paths).find(&name).ok().flatten().map(|n| n.id).unwrap_or_default(),
        };
        let endpoint = found.unwrap_or_else(|| Endpoint { network_id: network_id(), ..Endpoint::default() });
        let value = endpoint_json(container, &asked(&name), &endpoint, &name);
        map.insert(name, value);
    }
    Value::Object(map)
}

fn endpoint_json(container: &Container, asked: &EndpointPlan, endpoint: &Endpoint, network: &str) -> Value {
    let mut ipam = Map::new();
    if let Some(ip) = &asked.ip {
        ipam.insert("IPv4Address".into(), json!(ip));
    }
    if let Some(ip) = &asked.ip6 {
        ipam.insert("IPv6Address".into(), json!(ip));
    }
    let draft = &container.record.plan.draft;
    // Names are answered on networks that somebody made.
    let named = !matches!(draft.namespaces.network.value, NetworkMode::None | NetworkMode::Host) && network != BRIDGE;
    let names = || {
        let short = container.id().get(..12).unwrap_or_default().to_owned();
        let mut names = vec![container.record.name.clone()];
        names.extend(asked.aliases.iter().cloned());
        names.push(short);
        names
    };
    json!({
        "IPAMConfig": if ipam.is_empty() { Value::Null } else { Value::Object(ipam) },
        "Links": null,
        "Aliases": if asked.aliases.is_empty() { Value::Null } else { json!(asked.aliases) },
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.endpoint_id,
        "Gateway": endpoint.gateway,
        "IPAddress": endpoint.ip,
        "IPPrefixLen": endpoint.prefix,
        "IPv6Gateway": endpoint.gateway6,
        "GlobalIPv6Address": endpoint.ip6,
        "GlobalIPv6PrefixLen": endpoint.prefix6,
        "MacAddress": endpoint.mac,
        "DriverOpts": null,
        "GwPriority": asked.gw_priority,
        "DNSNames": if named { json!(names()) } else { Value::Null },
    })
}
