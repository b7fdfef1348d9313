//! Request, preset, image and facts in; the draft of a plan out. Everything that is decided about a container is
//! decided here, each value with its source; nothing on the host is changed.
//!
//! Order of precedence: a flag, then the preset, then the image, then hardrun's own default. A flag may tighten what
//! the preset has locked; loosening it is an error that names both.

pub(in crate::plan) mod declared;
mod host;
mod id;
mod isolation;
mod lifecycle;
mod mounts;
mod network;
mod paths;
mod process;
mod resources;
mod words;

pub use host::{Found, Host, Kind, Other, ThisHost};
pub use id::{new_id, random_name};
pub use paths::{MASKED as MASKED_PATHS, READONLY as READONLY_PATHS};
pub use process::host_groups;
pub use words::words;

use super::{Asked, Draft, ImagePlan, RootPlan, Source, Sourced, StdioPlan};
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::image::store::Image;
use crate::preset::{Key, Preset};
use crate::request::{PortSpec, Request};
use crate::state::Paths;

/// Everything that decides about one container.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub request: &'a Request,
    pub image: &'a Image,
    pub preset: &'a Preset,
    pub facts: &'a Facts,
    pub paths: &'a Paths,
    pub host: &'a dyn Host,
    /// 64 lower-case hexadecimal digits; [`new_id`].
    pub id: &'a str,
    /// `--name`, or [`random_name`].
    pub name: &'a str,
}

/// Decide. Errors are docker's for values that cannot be (exit 125), and name flag and preset where a lock is loosened.
pub fn resolve(inputs: Inputs<'_>) -> Result<Draft> {
    let Inputs { request, image, preset, id, name, .. } = inputs;
    let mut notices = request.notices.clone();
    if request.isolation.privileged {
        // The override of a rule loosens one layer; docker's flag is six at once.
        notices.push(
            "--privileged gives the capabilities only; what docker takes away besides is asked for by name: --device, \
             --security-opt seccomp=unconfined, apparmor=unconfined, label=disable, systempaths=unconfined"
                .into(),
        );
    }
    if let Some(host) = &request.network.docker_host_plain_tcp {
        notices.push(format!(
            "DOCKER_HOST is {host}: an engine spoken to without TLS takes orders from anyone on the way; hardrun does not use it"
        ));
    }

    let namespaces = isolation::namespaces(&inputs, &mut notices)?;
    let capabilities = isolation::capabilities(&inputs, &namespaces)?;
    let hostname = network::hostname(&inputs, &namespaces)?;
    let user = process::user(&inputs, &namespaces)?;
    let host_groups = host_groups(&namespaces, &user.value, || inputs.host.read("/etc/group".as_ref()))?;
    let resources = resources::resolve(&inputs, &mut notices)?;
    let network = network::resolve(&inputs, &namespaces, &mut notices)?;
    let root = RootPlan { readonly: readonly(&inputs)? };
    let apparmor = isolation::apparmor(&inputs)?;
    let apparmor_mode = isolation::apparmor_mode(&inputs, &apparmor.value, &mut notices)?;
    let apparmor_watches = inputs.facts.apparmor_mode.watches();
    let selinux = isolation::selinux(&inputs, &mut notices)?;
    let selinux_permissive = inputs.host.selinux_permissive(&selinux.value)?;
    let mut mounts = mounts::resolve(&inputs, &resources, &user, &mut notices)?;
    network::files(&inputs, &namespaces, &hostname, &network, &root, &mut mounts)?;
    mounts::sort(&mut mounts);
    let covers = crate::policy::sensitive::covers(&mounts);
    notices.extend(covers.notices);
    let writable_bind = mounts::writable_bind(&mounts);
    let devices = isolation::devices(&inputs)?;
    let declared = declared::paths(&inputs, &mounts, &devices, &mut notices)?;
    let (hidden, readonly) = crate::paths::covered_by_mounts(&declared);
    let mut sysctls = network::sysctls(&inputs, &namespaces)?;
    sysctls.extend(declared::sysctl(&declared, &namespaces.network.value));

    let masked_paths = paths::masked(request, paths::besides(covers.masked, hidden, paths::MASKED));
    let mut readonly_paths = paths::readonly(request, paths::besides(covers.readonly, readonly, paths::READONLY));
    // What is hidden is not there to be read-only: a null device lies over it, which takes everything.
    readonly_paths.value.retain(|path| !masked_paths.value.contains(path));

    let mut draft = Draft {
        id: id.to_owned(),
        name: name.to_owned(),
        preset: match (&request.own.preset, &inputs.facts.site.law.preset) {
            (Some(_), _) => Sourced::flag(preset.name.clone(), "--preset"),
            (None, _) if preset.chosen_by_image => Sourced::new(preset.name.clone(), Source::Image),
            (None, Some(_)) => Sourced::new(preset.name.clone(), Source::Site),
            (None, None) => Sourced::default(preset.name.clone()),
        },
        image: ImagePlan {
            reference: request.image.clone(),
            name: image.name.clone(),
            manifest_digest: image.manifest_digest.clone(),
            config_digest: image.config_digest.clone(),
            layers: image.layers.clone(),
            index_digest: image.index_digest.clone(),
            repositories: image.repositories.clone(),
            signatures: image.signatures.clone(),
        },
        process: process::resolve(&inputs, user, &hostname, &mut notices)?,
        domainname: request.process.domainname.clone().map(|d| Sourced::flag(d, "--domainname")),
        root,
        seccomp: isolation::seccomp(&inputs, &capabilities.value, &declared.sockets, writable_bind)?,
        apparmor,
        selinux,
        landlock: isolation::landlock(&inputs),
        masked_paths,
        readonly_paths,
        paths: declared,
        devices,
        device_cgroup_rules: request
            .isolation
            .device_cgroup_rules
            .iter()
            .map(|r| Sourced::flag(r.typed.clone(), "--device-cgroup-rule"))
            .collect(),
        sysctls,
        stdio: stdio(request),
        labels: labels(&inputs),
        annotations: request.lifecycle.annotations.iter().cloned().collect(),
        remove: request.lifecycle.remove,
        restart: lifecycle::restart(request),
        health: lifecycle::health(&inputs),
        log: lifecycle::log(request)?,
        timeout: timeout(&inputs)?,
        cidfile: request.lifecycle.cidfile.clone(),
        pidfile: request.lifecycle.pidfile.clone(),
        asked: Asked { host_groups, apparmor_mode, apparmor_watches, selinux_permissive, ..asked(request) },
        capabilities,
        hostname,
        namespaces,
        resources,
        network,
        mounts,
        notices,
    };
    crate::site::limits::lower(&mut draft, inputs.facts);
    declared::check(&draft)?;
    draft.notices.extend(network::sctp_shut(&draft));
    Ok(draft)
}

