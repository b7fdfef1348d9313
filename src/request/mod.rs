//! What the caller asked for: the words of the command line as typed values, before presets, image and host have a say.
//!
//! Fields that a user may leave out are `Option`, so that whoever layers presets and defaults can tell "not asked" from
//! "asked for the default". Nothing here decides anything; [`Request::unsupported`] only lists what cannot be carried out.

mod add_host;
mod capability;
mod container_name;
mod cpus;
mod csv;
mod detach_keys;
mod device;
mod device_rule;
mod duration;
mod egress;
mod env;
mod env_file;
pub(crate) mod golang;
mod gpus;
mod idmap;
mod label;
mod log_opt;
mod mount;
mod mount_csv;
mod mount_volume;
mod network;
mod platform;
mod port;
mod pull_policy;
mod refusal;
mod resolve;
mod restart;
mod secret;
mod security_opt;
mod signal;
mod size;
mod sysctl;
mod throttle;
mod tmpfs;
mod ulimit;
mod umask;
mod user;

pub use add_host::AddHost;
pub use capability::CapName;
pub use container_name::parse_name;
pub use cpus::Cpus;
pub use detach_keys::DetachKeys;
pub use device::{DeviceKind, DeviceRequest};
pub use device_rule::DeviceRule;
pub use duration::GoDuration;
pub use egress::Egress;
pub use env::{Env, EnvSetting};
pub use golang::parse_bool;
pub use gpus::GpuRequest;
pub use idmap::IdMap;
pub use log_opt::LogDriver;
pub use mount::{
    BindRequest, ImageMount, MountRequest, RecursiveReadonly, TmpfsRequest, VolumeRequest, clean_path, parse_tmpfs,
};
pub use network::{NetworkSpec, NetworkTarget, is_network_name, parse_ipv4, parse_ipv6, parse_mac};
pub use platform::Platform;
pub use port::{Exposed, PortRange, PortSpec, Protocol};
pub use pull_policy::PullPolicy;
pub use refusal::{By, Refusal};
pub use resolve::environment;
pub use restart::RestartPolicy;
pub use secret::Secret;
pub use security_opt::SecurityOpt;
pub use signal::Signal;
pub use size::Size;
pub use sysctl::Sysctl;
pub use throttle::DeviceValue;
pub use ulimit::Ulimit;
pub use umask::Umask;
pub use user::UserSpec;

use crate::policy::Allow;
use std::path::PathBuf;

/// One container, as asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// Image reference as typed; with `--rootfs` the folder as typed.
    pub image: String,
    /// Everything after the image.
    pub args: Vec<String>,
    pub source: SourceRequest,
    pub lifecycle: LifecycleRequest,
    pub process: ProcessRequest,
    pub isolation: IsolationRequest,
    pub resources: ResourcesRequest,
    pub mounts: MountsRequest,
    pub network: NetworkRequest,
    pub health: HealthRequest,
    pub own: OwnRequest,
    /// One line each for stderr: flags that were taken and do nothing here, and why.
    pub notices: Vec<String>,
    /// One line each: flags that are understood and judged by the policy, but cannot be carried out.
    pub unsupported: Vec<String>,
}

/// Where the image comes from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceRequest {
    pub pull: Option<PullPolicy>,
    pub quiet: bool,
    /// `--platform`, `--os`/`--arch`/`--variant` or DOCKER_DEFAULT_PLATFORM.
    pub platform: Option<Platform>,
    /// `--rootfs`: [`Request::image`] is a folder; this is it, absolute and otherwise as typed.
    pub rootfs: Option<PathBuf>,
    pub authfile: Option<PathBuf>,
    pub cert_dir: Option<PathBuf>,
    /// `--tls-verify`; `Some(false)` is refused by a rule for anything but loopback.
    pub tls_verify: Option<bool>,
    pub retry: Option<u32>,
    pub retry_delay: Option<GoDuration>,
    pub image_volume: Option<ImageVolume>,
}

/// What becomes of the image's own VOLUMEs (`--image-volume`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageVolume {
    /// An anonymous volume, as docker does.
    Anonymous,
    Tmpfs,
    Ignore,
}

/// The container as a thing with a name and an end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LifecycleRequest {
    pub name: Option<String>,
    pub replace: bool,
    pub remove: bool,
    pub remove_image: bool,
    pub detach: bool,
    /// Absolute.
    pub cidfile: Option<PathBuf>,
    /// Absolute.
    pub pidfile: Option<PathBuf>,
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
    pub restart: Option<RestartPolicy>,
    pub stop_signal: Option<Signal>,
    /// Seconds; negative waits for ever.
    pub stop_timeout: Option<i64>,
    /// Seconds after which the container is killed; `Some(0)` never.
    pub timeout: Option<u64>,
    pub log: LogDriver,
}

/// The process and what it sees of its caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessRequest {
    pub interactive: bool,
    pub tty: bool,
    /// `--attach`: `None` when the flag was not given.
    pub attach: Option<Attach>,
    pub sig_proxy: Option<bool>,
    pub detach_keys: Option<DetachKeys>,
    /// `Some("")` clears the image's entrypoint.
    pub entrypoint: Option<String>,
    /// `Some("")` is the image's, as with docker.
    pub workdir: Option<String>,
    pub user: Option<UserSpec>,
    /// Names or ids as typed.
    pub group_add: Vec<String>,
    /// Env files first, then `--env`, in order; a later entry wins.
    pub env: Vec<EnvSetting>,
    /// `--env-host`: the caller's whole environment; see [`Request::caller_env`].
    pub env_host: bool,
    /// `--env-merge`: values that refer to the image's variables (`PATH=${PATH}:/x`).
    pub env_merge: Vec<(String, String)>,
    pub unsetenv: Vec<String>,
    pub unsetenv_all: bool,
    /// `--http-proxy`: the caller's proxy variables, only with an explicit `true`.
    pub http_proxy: bool,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub no_hostname: bool,
    pub init: Option<bool>,
    pub ulimits: Vec<Ulimit>,
    pub umask: Option<Umask>,
    /// `--tz`: a zone's name or `local`.
    pub tz: Option<String>,
    /// `--passwd=false`: leave /etc/passwd alone.
    pub passwd: Option<bool>,
    pub passwd_entry: Option<String>,
    pub group_entry: Option<String>,
    pub preserve_fds: u32,
    pub personality: Option<String>,
    pub oom_score_adj: Option<i32>,
    /// The caller's environment where something above refers to it (`--env-host`, `--http-proxy`).
    pub caller_env: Vec<(String, String)>,
}

