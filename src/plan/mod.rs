//! The plan: every decision about one container, each with its source. Everything right of it only carries it out.
//!
//! A [`Draft`] says what would run; the policy judges it together with the host's [`Facts`](crate::facts::Facts); a
//! [`Plan`] is a draft that passed, with the overrides that were needed.

pub mod draft;
pub mod explain;
mod fallback;
pub use fallback::not_delegated;
pub mod print_docker;
pub mod score;
mod sourced;
mod today;

pub use sourced::{Source, Sourced};

use crate::paths::PathsPlan;
use crate::request::RestartPolicy;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// What would run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    pub name: String,
    /// Name of the resolved preset.
    pub preset: Sourced<String>,
    pub image: ImagePlan,
    pub process: ProcessPlan,
    pub hostname: Sourced<String>,
    pub domainname: Option<Sourced<String>>,
    pub root: RootPlan,
    pub namespaces: NamespacesPlan,
    /// Granted capabilities, canonical upper-case names (`CAP_CHOWN`). The five sets follow from these and the user: see `spec::capabilities`.
    pub capabilities: Sourced<BTreeSet<String>>,
    pub seccomp: SeccompPlan,
    pub apparmor: Sourced<AppArmor>,
    pub selinux: Sourced<SeLinux>,
    pub landlock: Sourced<Landlock>,
    /// What the preset declares of files, ports and sockets.
    #[serde(default, skip_serializing_if = "PathsPlan::is_empty")]
    pub paths: PathsPlan,
    /// In the order in which they are mounted: parents before children.
    pub mounts: Vec<MountPlan>,
    pub masked_paths: Sourced<Vec<String>>,
    pub readonly_paths: Sourced<Vec<String>>,
    pub devices: Vec<Sourced<DevicePlan>>,
    /// Raw `--device-cgroup-rule` lines.
    pub device_cgroup_rules: Vec<Sourced<String>>,
    pub resources: ResourcesPlan,
    pub sysctls: BTreeMap<String, Sourced<String>>,
    pub network: NetworkPlan,
    pub stdio: StdioPlan,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Remove everything of the container at exit (`--rm`).
    pub remove: bool,
    /// What happens when the container's first process has ended.
    pub restart: Sourced<RestartPolicy>,
    pub health: Option<Sourced<HealthPlan>>,
    pub log: Sourced<LogPlan>,
    /// Seconds after which the container is killed (`--timeout`).
    pub timeout: Option<Sourced<u64>>,
    /// Files that are written for the caller: `--cidfile`, `--pidfile`. Absolute paths.
    pub cidfile: Option<PathBuf>,
    pub pidfile: Option<PathBuf>,
    /// Things that were asked for and are wide open by their nature; rules judge these. Keyed by what was asked.
    pub asked: Asked,
    /// Lines for stderr: what was done differently from docker, and why.
    pub notices: Vec<String>,
}

impl Draft {
    /// Where the data of the volumes that it mounts lies on the host.
    pub fn volume_folders(&self) -> Vec<PathBuf> {
        let folder = |mount: &MountPlan| match &mount.kind {
            MountKind::Volume { source, .. } => Some(source.clone()),
            _ => None,
        };
        self.mounts.iter().filter_map(folder).collect()
    }

    /// The slice that systemd is to make the container's scope in. As docker has it where systemd manages the groups, `--cgroup-parent` is a
    /// slice; any other is a folder, made as it is.
    pub fn slice(&self) -> Option<&str> {
        match self.asked.cgroup_parent.as_deref() {
            None => Some(SLICE),
            Some(parent) => Some(parent).filter(|p| p.ends_with(".slice") && !p.contains('/')),
        }
    }
}

/// What is above every hardrun scope of systemd's, unless `--cgroup-parent` names another slice.
pub const SLICE: &str = "hardrun.slice";

