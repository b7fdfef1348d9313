//! What was typed, in the form in which docker gives it back: `inspect` shows it beside what was decided.

use super::Inputs;
use crate::image::store::Healthcheck;
use crate::request::{IpcMode, MountRequest, NamespaceMode, NetworkTarget, SecurityOpt, UsernsMode};
use crate::state::Words;
use std::collections::{BTreeMap, BTreeSet};

/// Switched off by the caller, or by the image.
fn health_off(inputs: &Inputs<'_>) -> Option<Healthcheck> {
    let asked = &inputs.request.health;
    let of_image = inputs.image.healthcheck.clone().unwrap_or_default();
    let by_image = asked.cmd.is_none() && of_image.test.first().is_some_and(|t| t == "NONE");
    let off = asked.disable || asked.cmd.as_deref() == Some("none") || by_image;
    off.then(|| Healthcheck { test: vec!["NONE".into()], ..of_image })
}

/// Words for the record of a container.
pub fn words(inputs: &Inputs<'_>) -> Words {
    let request = inputs.request;
    let config = inputs.image.config.config().as_ref();
    let (cmd, entrypoint) = command(inputs);
    let mut binds = Vec::new();
    let mut mounts = Vec::new();
    let mut tmpfs = BTreeMap::new();
    for mount in &request.mounts.mounts {
        let (flag, rest) = mount.typed().split_once(' ').unwrap_or((mount.typed(), ""));
        match (flag, mount) {
            ("-v", MountRequest::Bind(bind)) => {
                // Docker keeps the source absolute, whatever was typed.
                let tail = rest.split_once(':').map_or("", |(_, tail)| tail);
                binds.push(format!("{}:{tail}", bind.source.display()));
            }
            ("-v", MountRequest::Volume(volume)) if volume.name.is_some() => binds.push(rest.to_owned()),
            ("-v", _) => {}
            ("--tmpfs", _) => {
                let (path, options) = rest.split_once(':').unwrap_or((rest, ""));
                tmpfs.insert(path.to_owned(), options.to_owned());
            }
            _ => mounts.push(rest.to_owned()),
        }
    }
    let of_image = config.and_then(|c| c.volumes().clone()).unwrap_or_default();
    let anonymous = request.mounts.mounts.iter().filter_map(|m| match m {
        MountRequest::Volume(v) if v.name.is_none() => Some(v.destination.clone()),
        _ => None,
    });
    let i = &request.isolation;
    let n = &request.network;
    Words {
        cmd,
        entrypoint,
        user: match &request.process.user {
            Some(user) => user.typed.clone(),
            None => config.and_then(|c| c.user().clone()).unwrap_or_default(),
        },
        workdir: match &request.process.workdir {
            Some(folder) => folder.clone(),
            None => config.and_then(|c| c.working_dir().clone()).unwrap_or_default(),
        },
        exposed: exposed(inputs),
        volumes: anonymous.chain(of_image).collect::<BTreeSet<_>>().into_iter().collect(),
        binds,
        mounts,
        tmpfs,
        volumes_from: request.mounts.volumes_from.clone(),
        volume_driver: String::new(),
        cap_add: i.cap_add.iter().map(|c| c.name.clone()).collect(),
        cap_drop: i.cap_drop.iter().map(|c| c.name.clone()).collect(),
        security_opt: i.security_opts.iter().map(security_opt).collect(),
        group_add: request.process.group_add.clone(),
        extra_hosts: n.add_host.iter().map(|h| format!("{}:{}", h.name, h.address)).collect(),
        links: n.links.clone(),
        network_mode: match n.networks.first().map(|s| &s.target) {
            None => "default".into(),
            Some(NetworkTarget::Bridge) => "bridge".into(),
            Some(NetworkTarget::None) => "none".into(),
            Some(NetworkTarget::Host) => "host".into(),
            Some(NetworkTarget::Container(name)) => format!("container:{name}"),
            Some(NetworkTarget::Named(name)) => name.clone(),
        },
        ipc_mode: match &i.ipc {
            None | Some(IpcMode::Private) => "private".into(),
            Some(IpcMode::None) => "none".into(),
            Some(IpcMode::Shareable) => "shareable".into(),
            Some(IpcMode::Host) => "host".into(),
            Some(IpcMode::Container(name)) => format!("container:{name}"),
        },
        pid_mode: mode(i.pid.as_ref(), ""),
        uts_mode: mode(i.uts.as_ref(), ""),
        cgroupns_mode: mode(i.cgroupns.as_ref(), "private"),
        userns_mode: match &i.userns {
            Some(UsernsMode::Host) => "host".into(),
            _ => String::new(),
        },
        named: request.lifecycle.name.is_some(),
        hostname_typed: request.process.hostname.is_some(),
        mac_address: n.networks.first().and_then(|s| s.mac.clone()).unwrap_or_default(),
        publish_all: n.publish_all,
        cidfile: request.lifecycle.cidfile.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
        stop_signal: match request.lifecycle.stop_signal {
            Some(signal) => Some(signal.to_string()),
            None => config.and_then(|c| c.stop_signal().clone()),
        },
        stop_timeout: request.lifecycle.stop_timeout,
        init: request.process.init,
        on_build: Vec::new(),
        health_off: health_off(inputs),
        detached: request.lifecycle.detach,
    }
}

