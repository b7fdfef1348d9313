//! What this host offers. Plain data, so that tests inject it.

pub mod bind;
pub mod cgroup;
pub mod doctor;
pub mod kernel;
mod limits;
pub mod probe;
mod systemd;

pub use kernel::Release;
pub use limits::Limit;
pub use systemd::{BUS, Systemd};

use crate::error::{Context as _, Result};
use crate::request::Request;
use crate::state::Paths;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -r`
    pub kernel: String,
    /// Effective uid of the caller.
    pub euid: u32,
    /// Highest Landlock ABI, 0 where the kernel has none.
    pub landlock_abi: u32,
    pub apparmor: bool,
    pub selinux: bool,
    #[serde(default)]
    pub apparmor_mode: Enforcement,
    #[serde(default)]
    pub selinux_mode: Enforcement,
    pub cgroup: CgroupVersion,
    /// Controllers that limits can be set with.
    pub cgroup_controllers: Vec<String>,
    /// Limits that this kernel's controllers can set: not every kernel accounts swap or has every block scheduler.
    #[serde(default)]
    pub limits: BTreeSet<Limit>,
    /// The host's; an ordinary user's own is in `rootless`.
    #[serde(default)]
    pub systemd: Systemd,
    pub user_namespaces: bool,
    /// Idmapped mounts on the file system that holds the layers, and an overlay above them (Linux 5.19).
    pub idmapped_overlay: bool,
    pub seccomp: bool,
    /// CPUs online.
    pub cpus: u32,
    /// Bytes of memory in the host.
    pub memory: u64,
    /// Bounding set of the caller, as a bit mask.
    pub bounding: u64,
    /// Hard limit of open files of the caller.
    pub nofile_hard: u64,
    /// Every hard limit of the caller, by docker's name (`nofile`); `u64::MAX` is unlimited.
    #[serde(default)]
    pub hard_limits: BTreeMap<String, u64>,
    /// The caller's own oom_score_adj: lowering it again needs CAP_SYS_RESOURCE.
    #[serde(default)]
    pub oom_score_adj: i32,
    /// Control sockets of engines that exist on this host, canonical paths. Empty: not looked for yet; [`bind::look`]
    /// does when something is bound.
    pub engine_sockets: Vec<PathBuf>,
    /// hardrun's own folders under their canonical names, besides the default ones: `Paths::root` and `Paths::run`.
    #[serde(default)]
    pub own_paths: Vec<PathBuf>,
    /// The ordinary user who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootless: Option<crate::rootless::Rootless>,
    /// What the site has laid down.
    #[serde(default, skip_serializing_if = "crate::site::Site::is_none")]
    pub site: crate::site::Site,
}

/// Why a host path is not an ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathClass {
    /// Run at log-in or by tools as the user: `.bashrc`, `.config/autostart`. Read-only inside a bound home.
    Startup,
    /// Read-only unless asked for writable, which is refused.
    Sensitive,
    /// Keys, tokens, password hashes: refused in any mode; covered where a bound folder holds one.
    Secret,
    /// An engine's images, layers and state.
    EngineData,
    /// Host devices, below /dev.
    Devices,
    /// The kernel's interfaces, below /proc and /sys.
    Kernel,
    /// Control socket of a container engine, of systemd, D-Bus or a hypervisor.
    EngineSocket,
    /// hardrun's own state, configuration and audit log.
    Own,
    /// Kept from all containers by the site's policy.
    Barred,
    /// The whole file system.
    Root,
}

/// A host path that is not an ordinary one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Absolute, on the host.
    pub path: PathBuf,
    pub class: PathClass,
    /// In a few words: `password hashes`.
    pub why: String,
}

/// What a look at the disk showed about the source of a bind beyond its path. Filled by [`bind::look`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindSeen {
    /// What the source is, or lies in, under another name: a bind-mounted alias, a hard link, a home outside /home.
    pub is: Vec<Held>,
    /// Paths that exist below the source. [`crate::policy::sensitive::covers`] hides them in the container.
    pub holds: Vec<Held>,
    /// The source is a unix socket, and this engine listens on it.
    pub engine: Option<String>,
}

/// What a security module does with what its policy denies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    #[default]
    Refuses,
    /// It lets it pass, and writes it down: AppArmor's `complain`, SELinux's `permissive`.
    Watches(String),
    /// Why that cannot be known.
    Unknown(String),
}

impl Enforcement {
    pub fn watches(&self) -> bool {
        matches!(self, Enforcement::Watches(_))
    }

    /// Of a module that is on.
    fn of(on: bool, look: impl FnOnce() -> Result<Enforcement>) -> Enforcement {
        match on.then(look) {
            None => Enforcement::Refuses,
            Some(Ok(mode)) => mode,
            Some(Err(e)) => Enforcement::Unknown(e.chain().join(": ")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupVersion {
    V1,
    V2,
    Hybrid,
    None,
}

impl Facts {
    /// Everything that can be known cheaply; `paths` say where the layers are. What only trying can tell is left to
    /// [`probe`] and to the launch itself.
    pub fn gather(paths: &Paths) -> Result<Facts> {
        Ok(Self::of_host(paths)?.under(crate::site::load()?))
    }

    /// The same without the site's policy: for verbs that tell what the host is and judge nothing.
    pub fn of_host(paths: &Paths) -> Result<Facts> {
        Ok(Facts { engine_sockets: bind::engine_sockets(), ..Self::without_sockets(paths)? })
    }

    /// What this launch needs to know: below 0.2 ms. Looking for control sockets costs more than all the rest, and only
    /// what is bound into a container can be one.
    pub fn for_request(request: &Request, paths: &Paths) -> Result<Facts> {
        let binds = !request.mounts.mounts.is_empty()
            || !request.mounts.volumes_from.is_empty()
            || request.source.rootfs.is_some()
            || request.isolation.use_api_socket;
        if binds { Self::gather(paths) } else { Ok(Self::without_sockets(paths)?.under(crate::site::load()?)) }
    }

    /// With the site's policy. All stores that it lets be used are hardrun's own, whichever one is used now: what a container
    /// wrote into another would be believed when that is.
    fn under(mut self, site: crate::site::Site) -> Facts {
        if site.digest.is_some() {
            let others = std::iter::once(Path::new(Paths::ROOT)).chain(site.law.roots.iter().map(PathBuf::as_path));
            for other in others.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
                if !self.own_paths.contains(&other) {
                    self.own_paths.push(other);
                }
            }
        }
        Facts { site, ..self }
    }

    fn without_sockets(paths: &Paths) -> Result<Facts> {
        let uname = rustix::system::uname();
        let kernel = uname.release().to_string_lossy().into_owned();
        let release: Release = kernel.parse()?;
        let cgroup = cgroup::look(Path::new(cgroup::ROOT))?;
        let user_namespaces = kernel::user_namespaces()?;
        let hard_limits = limits::hard_limits();
        // Verbs that tell what the host is do not enter the user's own.
        let described = || crate::rootless::is_needed().then(crate::rootless::describe)?.ok();
        let rootless = crate::rootless::current().cloned().or_else(described);
        // Of both an ordinary user's containers have nothing.
        let root = rootless.is_none();
        let (apparmor, selinux) = (kernel::apparmor()?, kernel::selinux()?);
        let facts = Facts {
            euid: nix::unistd::geteuid().as_raw(),
            landlock_abi: crate::sys::landlock::abi(),
            apparmor,
            selinux,
            apparmor_mode: Enforcement::of(apparmor && root, kernel::apparmor_mode),
            selinux_mode: Enforcement::of(selinux && root, kernel::selinux_mode),
            cgroup: cgroup.version,
            cgroup_controllers: cgroup.controllers,
            limits: cgroup.limits,
            systemd: Systemd::look(),
            user_namespaces,
            idmapped_overlay: user_namespaces && release.idmapped_overlay(kernel::filesystem(&paths.layers())?),
            seccomp: kernel::seccomp()?,
            cpus: kernel::cpus()?,
            memory: kernel::memory(),
            bounding: kernel::bounding()?,
            nofile_hard: hard_limits.get("nofile").copied().unwrap_or(0),
            hard_limits,
            oom_score_adj: kernel::oom_score_adj()?,
            engine_sockets: Vec::new(),
            own_paths: own_paths(paths),
            rootless: None,
            site: crate::site::Site::default(),
            kernel,
        };
        Ok(match rootless {
            Some(rootless) => facts.of_ordinary_user(rootless),
            None => facts,
        })
    }

    /// What of the host is there for an ordinary user.
    fn of_ordinary_user(mut self, rootless: crate::rootless::Rootless) -> Facts {
        // Profiles are root's to load, labels root's to give.
        (self.apparmor, self.selinux) = (false, false);
        // File systems of the host are root's to map.
        self.idmapped_overlay = false;
        // Rights over the host are none in a namespace.
        for none in [caps::Capability::CAP_SYS_RESOURCE, caps::Capability::CAP_SYS_NICE] {
            self.bounding &= !none.bitmask();
        }
        let delegated = cgroup::delegated(Path::new(cgroup::ROOT), self.cgroup, &rootless);
        (self.cgroup_controllers, self.limits) = (delegated.controllers, delegated.limits);
        self.rootless = Some(rootless);
        self
    }

    /// Whether `capability` (by number) is in the caller's bounding set.
    pub fn may(&self, capability: caps::Capability) -> bool {
        self.bounding & capability.bitmask() != 0
    }
}

/// Where hardrun's folders really are, those of ordinary users included; one that does not exist yet keeps the name it will get.
fn own_paths(paths: &Paths) -> Vec<PathBuf> {
    let these = [&paths.root, &paths.run].into_iter().map(|p| p.canonicalize().unwrap_or_else(|_| p.clone()));
    // Whoever calls: root's containers are not to have a user's sockets and store either.
    let users = crate::rootless::folders::of_users(crate::rootless::current().map(|r| r.uid));
    these.chain(users).collect()
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).context(|| format!("cannot read {path}"))
}

/// The file's text, or `None` where it does not exist.
fn read_if_there(path: &str) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(|| format!("cannot read {path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_read_and_reads_back_from_json() {
        let dir = tempfile::tempdir().unwrap();
        let facts = Facts::gather(&Paths::new(Some(dir.path()))).unwrap();
        assert!(facts.cpus > 0 && facts.memory > 1 << 20 && facts.kernel.contains('.'));
        assert_eq!(facts.own_paths[0], dir.path().canonicalize().unwrap());
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts);
    }
}