/// Requests that have no other place in the draft than the rule that judges them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    pub privileged: bool,
    pub cap_add_all: bool,
    pub gpus: Option<String>,
    pub publish_all: bool,
    pub publish: Vec<Published>,
    pub cgroup_parent: Option<String>,
    pub oom_kill_disable: bool,
    pub env_host: bool,
    pub preserve_fds: u32,
    pub use_api_socket: bool,
    pub cgroups_disabled: bool,
    pub cgroup_conf: Vec<String>,
    pub seccomp_policy_image: bool,
    pub personality: Option<String>,
    pub writable_cgroups: bool,
    /// In which mode the kernel has the AppArmor profile that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apparmor_mode: Option<String>,
    /// Of the process's groups those that on the host are an engine's or give its disks, logs or root; where there is no user namespace.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub host_groups: BTreeMap<u32, String>,
    /// AppArmor refuses nothing on this host, whatever a profile says (`apparmor.mode=complain`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub apparmor_watches: bool,
    /// The host's policy makes the SELinux type permissive.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub selinux_permissive: bool,
    pub tls_verify_off: bool,
    pub cpu_rt: bool,
    /// Value of DOCKER_HOST in the caller's environment if it is a plain tcp:// address.
    pub docker_host_plain_tcp: Option<String>,
    /// `--rootfs DIR` instead of an image.
    pub rootfs: Option<PathBuf>,
    pub uidmaps: Vec<String>,
    pub gidmaps: Vec<String>,
    /// `--group-add`, as typed.
    pub group_add: Vec<String>,
    /// Namespaces of something that is not a container of hardrun's, as typed: `--network ns:/proc/7/ns/net`,
    /// `--pid container:web` where `web` belongs to another engine.
    pub foreign_namespaces: Vec<String>,
    /// What runs is another process of a container that runs.
    pub exec: Option<AskedExec>,
    /// Registry `host[:port]` that would be spoken to over plain HTTP or without checking its certificate.
    pub insecure_registry: Option<String>,
}

/// What `exec` asked for beyond what the container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedExec {
    pub privileged: bool,
    /// Root where the container's own process is another user: `-u root`, as typed.
    pub root: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// `None`: no address was given; 127.0.0.1 is used.
    pub host_ip: Option<String>,
    /// `None`: an ephemeral port.
    pub host_port: Option<u16>,
    /// Any free port from `host_port` to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port_last: Option<u16>,
    pub container_port: u16,
    /// tcp, udp or sctp.
    pub protocol: String,
}

impl fmt::Display for Published {
    /// `127.0.0.1:8080->80/tcp`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip.as_deref() {
            Some(ip) if ip.contains(':') => write!(f, "[{ip}]:")?,
            ip => write!(f, "{}:", ip.unwrap_or("127.0.0.1"))?,
        }
        match (self.host_port, self.host_port_last) {
            (Some(first), Some(last)) => write!(f, "{first}-{last}")?,
            (Some(port), None) => write!(f, "{port}")?,
            (None, _) => f.write_str("any")?,
        }
        write!(f, "->{}/{}", self.container_port, self.protocol)
    }
}

impl fmt::Display for EgressRule {
    /// As it was typed, but for the length of a single address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.to, self.port) {
            (EgressTo::Net(net), Some(port)) if net.contains(':') => write!(f, "[{net}]:{port}"),
            (EgressTo::Net(to) | EgressTo::Name(to), Some(port)) => write!(f, "{to}:{port}"),
            (EgressTo::Net(to) | EgressTo::Name(to), None) => f.write_str(to),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePlan {
    /// As typed.
    pub reference: String,
    /// Familiar name, e.g. `busybox:latest`.
    pub name: String,
    /// `sha256:…` of the manifest; empty for `--rootfs`.
    pub manifest_digest: String,
    /// `sha256:…` of the config: docker's image ID; empty for `--rootfs`.
    pub config_digest: String,
    /// Unpacked layer folders on the host, lowest first. For `--rootfs` the one folder.
    pub layers: Vec<PathBuf>,
    /// `sha256:…` of the index that the manifest was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<String>,
    /// Canonical repositories that gave the image or were given it; empty for one that was loaded or made here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// What is kept of the image's signatures, where the site's policy asks for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<crate::site::signature::Signature>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessPlan {
    pub args: Sourced<Vec<String>>,
    /// `KEY=value`, in order, without duplicates.
    pub env: Vec<Sourced<String>>,
    pub cwd: Sourced<String>,
    pub user: Sourced<UserPlan>,
    pub no_new_privileges: Sourced<bool>,
    pub umask: Sourced<u32>,
    /// By docker's name, lower case: `nofile`.
    pub rlimits: BTreeMap<String, Sourced<Rlimit>>,
    pub oom_score_adj: Sourced<i32>,
    /// Run a small init as pid 1.
    pub init: Sourced<bool>,
    /// Signal number.
    pub stop_signal: Sourced<i32>,
    /// Seconds; -1 waits for ever.
    pub stop_timeout: Sourced<i64>,
}

/// How the container's health is checked. Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// `["CMD", …]` or `["CMD-SHELL", command]`.
    pub test: Vec<String>,
    pub interval: u64,
    pub timeout: u64,
    /// Failures do not count for so long after the start.
    pub start_period: u64,
    /// Time between checks during the start period, until one succeeds.
    pub start_interval: u64,
    /// Failures in a row that mean unhealthy.
    pub retries: u32,
    pub on_failure: HealthAction,
}

/// What is done when a container becomes unhealthy (podman's `--health-on-failure`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthAction {
    #[default]
    None,
    Kill,
    Restart,
    Stop,
}

