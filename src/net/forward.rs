//! Firewalls of others that drop what is forwarded. An accept in hardrun's own table is not the last word: every table's
//! chain has to let a packet pass.

use super::elements::{Dropping, Tables};
use super::link::Links;
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

/// Into the bridge's containers and out of them.
const SIDES: [&str; 2] = ["-i", "-o"];
/// So often at most the same rule is looked for.
const MOST_DOUBLES: usize = 16;
/// Docker keeps this chain for others' rules and asks it first.
const FOR_OTHERS: &str = "DOCKER-USER";

/// Let a bridge's packets pass where something else would drop them. hardrun's own chain comes first and has decided.
///
/// Returns the rules that are to be made, by [`Guest::enter`], and lines that say so: they are noted first, so that whoever finds the
/// note can take them away.
pub fn admit(tables: &Tables, links: &Links, bridge: &str, ipv6: bool) -> Result<(Vec<Guest>, Vec<String>)> {
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
        let rules = program::run(&path, &["-w", "5", "-S"], "")?;
        for left in guests_in(&rules, tool).iter().filter(|g| matches!(links.index(&g.bridge), Ok(None))) {
            left.leave();
        }
        let Some(chain) = chain(&rules) else { continue };
        let guest = Guest { tool: tool.to_owned(), chain, bridge: bridge.to_owned() };
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
fn chain(rules: &str) -> Option<String> {
    let has = |line: &str| rules.lines().any(|l| l == line);
    match () {
        () if !has("-P FORWARD DROP") => None,
        () if has(&format!("-N {FOR_OTHERS}")) && has(&format!("-A FORWARD -j {FOR_OTHERS}")) => {
            Some(FOR_OTHERS.to_owned())
        }
        () => Some("FORWARD".to_owned()),
    }
}

/// Rules of hardrun's in what `iptables -S` says: where a supervisor was killed and its note is lost, they are left.
fn guests_in(rules: &str, tool: &str) -> Vec<Guest> {
    let mut found: Vec<Guest> = Vec::new();
    for line in rules.lines() {
        let Some(chain) = line.strip_prefix("-A ").and_then(|rest| rest.split(' ').next()) else { continue };
        let Some((_, comment)) = line.split_once("--comment \"hardrun ") else { continue };
        let Some((bridge, _)) = comment.split_once('"') else { continue };
        let guest = Guest { tool: tool.to_owned(), chain: chain.to_owned(), bridge: bridge.to_owned() };
        if !found.contains(&guest) {
            found.push(guest);
        }
    }
    found
}

impl Guest {
    fn change(&self, tool: &Path, verb: &str, side: &str) -> Result<()> {
        let comment = format!("hardrun {}", self.bridge);
        let words =
            ["-w", "5", verb, &self.chain, side, &self.bridge, "-m", "comment", "--comment", &comment, "-j", "ACCEPT"];
        program::run(tool, &words, "").map(drop)
    }

    /// Make the rule, for both directions, where it is not there.
    pub fn enter(&self) -> Result<()> {
        let Some(tool) = program::find(&self.tool) else { return Ok(()) };
        for side in SIDES {
            if self.change(&tool, "-C", side).is_err() {
                self.change(&tool, "-I", side)?;
            }
        }
        Ok(())
    }

    /// Take the rule away, each direction for itself, and as often as it is there. Where the chain went meanwhile (Docker was removed), it
    /// went with it.
    pub fn leave(&self) {
        let Some(tool) = program::find(&self.tool) else { return };
        for side in SIDES {
            // The first that fails says that there is none any more.
            let _ = (0..MOST_DOUBLES).try_for_each(|_| self.change(&tool, "-D", side));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_our_own_are_found_among_others() {
        let rules = "-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n\
                     -A DOCKER-USER -o hr-a -m comment --comment \"hardrun hr-a\" -j ACCEPT\n\
                     -A DOCKER-USER -i hr-a -m comment --comment \"hardrun hr-a\" -j ACCEPT\n\
                     -A FORWARD -i hr-b -m comment --comment \"hardrun hr-b\" -j ACCEPT\n\
                     -A FORWARD -i eth0 -m comment --comment \"not hardrun x\" -j ACCEPT\n";
        let found = guests_in(rules, "iptables");
        let shown: Vec<(&str, &str)> = found.iter().map(|g| (g.chain.as_str(), g.bridge.as_str())).collect();
        assert_eq!(shown, [("DOCKER-USER", "hr-a"), ("FORWARD", "hr-b")]);
        assert_eq!(chain(rules).as_deref(), Some("DOCKER-USER"));
        assert_eq!(chain("-P FORWARD ACCEPT\n"), None);
    }
}
