//! Requests to one registry: where it answers (https, or plain http on loopback), authorisation, redirects, retries.

use super::challenge;
use super::connector::Tls;
use super::credentials::Credential;
use super::fault::{self, Class, Fault, classify, describe, read_error_body};
use super::guard::Guard;
use super::proxy;
use super::tls::{self, Folder};
use super::token::{self, Asked};
use super::url::{Origin, Url};
use crate::error::{Error, Result};
use crate::image::reference::{DEFAULT_DOMAIN, Reference};
use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, SocksConnector, TcpConnector};
use ureq::{Agent, Body};

const REDIRECTS_MAX: u32 = 10;
/// A token can run out again before the request that it was fetched for is sent.
const RENEWALS_MAX: u32 = 3;
/// Bytes of an error body that are looked at.
const ERROR_BODY_MAX: u64 = 64 << 10;
/// Bytes of a token server's answer.
const TOKEN_MAX: u64 = 1 << 20;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// Between two reads; also the window in which a blob must bring `min_bytes`.
    pub stall: Duration,
    /// Fewer bytes than this in one `stall` count as a stall: a server that drips would hold us for ever.
    pub min_bytes: u64,
    /// A whole manifest, token or list.
    pub small: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            min_bytes: 16 << 10,
            small: Duration::from_secs(60),
        }
    }
}

/// How often to try again, and when.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// Before the second try; doubled each time.
    pub delay: Duration,
    /// The longest wait, also for `Retry-After`: a server that asks for more is told to its face.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { times: 4, delay: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

impl Retry {
    /// The wait before try number `n` (from 1); `None` when there is no such try.
    pub fn wait(&self, n: u32, after: Option<Duration>) -> Option<Duration> {
        if n > self.times || after.is_some_and(|a| a > self.longest) {
            return None;
        }
        let backoff = self.delay.saturating_mul(1 << (n - 1).min(16)).min(self.longest);
        Some(after.map_or(backoff, |a| a.max(backoff)))
    }
}

/// What a client is made with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Instead of `/etc/docker/certs.d/HOST:PORT`.
    pub cert_dir: Option<PathBuf>,
    pub timeouts: Timeouts,
    pub retry: Retry,
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
    base: Origin,
    verify: bool,
    credential: Option<Credential>,
    guard: Guard<'a>,
    /// The header that the registry last accepted or was last given.
    authorization: Mutex<Option<String>>,
    agents: Mutex<HashMap<Origin, Agent>>,
    env: Env<'a>,
    note: Note<'a>,
    /// Set when another thread has failed: no more tries.
    pub stop: AtomicBool,
}

/// One GET.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    pub accept: Option<&'a str>,
    /// Leave the first bytes out.
    pub from: u64,
    /// Time for the whole answer; without it only stalls end a request.
    pub within: Option<Duration>,
}

