//! Images from a registry, by the OCI distribution specification, with a blocking client.
//!
//! Everything that comes over the wire is bounded, checked against its digest before it counts, and shown only after
//! control characters are taken out. Only the front process runs this: it has threads, the launching process has none.

mod authorize;
mod challenge;
mod client;
mod connector;
mod credentials;
mod docker_config;
mod download;
#[cfg(test)]
mod fake;
mod fault;
mod guard;
mod into_store;
mod login;
mod manifest;
mod platform;
mod probe;
mod progress;
mod proxy;
mod pull;
mod push;
mod signed;
mod sink;
#[cfg(test)]
mod tests;
mod timing;
mod tls;
mod token;
mod upload;
mod url;

pub use credentials::{Credential, Secret, Sources};
pub use docker_config::Kept;
pub use login::{Login, Server, login, logout};
pub use platform::Platform;
pub use progress::Channel;
pub use push::push;
pub use timing::Retry;

use crate::audit::Event;
use crate::error::{Error, Kind, Result};
use crate::image::reference::Reference;
use crate::image::store::{Image, Store};
use crate::observe::events;
use crate::policy::Rule;
use crate::policy::rules::insecure_registry;
use crate::request::{PullPolicy, SourceRequest};
use crate::site::{self, Site};
use crate::state::Paths;
use client::{Client, Scopes, Settings};
use guard::Guard;
use progress::Progress;
use signed::Demands;
use sink::Sink;
use std::path::PathBuf;
use std::time::Duration;
use timing::Timeouts;

/// How to pull, from the flags of `pull` and `run`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub platform: Option<Platform>,
    /// Nothing but notes and errors.
    pub quiet: bool,
    pub sources: Sources,
    /// `--cert-dir`
    pub cert_dir: Option<PathBuf>,
    /// `--tls-verify=false`
    pub no_tls_verify: bool,
    /// `--allow insecure-registry`
    pub allow_insecure: bool,
    /// Why, in the caller's words; for the audit log.
    pub allow_reason: Option<String>,
    pub retry: Retry,
    /// Layers fetched at a time; 0 is the default of 3.
    pub at_once: usize,
}

impl Options {
    fn settings(&self, timeouts: Timeouts, scopes: Scopes, site: &Site) -> Settings {
        let trust_variables = !judges_origin(site);
        Settings { cert_dir: self.cert_dir.clone(), trust_variables, timeouts, retry: self.retry, scopes }
    }

