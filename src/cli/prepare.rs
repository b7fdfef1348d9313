//! From a request to a plan, and from a plan to a running container: the straight line that `run`, `explain`, `spec` and
//! `score` share.

use super::Context;
use crate::audit;
use crate::error::{Context as _, Error, Kind, Result};
use crate::facts::Facts;
use crate::image::lock::Lock;
use crate::image::registry;
use crate::image::store::{Image, Store};
use crate::launch::Handoff;
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::plan::{AppArmor, Draft, MountKind, Plan};
use crate::policy::{self, Verdict};
use crate::preset::{self, Preset};
use crate::request::{PullPolicy, Request};
use crate::site::signature::{self, Signature};
use crate::state::{Paths, Record, Stamp, lookup};
use crate::{seccomp, ui};
use std::os::fd::OwnedFd;

/// An id that no container has; where SELinux is on, one whose pair of categories none has either.
fn fresh_id(facts: &Facts, paths: &Paths) -> Result<String> {
    if !facts.selinux {
        return draft::new_id();
    }
    let others = lookup::ids(paths).map_err(|e| e.of_kind(Kind::Runner))?;
    for _ in 0..PAIRS_TRIED {
        let id = draft::new_id()?;
        if crate::selinux::is_pair_free(&id, &others) {
            return Ok(id);
        }
    }
    Err(Error::runner(format!("no pair of SELinux categories is free: {} containers have one each", others.len()))
        .hint("remove containers that are not needed: hardrun rm NAME…"))
}

/// Of 523,776 pairs a store of half as many containers leaves each second one free.
const PAIRS_TRIED: u32 = 200;

/// A request with everything that was decided about it.
pub struct Prepared {
    pub request: Request,
    pub facts: Facts,
    pub image: Image,
    preset: Preset,
    pub draft: Draft,
    pub verdict: Verdict,
}

impl Prepared {
    /// Look everything up and decide. Nothing is started or written, but an image may be pulled.
    pub fn new(mut request: Request, ctx: &Context) -> Result<Prepared> {
        // The command line has been parsed: nothing of that is needed again.
        crate::sys::memory::forget_text();
        let facts = Facts::for_request(&request, &ctx.paths)?;
        pin(&mut request)?;
        let id = fresh_id(&facts, &ctx.paths)?;
        let name = match &request.lifecycle.name {
            Some(name) => name.clone(),
            None => draft::random_name()?,
        };
        let decide = |image: &Image| {
            let (preset, said) = preset(&request, image, &facts)?;
            let inputs = Inputs {
                request: &request,
                image,
                preset: &preset,
                facts: &facts,
                paths: &ctx.paths,
                host: &ThisHost,
                id: &id,
                name: &name,
            };
            let mut draft = draft::resolve(inputs).map_err(|e| match preset.chosen_by_image {
                // Nobody typed the preset that is in the way.
                true => Error::runner(format!("the image chose preset {}; --preset default goes without", preset.name))
                    .because(e),
                false => e,
            })?;
            draft.notices.splice(0..0, said);
            let verdict = policy::judge(&draft, &facts, &request.own.allow)?;
            Ok((preset, draft, verdict))
        };
        let mut image = match local_image(&request, ctx)? {
            Some(image) => image,
            None => {
                // What is refused whatever the image says is refused before anything is downloaded. An error here may
                // come from the image that is not there yet, so it is left to the second look.
                let unknown = bare_image(&request, Vec::new());
                if let Ok((preset, draft, verdict)) = decide(&unknown)
                    && !verdict.passed()
                {
                    return Ok(Prepared { request, facts, image: unknown, preset, draft, verdict });
                }
                pull(&request, ctx)?
            }
        };
        image.signatures = signatures(&facts, ctx, &image.manifest_digest, image.index_digest.as_deref())?;
        let (preset, draft, verdict) = decide(&image)?;
        Ok(Prepared { request, facts, image, preset, draft, verdict })
    }

    /// The plan, whether or not the policy lets it pass: what `explain` and `--dry-run` show.
    pub fn plan(&self) -> Plan {
        Plan::new(self.draft.clone(), self.verdict.overridden.clone(), &self.facts)
    }