impl Inputs<'_> {
    /// A container that the caller names.
    ///
    /// # Errors
    /// There is none: hardrun joins only its own.
    fn other(&self, reference: &str) -> Result<Other> {
        self.host.container(self.paths, reference)?.ok_or_else(|| {
            Error::runner(format!("No such container: {reference}"))
                .hint("only containers of hardrun's own, with the same --root, can be joined")
        })
    }
}

/// Other limits for a container that is there: those that a flag names, and what follows from them; the others as they are.
/// Lines for stderr come besides.
pub fn updated_limits(
    inputs: &Inputs<'_>,
    before: &super::ResourcesPlan,
) -> Result<(super::ResourcesPlan, Vec<String>)> {
    let mut notices = Vec::new();
    let new = resources::resolve(inputs, &mut notices)?;
    Ok((resources::merge(before, new), notices))
}

/// Whether a flag's value may stand against what the preset has locked.
fn lock(preset: &Preset, key: Key, flag: &str, tight: bool, holds: impl FnOnce() -> String) -> Result<()> {
    match preset.locked(key) {
        Some(by) if !tight => {
            Err(Error::runner(format!("{flag} loosens what preset {by} has locked: {} {}", key.name(), holds())).hint(
                format!(
                    "leave {flag} out, or choose another preset; `hardrun preset show {}` shows this one",
                    preset.name
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn readonly(inputs: &Inputs<'_>) -> Result<Sourced<bool>> {
    match inputs.request.isolation.read_only {
        Some(value) => {
            let held = &inputs.preset.read_only;
            lock(inputs.preset, Key::ReadOnly, "--read-only=false", value || !held.value, || "is true".into())?;
            Ok(Sourced::flag(value, "--read-only"))
        }
        None => Ok(inputs.preset.read_only.clone()),
    }
}

fn timeout(inputs: &Inputs<'_>) -> Result<Option<Sourced<u64>>> {
    let held = inputs.preset.timeout.as_ref();
    match inputs.request.lifecycle.timeout {
        Some(seconds) => {
            let tight = held.is_none_or(|h| seconds != 0 && seconds <= h.value);
            let say = || format!("is {} s", held.map_or(0, |h| h.value));
            lock(inputs.preset, Key::Timeout, &format!("--timeout {seconds}"), tight, say)?;
            Ok((seconds != 0).then(|| Sourced::flag(seconds, "--timeout")))
        }
        None => Ok(held.cloned()),
    }
}

/// Docker attaches stdout and stderr unless told otherwise, and stdin with `-i`.
fn stdio(request: &Request) -> StdioPlan {
    let p = &request.process;
    let attach = p.attach.unwrap_or(crate::request::Attach { stdin: p.interactive, stdout: true, stderr: true });
    StdioPlan {
        tty: p.tty,
        interactive: p.interactive,
        attach_stdin: attach.stdin,
        attach_stdout: attach.stdout,
        attach_stderr: attach.stderr,
        // With a terminal the keys reach the container as bytes: docker does not proxy signals then.
        sig_proxy: p.sig_proxy.unwrap_or(true) && !p.tty,
        detach_keys: p.detach_keys.as_ref().map(|keys| keys.typed.clone()),
    }
}

/// The image's labels under the caller's.
fn labels(inputs: &Inputs<'_>) -> std::collections::BTreeMap<String, String> {
    let mut labels = std::collections::BTreeMap::new();
    if let Some(of_image) = inputs.image.config.config().as_ref().and_then(|c| c.labels().as_ref()) {
        labels.extend(of_image.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    labels.extend(inputs.request.lifecycle.labels.iter().cloned());
    labels
}

/// What has no other place in the draft than the rule that judges it.
fn asked(request: &Request) -> Asked {
    let isolation = &request.isolation;
    let resources = &request.resources;
    let network = &request.network;
    Asked {
        privileged: isolation.privileged,
        cap_add_all: isolation.cap_add.iter().any(|c| c.is_all()),
        gpus: isolation.gpus.as_ref().map(|g| g.typed.clone()),
        publish_all: network.publish_all,
        publish: network.publish.iter().flat_map(PortSpec::published).collect(),
        cgroup_parent: resources.cgroup_parent.clone(),
        oom_kill_disable: resources.oom_kill_disable,
        env_host: request.process.env_host,
        preserve_fds: request.process.preserve_fds,
        use_api_socket: isolation.use_api_socket,
        cgroups_disabled: resources.cgroups_disabled,
        cgroup_conf: resources.cgroup_conf.clone(),
        seccomp_policy_image: isolation.seccomp_policy_image,
        personality: request.process.personality.clone(),
        writable_cgroups: isolation::writable_cgroups(request),
        // Asked of the kernel.
        apparmor_mode: None,
        host_groups: Default::default(),
        apparmor_watches: false,
        selinux_permissive: false,
        tls_verify_off: request.source.tls_verify == Some(false),
        cpu_rt: resources.cpu_rt_period.is_some_and(|n| n != 0) || resources.cpu_rt_runtime.is_some_and(|n| n != 0),
        docker_host_plain_tcp: network.docker_host_plain_tcp.clone(),
        rootfs: request.source.rootfs.clone(),
        uidmaps: isolation.uidmap.iter().map(|m| m.typed.clone()).collect(),
        gidmaps: isolation.gidmap.iter().map(|m| m.typed.clone()).collect(),
        group_add: request.process.group_add.clone(),
        foreign_namespaces: isolation::foreign_namespaces(request),
        exec: None,
        // Known only when a registry is spoken to; a pull has its own check.
        insecure_registry: None,
    }
}

/// What a value that no flag decided has as its source.
fn of_preset<T>(preset: &Preset, value: T) -> Sourced<T> {
    Sourced::new(value, Source::Preset(preset.name.clone()))
}

#[cfg(test)]
pub(crate) mod tests;
