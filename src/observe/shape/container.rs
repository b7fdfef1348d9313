//! A container, as `inspect` shows it.

use super::{BOOL, INT, PORT_SET, SET, Shape, TEXT, TEXTS, Type, WORDS, embedded, named, optional, plain, same};
use serde_json::Value as Json;

pub const CONTAINER: &Shape = &Shape::Struct(&plain(
    "container.InspectResponse",
    &[
        embedded("ContainerJSONBase", &Shape::Struct(&BASE)),
        same("Mounts", &Shape::List(&Shape::Struct(&MOUNT_POINT))),
        same("Config", &Shape::Pointer("*container.Config", &Shape::Struct(&CONFIG))),
        same("NetworkSettings", &Shape::Pointer("*container.NetworkSettings", &Shape::Struct(&NETWORK_SETTINGS))),
        optional("ImageManifestDescriptor", &Shape::Pointer("*v1.Descriptor", &Shape::Any)),
    ],
));

const BASE: Type = plain(
    "container.ContainerJSONBase",
    &[
        named("ID", "Id", TEXT),
        same("Created", TEXT),
        same("Path", TEXT),
        same("Args", TEXTS),
        same("State", &Shape::Pointer("*container.State", &Shape::Struct(&STATE))),
        same("Image", TEXT),
        same("ResolvConfPath", TEXT),
        same("HostnamePath", TEXT),
        same("HostsPath", TEXT),
        same("LogPath", TEXT),
        same("Name", TEXT),
        same("RestartCount", INT),
        same("Driver", TEXT),
        same("Platform", TEXT),
        same("MountLabel", TEXT),
        same("ProcessLabel", TEXT),
        same("AppArmorProfile", TEXT),
        same("ExecIDs", TEXTS),
        same("HostConfig", &Shape::Pointer("*container.HostConfig", &Shape::Struct(&HOST_CONFIG))),
        same("GraphDriver", &Shape::Struct(&super::container::GRAPH_DRIVER)),
        optional("SizeRw", &Shape::Pointer("*int64", INT)),
        optional("SizeRootFs", &Shape::Pointer("*int64", INT)),
    ],
);

/// Images have one too.
pub(super) const GRAPH_DRIVER: Type = plain("storage.DriverData", &[same("Data", WORDS), same("Name", TEXT)]);

const STATE: Type = plain(
    "container.State",
    &[
        same("Status", TEXT),
        same("Running", BOOL),
        same("Paused", BOOL),
        same("Restarting", BOOL),
        same("OOMKilled", BOOL),
        same("Dead", BOOL),
        same("Pid", INT),
        same("ExitCode", INT),
        same("Error", TEXT),
        same("StartedAt", TEXT),
        same("FinishedAt", TEXT),
        optional("Health", &Shape::Pointer("*container.Health", &Shape::Struct(&HEALTH))),
    ],
);

const HEALTH: Type = plain(
    "container.Health",
    &[
        same("Status", TEXT),
        same("FailingStreak", INT),
        same(
            "Log",
            &Shape::List(&Shape::Struct(&plain(
                "container.HealthcheckResult",
                &[same("Start", &Shape::Time), same("End", &Shape::Time), same("ExitCode", INT), same("Output", TEXT)],
            ))),
        ),
    ],
);

const MOUNT_POINT: Type = plain(
    "container.MountPoint",
    &[
        optional("Type", TEXT),
        optional("Name", TEXT),
        same("Source", TEXT),
        same("Destination", TEXT),
        optional("Driver", TEXT),
        same("Mode", TEXT),
        same("RW", BOOL),
        same("Propagation", TEXT),
    ],
);

/// What a container is made with; images have one too.
pub(super) const CONFIG: Type = plain(
    "container.Config",
    &[
        same("Hostname", TEXT),
        same("Domainname", TEXT),
        same("User", TEXT),
        same("AttachStdin", BOOL),
        same("AttachStdout", BOOL),
        same("AttachStderr", BOOL),
        optional("ExposedPorts", PORT_SET),
        same("Tty", BOOL),
        same("OpenStdin", BOOL),
        same("StdinOnce", BOOL),
        same("Env", TEXTS),
        same("Cmd", TEXTS),
        optional("Healthcheck", &Shape::Pointer("*v1.HealthcheckConfig", &Shape::Struct(&HEALTHCHECK))),
        optional("ArgsEscaped", BOOL),
        same("Image", TEXT),
        same("Volumes", SET),
        same("WorkingDir", TEXT),
        same("Entrypoint", TEXTS),
        optional("NetworkDisabled", BOOL),
        optional("MacAddress", TEXT),
        same("OnBuild", TEXTS),
        same("Labels", WORDS),
        optional("StopSignal", TEXT),
        optional("StopTimeout", &Shape::Pointer("*int", INT)),
        optional("Shell", TEXTS),
    ],
);

