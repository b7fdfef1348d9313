//! `--network`

use super::Refusal;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One network the container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    pub target: NetworkTarget,
    pub aliases: Vec<String>,
    pub ip: Option<String>,
    pub ip6: Option<String>,
    pub mac: Option<String>,
    pub link_local_ips: Vec<String>,
    pub driver_opts: Vec<(String, String)>,
    pub gw_priority: Option<i64>,
    /// With its flag: `--network host`.
    pub typed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkTarget {
    None,
    Host,
    /// `bridge` or `default`.
    Bridge,
    Container(String),
    Named(String),
}

impl NetworkTarget {
    fn parse(name: &str) -> Result<Self, Refusal> {
        Ok(match name {
            "" => return Err("no name set for network".into()),
            "none" => NetworkTarget::None,
            "host" => NetworkTarget::Host,
            "bridge" | "default" => NetworkTarget::Bridge,
            _ => match name.strip_prefix("container:") {
                Some("") => return Err(Refusal::engine("invalid container format container:<name|id>")),
                Some(container) => NetworkTarget::Container(container.to_owned()),
                None if is_network_name(name) => NetworkTarget::Named(name.to_owned()),
                None => {
                    let why = format!("invalid network name {name:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
                    return Err(why.into());
                }
            },
        })
    }

    /// Neither of docker's built-in modes: aliases and addresses are for these only.
    pub fn is_user_defined(&self) -> bool {
        matches!(self, NetworkTarget::Named(_))
    }
}

impl NetworkSpec {
    /// A network with nothing else said about it.
    pub fn plain(target: NetworkTarget, typed: String) -> Self {
        NetworkSpec {
            target,
            aliases: Vec::new(),
            ip: None,
            ip6: None,
            mac: None,
            link_local_ips: Vec::new(),
            driver_opts: Vec::new(),
            gw_priority: None,
            typed,
        }
    }
}

impl FromStr for NetworkSpec {
    type Err = Refusal;

    /// A name or mode, or `name=…,alias=…,ip=…,ip6=…,mac-address=…,link-local-ip=…,driver-opt=K=V,gw-priority=N`.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let typed = format!("--network {text}");
        if !is_long_form(text) {
            return Ok(NetworkSpec::plain(NetworkTarget::parse(text)?, typed));
        }
        let mut name = String::new();
        let mut spec = NetworkSpec::plain(NetworkTarget::None, typed);
        for field in super::csv::record(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => (key.trim().to_lowercase(), value.trim().to_owned()),
                _ => return Err(format!("invalid field {field}").into()),
            };
            match key.as_str() {
                "name" => name = value,
                "alias" => spec.aliases.push(value),
                "ip" => spec.ip = Some(parse_ipv4(&value)?),
                "ip6" => spec.ip6 = Some(parse_ipv6(&value)?),
                "mac-address" => spec.mac = Some(parse_mac(&value)?),
                "link-local-ip" => spec.link_local_ips.push(parse_ip(&value)?),
                "driver-opt" => match value.split_once('=') {
                    Some((key, value)) if !key.is_empty() => spec.driver_opts.push((key.to_owned(), value.to_owned())),
                    _ => return Err("invalid key value pair format in driver options".into()),
                },
                "gw-priority" => {
                    let priority = super::golang::parse_decimal(&value);
                    spec.gw_priority =
                        Some(priority.map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?);
                }
                _ => return Err(format!("invalid field key {key}").into()),
            }
        }
        if name.is_empty() {
            return Err("network name/id is not specified".into());
        }
        spec.target = NetworkTarget::parse(&name)?;
        Ok(spec)
    }
}

/// docker's rule for names of networks; unlike a volume's one letter will do.
pub fn is_network_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 200
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// docker's test: a word, `=`, a word, somewhere in the text.
fn is_long_form(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('=').any(|(at, _)| text[..at].ends_with(word) && text[at + 1..].starts_with(word))
}

pub fn parse_ipv4(text: &str) -> Result<String, Refusal> {
    let ip = text.parse::<Ipv4Addr>();
    ip.map(|ip| ip.to_string()).map_err(|_| Refusal::engine(format!("invalid IPv4 address: {text}")))
}

pub fn parse_ipv6(text: &str) -> Result<String, Refusal> {
    let ip = text.parse::<Ipv6Addr>();
    ip.map(|ip| ip.to_string()).map_err(|_| Refusal::engine(format!("invalid IPv6 address: {text}")))
}

