//! `hardrun create`

use super::Context;
use super::prepare::{self, Prepared};
use super::run::{self, RunArgs};
use crate::error::{Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::plan::MountKind;
use crate::state::{Folder, Record, State, Status};
use crate::storage::volumes::{self, Wanted};
use std::io::Write;

// No doc comment: it would replace the verb's line in the help.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    pub fn words(&self) -> &RunArgs {
        &self.run
    }
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let request = run::resolve(args.run).map_err(Error::engine_as_verb)?;
    run::check_cidfile(&request)?;
    // Docker's client has no more to say: what is wrong from here on, its engine says.
    let prepared = Prepared::new(request, ctx).map_err(|e| e.of_kind(Kind::Verb))?;
    if let Some(status) = prepared.refuse(ctx)? {
        return Ok(status);
    }
    prepare::sweep(ctx)?;
    if prepared.request.lifecycle.replace
        && let Some(name) = &prepared.request.lifecycle.name
    {
        super::rm::replace(ctx, name)?;
    }
    let cidfile = prepared.request.lifecycle.cidfile.clone();
    let mut record = prepared.record(ctx);
    // Its layers must be there when it is started: from now on the record keeps them.
    let _held = if record.plan.draft.asked.rootfs.is_some() {
        None
    } else {
        let image = &record.plan.draft.image;
        Some(crate::image::store::Store::open(&ctx.paths)?.hold(&image.manifest_digest, &image.layers)?)
    };
    let folder = Folder::create(&ctx.paths, &mut record).map_err(|e| e.of_kind(Kind::Verb))?;
    // The record comes first: a prune that sees the volumes sees who has them.
    if let Err(e) = make_volumes(&record) {
        folder.remove(&ctx.paths)?;
        return Err(e.of_kind(Kind::Verb));
    }
    folder.write_status(&Status { version: Status::VERSION, state: State::Created, ..Status::default() })?;
    events::note(&ctx.paths, Event::container(&record, "create"));
    if let Some(path) = cidfile {
        write_cidfile(&path, &record.id)?;
    }
    crate::ui::stdout(&format!("{}\n", record.id)).map(|()| 0)
}

/// As docker, whose volumes are there from the creation on; what the image has at their places comes into them at the first start.
fn make_volumes(record: &Record) -> Result<()> {
    record.plan.draft.mounts.iter().try_for_each(|mount| match &mount.kind {
        MountKind::Volume { source, name, labels, .. } => {
            volumes::ensure(source, &Wanted { anonymous: name.is_none(), labels: labels.clone(), ..Wanted::default() })
        }
        _ => Ok(()),
    })
}

fn write_cidfile(path: &std::path::Path, id: &str) -> Result<()> {
    use crate::error::Context as _;
    let attempt = || format!("write --cidfile {}", path.display());
    let mut file = std::fs::File::options().write(true).create_new(true).open(path).context(attempt)?;
    file.write_all(id.as_bytes()).context(attempt)
}
