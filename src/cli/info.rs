//! `hardrun info`

use super::Context;
use super::version::template;
use crate::error::Result;
use crate::observe::{host, human};
use crate::ui;
use serde_json::Value as Json;
use std::fmt::Write as _;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// `json`, or a template such as '{{.ServerVersion}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    // A template that cannot be read is said before anything is looked up.
    let template = args.format.as_deref().filter(|f| !f.is_empty()).map(|f| template(f, "")).transpose()?;
    let fields = host::info(&ctx.paths)?;
    match template {
        Some(template) => template.show(&host::typed(&fields)),
        None => {
            ui::stdout(&plain(&fields))?;
            Ok(0)
        }
    }
}

/// Docker's lines, without those that hardrun has nothing to say in.
fn plain(fields: &[(&'static str, Json)]) -> String {
    let get = |name: &str| fields.iter().find(|(n, _)| *n == name).map_or(&Json::Null, |(_, v)| v);
    let text = |name: &str| match get(name) {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut out =
        format!("Client:\n Version:    {}\n Context:    default\n Debug Mode: false\n\nServer:\n", host::VERSION);
    let mut line = |indent: &str, label: &str, value: &str| {
        let _ = writeln!(out, "{indent}{label}: {value}");
    };
    line(" ", "Containers", &text("Containers"));
    line("  ", "Running", &text("ContainersRunning"));
    line("  ", "Paused", &text("ContainersPaused"));
    line("  ", "Stopped", &text("ContainersStopped"));
    line(" ", "Images", &text("Images"));
    line(" ", "Server Version", &text("ServerVersion"));
    line(" ", "Storage Driver", &text("Driver"));
    for pair in get("DriverStatus").as_array().into_iter().flatten() {
        line("  ", pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
    }
    line(" ", "Logging Driver", &text("LoggingDriver"));
    line(" ", "Cgroup Driver", &text("CgroupDriver"));
    line(" ", "Cgroup Version", &text("CgroupVersion"));
    let words =
        |list: &Json| list.as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>().join(" ");
    let plugins = get("Plugins");
    let kinds: String =
        ["Volume", "Network", "Log"].map(|kind| format!("\n  {kind}: {}", words(&plugins[kind]))).concat();
    line(" ", "Plugins", kinds.trim_start_matches(' '));
    line(" ", "Swarm", get("Swarm")["LocalNodeState"].as_str().unwrap_or_default());
    line(" ", "Runtimes", &text("DefaultRuntime"));
    line(" ", "Default Runtime", &text("DefaultRuntime"));
    line(" ", "Init Binary", &text("InitBinary"));
    line(" ", "libcontainer version", host::LIBCONTAINER);
    let options = get("SecurityOptions").as_array().into_iter().flatten().filter_map(Json::as_str);
    line(" ", "Security Options", &options.map(security_option).collect::<String>());
    line(" ", "Kernel Version", &text("KernelVersion"));
    line(" ", "Operating System", &text("OperatingSystem"));
    line(" ", "OSType", &text("OSType"));
    line(" ", "Architecture", &text("Architecture"));
    line(" ", "CPUs", &text("NCPU"));
    line(" ", "Total Memory", &human::binary_size(get("MemTotal").as_u64().unwrap_or_default()));
    line(" ", "Name", &text("Name"));
    line(" ", "Docker Root Dir", &text("DockerRootDir"));
    line(" ", "Debug Mode", "false");
    line(" ", "Experimental", "false");
    line(" ", "Insecure Registries", "\n  127.0.0.0/8");
    line(" ", "Live Restore Enabled", &text("LiveRestoreEnabled"));
    // An empty value leaves no space at the end of a line.
    ui::clean_lines(&out.replace(": \n", ":\n")) + "\n"
}

/// `name=seccomp,profile=builtin` in lines of its own.
fn security_option(option: &str) -> String {
    let mut out = String::new();
    for part in option.split(',') {
        match part.split_once('=') {
            Some(("name", name)) => out.push_str(&format!("\n  {name}")),
            Some(("profile", profile)) => out.push_str(&format!("\n   Profile: {profile}")),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_dockers() {
        let fields = [
            ("Containers", json!(3)),
            ("Swarm", json!({ "LocalNodeState": "inactive" })),
            ("Driver", json!("overlay2")),
            ("SecurityOptions", json!(["name=seccomp,profile=builtin", "name=userns"])),
            ("MemTotal", json!(1u64 << 30)),
        ];
        let text = plain(&fields);
        for wanted in [
            "\n Containers: 3\n  Running: ",
            "\n Swarm: inactive\n",
            "\n Storage Driver: overlay2\n",
            "\n Security Options:\n  seccomp\n   Profile: builtin\n  userns\n",
            "\n Total Memory: 1GiB\n",
            "\n Live Restore Enabled: ",
        ] {
            assert!(text.contains(wanted), "{wanted:?} in {text}");
        }
    }
}
