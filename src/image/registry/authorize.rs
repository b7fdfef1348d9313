//! The answer to a 401: a header of our own, or a token fetched for it.

use super::challenge;
use super::client::{Ask, Client, ERROR_BODY_MAX, header, read_bounded};
use super::fault::{self, Class, Fault, classify, describe, read_error_body};
use super::token::{self, Asked};
use crate::error::Error;
use std::time::SystemTime;
use ureq::http::Request;

/// Bytes of a token server's answer.
const TOKEN_MAX: u64 = 1 << 20;

impl Client<'_> {
    /// Answer a 401: a header to try, or `None` when there is nothing (more) to offer.
    pub(super) fn authorize(
        &self,
        challenges: &[challenge::Challenge],
        used: Option<&str>,
    ) -> std::result::Result<Option<String>, Fault> {
        // Held over the request to the token server, so that several downloads renew an expired token once.
        let mut current = self.authorization.lock().expect("no panics while held");
        if current.as_deref() != used {
            return Ok(current.clone());
        }
        let asked = token::understand(challenges, &self.repository, &self.settings.scopes, self.credential.as_ref());
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
}
