//! The ports of a container, as `ps` shows them.

use crate::state::Container;
use std::collections::BTreeMap;

/// A port that a container listens on, or says that it does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub private: u16,
    /// Empty, with `public` 0, where it is not published.
    pub ip: String,
    pub public: u16,
    /// tcp, udp or sctp.
    pub protocol: String,
}

/// Those of a container that runs, exposed and published; none of another.
pub fn of(container: &Container) -> Vec<Port> {
    if !container.is_running() {
        return Vec::new();
    }
    let mut ports: Vec<Port> = Vec::new();
    for bound in &container.status.network.ports {
        ports.push(Port {
            private: bound.container_port,
            ip: bound.host_ip.clone(),
            public: bound.host_port,
            protocol: bound.protocol.clone(),
        });
    }
    for exposed in &container.record.words.exposed {
        let (number, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        let Ok(private) = number.parse() else { continue };
        if !ports.iter().any(|p| p.private == private && p.protocol == protocol) {
            ports.push(Port { private, ip: String::new(), public: 0, protocol: protocol.into() });
        }
    }
    ports.sort();
    ports
}

/// `127.0.0.1:8080->80/tcp, 90-92/tcp`. Runs of ports that are the same on both sides are written as one.
pub fn show(ports: &[Port]) -> String {
    // A run by address and protocol, and the runs that are over, in the order in which they ended.
    let mut open: Vec<((String, String), (u16, u16))> = Vec::new();
    let (mut shown, mut mapped) = (Vec::new(), Vec::new());
    for port in ports {
        if !port.ip.is_empty() && port.public != port.private {
            mapped.push(format!("{}->{}/{}", join(&port.ip, port.public), port.private, port.protocol));
            continue;
        }
        let key = (port.ip.clone(), port.protocol.clone());
        match open.iter_mut().find(|(k, _)| *k == key) {
            Some((_, (_, last))) if *last + 1 == port.private => *last = port.private,
            Some((_, run)) => {
                shown.push(group(&key, *run));
                *run = (port.private, port.private);
            }
            None => open.push((key, (port.private, port.private))),
        }
    }
    shown.extend(open.iter().map(|(key, run)| group(key, *run)));
    shown.extend(mapped);
    shown.join(", ")
}

fn group((ip, protocol): &(String, String), (first, last): (u16, u16)) -> String {
    let run = if first == last { first.to_string() } else { format!("{first}-{last}") };
    match ip.as_str() {
        "" => format!("{run}/{protocol}"),
        ip => format!("{}->{run}/{protocol}", join(ip, &run)),
    }
}

/// `[::]:80`
pub fn join(ip: &str, port: impl std::fmt::Display) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// Ports by `80/tcp`, each with where it is published: docker's `NetworkSettings.Ports`.
pub fn by_port(ports: &[Port]) -> BTreeMap<String, Vec<(String, u16)>> {
    let mut map: BTreeMap<String, Vec<(String, u16)>> = BTreeMap::new();
    for port in ports {
        let bound = map.entry(format!("{}/{}", port.private, port.protocol)).or_default();
        if !port.ip.is_empty() {
            bound.push((port.ip.clone(), port.public));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, public: u16, private: u16, protocol: &str) -> Port {
        Port { private, ip: ip.into(), public, protocol: protocol.into() }
    }

    #[test]
    fn runs_are_merged_as_docker_merges_them() {
        let mut ports = vec![
            port("127.0.0.1", 8080, 80, "tcp"),
            port("", 0, 90, "tcp"),
            port("", 0, 91, "tcp"),
            port("", 0, 95, "tcp"),
            port("0.0.0.0", 5000, 5000, "tcp"),
            port("0.0.0.0", 5001, 5001, "tcp"),
            port("::", 5000, 5000, "tcp"),
            port("", 0, 90, "udp"),
        ];
        ports.sort();
        assert_eq!(
            show(&ports),
            "90-91/tcp, 95/tcp, 90/udp, 0.0.0.0:5000-5001->5000-5001/tcp, [::]:5000->5000/tcp, 127.0.0.1:8080->80/tcp"
        );
        assert_eq!(show(&[]), "");
        let map = by_port(&ports);
        assert_eq!(map["5000/tcp"], [("0.0.0.0".to_owned(), 5000), ("::".to_owned(), 5000)]);
        assert!(map["90/udp"].is_empty());
    }
}