/// Where the container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    pub driver: LogDriverPlan,
    /// Bytes after which a new file is begun; `None`: never.
    pub max_size: Option<u64>,
    /// Files that are kept, the one that is written to included.
    pub max_file: u32,
    /// Options as typed, for `inspect`.
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriverPlan {
    #[default]
    JsonFile,
    /// The same file; docker's name for a driver with rotation on.
    Local,
    None,
}

/// Soft and hard limit; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    pub soft: u64,
    pub hard: u64,
}

/// Ids as the container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    pub home: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootPlan {
    pub readonly: Sourced<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamespacesPlan {
    pub user: Sourced<UserNamespace>,
    pub pid: Sourced<Namespace>,
    pub ipc: Sourced<Namespace>,
    pub uts: Sourced<Namespace>,
    pub cgroup: Sourced<Namespace>,
    pub network: Sourced<NetworkMode>,
    /// Id of the container whose namespaces are joined. Its user namespace is joined with them: the others belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNamespace {
    /// A range of `size` ids of its own. `base` is 0 in a draft; the launcher allocates it.
    Private { base: u32, size: u32 },
    /// No user namespace: asked for, or the kernel has none.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    Private,
    Host,
    /// Another container, by name or id.
    Container(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// A namespace of its own with loopback only.
    None,
    Bridge,
    Host,
    Container(String),
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeccompPlan {
    pub profile: Sourced<SeccompProfile>,
    /// Sets, groups and single calls that take the place of what the built-in profile has open by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Sourced<BTreeSet<String>>>,
    /// Named groups of the built-in profile that a preset or flag opened on top of the default.
    pub opened: BTreeSet<String>,
    /// Named groups of the built-in profile that a preset shut although they are open by default.
    #[serde(default)]
    pub shut: BTreeSet<String>,
    /// Refuse to make setuid and setgid files: on where a host folder is bound writable.
    pub no_setid: Sourced<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompProfile {
    Builtin,
    Unconfined,
    /// A Docker-format profile: its path and its text.
    File {
        path: PathBuf,
        json: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppArmor {
    /// hardrun's own profile, loaded where the kernel has AppArmor.
    Builtin,
    Named(String),
    Unconfined,
    /// The kernel has no AppArmor.
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeLinux {
    Labels {
        process: String,
        mount: String,
    },
    Disabled,
    /// SELinux is not on.
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Landlock {
    /// ABI version of the kernel that the ruleset is made for.
    Ruleset {
        abi: u32,
    },
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Absolute, normalised.
    pub destination: String,
    pub kind: MountKind,
    pub readonly: Sourced<bool>,
    pub noexec: bool,
    /// What was typed, for messages.
    pub asked: String,
    /// `private` unless something else was asked for; everything else is refused by a rule.
    pub propagation: Sourced<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum MountKind {
    /// A host folder or file, also where it was asked for as a volume with `volume-opt=o=bind,device=…`.
    Bind {
        /// Source as resolved on the host: absolute, symlinks followed.
        source: PathBuf,
        /// Source as typed, made absolute.
        typed: PathBuf,
        /// Owner of the source on the host; of a missing one, who will own it.
        uid: u32,
        gid: u32,
        directory: bool,
        /// The source does not exist and is made at launch (`-v` of a missing folder).
        create: bool,
        /// Bind submounts too.
        recursive: bool,
        /// The caller said `ro` or `rw` in words.
        mode_asked: bool,
        idmap: BindIdmap,
        /// The SELinux label that its files get on the host (`:z`, `:Z`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relabel: Option<String>,
        /// What `facts::bind::look(&source, &facts)` said.
        #[serde(default)]
        seen: crate::facts::BindSeen,
    },
    Tmpfs {
        /// Bytes.
        size: u64,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    Volume {
        /// Folder on the host, ids on disk as the container sees them.
        source: PathBuf,
        /// `None`: anonymous.
        name: Option<String>,
        /// Copy what the image has at the destination into an empty volume.
        copy_up: bool,
        subpath: Option<String>,
        /// Of a volume that the launch makes (`volume-label`).
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
    /// Small files that hardrun writes: /etc/hosts, /etc/hostname, /etc/resolv.conf.
    File { content: String, mode: u32 },
    /// Read-only view of another image's root.
    Image { layers: Vec<PathBuf> },
}

/// How ids on disk become ids inside a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindIdmap {
    /// The folder's owner is the container's starting user; the host's root is not mapped.
    Owner,
    /// Ids are the same inside and on disk, root included: root-owned folders that are not sensitive.
    Identity,
    /// Ids are the same but the host's root is nobody inside: sensitive paths.
    NoRoot,
    /// Nothing is mapped, for the caller is an ordinary user: its own files are the container's root's, others' are nobody's.
    Caller,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    pub host: PathBuf,
    pub container: String,
    /// Some of `r`, `w`, `m`.
    pub access: String,
}

/// Bytes unless said otherwise. `None`: no limit is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesPlan {
    pub memory: Option<Sourced<i64>>,
    /// Memory plus swap; -1 is unlimited.
    pub memory_swap: Option<Sourced<i64>>,
    pub memory_reservation: Option<Sourced<i64>>,
    pub memory_swappiness: Option<Sourced<u64>>,
    /// Processes; -1 or 0 is unlimited.
    pub pids: Option<Sourced<i64>>,
    /// Microseconds.
    pub cpu_quota: Option<Sourced<i64>>,
    pub cpu_period: Option<Sourced<u64>>,
    pub cpu_shares: Option<Sourced<u64>>,
    pub cpu_rt_period: Option<Sourced<u64>>,
    pub cpu_rt_runtime: Option<Sourced<i64>>,
    pub cpuset_cpus: Option<Sourced<String>>,
    pub cpuset_mems: Option<Sourced<String>>,
    pub blkio_weight: Option<Sourced<u16>>,
    /// `major:minor weight`
    pub blkio_weight_device: Vec<Sourced<BlkioDevice>>,
    pub read_bps: Vec<Sourced<BlkioDevice>>,
    pub write_bps: Vec<Sourced<BlkioDevice>>,
    pub read_iops: Vec<Sourced<BlkioDevice>>,
    pub write_iops: Vec<Sourced<BlkioDevice>>,
    /// `None`: the container has no /dev/shm of its own (`--ipc none`, `--ipc container:NAME`).
    pub shm_size: Option<Sourced<u64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkioDevice {
    pub path: PathBuf,
    pub major: i64,
    pub minor: i64,
    /// Weight, bytes per second or operations per second.
    pub value: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPlan {
    /// Lines for /etc/hosts: (name, address). `host-gateway` stands for the gateway of the first network, known at launch.
    pub hosts: Vec<(String, String)>,
    /// Networks to join, in order; the first is eth0. Empty where the container has no bridge.
    pub endpoints: Vec<EndpointPlan>,
    /// Ports to publish. Where `host_port` is none, whichever is free.
    pub publish: Vec<Published>,
    /// Where outgoing traffic may go; `None`: anywhere. An empty list: nowhere.
    pub egress: Option<Sourced<Vec<EgressRule>>>,
    /// The container may reach services of the host and ports that others publish on it.
    pub host_access: bool,
    /// Name servers as asked for with `--dns`; empty: those that the host uses when the container starts.
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// Host address of the ports for which none was typed, where it is not 127.0.0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_address: Option<Sourced<String>>,
}

/// One network that the container joins, and as what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointPlan {
    /// Name or id of the network.
    pub network: String,
    /// Names besides the container's own, on this network only.
    pub aliases: Vec<String>,
    pub ip: Option<String>,
    pub ip6: Option<String>,
    /// Six bytes of hexadecimal with colons.
    pub mac: Option<String>,
    /// Of several networks the one with the highest number is the way out; the first of equals.
    pub gw_priority: i64,
}

/// One `--egress`: a destination, and the port where it is limited to one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EgressRule {
    pub to: EgressTo,
    /// Of TCP, UDP and SCTP alike; `None`: any port and protocol.
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EgressTo {
    /// An address or a network: `192.0.2.0/24`, `2001:db8::7/128`.
    Net(String),
    /// A name, lower case, without a dot at the end: whatever addresses it has when it is looked up.
    Name(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StdioPlan {
    pub tty: bool,
    pub interactive: bool,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub sig_proxy: bool,
    pub detach_keys: Option<String>,
}

/// A draft that passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this format.
    pub version: u32,
    pub draft: Draft,
    /// Rules that would have refused and were overridden.
    pub overrides: Vec<Override>,
    /// Layers that this host cannot give and what takes their place.
    pub fallbacks: Vec<Fallback>,
    /// `sha256:…` of the site's policy that it was judged by; `None`: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_policy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub rule: String,
    /// What was asked, as in the finding.
    pub asked: String,
    pub reason: Option<String>,
    /// The entry of the site's policy that permits it: its last day and its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// e.g. `apparmor`
    pub layer: String,
    pub missing: String,
    pub instead: String,
}

impl Plan {
    /// Format version of the plan's JSON.
    pub const VERSION: u32 = 1;

    /// `sha256:…` over the plan's canonical JSON: what the audit log records.
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let json = serde_json::to_vec(self).expect("a plan is plain data");
        format!("sha256:{}", hex::encode(Sha256::digest(json)))
    }
}
