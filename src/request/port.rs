//! Port specifications: `-p [ip:][host[-range]:]container[-range][/proto]`, the long form and `--expose`.

use crate::plan::Published;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// Both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    pub start: u16,
    pub end: u16,
}

/// One `--publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    pub host_ip: Option<IpAddr>,
    /// `None`: an ephemeral port. As long as `container`, or (any free port of it) longer where that is one port.
    pub host: Option<PortRange>,
    pub container: PortRange,
    pub protocol: Protocol,
    /// With its flag: `-p 80:80`.
    pub typed: String,
}

/// One `--expose`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub ports: PortRange,
    pub protocol: Protocol,
}

impl PortRange {
    pub fn len(self) -> usize {
        usize::from(self.end - self.start) + 1
    }

    /// A range holds at least one port.
    pub fn is_empty(self) -> bool {
        false
    }

    pub fn iter(self) -> std::ops::RangeInclusive<u16> {
        self.start..=self.end
    }
}

impl PortSpec {
    /// What to carry out: one entry a container port.
    pub fn wanted(&self) -> Vec<Published> {
        let mut all = self.published();
        if self.container.len() == 1
            && let Some(range) = self.host.filter(|r| r.len() > 1)
        {
            all.truncate(1);
            all[0].host_port_last = Some(range.end);
        }
        all
    }

    /// One entry a port. Where one container port may get any host port of a range, every port of the range is listed: a
    /// rule has to judge them all.
    pub fn published(&self) -> Vec<Published> {
        let entry = |host_port: Option<u16>, container_port: u16| Published {
            host_ip: self.host_ip.map(|ip| ip.to_string()),
            host_port,
            host_port_last: None,
            container_port,
            protocol: self.protocol.to_string(),
        };
        match self.host {
            None => self.container.iter().map(|c| entry(None, c)).collect(),
            Some(host) if self.container.len() == 1 => {
                host.iter().map(|h| entry(Some(h), self.container.start)).collect()
            }
            Some(host) => host.iter().zip(self.container.iter()).map(|(h, c)| entry(Some(h), c)).collect(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(format!("invalid proto: {text}")),
        }
    }
}

impl FromStr for PortRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty string specified for ports".into());
        }
        let port = |word: &str| {
            if word.is_empty() || !word.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("strconv.ParseUint: parsing {word:?}: invalid syntax"));
            }
            word.parse::<u16>().map_err(|_| format!("strconv.ParseUint: parsing {word:?}: value out of range"))
        };
        let (start, end) = match text.split_once('-') {
            Some((start, end)) => (port(start)?, port(end)?),
            None => (port(text)?, port(text)?),
        };
        if end < start {
            return Err(format!("invalid range specified for port: {text}"));
        }
        Ok(PortRange { start, end })
    }
}

impl FromStr for PortSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let short = if text.contains('=') { long_form(text)? } else { text.to_owned() };
        let mut parts: Vec<&str> = short.split(':').collect();
        let container = parts.pop().unwrap_or_default();
        let host = parts.pop().unwrap_or_default();
        let ip = parts.join(":");
        let (ports, protocol) = split_protocol(container);
        let host_ip = match ip.as_str() {
            "" => None,
            ip => {
                let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
                Some(bare.parse().map_err(|_| format!("invalid IP address: {ip}"))?)
            }
        };
        if ports.is_empty() {
            return Err(format!("no port specified: {short}<empty>"));
        }
        let container: PortRange = ports.parse().map_err(|_| format!("invalid containerPort: {ports}"))?;
        if container.start == 0 {
            return Err(format!("invalid containerPort: {ports}"));
        }
        let host_range = match host {
            "" => None,
            host => match host.parse().map_err(|_| format!("invalid hostPort: {host}"))? {
                // Port 0 is docker's other word for "any".
                PortRange { start: 0, end: 0 } => None,
                PortRange { start: 0, .. } => return Err(format!("invalid hostPort: {host}")),
                range => Some(range),
            },
        };
        if host_range.is_some_and(|h: PortRange| h.len() != container.len()) && container.len() != 1 {
            return Err(format!("invalid ranges specified for container and host Ports: {ports} and {host}"));
        }
        Ok(PortSpec { host_ip, host: host_range, container, protocol: protocol.parse()?, typed: format!("-p {text}") })
    }
}

/// `80/udp` → (`80`, `udp`); nothing or an empty word after the slash is tcp.
fn split_protocol(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        None => (text, "tcp"),
        Some((port, "")) => (port, "tcp"),
        Some((port, protocol)) => (port, protocol),
    }
}

/// `published=8080,target=80,protocol=tcp,mode=host` in the short form. docker drops keys it does not know.
fn long_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            // A swarm's word; docker run ignores it.
            Some(("mode", "host" | "ingress")) => {}
            Some((key, _)) if !key.is_empty() => {
                return Err(format!("invalid publish opts: unknown field '{field}' in '{text}'"));
            }
            _ => return Err(format!("invalid publish opts format (should be name=value but got '{field}')")),
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

