//! Docker's `types.NetworkResource`.

use super::{BOOL, FieldType, Shape, TEXT, Type, WORDS, named, optional, plain, same};

/// A network of `network inspect`.
pub const NETWORK: &Shape = &Shape::Struct(&NETWORK_RESOURCE);

const NETWORK_RESOURCE: Type = plain(
    "types.NetworkResource",
    &[
        same("Name", TEXT),
        named("ID", "Id", TEXT),
        same("Created", &Shape::Time),
        same("Scope", TEXT),
        same("Driver", TEXT),
        same("EnableIPv6", BOOL),
        same("IPAM", &Shape::Struct(&IPAM)),
        same("Internal", BOOL),
        same("Attachable", BOOL),
        same("Ingress", BOOL),
        same("ConfigFrom", &Shape::Struct(&CONFIG_REFERENCE)),
        same("ConfigOnly", BOOL),
        same("Containers", &Shape::Map(&Shape::Struct(&ENDPOINT_RESOURCE))),
        same("Options", WORDS),
        same("Labels", WORDS),
    ],
);

const IPAM: Type = plain(
    "network.IPAM",
    &[same("Driver", TEXT), same("Options", WORDS), same("Config", &Shape::List(&Shape::Struct(&IPAM_CONFIG)))],
);

const IPAM_CONFIG: Type =
    plain("network.IPAMConfig", &[optional("Subnet", TEXT), optional("IPRange", TEXT), optional("Gateway", TEXT)]);

const CONFIG_REFERENCE: Type = plain("network.ConfigReference", &[same("Network", TEXT)]);

const ENDPOINT_RESOURCE: Type = plain("types.EndpointResource", ENDPOINT);
const ENDPOINT: &[FieldType] = &[
    same("Name", TEXT),
    same("EndpointID", TEXT),
    same("MacAddress", TEXT),
    same("IPv4Address", TEXT),
    same("IPv6Address", TEXT),
];