fn command(inputs: &Inputs<'_>) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let request = inputs.request;
    let config = inputs.image.config.config().as_ref();
    let some = |words: Vec<String>| (!words.is_empty()).then_some(words);
    let image_cmd = config.and_then(|c| c.cmd().clone()).and_then(some);
    let image_entrypoint = config.and_then(|c| c.entrypoint().clone()).and_then(some);
    match &request.process.entrypoint {
        Some(word) => (some(request.args.clone()), (!word.is_empty()).then(|| vec![word.clone()])),
        None if request.args.is_empty() => (image_cmd, image_entrypoint),
        None => (Some(request.args.clone()), image_entrypoint),
    }
}

fn exposed(inputs: &Inputs<'_>) -> Vec<String> {
    let request = inputs.request;
    let config = inputs.image.config.config().as_ref();
    let mut ports: BTreeSet<String> = BTreeSet::new();
    for port in config.and_then(|c| c.exposed_ports().clone()).unwrap_or_default() {
        ports.insert(if port.contains('/') { port } else { format!("{port}/tcp") });
    }
    for exposed in &request.network.expose {
        ports.extend(exposed.ports.iter().map(|p| format!("{p}/{}", exposed.protocol)));
    }
    for published in &request.network.publish {
        ports.extend(published.container.iter().map(|p| format!("{p}/{}", published.protocol)));
    }
    ports.into_iter().collect()
}

fn mode(asked: Option<&NamespaceMode>, default: &str) -> String {
    match asked {
        None => default.into(),
        Some(NamespaceMode::Private) => "private".into(),
        Some(NamespaceMode::Host) => "host".into(),
        Some(NamespaceMode::Container(name)) => format!("container:{name}"),
    }
}

fn security_opt(opt: &SecurityOpt) -> String {
    match opt {
        SecurityOpt::NoNewPrivileges(true) => "no-new-privileges".into(),
        SecurityOpt::NoNewPrivileges(false) => "no-new-privileges=false".into(),
        SecurityOpt::SeccompBuiltin => "seccomp=builtin".into(),
        SecurityOpt::SeccompUnconfined => "seccomp=unconfined".into(),
        // Docker's client sends the profile's text.
        SecurityOpt::SeccompFile { json, .. } => format!("seccomp={json}"),
        SecurityOpt::AppArmorUnconfined => "apparmor=unconfined".into(),
        SecurityOpt::AppArmorProfile(name) => format!("apparmor={name}"),
        SecurityOpt::LabelDisable => "label=disable".into(),
        SecurityOpt::Label { key, value } => format!("label={key}:{value}"),
        SecurityOpt::SystempathsUnconfined => "systempaths=unconfined".into(),
        SecurityOpt::WritableCgroups(on) => format!("writable-cgroups={on}"),
        SecurityOpt::Mask(paths) => format!("mask={}", paths.join(":")),
        SecurityOpt::Unmask(paths) => format!("unmask={}", paths.join(":")),
    }
}
