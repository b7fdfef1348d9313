//! Names of the containers on the same networks, out of their leases.

use super::message::{self, A, AAAA, Code, PTR, Question};
use crate::net::lease::{self, Lease};
use crate::state::Paths;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// docker's.
const TTL: u32 = 600;
/// A folder that has just changed may change again within the same tick of the file system's clock.
const TICK: Duration = Duration::from_millis(50);

/// One network whose containers answer to names.
#[derive(Debug)]
pub struct Zone {
    id: String,
    /// The network's own name, lower case: `web.mynet` is a name too.
    name: String,
    leases: Vec<Lease>,
    /// When the folder had changed last when it was read, and that it may be believed.
    read: Option<SystemTime>,
}

impl Zone {
    pub fn new(id: &str, name: &str) -> Zone {
        Zone { id: id.to_owned(), name: name.to_ascii_lowercase(), leases: Vec::new(), read: None }
    }

    /// Read the leases where they have changed.
    fn refresh(&mut self, paths: &Paths) {
        let changed = std::fs::metadata(lease::folder(paths, &self.id)).and_then(|m| m.modified()).ok();
        if changed.is_some() && changed == self.read {
            return;
        }
        self.leases = lease::all(paths, &self.id).unwrap_or_default();
        self.read = changed.filter(|at| at.elapsed().is_ok_and(|age| age > TICK));
    }

    fn answers_to(&self, lease: &Lease, name: &str) -> bool {
        let bare = name.strip_suffix(self.name.as_str()).and_then(|n| n.strip_suffix('.'));
        lease.names.iter().any(|n| n == name || bare.is_some_and(|bare| n == bare))
    }
}

/// The answer to a question about a container of one of the networks; `None` where it is about something else.
pub fn answer(zones: &mut [Zone], paths: &Paths, question: &Question) -> Option<Vec<u8>> {
    for zone in &mut *zones {
        zone.refresh(paths);
    }
    if question.kind == PTR {
        let ip = message::reverse(&question.name)?;
        let named = zones.iter().find_map(|z| {
            let lease = z.leases.iter().find(|l| IpAddr::V4(l.ip) == ip || l.ip6.map(IpAddr::V6) == Some(ip))?;
            message::encode(&format!("{}.{}", lease.name, z.name))
        })?;
        return Some(question.answer(Code::Good, &[(PTR, named)], TTL));
    }
    let mut found =
        zones.iter().flat_map(|z| z.leases.iter().filter(|l| z.answers_to(l, &question.name))).collect::<Vec<_>>();
    if found.is_empty() {
        return None;
    }
    // Several containers may share an alias: each of them is first at times.
    let turn = usize::from(question.id) % found.len();
    found.rotate_left(turn);
    let mut records = Vec::new();
    // What fits a datagram of 512 bytes, which is all that a client without EDNS takes.
    for lease in found.into_iter().take(8) {
        if question.wants(A) {
            records.push((A, lease.ip.octets().to_vec()));
        }
        if let Some(ip6) = lease.ip6.filter(|_| question.wants(AAAA)) {
            records.push((AAAA, ip6.octets().to_vec()));
        }
    }
    // The name is there even where it has no record of this kind: nobody else is to be asked about it.
    Some(question.answer(Code::Good, &records, TTL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::store::Store;

    fn lease(ip: &str, names: &[&str]) -> Lease {
        let ip = ip.parse().unwrap();
        Lease {
            version: 1,
            container: "c".repeat(64),
            network: "a".repeat(64),
            endpoint: "e".repeat(64),
            ip,
            ip6: None,
            mac: lease::mac_of(ip),
            port: "p".into(),
            name: names[0].into(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            limited: false,
            elements: Vec::new(),
        }
    }

    #[test]
    fn containers_answer_to_their_names_and_aliases() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(Some(dir.path()));
        let lock = Store::new(&paths).lock().unwrap();
        let mut zones = [Zone::new(&"a".repeat(64), "front")];
        let mut ask = |name: &str, kind: u16| {
            let q = Question::parse(&message::ask(0, name, kind).unwrap()).unwrap();
            let answer = answer(&mut zones, &paths, &q)?;
            Some(q.addresses(&answer).into_iter().map(|(ip, _)| ip.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(ask("web", A), None);
        lease::write(&lock, &paths, &lease("10.9.0.2", &["web", "www"])).unwrap();
        lease::write(&lock, &paths, &lease("10.9.0.3", &["web2", "www"])).unwrap();
        assert_eq!(ask("web", A).unwrap(), ["10.9.0.2"]);
        assert_eq!(ask("WEB.front", A).unwrap(), ["10.9.0.2"]);
        assert_eq!(ask("www", A).unwrap().len(), 2);
        assert_eq!(ask("web", AAAA).unwrap(), [""; 0], "it has none, and nobody else is asked");
        assert_eq!(ask("web.back", A), None);
        assert_eq!(ask("example.org", A), None);
        assert!(ask("2.0.9.10.in-addr.arpa", PTR).is_some());
        assert_eq!(ask("9.0.9.10.in-addr.arpa", PTR), None);
        lease::remove(&lock, &paths, &lease("10.9.0.2", &["web"])).unwrap();
        assert_eq!(ask("web", A), None);
    }
}
