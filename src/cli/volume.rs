//! `hardrun volume`

use super::confirm::confirm;
use super::pairs::pairs;
use super::{Context, each, inspect, prepare, pruned};
use crate::audit;
use crate::error::{Context as _, Error, Kind, Result};
use crate::facts::Facts;
use crate::image::usage;
use crate::observe::filter::Filters;
use crate::observe::format::Value;
use crate::observe::format::inspect::Inspect;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::shape;
use crate::plan::draft::{self, Inputs, ThisHost};
use crate::policy::{self, Allow};
use crate::preset;
use crate::request::{BindRequest, MountRequest, Request, parse_bool};
use crate::storage::volumes::{self, Backing, Volume, Wanted};
use crate::ui;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Create a volume
    Create {
        /// Volume driver; local is the only one
        #[arg(short, long, value_name = "DRIVER", default_value = "local", hide_default_value = true)]
        driver: String,
        /// Label for the volume
        #[arg(long, value_name = "KEY[=VALUE]")]
        label: Vec<String>,
        /// Option of the driver: type=, device=, o=, size=
        #[arg(short, long, value_name = "KEY=VALUE")]
        opt: Vec<String>,
        /// Override one rule: RULE or RULE=REASON; the reason is written to the audit log
        #[arg(long, value_name = "RULE")]
        allow: Vec<String>,
        /// Old way to give the name
        #[arg(long = "name", hide = true, value_name = "NAME")]
        old_name: Option<String>,
        /// Name; without one docker's 64 digits
        #[arg(value_name = "VOLUME")]
        name: Option<String>,
    },
    /// Show what is known of volumes, as JSON
    Inspect {
        /// `json`, or a template such as '{{.Mountpoint}}'
        #[arg(short, long, value_name = "FORMAT")]
        format: Option<String>,
        #[arg(value_name = "VOLUME", required = true)]
        names: Vec<String>,
    },
    /// List volumes
    #[command(visible_alias = "list")]
    Ls {
        /// Only some: dangling=true|false, driver=NAME, label=KEY[=VALUE], name=PART
        #[arg(short, long, value_name = "FILTER")]
        filter: Vec<String>,
        /// `table`, `json`, or a template such as '{{.Name}}'
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Only show names
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        quiet: bool,
    },
    /// Remove anonymous volumes that no container uses
    Prune {
        /// Remove named volumes too
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        all: bool,
        /// Only some: label=KEY[=VALUE], label!=KEY[=VALUE]
        #[arg(long, value_name = "FILTER")]
        filter: Vec<String>,
        /// Do not ask
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
    },
    /// Remove volumes that no container uses
    #[command(visible_alias = "remove")]
    Rm {
        /// One that is not there is no failure
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
        #[arg(value_name = "VOLUME", required = true)]
        names: Vec<String>,
    },
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Create { driver, label, opt, allow, old_name, name } => {
            create(ctx, &driver, &label, &opt, &allow, old_name, name)
        }
        What::Inspect { format, names } => look(ctx, format.as_deref(), &names),
        What::Ls { filter, format, quiet } => list(ctx, &filter, format, quiet),
        What::Prune { all, filter, force } => prune(ctx, all, &filter, force),
        What::Rm { force, names } => remove(ctx, force, &names),
    }
}

fn create(
    ctx: &Context,
    driver: &str,
    label: &[String],
    opt: &[String],
    allow: &[String],
    old_name: Option<String>,
    name: Option<String>,
) -> Result<u8> {
    let allow = allow.iter().map(|text| Allow::from_str(text)).collect::<Result<Vec<_>>>()?;
    if old_name.is_some() && name.is_some() {
        return Err(Error::verb(
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
        ));
    }
    let given = name.or(old_name).filter(|n| !n.is_empty());
    let anonymous = given.is_none();
    let name = match given {
        Some(name) => name,
        None => random_name()?,
    };
    if !matches!(driver, "local" | "") {
        return Err(Error::verb(format!(
            "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
        )));
    }
    let wanted = Wanted { anonymous, labels: pairs(label), options: pairs(opt) };
    // What docker finds wrong with name and options is said by the making.
    if let (Ok(()), Ok(Backing::Bind { device, recursive, readonly, noexec })) =
        (volumes::check_name(&name), volumes::parse_options(&wanted.options))
    {
        let typed = format!("volume create -o device={}", device.display());
        let bind = bind_of(device, recursive, readonly, noexec, typed);
        if let Some(status) = judge(ctx, bind, &allow)? {
            return Ok(status);
        }
    }
    volumes::create(&ctx.paths, &name, &wanted)?;
    ui::stdout(&format!("{name}\n"))?;
    Ok(0)
}

fn bind_of(source: PathBuf, recursive: bool, readonly: bool, noexec: bool, typed: String) -> BindRequest {
    BindRequest {
        source,
        destination: "/volume".into(),
        readonly: readonly.then_some(true),
        create: false,
        recursive,
        recursive_readonly: Default::default(),
        propagation: None,
        relabel: None,
        noexec,
        typed,
    }
}

