//! Images, volumes and networks, as `inspect` shows them.

use super::container::{CONFIG, GRAPH_DRIVER, HEALTHCHECK};
use super::{BOOL, INT, SET, Shape, TEXT, TEXTS, Type, WORDS, named, optional, plain, same};

pub const IMAGE: &Shape = &Shape::Struct(&plain(
    "image.InspectResponse",
    &[
        named("ID", "Id", TEXT),
        same("RepoTags", TEXTS),
        same("RepoDigests", TEXTS),
        same("Parent", TEXT),
        same("Comment", TEXT),
        optional("Created", TEXT),
        optional("Container", TEXT),
        optional("ContainerConfig", &Shape::Pointer("*container.Config", &Shape::Struct(&CONFIG))),
        same("DockerVersion", TEXT),
        same("Author", TEXT),
        same("Config", &Shape::Pointer("*v1.DockerOCIImageConfig", &Shape::Struct(&IMAGE_CONFIG))),
        same("Architecture", TEXT),
        optional("Variant", TEXT),
        same("Os", TEXT),
        optional("OsVersion", TEXT),
        same("Size", INT),
        optional("VirtualSize", INT),
        same("GraphDriver", &Shape::Struct(&GRAPH_DRIVER)),
        same("RootFS", &Shape::Struct(&plain("image.RootFS", &[optional("Type", TEXT), optional("Layers", TEXTS)]))),
        same("Metadata", &Shape::Struct(&plain("image.Metadata", &[optional("LastTagTime", &Shape::Time)]))),
    ],
));

/// What an image says about containers made of it.
const IMAGE_CONFIG: Type = plain(
    "v1.DockerOCIImageConfig",
    &[
        optional("User", TEXT),
        optional("ExposedPorts", SET),
        optional("Env", TEXTS),
        optional("Entrypoint", TEXTS),
        optional("Cmd", TEXTS),
        optional("Volumes", SET),
        optional("WorkingDir", TEXT),
        optional("Labels", WORDS),
        optional("StopSignal", TEXT),
        optional("ArgsEscaped", BOOL),
        optional("Healthcheck", &Shape::Pointer("*v1.HealthcheckConfig", &Shape::Struct(&HEALTHCHECK))),
        optional("OnBuild", TEXTS),
        optional("Shell", TEXTS),
    ],
);

pub const VOLUME: &Shape = &Shape::Struct(&plain(
    "volume.Volume",
    &[
        optional("CreatedAt", TEXT),
        same("Driver", TEXT),
        same("Labels", WORDS),
        same("Mountpoint", TEXT),
        same("Name", TEXT),
        same("Options", WORDS),
        same("Scope", TEXT),
        optional("Status", &Shape::Map(&Shape::Any)),
    ],
));

pub const NETWORK: &Shape = &Shape::Struct(&plain(
    "network.Inspect",
    &[
        same("Name", TEXT),
        named("ID", "Id", TEXT),
        same("Created", &Shape::Time),
        same("Scope", TEXT),
        same("Driver", TEXT),
        same("EnableIPv4", BOOL),
        same("EnableIPv6", BOOL),
        same("IPAM", &Shape::Struct(&IPAM)),
        same("Internal", BOOL),
        same("Attachable", BOOL),
        same("Ingress", BOOL),
        same("ConfigFrom", &Shape::Struct(&plain("network.ConfigReference", &[same("Network", TEXT)]))),
        same("ConfigOnly", BOOL),
        same("Containers", &Shape::Map(&Shape::Struct(&ENDPOINT))),
        same("Options", WORDS),
        same("Labels", WORDS),
    ],
));

const IPAM: Type = plain(
    "network.IPAM",
    &[same("Driver", TEXT), same("Options", WORDS), same("Config", &Shape::List(&Shape::Struct(&SUBNET)))],
);

const SUBNET: Type = plain(
    "network.IPAMConfig",
    &[
        optional("Subnet", TEXT),
        optional("IPRange", TEXT),
        optional("Gateway", TEXT),
        super::FieldType { omit_empty: true, ..named("AuxAddress", "AuxiliaryAddresses", WORDS) },
    ],
);

const ENDPOINT: Type = plain(
    "network.EndpointResource",
    &[
        same("Name", TEXT),
        same("EndpointID", TEXT),
        same("MacAddress", TEXT),
        same("IPv4Address", TEXT),
        same("IPv6Address", TEXT),
    ],
);
