//! Docker's config file as something that is written: one registry's credentials in, or out. Everything else in the file
//! stays. Where the file names a helper for the registry, the helper gets them and the file holds an empty entry, as with
//! docker.

use super::credentials::{Credential, docker_config};
use crate::error::{Context, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where credentials were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In plain text in this file.
    File(PathBuf),
    /// By this program.
    Helper(String),
}

/// Keep the credentials of a registry.
pub fn keep(key: &str, credential: &Credential, env: Env) -> Result<Kept> {
    let file = file(env)?;
    let mut kept = Kept::File(file.clone());
    update(&file, |config| {
        let entry = match helper(config, key) {
            Some(helper) => {
                give(&helper, key, credential)?;
                kept = Kept::Helper(helper);
                json!({})
            }
            None => plain(credential),
        };
        auths(config).insert(key.to_owned(), entry);
        Ok(true)
    })?;
    Ok(kept)
}

/// Forget the credentials of a registry; none is no error.
pub fn forget(key: &str, env: Env) -> Result<()> {
    let file = file(env)?;
    if !file.exists() {
        return Ok(());
    }
    update(&file, |config| {
        if let Some(helper) = helper(config, key) {
            call(&helper, "erase", key.as_bytes())?;
        }
        let auths = auths(config);
        let before = auths.len();
        // Old clients wrote addresses.
        for name in [key.to_owned(), format!("http://{key}"), format!("https://{key}")] {
            auths.remove(&name);
        }
        Ok(auths.len() != before)
    })
}

fn file(env: Env) -> Result<PathBuf> {
    docker_config(env).ok_or_else(|| {
        Error::verb("there is no place for credentials: neither DOCKER_CONFIG nor HOME is set")
            .hint("DOCKER_CONFIG=DIR hardrun login …")
    })
}

fn auths(config: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    if !auths.is_object() {
        *auths = json!({});
    }
    auths.as_object_mut().expect("an object now")
}

