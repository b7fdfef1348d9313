//! What `info` and `version` say of this host and this program, with docker's keys. What docker has a key for and hardrun has
//! no value of is left out: asking for it is an error, as asking for a key that never was.

use super::format::{Field, Struct, Value};
use crate::error::{Context as _, Result};
use crate::facts::{CgroupVersion, Facts, Limit};
use crate::image::store::Store;
use crate::state::{Paths, Stamp, State, lookup};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Of libcontainer, as it is built in.
pub const LIBCONTAINER: &str = "0.7.0";
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of docker's interface whose answers hardrun's have the form of.
pub const API: &str = "1.41";

/// `info`'s fields, in docker's order.
pub fn info(paths: &Paths) -> Result<Vec<(&'static str, Json)>> {
    let facts = Facts::of_host(paths)?;
    let uname = rustix::system::uname();
    let (containers, _) = lookup::all(paths)?;
    let count = |fits: fn(State) -> bool| containers.iter().filter(|c| fits(c.status.state)).count();
    let images: BTreeSet<_> = Store::open(paths)?.list(&[])?.into_iter().map(|row| row.id.to_string()).collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let has = |limit: Limit| facts.limits.contains(&limit);
    let v2 = facts.cgroup == CgroupVersion::V2;
    let program = std::env::current_exe().verb_context(|| "find the program's own path".into())?;
    let warnings: Vec<&str> = if has(Limit::Swap) { Vec::new() } else { vec!["WARNING: No swap limit support"] };
    Ok(vec![
        ("ID", json!("")),
        ("Containers", json!(containers.len())),
        ("ContainersRunning", json!(count(|s| matches!(s, State::Running | State::Restarting)))),
        ("ContainersPaused", json!(count(|s| s == State::Paused))),
        ("ContainersStopped", json!(count(|s| !s.is_up()))),
        ("Images", json!(images.len())),
        ("Driver", json!("overlay2")),
        ("DriverStatus", json!([["Idmapped layers", facts.idmapped_overlay.to_string()]])),
        (
            "Plugins",
            json!({
                "Volume": ["local"],
                "Network": ["bridge", "null"],
                "Authorization": null,
                "Log": ["json-file", "local", "none"],
            }),
        ),
        ("MemoryLimit", json!(has(Limit::Memory))),
        ("SwapLimit", json!(has(Limit::Swap))),
        ("CpuCfsPeriod", json!(has(Limit::CpuQuota))),
        ("CpuCfsQuota", json!(has(Limit::CpuQuota))),
        ("CPUShares", json!(has(Limit::CpuShares))),
        ("CPUSet", json!(has(Limit::Cpuset))),
        ("PidsLimit", json!(has(Limit::Pids))),
        ("IPv4Forwarding", json!(read("/proc/sys/net/ipv4/ip_forward").trim() == "1")),
        ("Debug", json!(false)),
        ("OomKillDisable", json!(false)),
        ("SystemTime", json!(Stamp::now())),
        ("LoggingDriver", json!("json-file")),
        ("CgroupDriver", json!("cgroupfs")),
        ("CgroupVersion", json!(if v2 { "2" } else { "1" })),
        ("KernelVersion", json!(facts.kernel)),
        ("OperatingSystem", json!(of_release(&release, "PRETTY_NAME"))),
        ("OSVersion", json!(of_release(&release, "VERSION_ID"))),
        ("OSType", json!("linux")),
        ("Architecture", json!(uname.machine().to_string_lossy())),
        ("IndexServerAddress", json!("https://index.docker.io/v1/")),
        ("RegistryConfig", json!({ "InsecureRegistryCIDRs": ["127.0.0.0/8"], "IndexConfigs": {}, "Mirrors": [] })),
        ("NCPU", json!(facts.cpus)),
        ("MemTotal", json!(facts.memory)),
        ("DockerRootDir", json!(paths.root)),
        ("HttpProxy", json!("")),
        ("HttpsProxy", json!("")),
        ("NoProxy", json!("")),
        ("Name", json!(uname.nodename().to_string_lossy())),
        ("Labels", json!([])),
        ("ExperimentalBuild", json!(false)),
        ("ServerVersion", json!(VERSION)),
        ("Runtimes", json!({ "hardrun": { "path": program } })),
        ("DefaultRuntime", json!("hardrun")),
        (
            "Swarm",
            json!({
                "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
                "RemoteManagers": null,
            }),
        ),
        // There is no daemon whose end a container would have to outlive.
        ("LiveRestoreEnabled", json!(true)),
        ("Isolation", json!("")),
        ("InitBinary", json!(program)),
        ("SecurityOptions", json!(security_options(&facts))),
        ("Warnings", json!(warnings)),
        (
            "ClientInfo",
            json!({
                "Debug": false, "Version": VERSION, "DefaultAPIVersion": API, "Os": "linux", "Arch": arch(),
                "Context": "default", "Plugins": [], "Warnings": null,
            }),
        ),
    ])
}

