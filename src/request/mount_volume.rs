//! `-v [SOURCE:]TARGET[:MODES]`

use super::Refusal;
use super::env::Env;
use super::mount::{
    BindRequest, MountRequest, PROPAGATIONS, RecursiveReadonly, VolumeRequest, destination, volume_name,
};

/// Parse one `--volume`: a source that is absolute or begins with a dot is a host path, another one a volume's name.
pub fn parse_volume(text: &str, env: &Env) -> Result<MountRequest, Refusal> {
    if text.is_empty() {
        return Err("invalid empty volume spec".into());
    }
    if text.contains('\0') {
        return Err(format!("invalid spec: {text:?}: a NUL byte").into());
    }
    let parts: Vec<&str> = text.split(':').collect();
    if is_drive(&parts) {
        return Err(format!("invalid spec: {text}: a Windows path has no meaning here").into());
    }
    let typed = format!("-v {text}");
    if parts.len() > 1 && parts.contains(&"") {
        return Err(format!("invalid spec: {text}: empty section between colons").into());
    }
    let (source, target, modes) = match parts[..] {
        [target] => return anonymous(target, typed),
        [_, mode] if !mode.starts_with('/') && Modes::parse(mode).is_ok() => {
            return Err(format!("invalid volume specification: '{text}'").into());
        }
        [source, target] => (source, target, Modes::default()),
        [source, target, modes] => (source, target, Modes::parse(modes)?),
        _ => return Err(format!("invalid spec: {text}: too many colons").into()),
    };
    let destination = destination(target)?;
    if source.starts_with('/') || source.starts_with('.') {
        return modes.bind(source, destination, typed, env);
    }
    if source.starts_with('~') {
        return Err(format!("invalid spec: {text}: '~' was not expanded by the shell; write \"$HOME\" instead").into());
    }
    modes.volume(volume_name(source)?, destination, typed)
}

fn anonymous(target: &str, typed: String) -> Result<MountRequest, Refusal> {
    Ok(MountRequest::Volume(VolumeRequest { destination: destination(target)?, typed, ..VolumeRequest::default() }))
}

