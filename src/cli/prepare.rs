//! From a request to a plan, and from a plan to a running container: the straight line that `run`, `explain`, `spec` and
//! `score` share.

use super::Context;
use crate::audit::{self, Entry};
use crate::error::{Context as _, Error, Kind, Result};
use crate::facts::Facts;
use crate::image::store::{Image, Store};
use crate::launch::Handoff;
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::plan::{Draft, Plan};
use crate::policy::{self, Verdict};
use crate::preset;
use crate::request::Request;
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
        let facts = Facts::gather(&ctx.paths)?;
        let preset = preset::load(request.own.preset.as_deref().unwrap_or("default"))?;
        let image = find_image(&request, ctx)?;
        let id = draft::new_id()?;
        let name = match &request.lifecycle.name {
            Some(name) => name.clone(),
            None => draft::random_name()?,
        };
        let draft = draft::resolve(Inputs {
            request: &request,
            image: &image,
            preset: &preset,
            facts: &facts,
            paths: &ctx.paths,
            host: &ThisHost,
            id: &id,
            name: &name,
        })?;
        let verdict = policy::judge(&draft, &facts, &request.own.allow)?;
        Ok(Prepared { request, facts, image, draft, verdict })
    }

    /// The plan, whether or not the policy lets it pass: what `explain` and `--dry-run` show.
    pub fn plan(&self) -> Plan {
        Plan::new(self.draft.clone(), self.verdict.overridden.clone(), &self.facts)
    }

    /// Refuse, say what cannot be carried out, or become the launcher. Returns the exit status of a refusal.
    pub fn launch(self, ctx: &Context) -> Result<u8> {
        if !self.verdict.passed() {
            audit::append(&ctx.paths, Entry::refusal(&self.draft, &self.verdict))?;
            policy::print(&self.verdict);
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
        for line in &self.draft.notices {
            ui::note(line);
        }
        for id in crate::launch::sweep(&ctx.paths)? {
            ui::note(&format!("removed what was left of container {}, whose launcher was killed", &id[..id.len().min(12)]));
        }
        let plan = self.plan();
        let host = seccomp::Host::new(&self.facts.kernel, &plan.draft.capabilities.value);
        let filter = seccomp::cached(&ctx.paths, &plan.draft.seccomp, &host)?;
        let held = if plan.draft.asked.rootfs.is_some() {
            Vec::new()
        } else {
            Store::open(&ctx.paths)?.hold_layers(&self.image)?.into_fds()
        };
        audit::append_all(&ctx.paths, &Entry::launch(&plan))?;
        let mut handoff = Handoff::new(plan, &ctx.paths);
        handoff.filter = filter;
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

fn find_image(request: &Request, ctx: &Context) -> Result<Image> {
    if let Some(folder) = &request.source.rootfs {
        let real = folder.canonicalize().context(|| format!("--rootfs {}", folder.display()))?;
        return Ok(Image {
            name: request.image.clone(),
            manifest_digest: String::new(),
            config_digest: String::new(),
            config: oci_spec::image::ImageConfiguration::default(),
            layers: vec![real],
        });
    }
    let store = Store::open(&ctx.paths)?;
    let platform = request.source.platform.as_ref().map(ToString::to_string);
    store
        .find(&request.image, platform.as_deref())?
        .ok_or_else(|| Error::runner(format!("No such image: {}", request.image)))
}
