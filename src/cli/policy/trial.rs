//! What the rules would say to a command line, without running or pulling anything.

use super::script::Found;
use crate::cli::{self, RunArgs, globals, prepare, words};
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::image::store::{Image, Store};
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::policy::{self, Verdict};
use crate::request::{Env, Request};
use crate::site::Site;
use crate::state::Record;
use clap::FromArgMatches;
use std::ffi::OsString;
use std::path::Path;

/// A host on which command lines are tried.
pub struct Trial<'a> {
    ctx: &'a cli::Context,
    facts: Facts,
}

/// The words behind the program's name with docker's own flags taken out and the verb in one word.
fn plain(argv: &[String]) -> Result<Vec<String>> {
    let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
    let (_, left) = globals::take(argv)?;
    Ok(words::normalise(left).into_iter().map(|w| w.to_string_lossy().into_owned()).collect())
}

/// The verb of a command line that begins with the program's name.
pub fn verb(argv: &[String]) -> Option<String> {
    plain(argv).ok()?.get(1).cloned()
}

/// What a command line asks for.
pub fn request(argv: &[String], cwd: &Path) -> Result<Request> {
    let words = plain(argv)?;
    let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("run").disable_help_flag(true));
    let matches = command.try_get_matches_from(words.iter().skip(1)).map_err(|e| {
        let text = e.render().to_string();
        Error::verb(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    let args = RunArgs::from_arg_matches(&matches).map_err(|e| Error::verb(e.to_string()))?;
    let env = Env::from_process();
    Request::resolve(args, &Env { cwd: cwd.to_owned(), ..env })
}

/// The image of a call in a script.
///
/// # Errors
/// Why it cannot be told.
pub fn image_of(found: &Found) -> Result<String, String> {
    let words = found.words.as_ref().map_err(String::clone)?;
    let folder = found.file.parent().unwrap_or(Path::new("/"));
    request(words, folder).map(|r| r.image).map_err(|e| e.chain().join(": "))
}

fn has_command(image: &Image) -> bool {
    let config = image.config.config().as_ref();
    config.is_some_and(|c| {
        let some = |words: &Option<Vec<String>>| words.as_ref().is_some_and(|w| !w.is_empty());
        some(c.entrypoint()) || some(c.cmd())
    })
}

impl Trial<'_> {
    pub fn new(ctx: &cli::Context) -> Result<Trial<'_>> {
        Ok(Trial { ctx, facts: Facts::of_host(&ctx.paths)? })
    }

    /// The host as it is, under this policy.
    fn facts(&self, site: &Site) -> Facts {
        Facts { site: site.clone(), ..self.facts.clone() }
    }

    /// The image if it is here, else nothing but its name.
    pub fn image(&self, request: &Request) -> Image {
        let here = || Store::open(&self.ctx.paths).ok()?.find(&request.image, None).ok()?;
        match &request.source.rootfs {
            Some(folder) => prepare::bare_image(request, vec![folder.clone()]),
            None => here().unwrap_or_else(|| prepare::bare_image(request, Vec::new())),
        }
    }

    /// Judge a container that exists.
    pub fn judge_kept(&self, record: &Record, site: &Site) -> Result<Verdict> {
        let facts = self.facts(site);
        let draft = prepare::as_of_today(&record.plan.draft, &facts, self.ctx)?;
        policy::judge(&draft, &facts, &record.allow)
    }

    /// Judge what is asked for. Nothing is pulled: an image that is not here is judged by its name.
    pub fn judge(&self, request: &Request, image: &Image, site: &Site) -> Result<Verdict> {
        let facts = self.facts(site);
        let (preset, _) = prepare::preset(request, image, &facts)?;
        let id = "0".repeat(64);
        // What an image that is not here would run is its own business.
        let mut request = request.clone();
        if request.args.is_empty() && !has_command(image) {
            request.args.push("true".into());
        }
        let mut image = image.clone();
        image.signatures =
            prepare::signatures(&facts, self.ctx, &image.manifest_digest, image.index_digest.as_deref())?;
        let draft = draft::resolve(Inputs {
            request: &request,
            image: &image,
            preset: &preset,
            facts: &facts,
            paths: &self.ctx.paths,
            host: &ThisHost,
            id: &id,
            name: request.lifecycle.name.as_deref().unwrap_or("trial"),
        })?;
        policy::judge(&draft, &facts, &request.own.allow)
    }
}
