//! `hardrun update`

use super::flags::ResourceFlags;
use super::{Context, each, prepare};
use crate::audit::Entry;
use crate::control::{Ask, Client};
use crate::error::{Error, Kind, Result};
use crate::facts::Facts;
use crate::observe::events::{self, Event};
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::plan::{Draft, Sourced};
use crate::policy::{self, Allow};
use crate::preset;
use crate::request::{Request, RestartPolicy};
use crate::state::{Folder, Record, lookup};
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
    let facts = Facts::gather(&ctx.paths)?;
    prepare::sweep(ctx)?;
    let request = Request::limits(args.resources).map_err(Error::engine_as_verb)?;
    let restart = args.restart.as_deref().map(RestartPolicy::from_str).transpose().map_err(Error::verb)?;
    let allow = args.allow.iter().map(|text| Allow::from_str(text)).collect::<Result<Vec<_>>>()?;
    if request.resources == Request::default().resources && restart.is_none() {
        return Err(Error::verb("you must provide one or more flags when using this command"));
    }
    let asked = Asked { ctx, facts, request, restart, allow };
    each::print(&args.containers, |name| asked.update(name).map_err(|e| e.of_kind(Kind::Verb)))
}

/// What the command line asks for, of each container that it names.
struct Asked<'a> {
    ctx: &'a Context,
    facts: Facts,
    request: Request,
    restart: Option<RestartPolicy>,
    allow: Vec<Allow>,
}

impl Asked<'_> {
    fn update(&self, name: &str) -> Result<()> {
        let paths = &self.ctx.paths;
        let container = lookup::find(paths, name)?;
        let verb = |e: Error| e.of_kind(Kind::Verb);
        if container.alive
            && let Some(client) = Client::connect(&container.folder)?
        {
            let mut record = container.record;
            let given = self.apply(&mut record)?;
            let resources = Box::new(record.plan.draft.resources);
            let (restart, overrides) = (self.restart, record.plan.overrides);
            return client.ask(&Ask::Update { resources, restart, allow: given, overrides }).map(drop).map_err(verb);
        }
        let Some(folder) = Folder::open(paths, container.id())? else {
            return Err(Error::verb(format!("container {name} is being started or removed just now")));
        };
        // As it is under the lock: it may have been renamed since it was looked up.
        let mut record = folder.record()?;
        let given = self.apply(&mut record)?;
        record.allow.extend(given);
        folder.write_record(&record).map_err(verb)?;
        events::note(paths, Event::container(&record, "update"));
        Ok(())
    }

    /// Change the record's plan and judge it. Returns the overrides that it needs of those that were given; they are in the
    /// audit log by then.
    fn apply(&self, record: &mut Record) -> Result<Vec<Allow>> {
        let Asked { ctx, facts, allow, .. } = self;
        let draft = &mut record.plan.draft;
        if draft.remove && self.restart.is_some_and(|r| r != RestartPolicy::No) {
            return Err(Error::verb(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        self.change(draft)?;
        let bytes = |limit: &Option<Sourced<i64>>| limit.as_ref().map_or(0, |l| l.value);
        let (memory, swap) = (bytes(&draft.resources.memory), bytes(&draft.resources.memory_swap));
        if swap > 0 && memory > swap {
            return Err(Error::verb(format!(
                "Cannot update container {}: Memory limit should be smaller than already set memoryswap limit, update the \
                 memoryswap at the same time",
                record.id
            )));
        }
        let all = [record.allow.as_slice(), allow].concat();
        let verdict = policy::judge(&prepare::as_of_today(draft, facts, ctx)?, facts, &all)?;
        if !verdict.passed() {
            policy::render::print(&verdict);
            crate::audit::record_refusal(&ctx.paths, draft, &verdict)?;
            return Err(Error::runner(format!("container {} is not updated: rules refuse it", record.name)));
        }
        let is_new = |rule: &str| !record.allow.iter().any(|a| a.rule == rule);
        let new: Vec<_> = verdict.overridden.iter().filter(|o| is_new(&o.rule)).cloned().collect();
        let given = allow.iter().filter(|a| new.iter().any(|o| o.rule == a.rule)).cloned().collect();
        record.plan.overrides = verdict.overridden;
        record.digest = record.plan.digest();
        let entries = Entry::overrides(&record.plan.draft, &record.digest, &new);
        if !entries.is_empty() {
            crate::audit::append_all(&ctx.paths, &entries)?;
        }
        Ok(given)
    }

    /// What the flags say, in the words of a new container's; the rest stays as it is.
    fn change(&self, draft: &mut Draft) -> Result<()> {
        let facts = &self.facts;
        let mut preset = preset::load(&draft.preset.value)?;
        if draft.preset.source == crate::plan::Source::Image {
            preset.hold_within(&prepare::ground(facts)?, facts.memory);
        }
        crate::site::limits::lower_preset(&mut preset, facts);
        let inputs = Inputs {
            request: &self.request,
            image: &prepare::bare_image(&self.request, Vec::new()),
            preset: &preset,
            facts,
            paths: &self.ctx.paths,
            host: &ThisHost,
            id: &draft.id,
            name: &draft.name,
        };
        let (resources, notices) = draft::updated_limits(&inputs, &draft.resources)?;
        notices.iter().for_each(|line| crate::ui::note(line));
        draft.resources = resources;
        if let Some(policy) = self.restart {
            draft.restart = Sourced::flag(policy, "update --restart");
        }
        Ok(())
    }
}
