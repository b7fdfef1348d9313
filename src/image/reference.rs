//! Image references as docker parses them: `name`, `name:tag`, `host:port/name@sha256:…`.
//!
//! The grammar is that of the distribution project's reference package, version 0.6, which docker's client uses; the
//! error texts are docker's own, because scripts look for them. One difference: where that package lets a first
//! component that looks like a host but is not a valid one (`my_host.lan/app`) through with an empty host, this is an
//! invalid reference here, for there is no registry that it could mean.

use crate::error::{Error, Result};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Where a name without a host lives.
pub const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Longest path (without the host), in bytes.
const PATH_MAX: usize = 255;
/// Longest tag, in bytes.
const TAG_MAX: usize = 128;
/// Fewest hexadecimal digits that the grammar takes for a digest; the algorithm then wants its own number.
const DIGEST_MIN_HEX: usize = 32;

/// A normalised reference: `busybox` is docker.io/library/busybox:latest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `docker.io`, `127.0.0.1:5000`
    pub domain: String,
    /// `library/busybox`
    pub path: String,
    /// Present unless only a digest was given.
    pub tag: Option<String>,
    /// `sha256:…`
    pub digest: Option<String>,
}

impl FromStr for Reference {
    type Err = Error;
    /// Parse and add the tag `latest` where neither tag nor digest was given.
    fn from_str(text: &str) -> Result<Self> {
        let mut reference = Reference::parse_bare(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(DEFAULT_TAG.into());
        }
        Ok(reference)
    }
}