pub(super) const HEALTHCHECK: Type = plain(
    "v1.HealthcheckConfig",
    &[
        optional("Test", TEXTS),
        optional("Interval", &Shape::Duration),
        optional("Timeout", &Shape::Duration),
        optional("StartPeriod", &Shape::Duration),
        optional("StartInterval", &Shape::Duration),
        optional("Retries", INT),
    ],
);

const HOST_CONFIG: Type = plain(
    "container.HostConfig",
    &[
        same("Binds", TEXTS),
        same("ContainerIDFile", TEXT),
        same("LogConfig", &Shape::Struct(&plain("container.LogConfig", &[same("Type", TEXT), same("Config", WORDS)]))),
        same("NetworkMode", TEXT),
        same("PortBindings", PORT_MAP),
        same(
            "RestartPolicy",
            &Shape::Struct(&plain("container.RestartPolicy", &[same("Name", TEXT), same("MaximumRetryCount", INT)])),
        ),
        same("AutoRemove", BOOL),
        same("VolumeDriver", TEXT),
        same("VolumesFrom", TEXTS),
        same("ConsoleSize", &Shape::List(INT)),
        optional("Annotations", WORDS),
        same("CapAdd", TEXTS),
        same("CapDrop", TEXTS),
        same("CgroupnsMode", TEXT),
        named("DNS", "Dns", TEXTS),
        named("DNSOptions", "DnsOptions", TEXTS),
        named("DNSSearch", "DnsSearch", TEXTS),
        same("ExtraHosts", TEXTS),
        same("GroupAdd", TEXTS),
        same("IpcMode", TEXT),
        same("Cgroup", TEXT),
        same("Links", TEXTS),
        same("OomScoreAdj", INT),
        same("PidMode", TEXT),
        same("Privileged", BOOL),
        same("PublishAllPorts", BOOL),
        same("ReadonlyRootfs", BOOL),
        same("SecurityOpt", TEXTS),
        optional("StorageOpt", WORDS),
        optional("Tmpfs", WORDS),
        same("UTSMode", TEXT),
        same("UsernsMode", TEXT),
        same("ShmSize", INT),
        optional("Sysctls", WORDS),
        same("Runtime", TEXT),
        same("Isolation", TEXT),
        embedded("Resources", &Shape::Struct(&RESOURCES)),
        optional("Mounts", &Shape::List(&Shape::Any)),
        same("MaskedPaths", TEXTS),
        same("ReadonlyPaths", TEXTS),
        optional("Init", &Shape::Pointer("*bool", BOOL)),
    ],
);

/// `map[80/tcp:[{127.0.0.1 8080}]]`
const PORT_MAP: &Shape = &Shape::PortMap(&Shape::List(&Shape::Struct(&plain(
    "nat.PortBinding",
    &[named("HostIP", "HostIp", TEXT), same("HostPort", TEXT)],
))));

const RESOURCES: Type = plain(
    "container.Resources",
    &[
        named("CPUShares", "CpuShares", INT),
        same("Memory", INT),
        named("NanoCPUs", "NanoCpus", INT),
        same("CgroupParent", TEXT),
        same("BlkioWeight", INT),
        same("BlkioWeightDevice", &Shape::List(&Shape::Struct(&WEIGHT_DEVICE))),
        same("BlkioDeviceReadBps", THROTTLES),
        same("BlkioDeviceWriteBps", THROTTLES),
        same("BlkioDeviceReadIOps", THROTTLES),
        same("BlkioDeviceWriteIOps", THROTTLES),
        named("CPUPeriod", "CpuPeriod", INT),
        named("CPUQuota", "CpuQuota", INT),
        named("CPURealtimePeriod", "CpuRealtimePeriod", INT),
        named("CPURealtimeRuntime", "CpuRealtimeRuntime", INT),
        same("CpusetCpus", TEXT),
        same("CpusetMems", TEXT),
        same("Devices", &Shape::List(&Shape::Struct(&DEVICE))),
        same("DeviceCgroupRules", TEXTS),
        same("DeviceRequests", &Shape::List(&Shape::Struct(&DEVICE_REQUEST))),
        // Newer engines leave these two out where they are zero; older ones, and scripts that ask for them, have them.
        same("KernelMemory", INT),
        same("KernelMemoryTCP", INT),
        same("MemoryReservation", INT),
        same("MemorySwap", INT),
        same("MemorySwappiness", &Shape::Pointer("*int64", INT)),
        same("OomKillDisable", &Shape::Pointer("*bool", BOOL)),
        same("PidsLimit", &Shape::Pointer("*int64", INT)),
        same("Ulimits", &Shape::List(&Shape::Struct(&ULIMIT))),
        named("CPUCount", "CpuCount", INT),
        named("CPUPercent", "CpuPercent", INT),
        same("IOMaximumIOps", INT),
        same("IOMaximumBandwidth", INT),
    ],
);

