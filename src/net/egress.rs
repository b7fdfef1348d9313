//! Where a container may go, if that is limited: fixed addresses from the start, those of names as they are looked up.

use super::elements::{Element, Family, Fields, Tables};
use super::prefix::Prefix;
use crate::plan::{EgressRule, EgressTo};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The least time for which an address of a name is let through: a program looks it up, and connects a little later.
const LEAST: Duration = Duration::from_secs(60);
/// The most: a name that moved must not keep its old address open.
const MOST: Duration = Duration::from_secs(3600);
/// Addresses of names that are let through at a time.
const MOST_LEARNED: usize = 4096;

/// What one container may reach.
#[derive(Debug)]
pub struct Ways {
    fixed: Vec<(Prefix, Option<u16>)>,
    names: Vec<(String, Option<u16>)>,
    /// The container's own addresses.
    own: Vec<IpAddr>,
    /// Until when an address was let through.
    learned: BTreeMap<(IpAddr, Option<u16>), Instant>,
}

impl Ways {
    pub fn new(rules: &[EgressRule], own: Vec<IpAddr>) -> Ways {
        let mut fixed: Vec<(Prefix, Option<u16>)> = Vec::new();
        let mut names = Vec::new();
        for rule in rules {
            match &rule.to {
                EgressTo::Net(net) => fixed.extend(net.parse().ok().map(|p| (p, rule.port))),
                EgressTo::Name(name) => names.push((name.clone(), rule.port)),
            }
        }
        // Of one in the other only the larger: the kernel's sets take no element that overlaps another.
        fixed.sort_by_key(|(p, port)| (p.length(), *port));
        let mut kept: Vec<(Prefix, Option<u16>)> = Vec::new();
        for (prefix, port) in fixed {
            if !kept.iter().any(|(k, kport)| k.holds(&prefix) && *kport == port) {
                kept.push((prefix, port));
            }
        }
        Ways { fixed: kept, names, own, learned: BTreeMap::new() }
    }

    pub fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
        // With other addresses the elements are others: they are learned again with the next look-up.
        self.learned.clear();
    }

    /// Whether a name may be looked up. Questions are a way out too: only names that are listed are asked about, unless
    /// every address may be reached.
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|(n, _)| n == name) || self.fixed.iter().any(|(p, _)| p.length() == 0)
    }

    /// Elements for what is fixed, of one of the container's addresses.
    pub fn fixed(&self, own: IpAddr) -> Vec<Element> {
        let of_family = self.fixed.iter().filter(|(p, _)| p.is_ipv4() == own.is_ipv4());
        of_family.flat_map(|(prefix, port)| both(own, prefix, *port)).collect()
    }

    /// Let addresses that a listed name has just been given through, for as long as they are valid.
    pub fn learn(&mut self, tables: &Tables, name: &str, found: &[(IpAddr, u32)]) {
        let now = Instant::now();
        self.learned.retain(|_, until| *until > now);
        let ports: Vec<Option<u16>> = self.names.iter().filter(|(n, _)| n == name).map(|(_, p)| *p).collect();
        for (ip, ttl) in found {
            let valid = Duration::from_secs(u64::from(*ttl)).clamp(LEAST, MOST);
            for port in &ports {
                let covered = self.fixed.iter().any(|(p, fixed)| p.contains(*ip) && (fixed == port || fixed.is_none()));
                // What is good for more than half of its time is left alone: each change costs, and every look-up asks for one.
                let until = self.learned.get(&(*ip, *port)).copied();
                let held = until.is_some_and(|until| until >= now + valid / 2);
                if covered || held || (until.is_none() && self.learned.len() >= MOST_LEARNED) {
                    continue;
                }
                for own in self.own.iter().filter(|own| own.is_ipv4() == ip.is_ipv4()) {
                    let elements: Vec<Element> = both(*own, &Prefix::new(*ip, 128), *port)
                        .into_iter()
                        // The kernel's clock may run a little behind ours: what we think is there must be there.
                        .map(|e| e.for_time(valid + Duration::from_secs(5)))
                        .collect();
                    // One that is not known here may be there all the same, with less time left.
                    if tables.renew(&elements).is_ok() {
                        self.learned.insert((*ip, *port), now + valid);
                    }
                }
            }
        }
    }
}

/// The same in both tables: between networks, and within one.
fn both(own: IpAddr, to: &Prefix, port: Option<u16>) -> Vec<Element> {
    let key = Fields::new().ip(own).net(to);
    let one = |family| match port {
        None => Element::versioned(family, "egress", own, key.clone()).as_interval(),
        Some(port) => Element::versioned(family, "egressport", own, key.clone().port(port)).as_interval(),
    };
    vec![one(Family::Inet), one(Family::Bridge)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(list: &[&str]) -> Ways {
        let rules: Vec<EgressRule> = list
            .iter()
            .filter_map(|text| match text.parse() {
                Ok(crate::request::Egress::To(rule)) => Some(rule),
                _ => None,
            })
            .collect();
        Ways::new(&rules, vec!["172.17.0.2".parse().unwrap()])
    }

    #[test]
    fn only_listed_names_are_looked_up() {
        let w = ways(&["example.org:443", "10.0.0.0/8"]);
        assert!(w.allows("example.org"));
        assert!(!w.allows("www.example.org") && !w.allows("secret.evil.test"));
        assert!(ways(&["0.0.0.0/0:443"]).allows("anything"));
        assert!(!ways(&["none"]).allows("example.org"));
    }

    #[test]
    fn what_another_holds_is_left_out() {
        let w = ways(&["10.1.0.0/16", "10.0.0.0/8", "10.2.3.4:80", "10.2.0.0/16:80", "10.1.2.3"]);
        let kept: Vec<String> = w.fixed.iter().map(|(p, port)| format!("{p} {port:?}")).collect();
        assert_eq!(kept, ["10.0.0.0/8 None", "10.2.0.0/16 Some(80)"]);
        assert_eq!(w.fixed("172.17.0.2".parse().unwrap()).len(), 4);
        assert!(w.fixed("fd00::2".parse().unwrap()).is_empty());
    }
}
