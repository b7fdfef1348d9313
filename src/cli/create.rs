//! `hardrun create`

use super::Context;
use super::prepare::{self, Prepared};
use super::run::{self, RunArgs};
use crate::error::{Error, Kind, Result};
use crate::observe::events::{self, Event};
use crate::state::{Folder, State, Status};
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
    let request = run::resolve(args.run).map_err(judged)?;
    run::check_cidfile(&request)?;
    // Values that look right are judged by docker's engine.
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
    folder.write_status(&Status { version: Status::VERSION, state: State::Created, ..Status::default() })?;
    events::note(&ctx.paths, Event::container(&record, "create"));
    if let Some(path) = cidfile {
        write_cidfile(&path, &record.id)?;
    }
    crate::ui::stdout(&format!("{}\n", record.id)).map(|()| 0)
}

/// Flags whose values docker's client passes on as they are, for its engine to judge. With `run` a value that is refused ends with 125
/// whoever refuses it, with `create` only where it is the client.
const UNSEEN: [&str; 13] = [
    "--cap-add",
    "--cap-drop",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--ip",
    "--ip6",
    "--ipc",
    "--isolation",
    "--name",
    "--runtime",
    "--stop-signal",
    "--tmpfs",
    "--workdir",
];
/// What its engine finds wrong with values that its client has read.
const ENGINES: [&str; 20] = [
    "invalid restart policy '",
    "maximum retry count cannot",
    "mount path must be absolute",
    "invalid mode",
    "invalid mount config",
    "invalid propagation",
    "a thing of Windows",
    "a thing of a swarm",
    "inimum memory limit",
    "emoryswap limit",
    "too large",
    "ange of CPUs",
    "--cpus cannot be used with",
    "cfs period",
    "cfs quota",
    "range for oom score adj",
    "invalid IPv",
    "invalid container format",
    "cannot be less than 1ms",
    "only supported on windows",
];

/// The error of a command line, with docker's exit code and the verb that was typed.
pub fn judged(mut error: Error) -> Error {
    for text in [Some(&mut error.message), error.hint.as_mut()].into_iter().flatten() {
        *text = text.replace("hardrun run", "hardrun create");
    }
    let unseen = UNSEEN.iter().any(|flag| error.message.contains(&format!("{flag}\" flag: ")));
    if error.kind != Kind::Runner || !(unseen || ENGINES.iter().any(|words| error.message.contains(words))) {
        return error;
    }
    // The engine does not know the flags; where its words do not say which one is meant, the flag is named.
    if let Some((named, why)) = error.message.split_once("flag: ")
        && !["--cap-", "--cpu"].iter().any(|flag| named.contains(flag))
    {
        return Error::verb(why);
    }
    error.of_kind(Kind::Verb)
}

fn write_cidfile(path: &std::path::Path, id: &str) -> Result<()> {
    use crate::error::Context as _;
    let attempt = || format!("write --cidfile {}", path.display());
    let mut file = std::fs::File::options().write(true).create_new(true).open(path).context(attempt)?;
    file.write_all(id.as_bytes()).context(attempt)
}
