//! `hardrun apparmor`

use super::{Context, prepare};
use crate::apparmor::{Profile, profile};
use crate::error::{Context as _, Error, Result};
use crate::facts::Facts;
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::plan::{AppArmor, Draft};
use crate::preset;
use crate::request::Request;
use crate::state::lookup;
use crate::ui;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the profile of a preset or a container
    Show {
        /// Name of a preset, path of its file, or a container
        #[arg(value_name = "PRESET|CONTAINER")]
        name: String,
    },
    /// Write profiles to files that apparmor_parser takes, each named by its profile
    Export {
        /// Folder to write to; made if it is not there
        #[arg(long, short, value_name = "DIR", default_value = ".")]
        output: PathBuf,
        /// Names of presets, paths of their files, or containers; every preset where none is given
        #[arg(value_name = "PRESET|CONTAINER")]
        names: Vec<String>,
    },
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Show { name } => ui::stdout(&find(&name, ctx)?.text)?,
        What::Export { output, names } => export(&output, names, ctx)?,
    }
    Ok(0)
}

fn export(output: &std::path::Path, mut names: Vec<String>, ctx: &Context) -> Result<()> {
    if names.is_empty() {
        names = preset::list()?.into_iter().map(|listed| listed.name).collect();
    }
    std::fs::create_dir_all(output).verb_context(|| format!("cannot make {}", output.display()))?;
    for name in names {
        let profile = find(&name, ctx)?;
        let path = output.join(&profile.name);
        std::fs::write(&path, &profile.text).verb_context(|| format!("cannot write {}", path.display()))?;
        ui::stdout(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// A container's profile is what it was created with; a preset's is that of an image without settings of its own.
fn find(name: &str, ctx: &Context) -> Result<Profile> {
    match preset::load(name) {
        Ok(_) => Ok(profile(&of_preset(name, ctx)?)),
        Err(e) if name.contains('/') || name.ends_with(".toml") || preset::source(name).is_ok() => Err(e),
        Err(_) => of_container(&lookup::find(&ctx.paths, name)?.record.plan.draft),
    }
}

fn of_container(draft: &Draft) -> Result<Profile> {
    match &draft.apparmor.value {
        // Where it was created without, this is what it gets as soon as there is AppArmor.
        AppArmor::Builtin | AppArmor::Unavailable => Ok(profile(draft)),
        AppArmor::Named(name) => Err(Error::verb(format!(
            "the container has the profile {name} in the place of hardrun's"
        ))
        .hint("the kernel keeps it compiled: look for its text where it was loaded from, /etc/apparmor.d usually")),
        AppArmor::Unconfined => {
            Err(Error::verb("the container was created without an AppArmor profile (apparmor=unconfined)"))
        }
    }
}

fn of_preset(name: &str, ctx: &Context) -> Result<Draft> {
    let mut request = Request { image: "none".into(), args: vec!["/none".into()], ..Request::default() };
    request.own.preset = Some(name.to_owned());
    // The text is for a host that has AppArmor, and for root, who alone may load it: not for this host and caller.
    let facts = Facts { apparmor: true, rootless: None, ..Facts::for_request(&request, &ctx.paths)? };
    let draft = draft::resolve(Inputs {
        image: &prepare::bare_image(&request, Vec::new()),
        request: &request,
        preset: &preset::load(name)?,
        facts: &facts,
        paths: &ctx.paths,
        host: &ThisHost,
        id: &draft::new_id()?,
        name: "none",
    })?;
    match draft.apparmor.value {
        AppArmor::Builtin => Ok(draft),
        _ => Err(Error::verb(format!("preset {name} has no AppArmor profile of hardrun's"))),
    }
}
