//! A container as docker's `inspect` shows it: every key of docker's, with values from the record of what was decided, the
//! supervisor's status and the kernel. What docker has no key for is under `Hardrun`.

mod config;
mod host_config;
mod network;
mod own;

use super::format::{Field, Struct, Value as Shown};
use super::mounts;
use super::shape::CONTAINER;
use crate::launch::process_started;
use crate::observe::logs;
use crate::plan::{LogDriverPlan, SeLinux};
use crate::state::{Container, Health, Paths, State};
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// Docker's JSON. `sizes`: bytes that it has written, and with its image.
pub fn describe(paths: &Paths, container: &Container, sizes: Option<(u64, u64)>) -> Value {
    let (record, status) = (&container.record, &container.status);
    let draft = &record.plan.draft;
    let pid = pid(container);
    let args = &draft.process.args.value;
    let inside = |file: &str| if pid > 0 { format!("/proc/{pid}/root/etc/{file}") } else { String::new() };
    let log = match draft.log.value.driver {
        LogDriverPlan::None => String::new(),
        _ => container.folder.join(logs::FILE).display().to_string(),
    };
    let (process_label, mount_label) = labels(container, pid);
    let mut json = json!({
        "Id": record.id,
        "Created": record.created,
        "Path": args.first().map(String::as_str).unwrap_or_default(),
        "Args": args.get(1..).unwrap_or_default(),
        "State": state(container, pid),
        "Image": draft.image.config_digest,
        // These files are in the container's own mount namespace: there is one while it runs.
        "ResolvConfPath": inside("resolv.conf"),
        "HostnamePath": inside("hostname"),
        "HostsPath": inside("hosts"),
        "LogPath": log,
        "Name": format!("/{}", record.name),
        "RestartCount": status.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": mount_label,
        "ProcessLabel": process_label,
        "AppArmorProfile": apparmor(container, pid),
        "ExecIDs": if status.execs.is_empty() { Value::Null } else { json!(status.execs) },
        "HostConfig": host_config::host_config(record),
        "GraphDriver": { "Name": "overlay2", "Data": layers(container, pid) },
        "Mounts": mounts::mount_points(draft),
        "Config": config::config(record),
        "NetworkSettings": network::settings(paths, container),
        "Hardrun": own::own(container),
    });
    if let Some((own, whole)) = sizes {
        json["SizeRw"] = json!(own);
        json["SizeRootFs"] = json!(whole);
    }
    json
}

/// The same as a value for templates, of docker's types; what is hardrun's own is plain JSON.
pub fn typed(json: &Value) -> Shown {
    match CONTAINER.typed(Some(json)) {
        Shown::Struct(container) => {
            let own = Field {
                name: own::KEY,
                json: Some(own::KEY),
                omit_empty: false,
                embedded: false,
                value: Shown::from(json[own::KEY].clone()),
            };
            let mut container = Struct::clone(&container);
            container.fields.push(own);
            Shown::Struct(Rc::new(container))
        }
        other => other,
    }
}

/// The number of the first process, if it is still the one that the supervisor started.
fn pid(container: &Container) -> i32 {
    let status = &container.status;
    let is_ours = status.pid > 0 && process_started(status.pid) == Some(status.pid_start);
    if container.is_running() && is_ours { status.pid } else { 0 }
}

fn state(container: &Container, pid: i32) -> Value {
    let status = &container.status;
    let mut json = json!({
        "Status": status.state.name(),
        "Running": status.state.is_up(),
        "Paused": status.state == State::Paused,
        "Restarting": status.state == State::Restarting,
        "OOMKilled": status.oom_killed,
        "Dead": status.state == State::Dead,
        "Pid": pid,
        "ExitCode": status.exit_code,
        "Error": status.error,
        "StartedAt": status.started,
        "FinishedAt": status.finished,
    });
    if let Some(Health { status, failing_streak, log }) = &status.health {
        let log: Vec<Value> = log
            .iter()
            .map(|c| json!({ "Start": c.start, "End": c.end, "ExitCode": c.exit_code, "Output": c.output }))
            .collect();
        json["Health"] = json!({ "Status": status, "FailingStreak": failing_streak, "Log": log });
    }
    json
}

/// Folders on the host. The root as it is mounted is in the container's own mount namespace and is reached through its
/// first process.
fn layers(container: &Container, pid: i32) -> Value {
    let layers = container.record.plan.draft.image.layers.iter().rev();
    let lower = layers.map(|l| l.display().to_string()).collect::<Vec<_>>().join(":");
    let mut data = Map::new();
    data.insert("LowerDir".into(), json!(lower));
    if pid > 0 {
        data.insert("MergedDir".into(), json!(format!("/proc/{pid}/root")));
    }
    data.insert("UpperDir".into(), json!(container.folder.join("upper")));
    data.insert("WorkDir".into(), json!(container.folder.join("work")));
    Value::Object(data)
}

/// SELinux labels of its processes and files. A process that runs is asked.
fn labels(container: &Container, pid: i32) -> (String, String) {
    match &container.record.plan.draft.selinux.value {
        SeLinux::Labels { process, mount } => {
            (attribute(pid, "current").unwrap_or_else(|| process.clone()), mount.clone())
        }
        SeLinux::Disabled | SeLinux::Unavailable => Default::default(),
    }
}

fn apparmor(container: &Container, pid: i32) -> String {
    let draft = &container.record.plan.draft;
    let Some(planned) = crate::spec::apparmor_profile(draft) else { return String::new() };
    // `profile (enforce)`; one of a stack of modules has a folder of its own (Linux 5.1).
    let read = attribute(pid, "apparmor/current").or_else(|| attribute(pid, "current"));
    let name = |text: String| text.split(" (").next().unwrap_or_default().to_owned();
    read.map_or(planned, name)
}

fn attribute(pid: i32, name: &str) -> Option<String> {
    let text = (pid > 0).then(|| std::fs::read_to_string(format!("/proc/{pid}/attr/{name}")).ok()).flatten()?;
    Some(text.trim_end_matches(['\0', '\n']).to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests;