impl FromStr for Exposed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (ports, protocol) = split_protocol(text);
        let ports = ports.parse().map_err(|e| format!("invalid range format for --expose: {text}, error: {e}"))?;
        Ok(Exposed { ports, protocol: protocol.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<PortSpec, String> {
        text.parse()
    }

    fn range(start: u16, end: u16) -> PortRange {
        PortRange { start, end }
    }

    #[test]
    fn every_short_form() {
        let spec = parse("127.0.0.1:8080:80/udp").unwrap();
        assert_eq!(spec.host_ip, Some("127.0.0.1".parse().unwrap()));
        assert_eq!((spec.host, spec.container, spec.protocol), (Some(range(8080, 8080)), range(80, 80), Protocol::Udp));
        assert_eq!(parse("80").unwrap().host, None);
        assert_eq!(parse(":80").unwrap().host, None);
        assert_eq!(parse("0:80").unwrap().host, None);
        assert_eq!(parse("127.0.0.1::80").unwrap().host, None);
        for v6 in ["[::1]:80:80", "::1:80:80"] {
            assert_eq!(parse(v6).unwrap().host_ip, Some("::1".parse().unwrap()), "{v6}");
        }
        assert_eq!(parse("80:80/").unwrap().protocol, Protocol::Tcp);
        assert_eq!(parse("80:80/UDP").unwrap().protocol, Protocol::Udp);
        assert_eq!(parse("080:80").unwrap().host, Some(range(80, 80)));
    }

    #[test]
    fn the_long_form() {
        let spec = parse("published=8080,target=80,protocol=udp,mode=host").unwrap();
        assert_eq!((spec.host, spec.container, spec.protocol), (Some(range(8080, 8080)), range(80, 80), Protocol::Udp));
        assert_eq!(spec.typed, "-p published=8080,target=80,protocol=udp,mode=host");
        assert_eq!(parse("published=80"), Err("no port specified: 80:/tcp<empty>".into()));
        assert!(parse("target=80,foo=1").unwrap_err().contains("unknown field 'foo=1'"));
        assert!(parse("target=80,x").unwrap_err().contains("should be name=value but got 'x'"));
    }

    #[test]
    fn ranges() {
        let ports = |text: &str| {
            parse(text).unwrap().published().iter().map(|p| (p.host_port, p.container_port)).collect::<Vec<_>>()
        };
        assert_eq!(ports("80-81:90-91"), [(Some(80), 90), (Some(81), 91)]);
        assert_eq!(ports("1023-1024:90"), [(Some(1023), 90), (Some(1024), 90)]);
        assert_eq!(ports("90-91"), [(None, 90), (None, 91)]);
        assert_eq!(
            parse("80-82:90-93"),
            Err("invalid ranges specified for container and host Ports: 90-93 and 80-82".into())
        );
        assert_eq!(
            parse("80:90-92"),
            Err("invalid ranges specified for container and host Ports: 90-92 and 80".into())
        );
    }

    #[test]
    fn slips_are_dockers() {
        for (text, error) in [
            ("", "no port specified: <empty>"),
            ("80:", "no port specified: 80:<empty>"),
            ("80:80/foo", "invalid proto: foo"),
            ("65536:80", "invalid hostPort: 65536"),
            ("80:65536", "invalid containerPort: 65536"),
            ("82-80:80", "invalid hostPort: 82-80"),
            ("x.y:80:80", "invalid IP address: x.y"),
            ("1.2.3.4:80", "invalid hostPort: 1.2.3.4"),
            ("1.2.3.4:80:80:80", "invalid IP address: 1.2.3.4:80"),
            (" 80:80", "invalid hostPort:  80"),
            ("+80:80", "invalid hostPort: +80"),
            ("80:0", "invalid containerPort: 0"),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn exposed() {
        let exposed: Exposed = "80-82/udp".parse().unwrap();
        assert_eq!((exposed.ports, exposed.protocol), (range(80, 82), Protocol::Udp));
        let slip = |text: &str| text.parse::<Exposed>().unwrap_err();
        assert_eq!(slip("80:80"), "invalid port format for --expose: 80:80");
        assert_eq!(slip(""), "invalid range format for --expose: , error: empty string specified for ports");
        assert_eq!(
            slip("x"),
            "invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": invalid syntax"
        );
        assert_eq!(
            slip("82-80"),
            "invalid range format for --expose: 82-80, error: invalid range specified for port: 82-80"
        );
    }

    proptest! {
        #[test]
        fn addresses_and_ports_round_trip(ip: IpAddr, host in 1_u16.., container in 1_u16..) {
            let spec = parse(&format!("{ip}:{host}:{container}")).unwrap();
            prop_assert_eq!(spec.host_ip, Some(ip));
            prop_assert_eq!((spec.host, spec.container), (Some(range(host, host)), range(container, container)));
        }
        #[test]
        fn no_text_panics(text in "[0-9:/.a\\[\\]=,-]{0,24}") {
            if let Ok(spec) = parse(&text) {
                prop_assert!(!spec.published().is_empty());
            }
        }
    }
}