/// What every container gets on this host.
fn security_options(facts: &Facts) -> Vec<&'static str> {
    let mut options = Vec::new();
    let mut add = |on: bool, name| options.extend(on.then_some(name));
    add(facts.apparmor, "name=apparmor");
    add(facts.seccomp, "name=seccomp,profile=builtin");
    add(facts.selinux, "name=selinux");
    add(facts.landlock_abi > 0, "name=landlock");
    add(facts.user_namespaces && facts.idmapped_overlay, "name=userns");
    add(true, "name=cgroupns");
    add(true, "name=no-new-privileges");
    options
}

/// `KEY="value"` of os-release(5).
fn of_release<'a>(text: &'a str, key: &str) -> &'a str {
    let value = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_default().trim_matches('"')
}

/// `version`'s two sides. There is no daemon: both are this program.
pub fn version() -> Value {
    let engine = json!({
        "ApiVersion": API, "MinAPIVersion": API, "Arch": arch(), "Os": "linux",
        "KernelVersion": rustix::system::uname().release().to_string_lossy(),
    });
    let components = json!([
        { "Name": "Engine", "Version": VERSION, "Details": engine },
        { "Name": "libcontainer", "Version": LIBCONTAINER, "Details": {} },
    ]);
    let text = |name, json, value: &str| field(name, json, Value::text(value));
    let client = vec![
        text("Version", "Version", VERSION),
        text("APIVersion", "ApiVersion", API),
        text("DefaultAPIVersion", "DefaultAPIVersion", API),
        text("Os", "Os", "linux"),
        text("Arch", "Arch", arch()),
        text("Context", "Context", "default"),
    ];
    let server = vec![
        field("Platform", "Platform", Value::from(json!({ "Name": "hardrun" }))),
        field("Components", "Components", Value::from(components)),
        text("Version", "Version", VERSION),
        text("APIVersion", "ApiVersion", API),
        text("MinAPIVersion", "MinAPIVersion", API),
        text("Os", "Os", "linux"),
        text("Arch", "Arch", arch()),
        text("KernelVersion", "KernelVersion", &rustix::system::uname().release().to_string_lossy()),
    ];
    let side = |name, fields| Value::Struct(Rc::new(Struct { name, fields, text: None, entry: true }));
    side(
        "system.versionInfo",
        vec![
            field("Client", "Client", side("system.clientVersion", client)),
            field("Server", "Server", side("types.Version", server)),
        ],
    )
}

/// `info`'s fields for templates.
pub fn typed(fields: &[(&'static str, Json)]) -> Value {
    let fields = fields.iter().map(|(name, json)| field(name, name, Value::from(json.clone()))).collect();
    Value::Struct(Rc::new(Struct { name: "system.dockerInfo", fields, text: None, entry: true }))
}

fn field(name: &'static str, json: &'static str, value: Value) -> Field {
    Field { name, json: Some(json), omit_empty: false, embedded: false, value }
}

/// As Go and OCI images spell it.
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_has_what_scripts_read() {
        let dir = tempfile::tempdir().unwrap();
        let fields = info(&Paths::new(Some(dir.path()))).unwrap();
        for name in [
            "ServerVersion",
            "OSType",
            "Architecture",
            "SecurityOptions",
            "CgroupVersion",
            "CgroupDriver",
            "Driver",
            "DockerRootDir",
            "LoggingDriver",
            "Swarm",
            "Containers",
            "ContainersRunning",
            "ContainersPaused",
            "ContainersStopped",
            "Images",
            "NCPU",
            "MemTotal",
            "KernelVersion",
            "OperatingSystem",
            "Name",
        ] {
            assert!(fields.iter().any(|(n, _)| *n == name), "{name}");
        }
    }

    #[test]
    fn release_files_are_read() {
        let text = "NAME=\"x\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=12\n";
        assert_eq!((of_release(text, "PRETTY_NAME"), of_release(text, "VERSION_ID")), ("Debian GNU/Linux 12", "12"));
        assert_eq!(of_release(text, "NOPE"), "");
    }

    #[test]
    fn libcontainer_is_what_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"libcontainer\"\nversion = \"{LIBCONTAINER}\"")));
    }
}
