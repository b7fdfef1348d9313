//! The first contact: does the registry speak TLS, and is it the one that it says it is.

use super::client::{Ask, Client, Env, Note, Settings};
use super::credentials::Credential;
use super::fault::{Class, classify, describe};
use super::guard::Guard;
use super::tls;
use super::url::{Origin, Url};
use crate::error::{Error, Result};
use crate::image::reference::{DEFAULT_DOMAIN, Reference};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

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
}
