//! `--device HOST[:CONTAINER][:rwm]`

use super::mount::clean_path;
use std::path::PathBuf;
use std::str::FromStr;

/// A host device node, or a CDI name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    pub kind: DeviceKind,
    /// With its flag: `--device /dev/sda`.
    pub typed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    Node {
        /// Absolute path on the host, as typed: symlinks are not followed.
        host: PathBuf,
        /// Absolute path in the container, without `.` and `..`.
        container: String,
        /// Some of `r`, `w`, `m`; `None`: not given (docker's default is all three).
        access: Option<String>,
    },
    /// `vendor/class=name`
    Cdi(String),
}

impl FromStr for DeviceRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = if is_cdi(text) { DeviceKind::Cdi(text.to_owned()) } else { node(text)? };
        Ok(DeviceRequest { kind, typed: format!("--device {text}") })
    }
}

fn node(text: &str) -> Result<DeviceKind, String> {
    let invalid = || format!("bad format for path: {text}");
    if text.is_empty() {
        return Err(invalid());
    }
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts[..] {
        [host] => (host, host, None),
        [host, access] if is_access(access) => (host, host, Some(access)),
        [host, container] => (host, container, None),
        [host, container, access] if is_access(access) => (host, container, Some(access)),
        [_, _, access] => return Err(format!("bad mode specified: {access}")),
        _ => return Err(invalid()),
    };
    for path in [host, container] {
        if !path.starts_with('/') {
            return Err(format!("{path} is not an absolute path"));
        }
    }
    Ok(DeviceKind::Node { host: host.into(), container: clean_path(container), access: access.map(str::to_owned) })
}

/// Each of r, w, m at most once.
fn is_access(text: &str) -> bool {
    (1..=3).contains(&text.len())
        && text.char_indices().all(|(i, c)| matches!(c, 'r' | 'w' | 'm') && !text[..i].contains(c))
}

/// `vendor.com/class=name`: letters, digits and `_-.` (`:` in the name) with a letter or digit at both ends.
fn is_cdi(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let word = |t: &str, also: &str| {
        t.starts_with(|c: char| c.is_ascii_alphanumeric())
            && t.ends_with(|c: char| c.is_ascii_alphanumeric())
            && t.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    word(vendor, "_-.") && word(class, "_-.") && word(name, "_-.:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Result<(String, String, Option<String>), String> {
        match text.parse::<DeviceRequest>()?.kind {
            DeviceKind::Node { host, container, access } => Ok((host.display().to_string(), container, access)),
            DeviceKind::Cdi(name) => Err(format!("cdi {name}")),
        }
    }

    #[test]
    fn nodes() {
        let ok = |h: &str, c: &str, a: Option<&str>| Ok((h.to_owned(), c.to_owned(), a.map(str::to_owned)));
        assert_eq!(parts("/dev/null"), ok("/dev/null", "/dev/null", None));
        assert_eq!(parts("/dev/null:rw"), ok("/dev/null", "/dev/null", Some("rw")));
        assert_eq!(parts("/dev/null:/dev/x"), ok("/dev/null", "/dev/x", None));
        assert_eq!(parts("/dev/null:/dev/x:r"), ok("/dev/null", "/dev/x", Some("r")));
        assert_eq!(parts("/dev/null:/dev/../etc/x"), ok("/dev/null", "/etc/x", None));
    }

    #[test]
    fn cdi_names() {
        assert_eq!(parts("vendor.com/class=dev"), Err("cdi vendor.com/class=dev".into()));
        assert_eq!(parts("nvidia.com/gpu=0:1"), Err("cdi nvidia.com/gpu=0:1".into()));
    }

    #[test]
    fn slips() {
        assert_eq!(parts("/dev/null:/dev/x:foo"), Err("bad mode specified: foo".into()));
        assert_eq!(parts("/dev/null:/dev/x:rr"), Err("bad mode specified: rr".into()));
        assert_eq!(parts("/dev/a:/dev/b:rw:x"), Err("bad format for path: /dev/a:/dev/b:rw:x".into()));
        assert_eq!(parts("/dev/null:foo"), Err("foo is not an absolute path".into()));
        assert_eq!(parts(""), Err("bad format for path: ".into()));
        assert_eq!(parts("x=y"), Err("x=y is not an absolute path".into()));
    }

    proptest! {
        #[test]
        fn paths_are_absolute_without_dots(text in "/?[a-z./:]{0,20}") {
            if let Ok((host, container, _)) = parts(&text) {
                prop_assert!(host.starts_with('/') && container.starts_with('/'));
                prop_assert!(!container.split('/').any(|p| p == "." || p == ".."));
            }
        }
    }
}