    /// Refuse, or say what cannot be carried out; nothing has been written then but a refusal's line in the audit log.
    /// `None`: everything may go on.
    pub fn refuse(&self, ctx: &Context) -> Result<Option<u8>> {
        if !self.verdict.passed() {
            // Said first: on a full disk the reason is still seen, and the error of the log comes after it.
            policy::render::print(&self.verdict);
            audit::record_refusal(&ctx.paths, &self.draft, &self.verdict)?;
            return Ok(Some(Kind::Runner.exit_code()));
        }
        if let Some((first, rest)) = self.request.unsupported.split_first() {
            let mut error = Error::runner(first.clone());
            if !rest.is_empty() {
                error = error.hint(rest.join("\n"));
            }
            return Err(error);
        }
        for line in self.verdict.unused_lines() {
            ui::note(&line);
        }
        Ok(None)
    }

    /// What is kept of the container. Its notices are said here, once.
    pub fn record(&self, ctx: &Context) -> Record {
        let plan = self.plan();
        for line in &plan.draft.notices {
            ui::note(line);
        }
        let inputs = Inputs {
            request: &self.request,
            image: &self.image,
            preset: &self.preset,
            facts: &self.facts,
            paths: &ctx.paths,
            host: &ThisHost,
            id: &self.draft.id,
            name: &self.draft.name,
        };
        Record {
            version: Record::VERSION,
            id: plan.draft.id.clone(),
            name: plan.draft.name.clone(),
            created: Stamp::now(),
            digest: plan.digest(),
            plan,
            words: draft::words(&inputs),
            allow: self.request.own.allow.clone(),
        }
    }
}

/// With `--locked` the lock file says which digest is meant.
fn pin(request: &mut Request) -> Result<()> {
    let Some(file) = &request.own.locked else { return Ok(()) };
    if request.source.rootfs.is_some() {
        return Err(Error::runner("--locked: a folder (--rootfs) has no digest"));
    }
    request.image = Lock::read(file)?.pin(&request.image, file)?.familiar();
    Ok(())
}

/// The preset that was asked for or that the image chose, else the site's, else `default`; and what there is to say about the choice.
pub fn preset(request: &Request, image: &Image, facts: &Facts) -> Result<(Preset, Vec<String>)> {
    let (mut preset, said) = preset::choose(request, image, ground_name(facts), facts.memory)?;
    crate::site::limits::lower_preset(&mut preset, facts);
    Ok((preset, said))
}

fn ground_name(facts: &Facts) -> &str {
    facts.site.law.preset.as_deref().unwrap_or(preset::DEFAULT)
}

/// The loosest that an image can choose.
pub fn ground(facts: &Facts) -> Result<Preset> {
    preset::of_site(ground_name(facts))
}

/// What is kept of an image's signatures, where the site's policy asks for one.
pub fn signatures(facts: &Facts, ctx: &Context, manifest: &str, index: Option<&str>) -> Result<Vec<Signature>> {
    if facts.site.law.signatures.is_empty() || manifest.is_empty() {
        return Ok(Vec::new());
    }
    let digests: Vec<&str> = [Some(manifest), index].into_iter().flatten().collect();
    signature::of(&ctx.paths, &digests)
}

/// The draft of a container that exists, with what the host and the store have of it now: its image may have been signed
/// since, the site's policy may name a path that lies in what it binds, and an engine's socket or a key may have come to lie there.
pub fn as_of_today(draft: &Draft, facts: &Facts, ctx: &Context) -> Result<Draft> {
    let mut draft = draft.clone();
    let image = &draft.image;
    draft.image.signatures = signatures(facts, ctx, &image.manifest_digest, image.index_digest.as_deref())?;
    ask_modules(&mut draft)?;
    draft.asked.apparmor_watches = facts.apparmor_mode.watches();
    for mount in &mut draft.mounts {
        if let MountKind::Bind { source, seen, .. } = &mut mount.kind {
            *seen = crate::facts::bind::look(source, facts);
        }
    }
    Ok(draft)
}

/// What the kernel does by now with what this profile or this type is not allowed.
fn ask_modules(draft: &mut Draft) -> Result<()> {
    if let AppArmor::Named(name) = &draft.apparmor.value {
        draft.asked.apparmor_mode = crate::apparmor::mode_of_named(name)?;
    }
    draft.asked.selinux_permissive = crate::selinux::is_permissive(&draft.selinux.value)?;
    Ok(())
}

