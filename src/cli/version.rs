//! `hardrun version`, `hardrun --version`

use super::Context;
use crate::error::{Error, Result};

/// Of libcontainer, as it is built in.
pub const LIBCONTAINER: &str = "0.7.0";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format the output: json, or a template such as '{{.Server.Version}}'
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    let text = match args.format.as_deref() {
        None | Some("") => plain(),
        Some("json") => json().to_string(),
        Some(template) => field(template)?,
    };
    super::print_line(&text)
}

/// One line: what `--version` says.
pub fn line() -> String {
    format!("hardrun version {}, libcontainer {LIBCONTAINER}", env!("CARGO_PKG_VERSION"))
}

fn plain() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "hardrun:\n Version:       {version}\n libcontainer:  {LIBCONTAINER}\n OS/Arch:       linux/{}\n\nThere is no \
         daemon: client and server are this program.",
        arch()
    )
}

/// The names that scripts ask docker for, on both sides.
fn json() -> serde_json::Value {
    let side = serde_json::json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": "linux",
        "Arch": arch(),
        "Libcontainer": LIBCONTAINER,
    });
    serde_json::json!({ "Client": side, "Server": side })
}

/// `{{.Server.Version}}`: one field, which has to exist.
fn field(template: &str) -> Result<String> {
    let path = template.trim().strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).map(str::trim);
    let path = path.and_then(|p| p.strip_prefix('.'));
    let wrong = || {
        Error::verb(format!("--format {template:?}: no such field"))
            .hint("json, or one of {{.Server.Version}}, {{.Server.Os}}, {{.Server.Arch}} and the same of .Client")
    };
    let mut at = json();
    for name in path.ok_or_else(wrong)?.split('.') {
        at = at.get_mut(name).map(serde_json::Value::take).ok_or_else(wrong)?;
    }
    Ok(at.as_str().map_or_else(|| at.to_string(), str::to_owned))
}

/// As Go and OCI images spell it.
fn arch() -> &'static str {
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
    fn fields_exist_or_are_errors() {
        assert_eq!(field("{{.Server.Version}}").unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(field("{{ .Client.Os }}").unwrap(), "linux");
        for bad in ["{{.Server.Nope}}", "x", "{{.}}", "{{Server}}"] {
            assert_eq!(field(bad).unwrap_err().kind.exit_code(), 1, "{bad}");
        }
    }

    #[test]
    fn libcontainer_is_what_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"libcontainer\"\nversion = \"{LIBCONTAINER}\"")));
    }
}