impl<'a> Client<'a> {
    /// Find out how the registry answers. `note` gets what the operator should know.
    pub fn connect(
        reference: &Reference,
        settings: Settings,
        credential: Option<Credential>,
        guard: Guard<'a>,
        env: Env<'a>,
        note: Note<'a>,
    ) -> Result<Client<'a>> {
        let host = match reference.domain.as_str() {
            DEFAULT_DOMAIN => "registry-1.docker.io",
            domain => domain,
        };
        let base = Origin::new(host, true)
            .ok_or_else(|| Error::verb(format!("{:?} is no host that can be connected to", reference.domain)))?;
        let mut client = Client {
            domain: reference.domain.clone(),
            repository: reference.path.clone(),
            settings,
            base,
            verify: true,
            credential,
            guard,
            authorization: Mutex::new(None),
            agents: Mutex::new(HashMap::new()),
            env,
            note,
            stop: AtomicBool::new(false),
        };
        client.probe(host)?;
        Ok(client)
    }

    /// https first. Plain http where the other side speaks no TLS, on loopback, or anywhere under the override.
    fn probe(&mut self, host: &str) -> Result<()> {
        let Err(e) = self.ping()? else { return Ok(()) };
        let class = classify(&e);
        let loopback = self.base.is_loopback();
        let failed = |e: &ureq::Error, base: &Origin| {
            Error::verb(format!("cannot reach the registry {base}/v2/")).because(describe(e))
        };
        if class == Class::Certificate {
            if !self.guard.allows() {
                return Err(self.untrusted(&e));
            }
            self.guard.judge(&format!("the certificate of {} is not checked: {}", self.domain, describe(&e)))?;
            self.verify = false;
            self.agents.lock().expect("no panics while held").clear();
            return self.ping()?.map_err(|e| failed(&e, &self.base));
        }
        if !matches!(class, Class::NotTls | Class::Refused) {
            return Err(failed(&e, &self.base));
        }
        if !loopback {
            if class == Class::Refused && !self.guard.allows() {
                return Err(failed(&e, &self.base));
            }
            let why = describe(&e);
            self.guard.judge(&format!("{} over plain HTTP, for it offers no TLS: {why}", self.domain))?;
        }
        let over_tls = failed(&e, &self.base);
        self.base = Origin::new(host, false).ok_or_else(|| Error::verb(format!("{host:?} is no host")))?;
        match self.ping()? {
            Ok(()) => Ok(()),
            Err(_) if class == Class::Refused => Err(over_tls),
            Err(e) => Err(failed(&e, &self.base)),
        }
    }

    fn untrusted(&self, e: &ureq::Error) -> Error {
        Error::verb(format!("refused to trust the registry {}", self.domain)).because(describe(e)).hint(format!(
            "put the authority that signed it into {}/{}/ca.crt, or name its folder with --cert-dir\n\
             override: --allow {}, and anyone on the way can read passwords and change images",
            tls::CERTS_D,
            self.domain,
            crate::policy::rules::insecure_registry::RULE.id
        ))
    }

    /// Any answer at all means that the scheme is right.
    fn ping(&self) -> Result<std::result::Result<(), ureq::Error>> {
        let url = Url { origin: self.base.clone(), path: "/v2/".into() };
        let agent = self.agent(&url.origin)?;
        let ask = Ask { within: Some(self.settings.timeouts.small), ..Ask::default() };
        let mut tries = 0;
        loop {
            let e = match self.send(&agent, &url, &ask, None) {
                Ok(_) => return Ok(Ok(())),
                Err(e) => e,
            };
            tries += 1;
            match self.settings.retry.wait(tries, None) {
                Some(wait) if classify(&e) == Class::Passing => self.pause(wait, &describe(&e)),
                _ => return Ok(Err(e)),
            }
        }
    }

    /// GET below `/v2/REPOSITORY/`, tried again where that may help.
    pub fn get(&self, path: &str, ask: &Ask) -> std::result::Result<Response<Body>, Fault> {
        self.get_url(self.url(path), ask)
    }

    /// The address below `/v2/REPOSITORY/`.
    pub fn url(&self, path: &str) -> Url {
        Url { origin: self.base.clone(), path: format!("/v2/{}/{path}", self.repository) }
    }

    /// GET an address of this registry (as from a `Link`), tried again where that may help.
    pub fn get_url(&self, url: Url, ask: &Ask) -> std::result::Result<Response<Body>, Fault> {
        let mut tries = 0;
        loop {
            let fault = match self.get_once(url.clone(), ask) {
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
    pub fn get_once(&self, url: Url, ask: &Ask) -> std::result::Result<Response<Body>, Fault> {
        let mut used = self.authorization.lock().expect("no panics while held").clone();
        let mut renewed = 0;
        loop {
            let (at, mut response) = self.follow(url.clone(), ask, used.as_deref())?;
            let status = response.status().as_u16();
            if response.status().is_success() {
                return Ok(response);
            }
            let after = header(&response, "retry-after").and_then(|v| fault::retry_after(&v, SystemTime::now()));
            if status == 401 && at.origin == self.base && renewed < RENEWALS_MAX {
                let challenges: Vec<_> = response
                    .headers()
                    .get_all("www-authenticate")
                    .iter()
                    .filter_map(|v| v.to_str().ok())
                    .flat_map(challenge::parse)
                    .collect();
                if let Some(authorization) = self.authorize(&challenges, used.as_deref())? {
                    used = Some(authorization);
                    renewed += 1;
                    continue;
                }
            }
            let body = read_bounded(response.body_mut().as_reader(), ERROR_BODY_MAX).unwrap_or_default();
            return Err(Fault::Status(read_error_body(status, &body, after)));
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
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((url, response));
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

    fn may_follow(&self, from: &Url, to: &Url) -> Result<()> {
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

    fn send(
        &self,
        agent: &Agent,
        url: &Url,
        ask: &Ask,
        authorization: Option<&str>,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let mut request = Request::get(url.full());
        if let Some(accept) = ask.accept {
            request = request.header("Accept", accept);
        }
        if ask.from > 0 {
            request = request.header("Range", format!("bytes={}-", ask.from));
        }
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.body(())?;
        let request = agent.configure_request(request).timeout_global(ask.within).build();
        agent.run(request)
    }

    fn fault(&self, url: &Url, e: &ureq::Error) -> Fault {
        let error = Error::verb(format!("cannot get {url}")).because(describe(e));
        match classify(e) {
            Class::Passing | Class::Refused => Fault::Passing { error, after: None },
            _ => Fault::Final(error),
        }
    }

    /// Answer a 401: a header to try, or `None` when there is nothing (more) to offer.
    fn authorize(
        &self,
        challenges: &[challenge::Challenge],
        used: Option<&str>,
    ) -> std::result::Result<Option<String>, Fault> {
        // Held over the request to the token server, so that several downloads renew an expired token once.
        let mut current = self.authorization.lock().expect("no panics while held");
        if current.as_deref() != used {
            return Ok(current.clone());
        }
        let asked = token::understand(challenges, &self.repository, self.credential.as_ref());
        let header = match asked {
            None => None,
            // Offered before and not good enough.
            Some(Asked::Basic(header)) => Some(header).filter(|h| Some(h.as_str()) != used),
            Some(Asked::Bearer(request)) => Some(self.fetch_token(&request)?),
        };
        if header.is_some() {
            current.clone_from(&header);
        }
        Ok(header)
    }

    fn fetch_token(&self, request: &token::Request) -> std::result::Result<String, Fault> {
        if !token::realm_is_safe(&request.realm, &self.base) {
            let asked = format!("credentials for {} over plain HTTP to {}", self.base, request.realm);
            if self.base.tls {
                return Err(Error::verb(format!("refused: {asked}")).into());
            }
            self.guard.judge(&asked)?;
        }
        let agent = self.agent(&request.realm.origin)?;
        let within = Some(self.settings.timeouts.small);
        let what = || Error::verb(format!("cannot get a token from {}", request.realm));
        let mut tries = 0;
        loop {
            let sent = match &request.form {
                None => {
                    let ask = Ask { accept: Some("application/json"), within, ..Ask::default() };
                    self.send(&agent, &request.realm, &ask, request.authorization.as_deref())
                }
                Some(form) => {
                    let built = Request::post(request.realm.full())
                        .header("Content-Type", "application/x-www-form-urlencoded")
                        .header("Accept", "application/json")
                        .body(form.clone())
                        .map_err(|e| what().because(e))?;
                    agent.run(agent.configure_request(built).timeout_global(within).build())
                }
            };
            let (error, after, passing) = match sent {
                Ok(mut response) if response.status().is_success() => {
                    let body =
                        read_bounded(response.body_mut().as_reader(), TOKEN_MAX).map_err(|e| what().because(e))?;
                    return Ok(token::read_answer(&body).map_err(|e| what().because(e))?);
                }
                Ok(mut response) => {
                    let after =
                        header(&response, "retry-after").and_then(|v| fault::retry_after(&v, SystemTime::now()));
                    let body = read_bounded(response.body_mut().as_reader(), ERROR_BODY_MAX).unwrap_or_default();
                    let refused = read_error_body(response.status().as_u16(), &body, after);
                    if matches!(refused.status, 401 | 403) {
                        // The registry's own words for wrong credentials.
                        return Err(Fault::Status(refused));
                    }
                    let passing = refused.is_passing();
                    (what().because(refused.text), after, passing)
                }
                Err(e) => (what().because(describe(&e)), None, classify(&e) == Class::Passing),
            };
            tries += 1;
            match self.settings.retry.wait(tries, after) {
                Some(wait) if passing => self.pause(wait, &error.chain().join(": ")),
                _ => return Err(Fault::Final(error)),
            }
        }
    }

    /// The HTTP client for an origin: its own trust, its own proxy.
    fn agent(&self, origin: &Origin) -> Result<Agent> {
        let mut agents = self.agents.lock().expect("no panics while held");
        if let Some(agent) = agents.get(origin) {
            return Ok(agent.clone());
        }
        let registry = |domain: &str| match &self.settings.cert_dir {
            Some(folder) => Folder::read(folder),
            None => Folder::read(&PathBuf::from(tls::CERTS_D).join(domain)),
        };
        let folder = if *origin == self.base { registry(&self.domain)? } else { registry(&self.domain)?.without_own() };
        let tls = if origin.tls {
            Some(Tls(tls::client_config(&tls::system_roots(&self.env)?, &folder, self.verify)?))
        } else {
            None
        };
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
