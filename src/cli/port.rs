//! `hardrun port`

use super::Context;
use crate::error::{Error, Result};
use crate::observe::ps::ports;
use crate::state::lookup;
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container by name or ID
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Only where this port of the container is published; tcp without a protocol
    #[arg(value_name = "PRIVATE_PORT[/PROTO]")]
    port: Option<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { container: name, port } = args;
    let container = lookup::find(&ctx.paths, &name)?;
    let published = ports::by_port(&ports::of(&container));
    let text = match &port {
        None => {
            let lines = published.iter().flat_map(|(port, bound)| {
                bound.iter().map(move |(ip, number)| format!("{port} -> {}\n", ports::join(ip, number)))
            });
            let mut lines: Vec<String> = lines.collect();
            lines.sort_by_key(|line| number(line));
            lines.concat()
        }
        Some(typed) => {
            let (port, protocol) = typed.split_once('/').unwrap_or((typed, "tcp"));
            if port.parse::<u16>().is_err() {
                return Err(Error::verb(format!(
                    "Error: invalid port ({port}): strconv.ParseUint: parsing {port:?}: invalid syntax"
                )));
            }
            match published.get(&format!("{port}/{protocol}")) {
                Some(bound) if !bound.is_empty() => {
                    bound.iter().map(|(ip, number)| format!("{}\n", ports::join(ip, number))).collect()
                }
                _ => {
                    return Err(Error::verb(format!("Error: No public port '{port}/{protocol}' published for {name}")));
                }
            }
        }
    };
    ui::stdout(&text)?;
    Ok(0)
}

/// The port that a line begins with: 80 comes before 443.
fn number(line: &str) -> u32 {
    line.split('/').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}