impl Reference {
    /// Parse without adding a tag: for those who need to know what was typed (`pull --all-tags`, `images NAME`).
    pub fn parse_bare(text: &str) -> Result<Self> {
        let invalid = || Error::runner("invalid reference format");
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(Error::runner(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (domain, rest) = split_domain(text);
        let name_like = rest.split(':').next().unwrap_or_default();
        if name_like.to_lowercase() != name_like {
            return Err(Error::runner(format!(
                "invalid reference format: repository name ({name_like}) must be lowercase"
            )));
        }
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (rest.as_str(), None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        let well_formed = is_domain(&domain)
            && path.split('/').all(is_path_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest_shaped);
        if !well_formed {
            return Err(invalid());
        }
        if path.len() > PATH_MAX {
            return Err(Error::runner(format!("repository name must not be more than {PATH_MAX} characters")));
        }
        if let Some(digest) = digest {
            check_digest(digest)?;
        }
        Ok(Reference { domain, path: path.into(), tag: tag.map(Into::into), digest: digest.map(Into::into) })
    }

    /// A repository `sha256` with 64 hexadecimal digits as its tag reads as an image's ID: `sha256:…`. Docker refuses the same.
    pub fn looks_like_digest(&self) -> bool {
        let last = self.path.rsplit('/').next();
        last == Some("sha256")
            && self.tag.as_ref().is_some_and(|t| t.len() == 64 && t.bytes().all(|b| b.is_ascii_hexdigit()))
    }

    /// The host as it is compared with a policy's: in small letters, the port as a number and left out where it is that of HTTPS,
    /// Docker's hub under its one name. Names stay as docker shows them; two spellings of one registry are the same to a rule.
    pub fn host(&self) -> String {
        canonical_host(&self.domain)
    }

    /// [`Reference::name`] with [`Reference::host`].
    pub fn canonical_name(&self) -> String {
        let host = self.host();
        match host == DEFAULT_DOMAIN && !self.path.contains('/') {
            true => format!("{host}/{OFFICIAL_PREFIX}{}", self.path),
            false => format!("{host}/{}", self.path),
        }
    }

    /// As docker shows it: without `docker.io/library/`, with tag and digest.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// As docker shows the repository: without `docker.io/library/`, without tag and digest.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short.into(),
            _ => self.path.clone(),
        }
    }

    /// The canonical repository: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The same repository with this tag and no digest. The tag must be a valid one.
    pub fn with_tag(&self, tag: &str) -> Result<Reference> {
        if !is_tag(tag) {
            return Err(Error::runner(format!("invalid tag '{tag}' for {}", self.familiar_name())));
        }
        Ok(Reference { tag: Some(tag.into()), digest: None, ..self.clone() })
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest);
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The canonical form: `docker.io/library/busybox:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

/// Take the host off. The first component is a host if it is `localhost`, or holds a dot or a colon, or an upper-case
/// letter (which no path may hold).
fn split_domain(text: &str) -> (String, String) {
    let (domain, rest) = match text.split_once('/') {
        None => (DEFAULT_DOMAIN, text),
        Some((LEGACY_DEFAULT_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first => {
            (first, rest)
        }
        Some(_) => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        return (domain.into(), format!("{OFFICIAL_PREFIX}{rest}"));
    }
    (domain.into(), rest.into())
}

/// See [`Reference::host`].
pub fn canonical_host(domain: &str) -> String {
    let domain = domain.to_ascii_lowercase();
    let (host, port) = match domain.rsplit_once(':') {
        // An IPv6 address has colons of its own, inside its brackets.
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (domain.as_str(), ""),
    };
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).and_then(|h| h.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => host.to_owned(),
    };
    if let "index.docker.io" | "registry-1.docker.io" = host.as_str() {
        return DEFAULT_DOMAIN.into();
    }
    match port.trim_start_matches('0') {
        "443" => host,
        _ if port.is_empty() => host,
        port => format!("{host}:{port}"),
    }
}

fn is_lower_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

/// A host name, an IPv4 address or a bracketed IPv6 address, with an optional port.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let Some((address, rest)) = v6.split_once(']') else { return false };
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            let port = match rest.strip_prefix(':') {
                None if rest.is_empty() => None,
                None => return false,
                port => port,
            };
            (None, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    let label = |l: &str| {
        let b = l.as_bytes();
        b.first().is_some_and(u8::is_ascii_alphanumeric)
            && b.last().is_some_and(u8::is_ascii_alphanumeric)
            && b.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
    };
    host.is_none_or(|h| h.split('.').all(label))
        && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Runs of `[a-z0-9]` with one of `.`, `_`, `__` or any number of `-` between two of them.
fn is_path_component(text: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(alnum) || !bytes.last().is_some_and(alnum) {
        return false;
    }
    bytes
        .split(alnum)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(text: &str) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= TAG_MAX
        && bytes.first().is_some_and(word)
        && bytes.iter().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// `algorithm[+._-algorithm…]:hex{32,}`
fn is_digest_shaped(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    algorithm.split(['+', '.', '_', '-']).all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    }) && hex.len() >= DIGEST_MIN_HEX
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether the text is a digest of an algorithm that can be checked: sha256, sha384 or sha512, lower-case hexadecimal
/// of the right length. The texts are those of the digest package that docker uses.
pub fn check_digest(text: &str) -> Result<()> {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return Err(Error::runner("invalid checksum digest format"));
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(Error::runner("unsupported digest algorithm")),
    };
    if hex.len() != length {
        return Err(Error::runner("invalid checksum digest length"));
    }
    if !hex.bytes().all(is_lower_hex) {
        return Err(Error::runner("invalid checksum digest format"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(text: &str) -> Reference {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }
    fn message(text: &str) -> String {
        text.parse::<Reference>().expect_err(text).to_string()
    }

    #[test]
    fn a_registry_is_one_however_it_is_spelled() {
        for (typed, canonical) in [
            ("reg.lan/a", "reg.lan/a"),
            ("REG.LAN:5999/a", "reg.lan:5999/a"),
            ("reg.lan:05999/a", "reg.lan:5999/a"),
            ("reg.lan:443/a", "reg.lan/a"),
            ("Reg.Lan:0443/a", "reg.lan/a"),
            ("reg.lan:80/a", "reg.lan:80/a"),
            ("[0:0::1]:5000/a", "[::1]:5000/a"),
            ("[::1]/a", "[::1]/a"),
            ("busybox", "docker.io/library/busybox"),
            ("DOCKER.IO/busybox", "docker.io/library/busybox"),
            ("registry-1.docker.io/library/busybox", "docker.io/library/busybox"),
            ("localhost/a", "localhost/a"),
        ] {
            assert_eq!(parse(typed).canonical_name(), canonical, "{typed}");
        }
        assert_eq!(parse("REG.LAN:05999/a").name(), "REG.LAN:05999/a", "names are shown as they are");
    }

    #[test]
    fn a_name_that_reads_as_an_id_is_known() {
        let hex = "a".repeat(64);
        assert!(parse(&format!("sha256:{hex}")).looks_like_digest());
        assert!(parse(&format!("reg.lan/sha256:{hex}")).looks_like_digest());
        assert!(!parse("sha256:abc").looks_like_digest() && !parse(&format!("app:{hex}")).looks_like_digest());
    }

    #[test]
    fn normalises_as_docker_does() {
        for (typed, canonical, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("user/app/sub", "docker.io/user/app/sub:latest", "user/app/sub:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("127.0.0.1:5000/app:1.2", "127.0.0.1:5000/app:1.2", "127.0.0.1:5000/app:1.2"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("[2001:db8::1]/app", "[2001:db8::1]/app:latest", "[2001:db8::1]/app:latest"),
            (
                "registry.example/a/b-c/d__e:V1_x",
                "registry.example/a/b-c/d__e:V1_x",
                "registry.example/a/b-c/d__e:V1_x",
            ),
            ("Host/app", "Host/app:latest", "Host/app:latest"),
            ("a---b", "docker.io/library/a---b:latest", "a---b:latest"),
        ] {
            let r = parse(typed);
            assert_eq!(r.to_string(), canonical, "{typed}");
            assert_eq!(r.familiar(), familiar, "{typed}");
        }
    }

    #[test]
    fn digests() {
        let r = parse(&format!("host:5000/name@{SHA}"));
        assert_eq!((r.tag.as_deref(), r.digest.as_deref()), (None, Some(SHA)));
        assert_eq!(r.to_string(), format!("host:5000/name@{SHA}"));
        let r = parse(&format!("app:1@{SHA}"));
        assert_eq!((r.tag.as_deref(), r.digest.as_deref()), (Some("1"), Some(SHA)));
        assert_eq!(r.familiar(), format!("app:1@{SHA}"));
        let sha512 = format!("sha512:{}", "a".repeat(128));
        assert_eq!(parse(&format!("app@{sha512}")).digest, Some(sha512));
        assert_eq!(message("app@sha256:abc"), "invalid reference format");
        assert_eq!(message(&format!("app@sha256:{}", "a".repeat(40))), "invalid checksum digest length");
        assert_eq!(message(&format!("app@sha256:{}", "A".repeat(64))), "invalid checksum digest format");
        assert_eq!(message(&format!("app@md5:{}", "a".repeat(32))), "unsupported digest algorithm");
        assert_eq!(message(&format!("app@{SHA}:1")), "invalid reference format");
        assert_eq!(message(&format!("app@{SHA}@{SHA}")), "invalid reference format");
    }

    #[test]
    fn bare_parsing_adds_no_tag() {
        assert_eq!(Reference::parse_bare("busybox").unwrap().tag, None);
        assert_eq!(Reference::parse_bare("busybox:1").unwrap().tag.as_deref(), Some("1"));
    }

    #[test]
    fn refuses_with_dockers_words() {
        for (typed, text) in [
            ("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"),
            ("X", "invalid reference format: repository name (library/X) must be lowercase"),
            ("host.lan/User/app:1", "invalid reference format: repository name (User/app) must be lowercase"),
            ("", "invalid reference format"),
            (":tag", "invalid reference format"),
            ("/app", "invalid reference format"),
            ("app/", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("app:", "invalid reference format"),
            ("app@", "invalid reference format"),
            ("app:-1", "invalid reference format"),
            ("app:a b", "invalid reference format"),
            ("-app", "invalid reference format"),
            ("app_", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a..b/c/d", "invalid reference format"),
            ("a._b", "invalid reference format"),
            ("café", "invalid reference format"),
            ("app\n", "invalid reference format"),
            ("https://host/app", "invalid reference format"),
            ("my_host.lan/app", "invalid reference format"),
            ("host:/app", "invalid reference format"),
            ("host:port/app", "invalid reference format"),
            ("[::1/app", "invalid reference format"),
            ("[::1]5000/app", "invalid reference format"),
            ("[]:5000/app", "invalid reference format"),
        ] {
            assert_eq!(message(typed), text, "{typed:?}");
        }
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(
            message(&hex),
            format!("invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings")
        );
    }

    #[test]
    fn length_limits() {
        let host = "host.example";
        assert!(format!("{host}/{}", "a".repeat(255)).parse::<Reference>().is_ok());
        assert_eq!(
            message(&format!("{host}/{}", "a".repeat(256))),
            "repository name must not be more than 255 characters"
        );
        assert!(format!("app:{}", "t".repeat(128)).parse::<Reference>().is_ok());
        assert_eq!(message(&format!("app:{}", "t".repeat(129))), "invalid reference format");
    }

    #[test]
    fn with_tag_replaces_tag_and_digest() {
        let r = parse(&format!("host:1/app:1@{SHA}"));
        assert_eq!(r.with_tag("2").unwrap().to_string(), "host:1/app:2");
        assert!(r.with_tag("2/3").is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_canonical_form_is_a_fixed_point(text in "\\PC{0,80}") {
            if let Ok(r) = text.parse::<Reference>() {
                prop_assert_eq!(&parse(&r.to_string()), &r);
                prop_assert_eq!(&parse(&r.familiar()), &r);
            }
        }

        #[test]
        fn well_formed_text_parses_and_round_trips(
            host in proptest::option::of("[a-z0-9]{1,8}\\.[a-z]{2,5}(:[0-9]{1,5})?|localhost(:[0-9]{1,5})?|\\[[0-9a-f]{0,4}::[0-9a-f]{0,4}\\](:[0-9]{1,5})?"),
            path in "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}){0,3}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
            digest in proptest::option::of("sha256:[0-9a-f]{64}"),
        ) {
            // A first path component with a dot is a host to docker.
            prop_assume!(host.is_some() || !path.contains('/') || !path.split('/').next().unwrap().contains('.'));
            prop_assume!(host.is_some() || path.split('/').next() != Some("localhost"));
            let mut text = host.as_ref().map(|h| format!("{h}/")).unwrap_or_default() + &path;
            if let Some(t) = &tag { text = format!("{text}:{t}"); }
            if let Some(d) = &digest { text = format!("{text}@{d}"); }
            let r = parse(&text);
            prop_assert_eq!(r.domain.as_str(), host.as_deref().unwrap_or("docker.io"));
            prop_assert!(r.path.ends_with(&path));
            prop_assert_eq!(&r.digest, &digest);
            let expected_tag = tag.clone().or_else(|| digest.is_none().then(|| "latest".to_string()));
            prop_assert_eq!(&r.tag, &expected_tag);
            prop_assert_eq!(&parse(&r.to_string()), &r);
            prop_assert_eq!(&parse(&r.familiar()), &r);
        }

        #[test]
        fn upper_case_paths_are_refused(path in "[a-z]{1,5}[A-Z][a-z]{0,5}") {
            let expected = format!("invalid reference format: repository name (library/{path}) must be lowercase");
            prop_assert_eq!(message(&path), expected);
        }
    }
}