    /// From the flags of `run` and `create`.
    pub fn of_request(source: &SourceRequest, allow_insecure: bool) -> Result<Options> {
        let retry = Retry::default();
        let delay = source.retry_delay.map(|d| u64::try_from(d.nanos).map(Duration::from_nanos).unwrap_or_default());
        Ok(Options {
            platform: source.platform.as_ref().map(Platform::of_request).transpose()?,
            quiet: source.quiet,
            sources: Sources { creds: None, authfile: source.authfile.clone() },
            cert_dir: source.cert_dir.clone(),
            no_tls_verify: source.tls_verify == Some(false),
            allow_insecure,
            allow_reason: None,
            retry: Retry { times: source.retry.unwrap_or(retry.times), delay: delay.unwrap_or(retry.delay), ..retry },
            at_once: 0,
        })
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `hardrun pull`: one name, or with `all_tags` every tag of its repository.
pub fn pull(store: &Store, reference: &Reference, options: &Options, all_tags: bool, channel: Channel) -> Result<()> {
    let site = site::load()?;
    check_listed(&store.paths, "pull", reference, &site)?;
    let progress = Progress::new(options.quiet, channel);
    let reason = options.allow_reason.as_deref();
    let record = |event, asked: &str| guard::record(&store.paths, "pull", reference, reason, event, asked);
    let refuse = |why: &str| site_refusal(&store.paths, "pull", reference, &site::rules::SIGNATURE, why);
    let demands = Demands { signed: &site.law.signatures, refuse: &refuse };
    let ingest = store.ingest()?;
    pull_with(
        &ingest,
        reference,
        options,
        all_tags,
        &progress,
        &World { timeouts: Timeouts::default(), env: &env, record: &record, demands, site: &site },
    )?;
    events::note(&store.paths, events::Event::image("pull", &reference.familiar(), &reference.familiar_name()));
    Ok(())
}

/// Whether the site's policy lets this registry be asked, or given something: it would be one that knows the image then.
fn check_listed(paths: &Paths, what: &str, reference: &Reference, site: &Site) -> Result<()> {
    if site::rules::may_pull(site.law.registries.as_deref(), reference) {
        return Ok(());
    }
    Err(site_refusal(paths, what, reference, &site::rules::REGISTRY, "the policy does not list its registry"))
}

/// A refusal by the site's policy, on record.
fn site_refusal(paths: &Paths, what: &str, reference: &Reference, rule: &'static Rule, why: &str) -> Error {
    let error = Error::new(
        crate::error::Kind::Refused,
        format!("refused by rule {}: {}: {why}", rule.id, reference.familiar()),
    )
    .hint(format!("risk: {}\nsafer: {}\nno override: the site's policy decides this", rule.risk, rule.instead));
    match guard::record_rule(paths, what, rule.id, reference, None, Event::Refusal, &reference.familiar()) {
        Ok(()) => error,
        // It is refused all the same; that it could not be recorded is said with it.
        Err(e) => error.because(e),
    }
}

/// What tests replace.
struct World<'a> {
    timeouts: Timeouts,
    env: client::Env<'a>,
    record: guard::Record<'a>,
    /// Whose signature the image must have.
    demands: Demands<'a>,
    site: &'a Site,
}

/// Whether the site's policy says where images come from. Then it is the host that says whom to believe, not the caller: a registry
/// that anybody's certificate makes another one is no registry that was listed.
fn judges_origin(site: &Site) -> bool {
    site.law.registries.is_some() || !site.law.signatures.is_empty()
}

/// The image for `run` and `create`: from the store, from the registry, or an error, as `--pull` says. Talks on stderr, in
/// docker's words. `name` is what was typed: a reference, or an image ID.
pub fn ensure(store: &Store, name: &str, policy: PullPolicy, options: &Options) -> Result<Image> {
    let platform = options.platform.as_ref().map(Platform::to_string);
    let here = store.find(name, platform.as_deref())?;
    let asks = matches!(policy, PullPolicy::Always | PullPolicy::Newer);
    let local = match here {
        Some(image) if !asks => return Ok(image),
        other => other,
    };
    let reference: Reference = name.parse()?;
    if policy == PullPolicy::Never {
        return Err(Error::runner(format!("No such image: {}", reference.familiar())));
    }
    if policy == PullPolicy::Missing && !options.quiet {
        // Docker's line, which scripts filter, so without a prefix.
        eprintln!("Unable to find image '{}' locally", crate::ui::clean(&reference.familiar()));
    }
    match (pull(store, &reference, options, false, Channel::Stderr), local) {
        (Ok(()), _) => {}
        (Err(e), Some(image)) if policy == PullPolicy::Newer => {
            crate::ui::warn(&format!("using the image that is here: {}", e.chain().join(": ")));
            return Ok(image);
        }
        (Err(e), _) => return Err(e.of_kind(Kind::Runner)),
    }
    store.lookup(&reference, platform.as_deref())?.ok_or_else(|| {
        Error::runner(format!("image {} is gone right after it was pulled", reference.familiar()))
            .hint("was it removed at the same time? run it again")
    })
}

fn pull_with(
    sink: &dyn Sink,
    reference: &Reference,
    options: &Options,
    all_tags: bool,
    progress: &Progress,
    world: &World,
) -> Result<()> {
    let note = |text: &str| progress.note(text);
    let guard = Guard::new(options.allow_insecure, world.site, reference, world.record, &note);
    check_trust(reference, options, &guard, progress, world)?;
    let credential = credentials::find(&options.sources, reference, world.env, &mut |text| progress.warn(&text))?;
    let settings = options.settings(world.timeouts, Scopes::Pull, world.site);
    let client = Client::connect(reference, settings, credential, guard, world.env, &note)?;
    let at_once = if options.at_once == 0 { download::AT_ONCE } else { options.at_once };
    let names = if all_tags {
        pull::tags(&client, reference)?.iter().map(|tag| reference.with_tag(tag)).collect::<Result<Vec<_>>>()?
    } else {
        vec![reference.clone()]
    };
    if names.is_empty() {
        return Err(Error::verb(format!("repository {} has no tags", reference.familiar_name())));
    }
    let mut newer = false;
    for name in &names {
        newer |=
            pull::pull_one(&client, sink, name, options.platform.as_ref(), progress, at_once, &world.demands)?.newer;
    }
    let shown = if all_tags { reference.familiar_name() } else { reference.familiar() };
    let status = if newer { "Downloaded newer image" } else { "Image is up to date" };
    progress.line(&format!("Status: {status} for {shown}"));
    Ok(())
}

/// What the caller says about whom to believe: `--tls-verify=false`, and under a policy that says where images come from also
/// `--cert-dir` and the variables that name other authorities.
fn check_trust(
    reference: &Reference,
    options: &Options,
    guard: &Guard,
    progress: &Progress,
    world: &World,
) -> Result<()> {
    check_tls_verify(reference, options, guard, progress)?;
    if !judges_origin(world.site) {
        return Ok(());
    }
    let set = |name: &&&str| (world.env)(name).is_some_and(|value| !value.is_empty());
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().filter(set) {
        progress.note(&format!("{name} is not used: the site's policy says where images come from"));
    }
    match &options.cert_dir {
        // On loopback nothing is proved by a certificate that plain HTTP would not be let do.
        Some(folder) if insecure_registry::judge_registry(&reference.domain).is_some() => {
            guard.judge(&format!("--cert-dir {} for {}", folder.display(), reference.domain))
        }
        _ => Ok(()),
    }
}

/// `--tls-verify=false` switches nothing off by itself. On loopback plain HTTP needs no flag; elsewhere the rule
/// decides before anything is sent.
fn check_tls_verify(reference: &Reference, options: &Options, guard: &Guard, progress: &Progress) -> Result<()> {
    if !options.no_tls_verify || guard.allows() {
        return Ok(());
    }
    if insecure_registry::judge_registry(&reference.domain).is_none() {
        progress.note(&format!(
            "--tls-verify=false changes nothing for {}: plain HTTP is spoken on this host without it, and a certificate is still checked",
            reference.domain
        ));
        return Ok(());
    }
    guard.judge(&format!("--tls-verify=false for {}", reference.domain))
}
