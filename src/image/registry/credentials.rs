//! Who we are to a registry: `--creds`, an auth file, docker's config file, and the helpers these name.
//!
//! Which entry counts is decided here (docker's and podman's keys); decoding it and the protocol of the helpers is
//! the work of the docker_credential crate.

use crate::error::{Context, Error, Result};
use crate::image::reference::{DEFAULT_DOMAIN, Reference};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

/// The key under which docker keeps what belongs to its own hub.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Never shown: not in messages, not by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Password {
        user: String,
        secret: Secret,
    },
    /// An OAuth2 refresh token, exchanged at the token server.
    Identity(Secret),
}

impl Credential {
    /// `--creds USER[:PASSWORD]`
    pub fn from_flag(text: &str) -> Result<Credential> {
        match text.split_once(':') {
            Some((user, secret)) if !user.is_empty() => {
                Ok(Credential::Password { user: user.into(), secret: Secret::new(secret) })
            }
            // Without the value in the message: it may be nothing but the password.
            _ => Err(Error::verb("invalid --creds: expected USER:PASSWORD")
                .hint("a file keeps the password out of the process list: --authfile FILE")),
        }
    }
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub creds: Option<Credential>,
    /// `--authfile`: this one and no other; it must exist.
    pub authfile: Option<PathBuf>,
}

/// The credential for an image, or `None` to go without. Notes say what was found but could not be used.
pub fn find(
    sources: &Sources,
    reference: &Reference,
    env: &dyn Fn(&str) -> Option<String>,
    note: &mut dyn FnMut(String),
) -> Result<Option<Credential>> {
    if let Some(creds) = &sources.creds {
        return Ok(Some(creds.clone()));
    }
    let (file, required) = match &sources.authfile {
        Some(file) => (file.clone(), true),
        None => match docker_config(env) {
            Some(file) => (file, false),
            None => return Ok(None),
        },
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !required => return Ok(None),
        Err(e) => return Err(Error::verb(format!("cannot read {}", file.display())).because(e)),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    // The parser's message names line and column, never the content.
    let config: Value =
        serde_json::from_str(&text).verb_context(|| format!("cannot read credentials from {}", file.display()))?;
    from_config(&config, reference, &file, note)
}

pub(super) fn docker_config(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))?;
    Some(folder.join("config.json"))
}

fn from_config(
    config: &Value,
    reference: &Reference,
    file: &Path,
    note: &mut dyn FnMut(String),
) -> Result<Option<Credential>> {
    let registry_keys = keys_of_registry(&reference.domain);
    // A helper for this registry, then an entry, then the helper for all: docker's order.
    let helpers = &config["credHelpers"];
    for key in &registry_keys {
        if let Some(helper) = helpers[key.as_str()].as_str().filter(|h| !h.is_empty()) {
            return Ok(ask_helper(helper, key, note));
        }
    }
    if let Some(auths) = config["auths"].as_object() {
        let mut candidates = keys_of_path(reference);
        candidates.extend(registry_keys.iter().cloned());
        let exact = candidates.iter().find_map(|k| auths.get(k));
        let entry = exact.or_else(|| auths.iter().find(|(k, _)| registry_keys.contains(&bare_host(k))).map(|(_, v)| v));
        if let Some(entry) = entry.filter(|e| holds_credential(e)) {
            let minimal = json!({"auths": {"x": entry}}).to_string();
            return get_credential_from_reader(minimal.as_bytes(), "x").map(|c| Some(convert(c))).map_err(|e| {
                Error::verb(format!("cannot use the credentials for {} in {}", reference.domain, file.display()))
                    .because(e.to_string())
            });
        }
    }
    match config["credsStore"].as_str().filter(|h| !h.is_empty()) {
        Some(helper) => Ok(ask_helper(helper, &registry_keys[0], note)),
        None => Ok(None),
    }
}

/// With a helper docker leaves an empty entry in the file.
fn holds_credential(entry: &Value) -> bool {
    ["auth", "username", "identitytoken"].iter().any(|k| entry[*k].as_str().is_some_and(|v| !v.is_empty()))
}

fn keys_of_registry(domain: &str) -> Vec<String> {
    if domain == DEFAULT_DOMAIN {
        [HUB_KEY, "index.docker.io", "docker.io", "registry-1.docker.io"].map(String::from).to_vec()
    } else {
        vec![domain.to_owned()]
    }
}

/// podman's keys: `host/name/space` before `host/name` before `host`.
fn keys_of_path(reference: &Reference) -> Vec<String> {
    let mut keys = vec![reference.name()];
    while let Some((parent, _)) = keys[keys.len() - 1].rsplit_once('/') {
        keys.push(parent.to_owned());
    }
    keys.pop();
    keys
}

/// `https://host/v1/` and `host` are the same registry.
fn bare_host(key: &str) -> String {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    match rest {
        Some(rest) => rest.split('/').next().unwrap_or_default().to_owned(),
        None => key.to_owned(),
    }
}