const DEVICE: Type = plain(
    "container.DeviceMapping",
    &[same("PathOnHost", TEXT), same("PathInContainer", TEXT), same("CgroupPermissions", TEXT)],
);

const DEVICE_REQUEST: Type = plain(
    "container.DeviceRequest",
    &[
        same("Driver", TEXT),
        same("Count", INT),
        same("DeviceIDs", TEXTS),
        same("Capabilities", &Shape::List(TEXTS)),
        same("Options", WORDS),
    ],
);

fn word(json: &Json, key: &str) -> String {
    match &json[key] {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

const ULIMIT: Type = Type {
    name: "units.Ulimit",
    fields: &[same("Name", TEXT), same("Hard", INT), same("Soft", INT)],
    text: Some(|json| format!("{}={}:{}", word(json, "Name"), word(json, "Soft"), word(json, "Hard"))),
};

const WEIGHT_DEVICE: Type = Type {
    name: "blkiodev.WeightDevice",
    fields: &[same("Path", TEXT), same("Weight", INT)],
    text: Some(|json| format!("{}:{}", word(json, "Path"), word(json, "Weight"))),
};

const THROTTLES: &Shape = &Shape::List(&Shape::Struct(&Type {
    name: "blkiodev.ThrottleDevice",
    fields: &[same("Path", TEXT), same("Rate", INT)],
    text: Some(|json| format!("{}:{}", word(json, "Path"), word(json, "Rate"))),
}));

const NETWORK_SETTINGS: Type = plain(
    "container.NetworkSettings",
    &[
        embedded("NetworkSettingsBase", &Shape::Struct(&NETWORK_BASE)),
        embedded("DefaultNetworkSettings", &Shape::Struct(&NETWORK_DEFAULT)),
        same("Networks", &Shape::Map(&Shape::Pointer("*network.EndpointSettings", &Shape::Struct(&ENDPOINT)))),
    ],
);

const NETWORK_BASE: Type = plain(
    "container.NetworkSettingsBase",
    &[
        same("Bridge", TEXT),
        same("SandboxID", TEXT),
        same("SandboxKey", TEXT),
        same("Ports", PORT_MAP),
        same("HairpinMode", BOOL),
        same("LinkLocalIPv6Address", TEXT),
        same("LinkLocalIPv6PrefixLen", INT),
        same("SecondaryIPAddresses", ADDRESSES),
        same("SecondaryIPv6Addresses", ADDRESSES),
    ],
);

const ADDRESSES: &Shape =
    &Shape::List(&Shape::Struct(&plain("network.Address", &[same("Addr", TEXT), same("PrefixLen", INT)])));

const NETWORK_DEFAULT: Type = plain(
    "container.DefaultNetworkSettings",
    &[
        same("EndpointID", TEXT),
        same("Gateway", TEXT),
        same("GlobalIPv6Address", TEXT),
        same("GlobalIPv6PrefixLen", INT),
        same("IPAddress", TEXT),
        same("IPPrefixLen", INT),
        same("IPv6Gateway", TEXT),
        same("MacAddress", TEXT),
    ],
);

const ENDPOINT: Type = plain(
    "network.EndpointSettings",
    &[
        same("IPAMConfig", &Shape::Pointer("*network.EndpointIPAMConfig", &Shape::Struct(&ENDPOINT_IPAM))),
        same("Links", TEXTS),
        same("Aliases", TEXTS),
        same("MacAddress", TEXT),
        same("DriverOpts", WORDS),
        same("GwPriority", INT),
        same("NetworkID", TEXT),
        same("EndpointID", TEXT),
        same("Gateway", TEXT),
        same("IPAddress", TEXT),
        same("IPPrefixLen", INT),
        same("IPv6Gateway", TEXT),
        same("GlobalIPv6Address", TEXT),
        same("GlobalIPv6PrefixLen", INT),
        same("DNSNames", TEXTS),
    ],
);

const ENDPOINT_IPAM: Type = plain(
    "network.EndpointIPAMConfig",
    &[optional("IPv4Address", TEXT), optional("IPv6Address", TEXT), optional("LinkLocalIPs", TEXTS)],
);
