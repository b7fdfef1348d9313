//! A network as docker's `network inspect` shows it.

use super::lease;
use super::store::Network;
use crate::error::Result;
use crate::state::Paths;
use serde_json::{Map, Value, json};

/// docker's JSON, with the containers that are on the network now.
pub fn describe(paths: &Paths, network: &Network) -> Result<Value> {
    let config = network.ipam.iter().map(|c| {
        let mut entry = Map::new();
        entry.insert("Subnet".into(), json!(c.subnet));
        if let Some(range) = &c.ip_range {
            entry.insert("IPRange".into(), json!(range));
        }
        entry.insert("Gateway".into(), json!(c.gateway));
        Value::Object(entry)
    });
    let config: Vec<Value> = config.collect();
    let length = |ipv4| network.config(ipv4).map_or(0, |c| c.subnet.length());
    let mut containers = Map::new();
    for lease in lease::all(paths, &network.id)? {
        let ip6 = lease.ip6.map(|ip| format!("{ip}/{}", length(false))).unwrap_or_default();
        let entry = json!({
            "Name": lease.name,
            "EndpointID": lease.endpoint,
            "MacAddress": lease::show_mac(lease.mac),
            "IPv4Address": format!("{}/{}", lease.ip, length(true)),
            "IPv6Address": ip6,
        });
        containers.insert(lease.container, entry);
    }
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": if network.is_built_in() { Value::Null } else { json!({}) },
            "Config": config,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    }))
}
