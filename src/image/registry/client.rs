//! Requests to one registry: where it answers (https, or plain http on loopback), authorisation, redirects, retries.

use super::challenge;
use super::connector::Tls;
use super::credentials::Credential;
use super::fault::{self, Class, Fault, Refused, classify, describe, read_error_body};
use super::guard::Guard;
use super::proxy;
use super::timing::{Retry, Timeouts};
use super::tls::{self, Folder};
use super::url::{Origin, Url};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, SocksConnector, TcpConnector};
use ureq::{Agent, AsSendBody, Body};

const REDIRECTS_MAX: u32 = 10;
/// A token can run out again before the request that it was fetched for is sent.
const RENEWALS_MAX: u32 = 3;
/// Bytes of an error body that are looked at.
pub(super) const ERROR_BODY_MAX: u64 = 64 << 10;

/// What a client is made with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Instead of `/etc/docker/certs.d/HOST:PORT`.
    pub cert_dir: Option<PathBuf>,
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` of the caller count.
    pub trust_variables: bool,
    pub timeouts: Timeouts,
    pub retry: Retry,
    pub scopes: Scopes,
}

/// What tokens are asked for.
#[derive(Debug, Clone, Default)]
pub enum Scopes {
    /// To pull from the client's repository.
    #[default]
    Pull,
    /// Exactly these, such as `repository:app:pull,push`.
    These(Vec<String>),
}

/// What the environment says, so that tests can say otherwise.
pub type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Said while things go on: lines for the operator.
pub type Note<'a> = &'a (dyn Fn(&str) + Sync);

pub struct Client<'a> {
    /// As docker names it in messages.
    pub domain: String,
    /// Path of the repository.
    pub repository: String,
    pub settings: Settings,
    pub(super) base: Origin,
    pub(super) verify: bool,
    pub(super) credential: Option<Credential>,
    pub(super) guard: Guard<'a>,
    /// The header that the registry last accepted or was last given.
    pub(super) authorization: Mutex<Option<String>>,
    pub(super) agents: Mutex<HashMap<Origin, Agent>>,
    pub(super) env: Env<'a>,
    pub(super) note: Note<'a>,
    /// Set when another thread has failed: no more tries.
    pub stop: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        }
    }
}

/// What goes out with a request; with its length, for some registries take no other.
#[derive(Debug, Clone, Copy, Default)]
pub enum Payload<'a> {
    #[default]
    Nothing,
    Bytes(&'a [u8]),
    /// From its beginning, also when it is sent again.
    File(&'a File),
}

/// One request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    pub method: Method,
    pub payload: Payload<'a>,
    pub content_type: Option<&'a str>,
    pub accept: Option<&'a str>,
    /// Leave the first bytes out.
    pub from: u64,
    /// Time for the whole answer; without it only stalls end a request.
    pub within: Option<Duration>,
}

impl<'a> Client<'a> {
    /// Ask below `/v2/REPOSITORY/`, tried again where that may help.
    pub fn ask(&self, path: &str, ask: &Ask) -> std::result::Result<Response<Body>, Fault> {
        self.ask_at(self.url(path), ask)
    }

    /// The address below `/v2/REPOSITORY/`.
    pub fn url(&self, path: &str) -> Url {
        Url { origin: self.base.clone(), path: format!("/v2/{}/{path}", self.repository) }
    }

    /// Ask an address of this registry (as from a `Link`), tried again where that may help.
    pub fn ask_at(&self, url: Url, ask: &Ask) -> std::result::Result<Response<Body>, Fault> {
        let mut tries = 0;
        loop {
            let fault = match self.ask_once(url.clone(), ask) {
                Ok(response) => return Ok(response),
                Err(fault) => fault,
            };
            let (text, after) = match &fault {
                Fault::Passing { error, after } => (error.chain().join(": "), *after),
                Fault::Status(refused) if refused.is_passing() => (refused.text.clone(), refused.after),
                _ => return Err(fault),
            };
            tries += 1;
            match self.settings.retry.wait(tries, after) {
                Some(wait) if !self.stop.load(Ordering::Relaxed) => self.pause(wait, &text),
                _ => return Err(fault),
            }
        }
    }

    /// Wait, in small steps so that a failure elsewhere ends it.
    pub fn pause(&self, wait: Duration, why: &str) {
        if wait >= Duration::from_secs(1) {
            (self.note)(&format!("{}: {why}; trying again in {} s", self.domain, wait.as_secs()));
        }
        let until = Instant::now() + wait;
        while !self.stop.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// One try, with what authorisation and redirects it takes.
    pub fn ask_once(&self, url: Url, ask: &Ask) -> std::result::Result<Response<Body>, Fault> {
        let mut used = self.authorization.lock().expect("no panics while held").clone();
        let mut renewed = 0;
        loop {
            let (at, mut response) = self.follow(url.clone(), ask, used.as_deref())?;
            let status = response.status().as_u16();
            if response.status().is_success() {
                return Ok(response);
            }
            let after = header(&response, "retry-after").and_then(|v| fault::retry_after(&v, SystemTime::now()));
            if status == 401
                && at.origin == self.base
                && renewed < RENEWALS_MAX
                && let Some(authorization) = self.authorize(&challenges(&response), used.as_deref())?
            {
                used = Some(authorization);
                renewed += 1;
                continue;
            }
            let wants_password = status == 401 && self.credential.is_none() && challenged_for_basic(&response);
            let body = read_bounded(response.body_mut().as_reader(), ERROR_BODY_MAX).unwrap_or_default();
            return Err(Fault::Status(Refused { wants_password, ..read_error_body(status, &body, after) }));
        }
    }

    /// Follow redirects by hand: never from https to http, and `Authorization` goes to the registry's own origin only.
    fn follow(
        &self,
        mut url: Url,
        ask: &Ask,
        authorization: Option<&str>,
    ) -> std::result::Result<(Url, Response<Body>), Fault> {
        for _ in 0..=REDIRECTS_MAX {
            let agent = self.agent(&url.origin)?;
            let authorization = authorization.filter(|_| url.origin == self.base);
            let response = self.send(&agent, &url, ask, authorization).map_err(|e| self.fault(&url, &e))?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok((url, response));
            }
            if !matches!(ask.method, Method::Get | Method::Head) && status < 307 {
                return Err(Error::verb(format!("{url} redirects a {} with {status}", ask.method.name())).into());
            }
            let location = header(&response, "location").unwrap_or_default();
            let next = url.join(&location).ok_or_else(|| {
                Error::verb(format!("{url} redirects to what is neither an http nor an https address"))
            })?;
            self.may_follow(&url, &next)?;
            url = next;
        }
        Err(Error::verb(format!("{url} redirects more than {REDIRECTS_MAX} times")).into())
    }

    pub(super) fn may_follow(&self, from: &Url, to: &Url) -> Result<()> {
        if to.origin.tls {
            return Ok(());
        }
        if from.origin.tls {
            return Err(Error::verb(format!("refused: {from} redirects from https to plain {to}")));
        }
        if to.origin.is_loopback() {
            return Ok(());
        }
        self.guard.judge(&format!("{} redirects to plain HTTP on {}", from.origin, to.origin))
    }

    pub(super) fn send(
        &self,
        agent: &Agent,
        url: &Url,
        ask: &Ask,
        authorization: Option<&str>,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().method(ask.method.name()).uri(url.full());
        let headers = [
            ("Accept", ask.accept.map(str::to_owned)),
            ("Content-Type", ask.content_type.map(str::to_owned)),
            ("Range", (ask.from > 0).then(|| format!("bytes={}-", ask.from))),
            ("Authorization", authorization.map(str::to_owned)),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let sends = !matches!(ask.method, Method::Get | Method::Head);
        match ask.payload {
            Payload::Nothing if sends => run(agent, request.body(&[][..])?, ask.within),
            Payload::Nothing => run(agent, request.body(())?, ask.within),
            Payload::Bytes(bytes) => run(agent, request.body(bytes)?, ask.within),
            Payload::File(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                run(agent, request.body(file)?, ask.within)
            }
        }
    }

    fn fault(&self, url: &Url, e: &ureq::Error) -> Fault {
        let error = Error::verb(format!("cannot get {url}")).because(describe(e));
        match classify(e) {
            Class::Passing | Class::Refused => Fault::Passing { error, after: None },
            _ => Fault::Final(error),
        }
    }

    fn roots(&self) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>> {
        match self.settings.trust_variables {
            true => tls::system_roots(&self.env),
            false => tls::system_roots(&|_| None),
        }
    }

    /// The HTTP client for an origin: its own trust, its own proxy.
    pub(super) fn agent(&self, origin: &Origin) -> Result<Agent> {
        let mut agents = self.agents.lock().expect("no panics while held");
        if let Some(agent) = agents.get(origin) {
            return Ok(agent.clone());
        }
        let folder = match &self.settings.cert_dir {
            Some(folder) => Folder::read(folder)?,
            None => Folder::read(&PathBuf::from(tls::CERTS_D).join(&self.domain))?,
        };
        // Where the registry sends us on to is another party: the registry's authorities will do for it, as with docker,
        // but it gets no certificate of ours, and an override does not reach it.
        let folder = if *origin == self.base { folder } else { folder.without_own() };
        let verify = self.verify || origin.host != self.base.host;
        let tls = if origin.tls { Some(Tls(tls::client_config(&self.roots()?, &folder, verify)?)) } else { None };
        let t = &self.settings.timeouts;
        let config = Agent::config_builder()
            .user_agent(concat!("hardrun/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy::choose(origin, &self.env)?)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(t.connect))
            .timeout_connect(Some(t.connect))
            .timeout_send_request(Some(t.stall))
            .timeout_recv_response(Some(t.stall.max(t.small)))
            .timeout_per_read(Some(t.stall))
            .timeout_per_write(Some(t.stall))
            .build();
        let chain =
            ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
        let agent = match tls {
            Some(tls) => Agent::with_parts(config, chain.chain(tls), DefaultResolver::default()),
            None => Agent::with_parts(config, chain, DefaultResolver::default()),
        };
        agents.insert(origin.clone(), agent.clone());
        Ok(agent)
    }
}

fn challenges<T>(response: &Response<T>) -> Vec<challenge::Challenge> {
    let all = response.headers().get_all("www-authenticate");
    all.iter().filter_map(|v| v.to_str().ok()).flat_map(challenge::parse).collect()
}

/// Nothing but a password would do.
fn challenged_for_basic<T>(response: &Response<T>) -> bool {
    let challenges = challenges(response);
    !challenges.is_empty() && challenges.iter().all(|c| c.scheme == "basic")
}

fn run(
    agent: &Agent,
    request: Request<impl AsSendBody>,
    within: Option<Duration>,
) -> std::result::Result<Response<Body>, ureq::Error> {
    let request = agent.configure_request(request).timeout_global(within).build();
    agent.run(request)
}

pub fn header<T>(response: &Response<T>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// The whole body, or an error if it is longer than `limit` bytes.
pub fn read_bounded(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}