/// Streams named with `--attach`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// Namespaces, privileges, confinement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IsolationRequest {
    pub privileged: bool,
    pub cap_add: Vec<CapName>,
    pub cap_drop: Vec<CapName>,
    /// In the order given; where two of one kind are given the later wins.
    pub security_opts: Vec<SecurityOpt>,
    pub seccomp_policy_image: bool,
    pub pid: Option<NamespaceMode>,
    pub ipc: Option<IpcMode>,
    pub uts: Option<NamespaceMode>,
    pub cgroupns: Option<NamespaceMode>,
    pub userns: Option<UsernsMode>,
    pub uidmap: Vec<IdMap>,
    pub gidmap: Vec<IdMap>,
    pub subuidname: Option<String>,
    pub subgidname: Option<String>,
    pub read_only: Option<bool>,
    /// `--read-only-tmpfs`.
    pub read_only_tmpfs: Option<bool>,
    pub devices: Vec<DeviceRequest>,
    pub device_cgroup_rules: Vec<DeviceRule>,
    pub gpus: Option<GpuRequest>,
    pub sysctls: Vec<Sysctl>,
    pub use_api_socket: bool,
}

/// `--pid`, `--uts`, `--cgroupns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceMode {
    Private,
    Host,
    Container(String),
}

/// `--ipc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpcMode {
    /// Private, without a /dev/shm.
    None,
    Private,
    Shareable,
    Host,
    Container(String),
}

/// `--userns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsernsMode {
    Host,
    /// A range of its own (`private`, `auto`, with its options as typed).
    Auto(Option<String>),
    /// The caller's ids keep their numbers inside; options as typed (`uid=…,gid=…`).
    KeepId(Option<String>),
    /// As keep-id, but the caller's own id is not mapped.
    NoMap,
    /// `ns:PATH`
    Path(PathBuf),
    Container(String),
}

/// Limits. Bytes and microseconds unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourcesRequest {
    pub memory: Option<i64>,
    pub memory_reservation: Option<i64>,
    /// -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// 0 to 100; -1 means unset.
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: bool,
    /// 0 and -1 are unlimited.
    pub pids_limit: Option<i64>,
    pub cpus: Option<Cpus>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_rt_period: Option<i64>,
    pub cpu_rt_runtime: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub blkio_weight: Option<u16>,
    pub blkio_weight_device: Vec<DeviceValue>,
    pub read_bps: Vec<DeviceValue>,
    pub write_bps: Vec<DeviceValue>,
    pub read_iops: Vec<DeviceValue>,
    pub write_iops: Vec<DeviceValue>,
    pub shm_size: Option<u64>,
    pub cgroup_parent: Option<String>,
    /// `--cgroups`: `disabled` was asked for.
    pub cgroups_disabled: bool,
    /// Raw `KEY=VALUE`.
    pub cgroup_conf: Vec<String>,
}

/// What is mounted into the container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MountsRequest {
    /// `--volume`, `--mount` and `--tmpfs`: first all of `-v`, then `--mount`, then `--tmpfs`, each in the order given.
    pub mounts: Vec<MountRequest>,
    /// `--volumes-from`: container and mode as typed.
    pub volumes_from: Vec<String>,
    pub secrets: Vec<Secret>,
    /// Bytes for the root file system (`--storage-opt size=`).
    pub storage_size: Option<u64>,
}

/// Network and names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkRequest {
    /// Empty: `--network` was not given.
    pub networks: Vec<NetworkSpec>,
    pub publish: Vec<PortSpec>,
    pub publish_all: bool,
    pub expose: Vec<Exposed>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    pub add_host: Vec<AddHost>,
    pub no_hosts: bool,
    pub links: Vec<String>,
    /// DOCKER_HOST of the caller where it is plain `tcp://` (no DOCKER_TLS_VERIFY).
    pub docker_host_plain_tcp: Option<String>,
    /// `--egress`; empty: not given.
    pub egress: Vec<Egress>,
    pub host_access: bool,
}

/// Health check settings, carried for the record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthRequest {
    pub disable: bool,
    pub cmd: Option<String>,
    pub interval: Option<GoDuration>,
    pub timeout: Option<GoDuration>,
    pub start_period: Option<GoDuration>,
    pub start_interval: Option<GoDuration>,
    pub retries: Option<i64>,
    pub on_failure: Option<String>,
    pub startup_cmd: Option<String>,
}

/// hardrun's own flags.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnRequest {
    pub preset: Option<String>,
    /// `--locked`: the lock file that decides which image is meant.
    pub locked: Option<PathBuf>,
    /// `--allow RULE[=REASON]`, parsed by [`Allow`]'s `FromStr`.
    pub allow: Vec<Allow>,
    pub dry_run: bool,
    pub format: Option<OutputFormat>,
    pub print_docker: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    Text,
    Json,
}
