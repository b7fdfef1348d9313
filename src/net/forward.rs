//! Firewalls of others that drop what is forwarded. An accept in hardrun's own table is not the last word: every table's
//! chain has to let a packet pass.

use super::elements::{Dropping, Tables};
use super::program;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A rule of ours in a chain of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// `iptables` or `ip6tables`.
    tool: String,
    chain: String,
    bridge: String,
}

/// Docker keeps this chain for others' rules and asks it first.
const FOR_OTHERS: &str = "DOCKER-USER";

/// Let a bridge's packets pass where something else would drop them. hardrun's own chain comes first and has decided.
///
/// Returns the rules that were made, and lines that say so.
pub fn admit(tables: &Tables, bridge: &str, ipv6: bool) -> Result<(Vec<Guest>, Vec<String>)> {
    let (mut guests, mut lines) = (Vec::new(), Vec::new());
    let dropping = tables.dropping().unwrap_or_default();
    for (tool, family, names) in
        [("iptables", "ip", "/proc/net/ip_tables_names"), ("ip6tables", "ip6", "/proc/net/ip6_tables_names")]
    {
        if family == "ip6" && !ipv6 {
            continue;
        }
        let of_tool = |d: &&Dropping| d.family == family && d.table == "filter" && d.chain == "FORWARD";
        let legacy = std::fs::read_to_string(names).is_ok_and(|text| text.lines().any(|l| l == "filter"));
        if !legacy && !dropping.iter().any(|d| of_tool(&d)) {
            continue;
        }
        let Some(path) = program::find(tool) else {
            lines.push(format!(
                "the host drops forwarded packets and has no {tool} to say otherwise: let {bridge} pass"
            ));
            continue;
        };
        let Some(chain) = chain(&path)? else { continue };
        let guest = Guest { tool: tool.to_owned(), chain, bridge: bridge.to_owned() };
        guest.change(&path, "-I")?;
        lines.push(format!("the host drops forwarded packets: {tool} chain {} now lets {bridge} pass", guest.chain));
        guests.push(guest);
    }
    for other in dropping.iter().filter(|d| !(d.table == "filter" && d.chain == "FORWARD")) {
        if other.family == "ip6" && !ipv6 {
            continue;
        }
        lines.push(format!(
            "nftables chain {} {} {} drops forwarded packets: let {bridge} pass there if containers are to have a way out",
            other.family, other.table, other.chain
        ));
    }
    Ok((guests, lines))
}

/// The chain for our rule; none where packets pass anyway.
fn chain(tool: &Path) -> Result<Option<String>> {
    let rules = program::run(tool, &["-w", "5", "-S"], "")?;
    let has = |line: &str| rules.lines().any(|l| l == line);
    Ok(match () {
        () if !has("-P FORWARD DROP") => None,
        () if has(&format!("-N {FOR_OTHERS}")) && has(&format!("-A FORWARD -j {FOR_OTHERS}")) => {
            Some(FOR_OTHERS.to_owned())
        }
        () => Some("FORWARD".to_owned()),
    })
}

impl Guest {
    fn change(&self, tool: &Path, verb: &str) -> Result<()> {
        let comment = format!("hardrun {}", self.bridge);
        for side in ["-i", "-o"] {
            let words = [
                "-w",
                "5",
                verb,
                &self.chain,
                side,
                &self.bridge,
                "-m",
                "comment",
                "--comment",
                &comment,
                "-j",
                "ACCEPT",
            ];
            program::run(tool, &words, "")?;
        }
        Ok(())
    }

    /// Take the rule away. Where the chain went meanwhile (Docker was removed), it went with it.
    pub fn leave(&self) {
        if let Some(tool) = program::find(&self.tool) {
            let _ = self.change(&tool, "-D");
        }
    }
}