/// As docker: a helper that cannot help leaves us anonymous. Unlike docker: it is said.
fn ask_helper(helper: &str, key: &str, note: &mut dyn FnMut(String)) -> Option<Credential> {
    let minimal = json!({"credHelpers": {key: helper}}).to_string();
    let why = match get_credential_from_reader(minimal.as_bytes(), key) {
        Ok(credential) => return Some(convert(credential)).filter(|c| !is_empty(c)),
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. }) => {
            // What a helper says when it simply has none for this registry.
            if format!("{stdout}{stderr}").contains("credentials not found") {
                return None;
            }
            // Its output is not repeated: nothing says that it holds no secret.
            "it failed".to_owned()
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => "it could not be started".into(),
        Err(e) => e.to_string(),
    };
    note(format!("docker-credential-{helper} gave no credentials for {key}: {why}; going on without"));
    None
}

fn is_empty(credential: &Credential) -> bool {
    matches!(credential, Credential::Password { user, secret } if user.is_empty() && secret.expose().is_empty())
}

fn convert(credential: DockerCredential) -> Credential {
    match credential {
        DockerCredential::IdentityToken(token) => Credential::Identity(Secret::new(token)),
        DockerCredential::UsernamePassword(user, secret) => {
            // Docker pads decoded passwords with NUL bytes in old files.
            Credential::Password { user, secret: Secret::new(secret.trim_end_matches('\0')) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn look(config: Value, image: &str) -> (Option<Credential>, Vec<String>) {
        let mut notes = Vec::new();
        let found =
            from_config(&config, &image.parse().unwrap(), Path::new("config.json"), &mut |n| notes.push(n)).unwrap();
        (found, notes)
    }
    fn password(user: &str, secret: &str) -> Option<Credential> {
        Some(Credential::Password { user: user.into(), secret: Secret::new(secret) })
    }
    fn auth(user: &str, secret: &str) -> Value {
        json!({"auth": STANDARD.encode(format!("{user}:{secret}"))})
    }

    #[test]
    fn entries_by_registry() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": auth("hub", "a:b"),
            "host:5000": auth("u", "p"),
            "https://other.example/v1/": auth("o", "q"),
            "host:5000/team": auth("t", "r"),
            "token.example": {"identitytoken": "it", "auth": STANDARD.encode("u:")},
            "empty.example": {}}});
        assert_eq!(look(config.clone(), "busybox").0, password("hub", "a:b"));
        assert_eq!(look(config.clone(), "host:5000/app").0, password("u", "p"));
        assert_eq!(look(config.clone(), "host:5000/team/app").0, password("t", "r"));
        assert_eq!(look(config.clone(), "other.example/app").0, password("o", "q"));
        assert_eq!(look(config.clone(), "token.example/app").0, Some(Credential::Identity(Secret::new("it"))));
        assert_eq!(look(config.clone(), "empty.example/app").0, None);
        assert_eq!(look(config, "host:5001/app").0, None);
    }

    #[test]
    fn a_broken_entry_is_an_error_that_does_not_show_it() {
        let config = json!({"auths": {"h.example": {"auth": "!!s3cret!!"}}});
        let e = from_config(&config, &"h.example/x".parse().unwrap(), Path::new("c.json"), &mut |_| ()).unwrap_err();
        assert!(e.message.contains("h.example") && !e.chain().join(" ").contains("s3cret"));
    }

    #[test]
    fn a_missing_helper_is_said_and_leaves_us_anonymous() {
        let (found, notes) = look(json!({"credHelpers": {"h.example": "no-such-helper"}}), "h.example/x");
        assert_eq!(found, None);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("docker-credential-no-such-helper"));
        let (found, notes) = look(json!({"credsStore": "no-such-store", "auths": {"h.example": {}}}), "h.example/x");
        assert_eq!((found, notes.len()), (None, 1));
    }

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap().to_owned();
        let image: Reference = "h.example/x".parse().unwrap();
        let env = |name: &str| (name == "DOCKER_CONFIG").then(|| home.clone());
        let get = |sources: &Sources| find(sources, &image, &env, &mut |_| ());
        assert_eq!(get(&Sources::default()).unwrap(), None);
        std::fs::write(dir.path().join("config.json"), json!({"auths": {"h.example": auth("u", "p")}}).to_string())
            .unwrap();
        assert_eq!(get(&Sources::default()).unwrap(), password("u", "p"));
        let named = Sources { authfile: Some(dir.path().join("none.json")), ..Default::default() };
        assert!(get(&named).unwrap_err().message.contains("none.json"));
        let flag = Sources { creds: Some(Credential::from_flag("a:b:c").unwrap()), ..named };
        assert_eq!(get(&flag).unwrap(), password("a", "b:c"));
        std::fs::write(dir.path().join("config.json"), "{").unwrap();
        assert!(get(&Sources::default()).unwrap_err().message.contains("config.json"));
    }

    #[test]
    fn secrets_do_not_show() {
        let shown = format!("{:?}", Credential::from_flag("user:hunter2").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!Credential::from_flag("hunter2").unwrap_err().message.contains("hunter2"));
    }
}
