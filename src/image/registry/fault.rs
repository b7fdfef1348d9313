//! Failures of a request, sorted by what can be done about them.

use super::connector::Handshake;
use crate::error::Error;
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug)]
pub enum Fault {
    /// Worth another try, at the earliest after the given time.
    Passing { error: Error, after: Option<Duration> },
    /// Nothing that time would mend.
    Final(Error),
    /// The server understood and said no.
    Status(Refused),
}

/// An HTTP status that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    /// `code: message` of the specification's error body, or the reason phrase.
    pub text: String,
    /// The specification's codes: `MANIFEST_UNKNOWN`, `DENIED`, …
    pub codes: Vec<String>,
    pub after: Option<Duration>,
    /// It asked for a user and a password, and there are none.
    pub wants_password: bool,
}

impl Refused {
    /// Too many requests, or the server's own trouble.
    pub fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
    }
    pub fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|c| c == code)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Final(error)
    }
}

/// What kept a request from being answered, as far as it decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    NotTls,
    Certificate,
    Refused,
    NoHost,
    /// Time-outs and cut connections.
    Passing,
    Other,
}

pub fn classify(e: &ureq::Error) -> Class {
    use std::io::ErrorKind;
    match e {
        ureq::Error::Other(inner) => match inner.downcast_ref::<Handshake>() {
            Some(Handshake::NotTls(_)) => Class::NotTls,
            Some(Handshake::Certificate(_)) => Class::Certificate,
            _ => Class::Other,
        },
        ureq::Error::HostNotFound => Class::NoHost,
        ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => Class::Passing,
        // An alert: the server's last word, such as that it wants a certificate of ours.
        ureq::Error::Io(io) if alert(io).is_some() => Class::Other,
        // What std says where getaddrinfo knows no address; it has no kind of its own.
        ureq::Error::Io(io) if io.to_string().starts_with("failed to lookup address") => Class::NoHost,
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused => Class::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Class::NoHost,
            _ => Class::Passing,
        },
        ureq::Error::Protocol(_) => Class::Other,
        _ => Class::Other,
    }
}

fn alert(io: &std::io::Error) -> Option<String> {
    match io.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(match format!("{alert:?}").as_str() {
            "CertificateRequired" | "BadCertificate" => {
                "it wants a client certificate (NAME.cert and NAME.key in the registry's folder)".into()
            }
            other => other.to_owned(),
        }),
        _ => None,
    }
}

/// The client's error in our words: the cause without the library's prefixes.
pub fn describe(e: &ureq::Error) -> String {
    match e {
        ureq::Error::Other(inner) => inner.to_string(),
        ureq::Error::Io(io) => match alert(io) {
            Some(text) => format!("the server broke off the TLS connection: {text}"),
            None => io.to_string(),
        },
        ureq::Error::HostNotFound => "no such host".into(),
        ureq::Error::Timeout(t) => format!("timed out ({t})"),
        // Its text may hold the address with its query.
        ureq::Error::BadUri(_) => "not an address".into(),
        other => other.to_string(),
    }
}

/// Read the specification's error body. Registries and the proxies before them send anything, so whatever does not
/// parse is left out and the status speaks for itself.
pub fn read_error_body(status: u16, body: &[u8], after: Option<Duration>) -> Refused {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let entries = serde_json::from_slice::<Body>(body).map(|b| b.errors).unwrap_or_default();
    let clip = |s: &str| s.chars().take(300).collect::<String>();
    let text = entries
        .iter()
        // As docker shows them: `manifest unknown: manifest unknown`.
        .map(|e| format!("{}: {}", clip(&e.code).to_lowercase().replace('_', " "), clip(&e.message)))
        .take(3)
        .collect::<Vec<_>>()
        .join(", ");
    let text = if text.is_empty() {
        let reason = ureq::http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
        format!("{status} {reason}").trim_end().into()
    } else {
        text
    };
    Refused { status, text, codes: entries.into_iter().map(|e| e.code).collect(), after, wants_password: false }
}

/// `Retry-After`: seconds or an HTTP date.
pub fn retry_after(value: &str, now: std::time::SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(date.timestamp().as_second()).ok()?);
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        let r = read_error_body(404, body, None);
        assert_eq!(r.text, "manifest unknown: manifest unknown");
        assert!(r.has_code("MANIFEST_UNKNOWN"));
        assert_eq!(read_error_body(502, b"<html>", None).text, "502 Bad Gateway");
        assert_eq!(read_error_body(403, b"{\"errors\":[]}", None).text, "403 Forbidden");
        let long = format!(r#"{{"errors":[{{"code":"X","message":"{}"}}]}}"#, "y".repeat(9999));
        assert!(read_error_body(400, long.as_bytes(), None).text.len() < 400);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:30 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
