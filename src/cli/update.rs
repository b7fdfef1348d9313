//! `hardrun update`

use super::flags::ResourceFlags;
use super::{Context, each, prepare};
use crate::control::{Ask, Client};
use crate::error::{Error, Kind, Result};
use crate::facts::Facts;
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::plan::{Draft, Sourced};
use crate::policy::{self, Allow};
use crate::preset;
use crate::request::{Request, RestartPolicy};
use crate::state::{Container, Folder, lookup};
use std::str::FromStr;

#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
#[command(args_override_self = true)]
pub struct Args {
    #[command(flatten)]
    resources: ResourceFlags,
    /// Restart policy: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "string")]
    restart: Option<String>,
    /// Override one rule: RULE or RULE=REASON; the reason is written to the audit log
    #[arg(long, value_name = "rule")]
    allow: Vec<String>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    prepare::sweep(ctx)?;
    let request = Request::limits(args.resources)?;
    let restart = args.restart.as_deref().map(RestartPolicy::from_str).transpose().map_err(Error::verb)?;
    let allow = args.allow.iter().map(|text| Allow::from_str(text)).collect::<Result<Vec<_>>>()?;
    if request.resources == Request::default().resources && restart.is_none() {
        return Err(Error::verb("you must provide one or more flags when using this command"));
    }
    let one = |name: &str| update(ctx, name, &request, restart, &allow).map_err(|e| e.of_kind(Kind::Verb));
    each::print(&args.containers, one)
}

fn update(ctx: &Context, name: &str, request: &Request, restart: Option<RestartPolicy>, allow: &[Allow]) -> Result<()> {
    let container = lookup::find(&ctx.paths, name)?;
    let mut record = container.record.clone();
    let draft = &mut record.plan.draft;
    if draft.remove && restart.is_some_and(|r| r != RestartPolicy::No) {
        return Err(Error::verb("Restart policy cannot be updated because AutoRemove is enabled for the container"));
    }
    change(ctx, request, restart, draft)?;
    judge(ctx, &container, draft, allow)?;
    let verb = |e: Error| e.of_kind(Kind::Verb);
    if container.alive
        && let Some(client) = Client::connect(&container.folder)?
    {
        let resources = Box::new(draft.resources.clone());
        return client.ask(&Ask::Update { resources, restart }).map(drop).map_err(verb);
    }
    let Some(folder) = Folder::open(&ctx.paths, container.id())? else {
        return Err(Error::verb(format!("container {name} is being started or removed just now")));
    };
    record.digest = record.plan.digest();
    folder.write_record(&record).map_err(verb)
}

/// What the flags say, in the words of a new container's; the rest stays as it is.
fn change(ctx: &Context, request: &Request, restart: Option<RestartPolicy>, draft: &mut Draft) -> Result<()> {
    let facts = Facts::gather(&ctx.paths)?;
    let preset = preset::load(&draft.preset.value)?;
    let inputs = Inputs {
        request,
        image: &prepare::bare_image(request, Vec::new()),
        preset: &preset,
        facts: &facts,
        paths: &ctx.paths,
        host: &ThisHost,
        id: &draft.id,
        name: &draft.name,
    };
    let (resources, notices) = draft::updated_limits(&inputs, &draft.resources)?;
    notices.iter().for_each(|line| crate::ui::note(line));
    draft.resources = resources;
    if let Some(policy) = restart {
        draft.restart = Sourced::flag(policy, "update --restart");
    }
    Ok(())
}

fn judge(ctx: &Context, container: &Container, draft: &Draft, allow: &[Allow]) -> Result<()> {
    let mut all = container.record.allow.clone();
    all.extend(allow.iter().cloned());
    let verdict = policy::judge(draft, &Facts::gather(&ctx.paths)?, &all)?;
    if verdict.passed() {
        return Ok(());
    }
    policy::render::print(&verdict);
    crate::audit::record_refusal(&ctx.paths, draft, &verdict)?;
    Err(Error::runner(format!("container {} is not updated: rules refuse it", container.record.name)))
}
