//! `hardrun login` and `logout`: credentials that a registry has accepted, kept where docker keeps them.

use super::client::{Ask, Client, Scopes};
use super::credentials::{self, Credential, HUB_KEY};
use super::docker_config::{self, Kept};
use super::fault::Fault;
use super::guard::{self, Guard};
use super::progress::{Channel, Progress};
use super::signed::Demands;
use super::timing::Timeouts;
use super::url::Url;
use super::{Options, World, check_trust, env};
use crate::error::{Error, Result};
use crate::image::reference::{DEFAULT_DOMAIN, Reference};
use crate::state::Paths;

/// A registry as it is named to `login`: `HOST[:PORT]`, also with a scheme and a path, which docker ignores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What its credentials stand under in docker's config file.
    pub key: String,
    /// As in references.
    pub domain: String,
}

/// How a login went.
#[derive(Debug)]
pub struct Login {
    /// Where the credentials are now: a file in plain text, or a helper.
    pub kept: Kept,
}

impl Server {
    /// `None`: docker's own hub.
    pub fn parse(text: Option<&str>) -> Result<Server> {
        let text = text.map_or("", str::trim);
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let host = bare.split('/').next().unwrap_or_default();
        if matches!(host, "" | DEFAULT_DOMAIN | "index.docker.io" | "registry-1.docker.io") {
            return Ok(Server { key: HUB_KEY.into(), domain: DEFAULT_DOMAIN.into() });
        }
        // What no reference can hold is no registry either.
        match Reference::parse_bare(&format!("{host}/x")) {
            Ok(r) if r.domain == host => Ok(Server { key: host.into(), domain: host.into() }),
            // A bare word is a host to `login`, and part of the path in a reference.
            Ok(_) if !host.contains(['@', ' ']) => Ok(Server { key: host.into(), domain: host.into() }),
            _ => Err(Error::verb(format!("invalid registry {text:?}"))),
        }
    }

    fn reference(&self) -> Reference {
        Reference { domain: self.domain.clone(), path: String::new(), tag: None, digest: None }
    }

    /// What is known for it already.
    pub fn known(&self) -> Result<Option<Credential>> {
        credentials::find(&Default::default(), &self.reference(), &env, &mut |text| crate::ui::warn(&text))
    }
}

/// Try the credential at the registry, and keep it if it was accepted.
///
/// # Errors
/// The registry refuses it or cannot be reached; the config file cannot be written. Nothing is kept then.
pub fn login(paths: &Paths, server: &Server, credential: Credential, options: &Options) -> Result<Login> {
    let site = crate::site::load()?;
    let reference = server.reference();
    let reason = options.allow_reason.as_deref();
    let record = |event, asked: &str| guard::record(paths, "login", &reference, reason, event, asked);
    let world =
        World { timeouts: Timeouts::default(), env: &env, record: &record, demands: Demands::NONE, site: &site };
    verify(server, &credential, options, &world)?;
    Ok(Login { kept: docker_config::keep(&server.key, &credential, &env)? })
}

pub(super) fn verify(server: &Server, credential: &Credential, options: &Options, world: &World) -> Result<()> {
    let progress = Progress::new(true, Channel::Stderr);
    let note = |text: &str| progress.note(text);
    let reference = server.reference();
    let guard = Guard::new(options.allow_insecure, world.site, &reference, world.record, &note);
    check_trust(&reference, options, &guard, &progress, world)?;
    // A token for nothing in particular: whether there is an account is all that is asked.
    let settings = options.settings(world.timeouts, Scopes::These(Vec::new()), world.site);
    let client = Client::connect(&reference, settings, Some(credential.clone()), guard, world.env, &note)?;
    let url = Url { origin: client.base.clone(), path: "/v2/".into() };
    let ask = Ask { within: Some(client.settings.timeouts.small), ..Ask::default() };
    match client.ask_at(url.clone(), &ask) {
        Ok(_) => Ok(()),
        Err(Fault::Status(refused)) => {
            let reason = ureq::http::StatusCode::from_u16(refused.status).ok().and_then(|s| s.canonical_reason());
            let status = format!("{} {}", refused.status, reason.unwrap_or_default());
            Err(Error::verb(format!("login attempt to {url} failed with status: {}", status.trim_end())))
        }
        Err(Fault::Final(error) | Fault::Passing { error, .. }) => Err(error),
    }
}

/// Forget what is known for a registry.
pub fn logout(server: &Server) -> Result<()> {
    docker_config::forget(&server.key, &env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_as_docker_takes_them() {
        let key = |text: &str| Server::parse(Some(text)).map(|s| (s.key, s.domain)).map_err(|e| e.message);
        let hub = Ok((HUB_KEY.to_owned(), "docker.io".to_owned()));
        for text in ["", "docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"] {
            assert_eq!(key(text), hub, "{text}");
        }
        for (text, host) in [
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://127.0.0.1:5000/v1", "127.0.0.1:5000"),
            ("https://reg.lan/v2/", "reg.lan"),
            ("localhost", "localhost"),
            ("myregistry", "myregistry"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(key(text), Ok((host.to_owned(), host.to_owned())), "{text}");
        }
        for bad in ["a b", "user@host", "https://"] {
            assert!(key(bad).is_err() || bad == "https://", "{bad}");
        }
    }
}
