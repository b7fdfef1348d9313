//! Addresses of a registry: where a request goes, what may follow what, and a form for messages that holds no secret.

use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;

/// Scheme, host and port: what a credential belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub tls: bool,
    /// Lower case; IPv6 in brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// From `host`, `host:port` or `[v6]:port`, as in a reference.
    pub fn new(authority: &str, tls: bool) -> Option<Origin> {
        let scheme = if tls { "https" } else { "http" };
        Some(Url::parse(&format!("{scheme}://{authority}/"))?.origin)
    }

    /// 127.0.0.0/8, ::1 and localhost: bytes that never leave this host.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// `host[:port]` as in a reference: the port only where it is not the scheme's.
    pub fn authority(&self) -> String {
        if self.port == if self.tls { 443 } else { 80 } {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// Whether a host name (no port) is this host.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
}

/// An absolute http or https address. User information in it is dropped: credentials come from the credential store
/// only, and a server must not choose them for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub origin: Origin,
    /// Path and query.
    pub path: String,
}

impl Url {
    pub fn parse(text: &str) -> Option<Url> {
        let uri: Uri = text.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host().filter(|h| !h.is_empty())?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        Some(Url { origin: Origin { tls, host, port }, path })
    }

    /// Where a `Location` or `Link` in the answer to this address leads.
    pub fn join(&self, location: &str) -> Option<Url> {
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", if self.origin.tls { "https" } else { "http" }));
        }
        if location.starts_with('/') {
            return Url::parse(&format!("{}{location}", self.origin));
        }
        if location.contains("://") {
            return Url::parse(location);
        }
        let folder = self.path.split('?').next().unwrap_or("/").rsplit_once('/').map_or("", |(f, _)| f);
        Url::parse(&format!("{}{folder}/{location}", self.origin))
    }

    /// With the query, for the request line.
    pub fn full(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

impl fmt::Display for Url {
    /// For messages: without the query, which in signed storage addresses is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path.split('?').next().unwrap_or_default())
    }
}

/// Bytes that go into a query value as they are.
pub fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let o = Origin::new("Registry.Example", true).unwrap();
        assert_eq!((o.host.as_str(), o.port), ("registry.example", 443));
        assert_eq!(o.to_string(), "https://registry.example");
        assert_eq!(Origin::new("[::1]:5000", false).unwrap().to_string(), "http://[::1]:5000");
        assert_ne!(Origin::new("a:443", true), Origin::new("a:443", false));
        assert_eq!(Origin::new("a", true), Origin::new("a:443", true));
    }

    #[test]
    fn loopback() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.255.3.4", "[::1]", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "0.0.0.0", "10.0.0.1", "[::2]", "127.0.0.1.example", "127.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn locations() {
        let at = Url::parse("https://reg:5000/v2/app/blobs/x?y=1").unwrap();
        let go = |l: &str| at.join(l).map(|u| u.full());
        assert_eq!(go("/a?b=c").unwrap(), "https://reg:5000/a?b=c");
        assert_eq!(go("https://cdn.example/x?sig=s").unwrap(), "https://cdn.example/x?sig=s");
        assert_eq!(go("//cdn.example/x").unwrap(), "https://cdn.example/x");
        assert_eq!(go("z").unwrap(), "https://reg:5000/v2/app/blobs/z");
        assert_eq!(go("ftp://x/y"), None);
        assert_eq!(go("file:///etc/passwd"), None);
    }

    #[test]
    fn messages_hold_no_secret() {
        let u = Url::parse("https://user:pw@cdn.example/x?X-Signature=s3cret").unwrap();
        assert_eq!(u.to_string(), "https://cdn.example/x");
        assert_eq!(u.full(), "https://cdn.example/x?X-Signature=s3cret");
    }

    #[test]
    fn queries() {
        assert_eq!(query_escape("repository:a/b:pull x&y"), "repository%3Aa%2Fb%3Apull%20x%26y");
    }
}
