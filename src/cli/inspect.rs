//! `hardrun inspect`, also as `container inspect` and `image inspect`.

use super::Context;
use crate::error::{Context as _, Error, Result};
use crate::image::reference::Reference;
use crate::image::store::Store as Images;
use crate::net::describe;
use crate::net::store::Store as Networks;
use crate::observe::format::Value;
use crate::observe::format::inspect::Inspect;
use crate::observe::{inspect, shape, sizes};
use crate::request::parse_bool;
use crate::state::lookup;
use crate::storage::volumes;
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// `json`, or a template such as '{{.State.Status}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Sizes of files, too, of containers
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    size: bool,
    /// Only things of this kind: container, image, network or volume
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[arg(value_name = "NAME|ID", required = true)]
    names: Vec<String>,
}

/// In the order in which a name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Container,
    Image,
    Network,
    Volume,
}

const ALL: [Type; 4] = [Type::Container, Type::Image, Type::Network, Type::Volume];
/// Things of a cluster, which docker knows and hardrun does not have.
const OF_CLUSTERS: [&str; 6] = ["config", "node", "plugin", "secret", "service", "task"];

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let format = Inspect::parse(args.format.as_deref())?;
    let types = types(args.kind.as_deref())?;
    print(&format, &args.names, |name| look(ctx, &types, name, args.size)?.ok_or_else(|| missing(&types, name)))
}

/// What was found, as was asked for; then, on stderr, what was not.
pub fn print(format: &Inspect, names: &[String], look: impl FnMut(&String) -> Result<Value>) -> Result<u8> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    names.iter().map(look).for_each(|looked| match looked {
        Ok(value) => found.push(value),
        Err(e) => errors.push(e),
    });
    let (text, wrong) = format.render(&found, ui::on_terminal());
    ui::stdout(&text)?;
    errors.extend(wrong);
    errors.iter().for_each(ui::error);
    Ok(u8::from(!errors.is_empty()))
}

fn types(asked: Option<&str>) -> Result<Vec<Type>> {
    Ok(match asked.unwrap_or_default() {
        "" => ALL.to_vec(),
        "container" => vec![Type::Container],
        "image" => vec![Type::Image],
        "network" => vec![Type::Network],
        "volume" => vec![Type::Volume],
        other if OF_CLUSTERS.contains(&other) => Vec::new(),
        other => {
            return Err(Error::verb(format!(
                "unknown type: {other:?}: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \
                 \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
            )));
        }
    })
}

/// In docker's words.
fn missing(types: &[Type], name: &str) -> Error {
    match types {
        [Type::Container] => Error::verb(format!("No such container: {name}")),
        [Type::Image] => match name.parse::<Reference>() {
            Ok(reference) => Error::verb(format!("No such image: {}", reference.familiar())),
            Err(_) => Error::verb(format!("No such image: {name}")),
        },
        [Type::Network] => Error::verb(format!("network {name} not found")),
        [Type::Volume] => Error::verb(format!("get {name}: no such volume")),
        _ => Error::verb(format!("No such object: {name}")),
    }
}

/// The first thing of this name.
fn look(ctx: &Context, types: &[Type], name: &str, size: bool) -> Result<Option<Value>> {
    for kind in types {
        let found = match kind {
            Type::Container => container(ctx, name, size)?,
            Type::Image => image(ctx, name)?,
            Type::Network => network(ctx, name)?,
            Type::Volume => volume(ctx, name)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// `None` for the error that says that there is no such thing.
fn or_missing<T>(result: Result<T>, says: impl Fn(&str) -> bool) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(e) if says(&e.message) => Ok(None),
        Err(e) => Err(e),
    }
}

fn container(ctx: &Context, name: &str, size: bool) -> Result<Option<Value>> {
    let found = lookup::find(&ctx.paths, name);
    let Some(container) = or_missing(found, |m| m.starts_with("No such container"))? else { return Ok(None) };
    let sizes = match size {
        true => Some(sizes::of(&Images::open(&ctx.paths)?, &container)),
        false => None,
    };
    Ok(Some(inspect::typed(&inspect::describe(&ctx.paths, &container, sizes))))
}

fn image(ctx: &Context, name: &str) -> Result<Option<Value>> {
    let described = Images::open(&ctx.paths)?.described(name);
    let wrong = |m: &str| m.starts_with("No such image") || m.starts_with("invalid reference");
    let Some(described) = or_missing(described, wrong)? else { return Ok(None) };
    let json = serde_json::to_value(described).verb_context(|| format!("describe image {name}"))?;
    Ok(Some(shape::IMAGE.typed(Some(&json))))
}

fn network(ctx: &Context, name: &str) -> Result<Option<Value>> {
    let Some(network) = Networks::new(&ctx.paths).find(name)? else { return Ok(None) };
    Ok(Some(shape::NETWORK.typed(Some(&describe::describe(&ctx.paths, &network)?))))
}

fn volume(ctx: &Context, name: &str) -> Result<Option<Value>> {
    let found = or_missing(volumes::get(&ctx.paths, name), |m| m.ends_with("no such volume"))?;
    let Some(volume) = found else { return Ok(None) };
    let json = serde_json::to_value(volume.describe()).verb_context(|| format!("describe volume {name}"))?;
    Ok(Some(shape::VOLUME.typed(Some(&json))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_dockers() {
        assert_eq!(types(None).unwrap(), ALL);
        assert_eq!(types(Some("image")).unwrap(), [Type::Image]);
        assert!(types(Some("task")).unwrap().is_empty());
        assert!(types(Some("nosuch")).unwrap_err().message.starts_with("unknown type: \"nosuch\": must be one of"));
    }

    #[test]
    fn what_is_missing_is_said_in_dockers_words() {
        let said = |types: &[Type]| missing(types, "x").message;
        assert_eq!(said(&ALL), "No such object: x");
        assert_eq!(said(&[Type::Container]), "No such container: x");
        assert_eq!(said(&[Type::Image]), "No such image: x:latest");
        assert_eq!(said(&[Type::Volume]), "get x: no such volume");
    }
}