/// Put in order what killed launchers left behind, and say so.
pub fn sweep(ctx: &Context) -> Result<()> {
    let swept = crate::launch::sweep(&ctx.paths)?;
    // What one container left does not stop the next.
    swept.stuck.iter().for_each(ui::error);
    let short = |id: &str| id[..id.len().min(12)].to_owned();
    for id in swept.cleaned {
        ui::note(&format!("removed what was left of container {}, whose launcher was killed", short(&id)));
    }
    crate::rootless::aside(|| crate::net::sweep(&ctx.paths, &crate::launch::alive(&ctx.paths)))?;
    // What is left costs memory of the kernel and nothing else.
    if let Err(e) = crate::apparmor::sweep(&Paths::host_run()) {
        ui::error(&e);
    }
    for id in swept.lost {
        ui::note(&format!("container {} has ended: its supervisor was killed, and the container with it", short(&id)));
    }
    Ok(())
}

/// The record of a container that exists, with the layers that this host has by now: whether they are others than before.
///
/// # Errors
/// As those of [`crate::plan::Plan::renew`].
pub fn renew(record: &mut Record, facts: &Facts) -> Result<bool> {
    let said = record.plan.renew(facts)?;
    said.iter().for_each(|line| ui::note(line));
    ask_modules(&mut record.plan.draft)?;
    record.digest = record.plan.digest();
    Ok(!said.is_empty())
}

/// What a launch needs besides the record: the filter, the profile, the layers' locks. The launch goes to the audit log.
pub fn handoff(record: Record, facts: &Facts, ctx: &Context) -> Result<(Handoff, Vec<OwnedFd>)> {
    let plan = &record.plan;
    plan.draft.watched(facts)?.iter().chain(&plan.draft.without_scope(facts)).for_each(|line| ui::note(line));
    let host = seccomp::Host::new(&facts.kernel, &plan.draft.capabilities.value);
    let filter = seccomp::cached(&ctx.paths, &plan.draft.seccomp, &host)?;
    let mut used = None;
    if plan.draft.apparmor.value == AppArmor::Builtin {
        let profile = crate::apparmor::profile(&plan.draft);
        used = Some(crate::apparmor::Use::new(&Paths::host_run(), &profile)?.into_fd());
        crate::apparmor::load(&Paths::host_run(), &profile)?;
    }
    crate::selinux::check(&plan.draft.selinux.value)?;
    let apparmor = crate::spec::profile_to_enter(&plan.draft, facts.apparmor)?;
    let mut held = if plan.draft.asked.rootfs.is_some() {
        Vec::new()
    } else {
        Store::open(&ctx.paths)?.hold(&plan.draft.image.manifest_digest, &plan.draft.image.layers)?.into_fds()
    };
    held.extend(used);
    held.extend(crate::rootless::hold()?);
    audit::record_launch(&ctx.paths, plan, &record.digest)?;
    let mut handoff = Handoff::new(record, &ctx.paths);
    handoff.filter = filter;
    handoff.apparmor = apparmor;
    Ok((handoff, held))
}

/// The image if it is here and need not be asked for: `--rootfs`, or a name that the store knows.
fn local_image(request: &Request, ctx: &Context) -> Result<Option<Image>> {
    if let Some(folder) = &request.source.rootfs {
        let real = folder.canonicalize().context(|| format!("--rootfs {}", folder.display()))?;
        return Ok(Some(bare_image(request, vec![real])));
    }
    match request.source.pull {
        Some(PullPolicy::Always | PullPolicy::Newer) => Ok(None),
        _ => {
            let platform = request.source.platform.as_ref().map(|p| p.typed.clone());
            Store::open(&ctx.paths)?.find(&request.image, platform.as_deref())
        }
    }
}

/// An image without a config of its own.
pub fn bare_image(request: &Request, layers: Vec<std::path::PathBuf>) -> Image {
    Image {
        name: request.image.clone(),
        manifest_digest: String::new(),
        config_digest: String::new(),
        config: oci_spec::image::ImageConfiguration::default(),
        healthcheck: None,
        layers,
        index_digest: None,
        repositories: Vec::new(),
        signatures: Vec::new(),
    }
}

fn pull(request: &Request, ctx: &Context) -> Result<Image> {
    let insecure = request.own.allow.iter().find(|a| a.rule == "insecure-registry");
    let mut options = registry::Options::of_request(&request.source, insecure.is_some())?;
    options.allow_reason = insecure.and_then(|a| a.reason.clone());
    let policy = request.source.pull.unwrap_or(PullPolicy::Missing);
    registry::ensure(&Store::open(&ctx.paths)?, &request.image, policy, &options)
}
