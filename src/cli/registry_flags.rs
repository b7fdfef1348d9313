//! Flags of the verbs that talk to a registry.

use crate::error::{Error, Kind, Result};
use crate::image::registry::{Credential, Options, Platform, Retry, Sources};
use crate::policy::Allow;
use crate::policy::rules::insecure_registry;
use crate::request::parse_bool;
use crate::ui;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct RegistryFlags {
    /// Credentials file instead of docker's config.json
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Credentials for the registry; other users of this machine can see them in the process list
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    #[command(flatten)]
    contact: ContactFlags,
}

/// How a registry is reached and trusted.
#[derive(Debug, clap::Args)]
pub struct ContactFlags {
    /// Folder with the registry's ca.crt and our NAME.cert and NAME.key, instead of /etc/docker/certs.d/HOST:PORT
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Check the registry's certificate; =false is refused (rule insecure-registry) except on loopback
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, value_name = "BOOL")]
    tls_verify: Option<bool>,
    /// Tries after the first when a connection is cut or the registry is in trouble
    #[arg(long, value_name = "N")]
    retry: Option<u32>,
    /// Seconds before the second try; doubled each time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    retry_delay: Option<Duration>,
    /// Override one rule; this verb knows insecure-registry
    #[arg(long, value_name = "RULE[=REASON]")]
    allow: Vec<Allow>,
}

/// `2`, `1.5`, or with a unit as podman writes it: `500ms`, `2s`, `1m`.
fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let (number, scale) = match text {
        t if t.ends_with("ms") => (&t[..t.len() - 2], 0.001),
        t if t.ends_with('s') => (&t[..t.len() - 1], 1.0),
        t if t.ends_with('m') => (&t[..t.len() - 1], 60.0),
        t => (t, 1.0),
    };
    let value: f64 = number.parse().map_err(|_| format!("{text:?} is no duration"))?;
    Duration::try_from_secs_f64(value * scale).map_err(|_| format!("{text:?} is no duration"))
}

impl RegistryFlags {
    pub fn options(self, platform: Option<String>, quiet: bool) -> Result<Options> {
        let RegistryFlags { authfile, creds, contact } = self;
        let platform = platform.filter(|p| !p.is_empty()).map(|p| p.parse::<Platform>()).transpose();
        Ok(Options {
            platform: platform.map_err(as_verb)?,
            quiet,
            sources: Sources {
                creds: creds.as_deref().map(Credential::from_flag).transpose()?,
                authfile: authfile.filter(|f| !f.as_os_str().is_empty()),
            },
            ..contact.options()
        })
    }
}

impl ContactFlags {
    pub fn options(self) -> Options {
        let ContactFlags { cert_dir, tls_verify, retry, retry_delay, allow } = self;
        for other in allow.iter().filter(|a| a.rule != insecure_registry::RULE.id) {
            ui::note(&format!("--allow {} was not needed: this verb does not know that rule", other.rule));
        }
        let insecure = allow.iter().find(|a| a.rule == insecure_registry::RULE.id);
        let default = Retry::default();
        Options {
            cert_dir,
            no_tls_verify: tls_verify == Some(false),
            allow_insecure: insecure.is_some(),
            allow_reason: insecure.and_then(|a| a.reason.clone()),
            retry: Retry {
                times: retry.unwrap_or(default.times),
                delay: retry_delay.unwrap_or(default.delay),
                ..default
            },
            ..Options::default()
        }
    }
}

/// Docker's client answers every failure of these verbs with 1; a refusal keeps its own status.
pub fn as_verb(e: Error) -> Error {
    e.of_kind(Kind::Verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        assert_eq!(seconds("2").unwrap(), Duration::from_secs(2));
        assert_eq!(seconds("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(seconds("1m").unwrap(), Duration::from_secs(60));
        for bad in ["", "s", "-1", "x", "1h2"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