/// A volume that is a folder of the host meets the rules that a container with it would meet, and that container meets them
/// again: who may make it need not be who uses it. The exit status of a refusal.
fn judge(ctx: &Context, bind: BindRequest, allow: &[Allow]) -> Result<Option<u8>> {
    // One that is not there yet is judged when it is mounted; docker makes the volume all the same.
    if !bind.source.exists() {
        return Ok(None);
    }
    let mut request = Request { args: vec!["true".into()], ..Request::default() };
    request.mounts.mounts.push(MountRequest::Bind(bind));
    let facts = Facts::gather(&ctx.paths)?;
    let id = draft::new_id()?;
    let draft = draft::resolve(Inputs {
        request: &request,
        image: &prepare::bare_image(&request, Vec::new()),
        preset: &preset::load("default")?,
        facts: &facts,
        paths: &ctx.paths,
        host: &ThisHost,
        id: &id,
        name: "volume",
    })?;
    let verdict = policy::judge(&draft, &facts, allow)?;
    if !verdict.passed() {
        policy::render::print(&verdict);
        audit::record_refusal(&ctx.paths, &draft, &verdict)?;
        return Ok(Some(Kind::Runner.exit_code()));
    }
    verdict.unused_lines().iter().chain(&draft.notices).for_each(|line| ui::note(line));
    let entries = audit::Entry::overrides(&draft, "", &verdict.overridden);
    if !entries.is_empty() {
        audit::append_all(&ctx.paths, &entries)?;
    }
    Ok(None)
}

fn random_name() -> Result<String> {
    let mut bytes = [0u8; 32];
    let mut random = std::fs::File::open("/dev/urandom").verb_context(|| "making a name".into())?;
    std::io::Read::read_exact(&mut random, &mut bytes).verb_context(|| "making a name".into())?;
    Ok(hex::encode(bytes))
}

fn look(ctx: &Context, format: Option<&str>, names: &[String]) -> Result<u8> {
    let format = Inspect::parse(format)?;
    inspect::print(&format, names, |name| {
        let volume = volumes::get(&ctx.paths, name)?;
        let json = serde_json::to_value(volume.describe()).verb_context(|| format!("describe {name}"))?;
        Ok(shape::VOLUME.typed(Some(&json)))
    })
}

const COLUMNS: Columns<Volume> = Columns {
    of: "*formatter.volumeContext",
    fields: &[
        Field { name: "Availability", heading: "AVAILABILITY", value: |_| "N/A".into() },
        Field { name: "Driver", heading: "DRIVER", value: |_| "local".into() },
        Field { name: "Group", heading: "GROUP", value: |_| "N/A".into() },
        Field { name: "Label", heading: "", value: |v| Value::Lookup(std::rc::Rc::new(v.labels.clone())) },
        Field { name: "Labels", heading: "LABELS", value: |v| labels(v).into() },
        Field { name: "Links", heading: "LINKS", value: |_| "N/A".into() },
        Field { name: "Mountpoint", heading: "MOUNTPOINT", value: |v| v.mountpoint.display().to_string().into() },
        Field { name: "Name", heading: "VOLUME NAME", value: |v| v.name.clone().into() },
        Field { name: "Scope", heading: "SCOPE", value: |_| "local".into() },
        Field { name: "Size", heading: "SIZE", value: |_| "N/A".into() },
        Field { name: "Status", heading: "STATUS", value: |_| "N/A".into() },
    ],
};

fn labels(volume: &Volume) -> String {
    volume.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

fn list(ctx: &Context, filters: &[String], format: Option<String>, quiet: bool) -> Result<u8> {
    let listing = Listing::parse(format.as_deref(), &["Driver", "Name"], quiet.then_some("Name"))?;
    let filters = Filters::parse(filters, &["dangling", "driver", "label", "name"])?;
    let dangling = filters.truth("dangling")?;
    // Asked only where it matters: a record that cannot be read must not hide the volumes.
    let containers = match dangling {
        Some(_) => usage::containers(&ctx.paths)?,
        None => Vec::new(),
    };
    let mut rows = volumes::list(&ctx.paths)?;
    rows.retain(|volume| {
        filters.any("name", |part| volume.name.contains(part))
            && filters.any("driver", |name| name == "local")
            && filters.labels(&volume.labels)
            && dangling.is_none_or(|wanted| volumes::users(volume, &containers).is_empty() == wanted)
    });
    ui::stdout(&listing.render(&COLUMNS, &rows, ui::on_terminal())?)?;
    Ok(0)
}

fn prune(ctx: &Context, all: bool, filters: &[String], force: bool) -> Result<u8> {
    // `all`: what docker's client asks a new engine with.
    let filters = Filters::parse_pruning(filters, &["all", "label", "label!"])?;
    let all = all || filters.truth("all")? == Some(true);
    let what = match all {
        true => "all local volumes not used by at least one container.",
        false => "anonymous local volumes not used by at least one container.",
    };
    if !force && !confirm(what)? {
        return Ok(0);
    }
    let pruned = volumes::prune(&ctx.paths, all, &|volume| !filters.labels(&volume.labels))?;
    ui::stdout(&(pruned::list("Volumes", &pruned.names) + &pruned::reclaimed(pruned.reclaimed)))?;
    Ok(0)
}

fn remove(ctx: &Context, force: bool, names: &[String]) -> Result<u8> {
    each::print(names, |name| match volumes::remove(&ctx.paths, name) {
        Err(e) if force && e.message.ends_with("no such volume") => Ok(()),
        other => other,
    })
}
