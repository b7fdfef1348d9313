//! `--security-opt`

use super::env::Env;
use super::golang::parse_bool;
use std::path::PathBuf;

/// One option.
#[derive(Debug, Clone, PartialEq)]
pub enum SecurityOpt {
    NoNewPrivileges(bool),
    SeccompBuiltin,
    SeccompUnconfined,
    SeccompFile {
        path: PathBuf,
        /// The file's text, known to be JSON.
        json: String,
    },
    AppArmorUnconfined,
    AppArmorProfile(String),
    LabelDisable,
    /// `user`, `role`, `type`, `level` or `filetype`, and its value.
    Label {
        key: String,
        value: String,
    },
    SystempathsUnconfined,
    WritableCgroups(bool),
    /// podman: paths to mask besides.
    Mask(Vec<String>),
    /// podman: `ALL` or paths not to mask.
    Unmask(Vec<String>),
}

const LABELS: [&str; 5] = ["user", "role", "type", "level", "filetype"];
/// A profile is a table of names; what is larger than this is something else.
const MAX_PROFILE: u64 = 16 << 20;

impl SecurityOpt {
    /// `KEY=VALUE`, the older `KEY:VALUE`, or `no-new-privileges`. A seccomp profile is read here, relative to the caller.
    pub fn parse(text: &str, env: &Env) -> Result<Self, String> {
        let invalid = || format!("Invalid --security-opt: {text:?}");
        if text == "no-new-privileges" {
            return Ok(SecurityOpt::NoNewPrivileges(true));
        }
        let (key, value) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(invalid)?;
        if value.is_empty() {
            return Err(invalid());
        }
        let boolean = || parse_bool(value).map_err(|_| invalid());
        Ok(match (key, value) {
            ("no-new-privileges", _) => SecurityOpt::NoNewPrivileges(boolean()?),
            ("seccomp", "unconfined") => SecurityOpt::SeccompUnconfined,
            ("seccomp", "builtin" | "default") => SecurityOpt::SeccompBuiltin,
            ("seccomp", path) => profile(path, env)?,
            ("apparmor", "unconfined") => SecurityOpt::AppArmorUnconfined,
            ("apparmor", name) if name.contains(|c: char| c.is_whitespace() || c.is_control()) => return Err(invalid()),
            ("apparmor", name) => SecurityOpt::AppArmorProfile(name.to_owned()),
            ("label", value) => label(value)?,
            ("systempaths", "unconfined") => SecurityOpt::SystempathsUnconfined,
            ("writable-cgroups", _) => SecurityOpt::WritableCgroups(boolean()?),
            ("mask", paths) => SecurityOpt::Mask(absolute_paths(paths).ok_or_else(invalid)?),
            ("unmask", "ALL" | "all") => SecurityOpt::Unmask(vec!["ALL".into()]),
            ("unmask", paths) => SecurityOpt::Unmask(absolute_paths(paths).ok_or_else(invalid)?),
            _ => return Err(invalid()),
        })
    }
}

fn absolute_paths(text: &str) -> Option<Vec<String>> {
    text.split(':').map(|p| p.starts_with('/').then(|| super::mount::clean_path(p))).collect()
}

fn label(value: &str) -> Result<SecurityOpt, String> {
    if value == "disable" {
        return Ok(SecurityOpt::LabelDisable);
    }
    match value.split_once(':') {
        Some((key, value)) if LABELS.contains(&key) && !value.is_empty() && !value.contains(char::is_whitespace) => {
            Ok(SecurityOpt::Label { key: key.to_owned(), value: value.to_owned() })
        }
        _ => Err(format!(
            "bad label option {value:?}, valid options are 'disable' or 'user, role, level, type, filetype' followed by ':' and \
             a value"
        )),
    }
}

fn profile(path: &str, env: &Env) -> Result<SecurityOpt, String> {
    let file = env.absolute(path);
    let opening = |e: std::io::Error| {
        format!("opening seccomp profile ({path}) failed: open {path}: {}", super::golang::io_error(&e))
    };
    if std::fs::metadata(&file).map_err(opening)?.len() > MAX_PROFILE {
        return Err(format!("opening seccomp profile ({path}) failed: it is larger than {MAX_PROFILE} bytes"));
    }
    let json = std::fs::read_to_string(&file).map_err(opening)?;
    serde_json::from_str::<serde::de::IgnoredAny>(&json)
        .map_err(|e| format!("reading json of seccomp profile ({path}) failed: {e}"))?;
    Ok(SecurityOpt::SeccompFile { path: file, json })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<SecurityOpt, String> {
        SecurityOpt::parse(text, &Env { vars: vec![], cwd: "/".into() })
    }

    #[test]
    fn every_form() {
        for (text, opt) in [
            ("no-new-privileges", SecurityOpt::NoNewPrivileges(true)),
            ("no-new-privileges:true", SecurityOpt::NoNewPrivileges(true)),
            ("no-new-privileges=false", SecurityOpt::NoNewPrivileges(false)),
            ("seccomp=unconfined", SecurityOpt::SeccompUnconfined),
            ("seccomp:builtin", SecurityOpt::SeccompBuiltin),
            ("apparmor=unconfined", SecurityOpt::AppArmorUnconfined),
            ("apparmor:x", SecurityOpt::AppArmorProfile("x".into())),
            ("label=disable", SecurityOpt::LabelDisable),
            ("label:type:svirt_t", SecurityOpt::Label { key: "type".into(), value: "svirt_t".into() }),
            ("label=level:s0:c1,c2", SecurityOpt::Label { key: "level".into(), value: "s0:c1,c2".into() }),
            ("systempaths=unconfined", SecurityOpt::SystempathsUnconfined),
            ("writable-cgroups=true", SecurityOpt::WritableCgroups(true)),
            ("unmask=ALL", SecurityOpt::Unmask(vec!["ALL".into()])),
            ("mask=/a:/b/../c", SecurityOpt::Mask(vec!["/a".into(), "/c".into()])),
        ] {
            assert_eq!(parse(text), Ok(opt), "{text}");
        }
    }

    #[test]
    fn slips() {
        for bad in [
            "",
            "foo",
            "foo=bar",
            "seccomp",
            "seccomp=",
            "writable-cgroups",
            "no-new-privileges=x",
            "systempaths=x",
            "mask=a",
        ] {
            assert_eq!(parse(bad), Err(format!("Invalid --security-opt: {bad:?}")));
        }
        assert!(parse("label=foo:x").unwrap_err().contains("bad label option"));
        assert!(parse("label=type:").unwrap_err().contains("bad label option"));
    }

    #[test]
    fn profiles_are_read_relative_to_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.json"), "{}").unwrap();
        std::fs::write(folder.path().join("bad.json"), "no").unwrap();
        let env = Env { vars: vec![], cwd: folder.path().into() };
        let expected = SecurityOpt::SeccompFile { path: folder.path().join("p.json"), json: "{}".into() };
        assert_eq!(SecurityOpt::parse("seccomp=p.json", &env), Ok(expected));
        assert!(
            SecurityOpt::parse("seccomp=bad.json", &env)
                .unwrap_err()
                .contains("reading json of seccomp profile (bad.json) failed")
        );
        assert!(
            SecurityOpt::parse("seccomp=nope", &env)
                .unwrap_err()
                .starts_with("opening seccomp profile (nope) failed: ")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(label|mask|apparmor|no-new-privileges)?[=:]?[a-z:/]{0,12}") {
            let _ = parse(&text);
        }
    }
}