/// `C:\x`, `c:/x`: one letter, a colon, then a path with a backslash or with nothing that could be a second section.
fn is_drive(parts: &[&str]) -> bool {
    matches!(parts, [drive, path, ..] if drive.len() == 1
        && drive.chars().all(|c| c.is_ascii_alphabetic())
        && path.starts_with('\\'))
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Modes {
    readonly: Option<bool>,
    propagation: Option<String>,
    relabel: Option<char>,
    nocopy: bool,
    noexec: bool,
    /// `bind` (not recursive) and `rbind`, podman's words.
    nonrecursive: bool,
}

impl Modes {
    fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid mode: {text}");
        let mut modes = Modes::default();
        let mut seen: Vec<&str> = Vec::new();
        for word in text.split(',') {
            // docker allows one of a kind.
            let kind = match word {
                "ro" | "rw" | "readonly" => {
                    modes.readonly = Some(word != "rw");
                    "access"
                }
                "z" | "Z" => {
                    modes.relabel = word.chars().next();
                    "label"
                }
                "nocopy" | "copy" => {
                    modes.nocopy = word == "nocopy";
                    "copy"
                }
                // Meant for Docker Desktop's file sharing; without an effect on Linux.
                "cached" | "delegated" | "consistent" => "consistency",
                "noexec" => {
                    modes.noexec = true;
                    "exec"
                }
                // Every bind here has them anyway.
                "nosuid" => "suid",
                "nodev" => "dev",
                "bind" | "rbind" => {
                    modes.nonrecursive = word == "bind";
                    "recursion"
                }
                _ if PROPAGATIONS.contains(&word) => {
                    modes.propagation = Some(word.to_owned());
                    "propagation"
                }
                _ => return Err(invalid()),
            };
            if seen.contains(&kind) {
                return Err(invalid());
            }
            seen.push(kind);
        }
        Ok(modes)
    }

    fn bind(self, source: &str, destination: String, typed: String, env: &Env) -> Result<MountRequest, Refusal> {
        if self.nocopy {
            return Err(Refusal::engine(
                "invalid mount config for type \"bind\": field VolumeOptions must not be specified (nocopy is a \
                 volume's mode)",
            ));
        }
        Ok(MountRequest::Bind(BindRequest {
            source: env.absolute(source),
            destination,
            readonly: self.readonly,
            create: true,
            recursive: !self.nonrecursive,
            recursive_readonly: RecursiveReadonly::Enabled,
            propagation: self.propagation,
            relabel: self.relabel,
            noexec: self.noexec,
            typed,
        }))
    }

    fn volume(self, name: String, destination: String, typed: String) -> Result<MountRequest, Refusal> {
        if let Some(propagation) = self.propagation {
            return Err(Refusal::engine(format!(
                "invalid mount config for type \"volume\": field BindOptions must not be specified ({propagation} is a bind's \
                 mode)"
            )));
        }
        Ok(MountRequest::Volume(VolumeRequest {
            name: Some(name),
            destination,
            readonly: self.readonly,
            nocopy: self.nocopy,
            noexec: self.noexec,
            typed,
            ..VolumeRequest::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    fn parse(text: &str) -> Result<MountRequest, String> {
        parse_volume(text, &Env { vars: vec![], cwd: "/work dir".into() }).map_err(String::from)
    }

    fn bind(text: &str) -> BindRequest {
        match parse(text) {
            Ok(MountRequest::Bind(bind)) => bind,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn volume(text: &str) -> VolumeRequest {
        match parse(text) {
            Ok(MountRequest::Volume(volume)) => volume,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn host_paths() {
        let b = bind("/a b:/c d");
        assert_eq!((b.source, b.destination.as_str(), b.readonly, b.create), ("/a b".into(), "/c d", None, true));
        assert_eq!(bind("./x:/b").source, PathBuf::from("/work dir/./x"));
        assert_eq!(bind(".:/b").source, PathBuf::from("/work dir/."));
        assert_eq!(bind("..:/b").source, PathBuf::from("/work dir/.."));
        assert_eq!(bind("/a:/b:ro").readonly, Some(true));
        assert_eq!(bind("/a:/b:rw").readonly, Some(false));
        assert_eq!(bind("/etc/../etc:/x/../y:rw").destination, "/y");
        let b = bind("/a:/b:Z,ro,rshared");
        assert_eq!((b.relabel, b.readonly, b.propagation.as_deref()), (Some('Z'), Some(true), Some("rshared")));
        assert_eq!(bind("/a:/b:ro").typed, "-v /a:/b:ro");
    }

    #[test]
    fn volumes() {
        let v = volume("data:/b:ro,nocopy");
        assert_eq!((v.name.as_deref(), v.readonly, v.nocopy), (Some("data"), Some(true), true));
        let v = volume("/data");
        assert_eq!((v.name, v.destination.as_str()), (None, "/data"));
    }

    #[test]
    fn slips() {
        for (text, error) in [
            ("", "invalid empty volume spec"),
            (":/b", "invalid spec: :/b: empty section between colons"),
            ("/a:", "invalid spec: /a:: empty section between colons"),
            ("/a:/b:", "invalid spec: /a:/b:: empty section between colons"),
            ("/a:/b:ro:x", "invalid spec: /a:/b:ro:x: too many colons"),
            ("/a:/b:foo", "invalid mode: foo"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:ro", "invalid volume specification: '/a:ro'"),
            ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
            ("a", "invalid mount path: 'a' mount path must be absolute"),
            ("/a:/", "invalid specification: destination can't be '/'"),
            ("a:/b", "volume name is too short, names should be at least two alphanumeric characters"),
            ("C:\\a:/b", "invalid spec: C:\\a:/b: a Windows path has no meaning here"),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
        assert!(parse("a/b:/c").unwrap_err().contains("use absolute path"));
        assert!(parse("~/a:/b").unwrap_err().contains("not expanded by the shell"));
        assert!(parse("/a:/b:nocopy").unwrap_err().contains("nocopy is a volume's mode"));
        assert!(parse("vol:/b:rshared").unwrap_err().contains("rshared is a bind's mode"));
    }

    proptest! {
        #[test]
        fn sources_and_targets_are_absolute(text in "[./~a-c:, ro]{0,24}") {
            match parse(&text) {
                Ok(MountRequest::Bind(b)) => {
                    prop_assert!(b.source.is_absolute());
                    prop_assert!(b.destination.starts_with('/') && b.destination.len() > 1);
                }
                Ok(m) => prop_assert!(m.destination().starts_with('/')),
                Err(e) => prop_assert!(!e.is_empty()),
            }
        }
    }
}