/// An address as docker checks it for `--dns`: blanks around it are dropped.
pub fn parse_ip(text: &str) -> Result<String, String> {
    let ip = text.trim().parse::<std::net::IpAddr>();
    ip.map(|ip| ip.to_string()).map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// Six bytes of hexadecimal with colons or dashes; written with colons.
pub fn parse_mac(text: &str) -> Result<String, String> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let bytes: Vec<&str> = text.split(separator).collect();
    let valid = bytes.len() == 6 && bytes.iter().all(|b| b.len() == 2 && b.bytes().all(|c| c.is_ascii_hexdigit()));
    if valid { Ok(bytes.join(":").to_lowercase()) } else { Err(format!("{text} is not a valid mac address")) }
}

/// `--dns-search`: a domain name, or `.` for none.
pub fn parse_search_domain(text: &str) -> Result<String, String> {
    let domain = text.trim();
    if domain == "." {
        return Ok(".".into());
    }
    let bare = domain.strip_suffix('.').unwrap_or(domain);
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if bare.len() < 255 && bare.split('.').all(label) {
        Ok(domain.to_owned())
    } else {
        Err(format!("{text} is not a valid domain"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(text: &str) -> Result<NetworkTarget, String> {
        text.parse::<NetworkSpec>().map(|n| n.target).map_err(String::from)
    }

    #[test]
    fn modes_and_names() {
        assert_eq!(target("none"), Ok(NetworkTarget::None));
        assert_eq!(target("host"), Ok(NetworkTarget::Host));
        assert_eq!(target("default"), Ok(NetworkTarget::Bridge));
        assert_eq!(target("container:x"), Ok(NetworkTarget::Container("x".into())));
        assert_eq!(target("mynet"), Ok(NetworkTarget::Named("mynet".into())));
        assert_eq!(target(""), Err("no name set for network".into()));
        assert!(target("container:").is_err());
        assert!(target("a/b").unwrap_err().contains("invalid network name"));
    }

    #[test]
    fn the_long_form() {
        let text =
            "name=foo,alias=a,alias=b,ip=1.2.3.4,ip6=::1,mac-address=02-42-AC-11-00-02,driver-opt=a=b,gw-priority=5";
        let spec: NetworkSpec = text.parse().unwrap();
        assert_eq!(spec.target, NetworkTarget::Named("foo".into()));
        assert_eq!(spec.aliases, ["a", "b"]);
        assert_eq!((spec.ip.as_deref(), spec.ip6.as_deref()), (Some("1.2.3.4"), Some("::1")));
        assert_eq!(spec.mac.as_deref(), Some("02:42:ac:11:00:02"));
        assert_eq!((spec.driver_opts, spec.gw_priority), (vec![("a".to_owned(), "b".to_owned())], Some(5)));
        assert_eq!(target("name=host"), Ok(NetworkTarget::Host));
    }

    #[test]
    fn slips_are_dockers() {
        for (text, error) in [
            ("alias=x", "network name/id is not specified"),
            ("name=foo,foo=bar", "invalid field key foo"),
            ("name=foo,driver-opt=a", "invalid key value pair format in driver options"),
            ("name=foo,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
            ("name=foo,ip=x", "invalid IPv4 address: x"),
        ] {
            assert_eq!(target(text), Err(error.into()), "{text}");
        }
        assert_eq!(parse_mac("x"), Err("x is not a valid mac address".into()));
        assert_eq!(parse_ip("x"), Err("IP address is not correctly formatted: x".into()));
        assert_eq!(parse_ip(" 1.1.1.1 "), Ok("1.1.1.1".into()));
    }

    #[test]
    fn search_domains() {
        assert_eq!(parse_search_domain("x.y."), Ok("x.y.".into()));
        assert_eq!(parse_search_domain("."), Ok(".".into()));
        for bad in ["", "a b", "-x", "a..b", "a\nnameserver 1.1.1.1"] {
            assert_eq!(parse_search_domain(bad), Err(format!("{bad} is not a valid domain")));
        }
    }

    proptest! {
        #[test]
        fn a_name_is_always_a_safe_word(text in "[a-z:=,./-]{0,20}") {
            if let Ok(NetworkTarget::Named(name)) = target(&text) {
                prop_assert!(!name.contains('/') && !name.starts_with(['.', '-']));
            }
        }
    }
}