/// The helper that is responsible for a registry, without `docker-credential-`.
fn helper(config: &Map<String, Value>, key: &str) -> Option<String> {
    let own = config.get("credHelpers").and_then(|h| h.get(key)).and_then(Value::as_str);
    let name = own.or_else(|| config.get("credsStore").and_then(Value::as_str))?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn plain(credential: &Credential) -> Value {
    match credential {
        Credential::Password { user, secret } => {
            json!({"auth": STANDARD.encode(format!("{user}:{}", secret.expose()))})
        }
        Credential::Identity(token) => json!({"identitytoken": token.expose()}),
    }
}

fn give(helper: &str, key: &str, credential: &Credential) -> Result<()> {
    let (user, secret) = match credential {
        Credential::Password { user, secret } => (user.as_str(), secret),
        Credential::Identity(token) => ("<token>", token),
    };
    let message = json!({"ServerURL": key, "Username": user, "Secret": secret.expose()});
    call(helper, "store", message.to_string().as_bytes())
}

fn call(helper: &str, what: &str, message: &[u8]) -> Result<()> {
    let program = format!("docker-credential-{helper}");
    let failed = || format!("{program} {what} failed");
    if helper.contains('/') {
        return Err(Error::verb(format!("the credential helper {helper:?} is a path and not a name")));
    }
    let mut child = Command::new(&program)
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .verb_context(|| format!("starting {program}, which docker's config file names"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    // One that ends without reading says so with its status.
    let _ = stdin.write_all(message);
    drop(stdin);
    let out = child.wait_with_output().verb_context(failed)?;
    // What it says is not repeated: nothing says that it holds no secret. That it had nothing to erase is no failure.
    let nothing = what == "erase" && String::from_utf8_lossy(&out.stdout).contains("credentials not found");
    if out.status.success() || nothing { Ok(()) } else { Err(Error::verb(failed()).because(out.status.to_string())) }
}

/// Read, change and replace the file as a whole, one process at a time. `change` says whether there is anything to write.
fn update(file: &Path, change: impl FnOnce(&mut Map<String, Value>) -> Result<bool>) -> Result<()> {
    let say = || format!("writing {}", file.display());
    // A link that somebody keeps his configuration behind stays one.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().ok_or_else(|| Error::verb(say()))?;
    make_folder(folder).verb_context(say)?;
    let held = File::open(folder).verb_context(say)?;
    flock(&held, FlockOperation::LockExclusive).verb_context(say)?;
    let (text, owner) = match std::fs::read_to_string(&file) {
        Ok(text) => (text, std::fs::metadata(&file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => (String::new(), held.metadata()),
        Err(e) => return Err(e).verb_context(|| format!("reading {}", file.display())),
    };
    let mut config: Map<String, Value> = match text.trim() {
        "" => Map::new(),
        // The parser's message names line and column, never the content.
        text => serde_json::from_str(text).verb_context(|| format!("reading {}", file.display()))?,
    };
    if !change(&mut config)? {
        return Ok(());
    }
    let private = std::fs::Permissions::from_mode(0o600);
    let mut builder = tempfile::Builder::new();
    let mut new = builder.prefix(".config.json-").permissions(private).tempfile_in(folder).verb_context(say)?;
    new.write_all(&pretty(&config)).verb_context(say)?;
    // `sudo hardrun login` leaves the file to its owner.
    if rustix::process::geteuid().is_root() {
        let owner = owner.verb_context(say)?;
        fchown(new.as_file(), Some(owner.uid()), Some(owner.gid())).verb_context(say)?;
    }
    new.as_file().sync_all().verb_context(say)?;
    new.persist(&file).verb_context(say)?;
    Ok(())
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match folder.parent().map(std::fs::metadata) {
        Some(Ok(parent)) if rustix::process::geteuid().is_root() => {
            std::os::unix::fs::chown(folder, Some(parent.uid()), Some(parent.gid()))
        }
        _ => Ok(()),
    }
}

/// With tabs, as docker writes it.
fn pretty(config: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, tabs);
    config.serialize(&mut serializer).expect("plain data");
    out
}

#[cfg(test)]
mod tests {
    use super::super::credentials::Secret;
    use super::*;

    fn credential(user: &str, secret: &str) -> Credential {
        Credential::Password { user: user.into(), secret: Secret::new(secret) }
    }

    #[test]
    fn entries_come_and_go_and_the_rest_of_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("sub");
        let env = |name: &str| (name == "DOCKER_CONFIG").then(|| home.to_str().unwrap().to_owned());
        let file = home.join("config.json");
        forget("a.lan", &env).unwrap();
        assert!(!home.exists(), "nothing is made to forget something");
        assert_eq!(keep("a.lan", &credential("me", "p:w"), &env).unwrap(), Kept::File(file.clone()));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "{\n\t\"auths\": {\n\t\t\"a.lan\": {\n\t\t\t\"auth\": \"bWU6cDp3\"\n\t\t}\n\t}\n}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, r#"{"HttpHeaders":{"x":"y"},"auths":{"https://a.lan":{},"a.lan":{"auth":"x"},"b":{}}}"#)
            .unwrap();
        forget("a.lan", &env).unwrap();
        let config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(config, json!({"HttpHeaders": {"x": "y"}, "auths": {"b": {}}}));
        std::fs::write(&file, "{ not json, s3cret").unwrap();
        let e = keep("a.lan", &credential("me", "pw"), &env).unwrap_err();
        assert!(!e.chain().join(" ").contains("s3cret"), "{e}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{ not json, s3cret", "what cannot be read is left alone");
    }

    #[test]
    fn a_helper_that_is_missing_keeps_nothing_in_plain_text() {
        let dir = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "DOCKER_CONFIG").then(|| dir.path().to_str().unwrap().to_owned());
        let file = dir.path().join("config.json");
        std::fs::write(&file, r#"{"credsStore":"no-such-helper"}"#).unwrap();
        let e = keep("a.lan", &credential("me", "hunter2"), &env).unwrap_err();
        assert!(e.message.contains("docker-credential-no-such-helper"), "{e}");
        assert!(!std::fs::read_to_string(&file).unwrap().contains("auths"));
    }
}
