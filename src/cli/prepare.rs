//! From a request to a plan, and from a plan to a running container: the straight line that `run`, `explain`, `spec` and
//! `score` share.

use super::Context;
use crate::audit;
use crate::error::{Context as _, Error, Kind, Result};
use crate::facts::Facts;
use crate::image::registry;
use crate::image::store::{Image, Store};
use crate::launch::Handoff;
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::plan::{AppArmor, Draft, Plan};
use crate::policy::{self, Verdict};
use crate::preset;
use crate::request::{PullPolicy, Request};
use crate::{seccomp, ui};

/// A request with everything that was decided about it.
pub struct Prepared {
    pub request: Request,
    pub facts: Facts,
    pub image: Image,
    pub draft: Draft,
    pub verdict: Verdict,
}

impl Prepared {
    /// Look everything up and decide. Nothing is started or written, but an image may be pulled.
    pub fn new(request: Request, ctx: &Context) -> Result<Prepared> {
        // The command line has been parsed: nothing of that is needed again.
        crate::sys::memory::forget_text();
        let facts = Facts::for_request(&request, &ctx.paths)?;
        let preset = preset::load(request.own.preset.as_deref().unwrap_or("default"))?;
        let id = draft::new_id()?;
        let name = match &request.lifecycle.name {
            Some(name) => name.clone(),
            None => draft::random_name(0)?,
        };
        let decide = |image: &Image| {
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
            let draft = draft::resolve(inputs)?;
            let verdict = policy::judge(&draft, &facts, &request.own.allow)?;
            Ok((draft, verdict))
        };
        let image = match local_image(&request, ctx)? {
            Some(image) => image,
            None => {
                // What is refused whatever the image says is refused before anything is downloaded. An error here may
                // come from the image that is not there yet, so it is left to the second look.
                let unknown = bare_image(&request, Vec::new());
                if let Ok((draft, verdict)) = decide(&unknown)
                    && !verdict.passed()
                {
                    return Ok(Prepared { request, facts, image: unknown, draft, verdict });
                }
                pull(&request, ctx)?
            }
        };
        let (draft, verdict) = decide(&image)?;
        Ok(Prepared { request, facts, image, draft, verdict })
    }

    /// The plan, whether or not the policy lets it pass: what `explain` and `--dry-run` show.
    pub fn plan(&self) -> Plan {
        Plan::new(self.draft.clone(), self.verdict.overridden.clone(), &self.facts)
    }

    /// Refuse, say what cannot be carried out, or become the launcher. Returns the exit status of a refusal.
    pub fn launch(self, ctx: &Context) -> Result<u8> {
        if !self.verdict.passed() {
            // Said first: on a full disk the reason is still seen, and the error of the log comes after it.
            policy::render::print(&self.verdict);
            audit::record_refusal(&ctx.paths, &self.draft, &self.verdict)?;
            return Ok(Kind::Runner.exit_code());
        }
        if let Some((first, rest)) = self.request.unsupported.split_first() {
            let mut error = Error::runner(first.clone());
            if !rest.is_empty() {
                error = error.hint(rest.join("\n"));
            }
            return Err(error);
        }
        require_root(&self.facts)?;
        for line in self.verdict.unused_lines() {
            ui::note(&line);
        }
        let swept = crate::launch::sweep(&ctx.paths)?;
        // What one container left does not stop the next.
        swept.stuck.iter().for_each(ui::error);
        for id in swept.cleaned {
            ui::note(&format!(
                "removed what was left of container {}, whose launcher was killed",
                &id[..id.len().min(12)]
            ));
        }
        let plan = self.plan();
        for line in &plan.draft.notices {
            ui::note(line);
        }
        let host = seccomp::Host::new(&self.facts.kernel, &plan.draft.capabilities.value);
        let filter = seccomp::cached(&ctx.paths, &plan.draft.seccomp, &host)?;
        if plan.draft.apparmor.value == AppArmor::Builtin {
            crate::apparmor::load(&ctx.paths, &crate::apparmor::profile(&plan.draft))?;
        }
        let apparmor = crate::spec::apparmor_profile(&plan.draft, self.facts.apparmor);
        let held = if plan.draft.asked.rootfs.is_some() {
            Vec::new()
        } else {
            Store::open(&ctx.paths)?.hold_layers(&self.image)?.into_fds()
        };
        let digest = plan.digest();
        audit::record_launch(&ctx.paths, &plan, &digest)?;
        let mut handoff = Handoff::new(plan, digest, &ctx.paths);
        handoff.filter = filter;
        handoff.apparmor = apparmor;
        handoff.named = self.request.lifecycle.name.is_some();
        match crate::launch::run(handoff, held)? {}
    }
}

fn require_root(facts: &Facts) -> Result<()> {
    if facts.euid == 0 {
        return Ok(());
    }
    Err(Error::runner(format!("running a container as uid {} is not available yet", facts.euid))
        .hint("run hardrun as root; inside the container nobody is"))
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
fn bare_image(request: &Request, layers: Vec<std::path::PathBuf>) -> Image {
    Image {
        name: request.image.clone(),
        manifest_digest: String::new(),
        config_digest: String::new(),
        config: oci_spec::image::ImageConfiguration::default(),
        healthcheck: None,
        layers,
    }
}

fn pull(request: &Request, ctx: &Context) -> Result<Image> {
    let insecure = request.own.allow.iter().find(|a| a.rule == "insecure-registry");
    let mut options = registry::Options::of_request(&request.source, insecure.is_some())?;
    options.allow_reason = insecure.and_then(|a| a.reason.clone());
    let policy = request.source.pull.unwrap_or(PullPolicy::Missing);
    registry::ensure(&Store::open(&ctx.paths)?, &request.image, policy, &options)
}
