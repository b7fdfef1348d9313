//! `hardrun pull`

use super::Context;
use crate::error::{Context as _, Error, Kind, Result};
use crate::image::reference::Reference;
use crate::image::registry::{self, Channel, Credential, Options, Platform, Retry, Sources};
use crate::image::store::Store;
use crate::policy::Allow;
use crate::policy::rules::insecure_registry;
use crate::request::parse_bool;
use crate::ui;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Download all tagged images in the repository
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    all_tags: bool,
    /// Platform of the image if the registry has several, such as linux/arm64
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM", value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Print nothing but the name
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    quiet: bool,
    /// Credentials file instead of docker's config.json
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Credentials for the registry; other users of this machine can see them in the process list
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
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
    /// Override one rule; pull knows insecure-registry
    #[arg(long, value_name = "RULE[=REASON]")]
    allow: Vec<Allow>,
    /// Accepted and without effect: content trust was removed from docker
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    disable_content_trust: Option<bool>,
    /// Name of the image, with its registry unless it is docker.io
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
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

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    // Docker's client answers every failure of a pull with 1; a refusal keeps its own status.
    let as_verb = |e: Error| Error { kind: Kind::Verb, ..e };
    let Args {
        all_tags,
        platform,
        quiet,
        authfile,
        creds,
        cert_dir,
        tls_verify,
        retry,
        retry_delay,
        allow,
        disable_content_trust,
        name,
    } = args;
    if disable_content_trust == Some(false) {
        ui::note(
            "--disable-content-trust=false has no effect: docker's content trust was removed; pin the image by digest instead",
        );
    }
    for other in allow.iter().filter(|a| a.rule != insecure_registry::RULE.id) {
        ui::note(&format!("--allow {} was not needed: pull does not know that rule", other.rule));
    }
    let mut reference = Reference::parse_bare(&name).map_err(as_verb)?;
    if all_tags && (reference.tag.is_some() || reference.digest.is_some()) {
        return Err(Error::verb("tag can't be used with --all-tags/-a"));
    }
    if !all_tags && reference.tag.is_none() && reference.digest.is_none() {
        reference = reference.with_tag("latest").map_err(as_verb)?;
        if !quiet {
            // Docker's line.
            println!("Using default tag: latest");
        }
    }
    let insecure = allow.iter().find(|a| a.rule == insecure_registry::RULE.id);
    let default = Retry::default();
    let options = Options {
        platform: platform.filter(|p| !p.is_empty()).map(|p| p.parse::<Platform>()).transpose().map_err(as_verb)?,
        quiet,
        sources: Sources {
            creds: creds.as_deref().map(Credential::from_flag).transpose()?,
            authfile: authfile.filter(|f| !f.as_os_str().is_empty()),
        },
        cert_dir,
        no_tls_verify: tls_verify == Some(false),
        allow_insecure: insecure.is_some(),
        allow_reason: insecure.and_then(|a| a.reason.clone()),
        retry: Retry { times: retry.unwrap_or(default.times), delay: retry_delay.unwrap_or(default.delay), ..default },
        at_once: 0,
    };
    let store = Store::open(&ctx.paths)?;
    registry::pull(&store, &reference, &options, all_tags, Channel::Stdout)?;
    writeln!(std::io::stdout(), "{}", ui::clean(&reference.to_string()))
        .verb_context(|| "writing to standard output".into())?;
    Ok(0)
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
