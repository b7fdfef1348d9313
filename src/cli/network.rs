//! `hardrun network`

use super::confirm::confirm;
use super::container::FILTERS;
use super::pairs::pairs;
use super::{Context, each, inspect, prepare};
use crate::control::{Ask, Client};
use crate::error::{Error, Kind, Result};
use crate::image::prune::until;
use crate::launch;
use crate::net::store::{BUILT_IN, Network, Store};
use crate::net::{describe, make};
use crate::observe::filter::Filters;
use crate::observe::format::Value;
use crate::observe::format::inspect::Inspect;
use crate::observe::format::list::{Columns, Field, Listing};
use crate::observe::shape;
use crate::plan::{EndpointPlan, NetworkMode};
use crate::request::{parse_bool, parse_ipv4, parse_ipv6, parse_mac};
use crate::state::{Folder, lookup};
use crate::ui;
use std::io::IsTerminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Connect a container to a network
    Connect {
        /// Name on this network
        #[arg(long, value_name = "NAME")]
        alias: Vec<String>,
        /// IPv4 address
        #[arg(long, value_name = "IP")]
        ip: Option<String>,
        /// IPv6 address
        #[arg(long, value_name = "IP")]
        ip6: Option<String>,
        /// MAC address
        #[arg(long, value_name = "MAC")]
        mac_address: Option<String>,
        #[arg(value_name = "NETWORK")]
        network: String,
        #[arg(value_name = "CONTAINER")]
        container: String,
    },
    /// Create a network
    Create(Create),
    /// Take a container off a network
    Disconnect {
        /// One that is not there is no failure
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
        #[arg(value_name = "NETWORK")]
        network: String,
        #[arg(value_name = "CONTAINER")]
        container: String,
    },
    /// Show what is known of networks, as JSON
    Inspect {
        /// `json`, or a template such as '{{.Id}}'
        #[arg(short, long, value_name = "FORMAT")]
        format: Option<String>,
        /// Accepted; hardrun knows no more
        #[arg(short, long)]
        verbose: bool,
        #[arg(value_name = "NETWORK", required = true)]
        names: Vec<String>,
    },
    /// List networks
    #[command(visible_alias = "list")]
    Ls {
        /// Only some: name=PART, id=PART, driver=NAME, scope=NAME, type=custom|builtin, label=KEY[=VALUE], dangling=BOOL
        #[arg(short, long, value_name = "FILTER")]
        filter: Vec<String>,
        /// `table`, `json`, or a template such as '{{.Name}}'
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Don't truncate output
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        no_trunc: bool,
        /// Only show IDs
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        quiet: bool,
    },
    /// Remove networks that no container is on
    Prune {
        /// Only some: label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME
        #[arg(long, value_name = "FILTER")]
        filter: Vec<String>,
        /// Do not ask
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
    },
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm {
        /// One that is not there is no failure
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
        force: bool,
        #[arg(value_name = "NETWORK", required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Accepted: every container may be connected
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    attachable: bool,
    /// Network driver; bridge is the only one
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge", hide_default_value = true)]
    driver: String,
    /// The host's own address on it
    #[arg(long, value_name = "IP")]
    gateway: Vec<String>,
    /// No way out, and none in
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    internal: bool,
    /// Give addresses out of this part of the subnet
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<String>,
    /// IPv6 addresses too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    ipv6: bool,
    /// Label for the network
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Option of the driver: com.docker.network.bridge.name=, …bridge.enable_icc=, …driver.mtu=
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Addresses of the network
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<String>,
    #[arg(value_name = "NETWORK")]
    name: String,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    match args.what {
        What::Connect { alias, ip, ip6, mac_address, network, container } => {
            let given = |value: Option<String>| value.filter(|v| !v.is_empty());
            let endpoint = EndpointPlan {
                network,
                aliases: alias,
                ip: given(ip).map(|v| parse_ipv4(&v)).transpose().map_err(Error::verb)?,
                ip6: given(ip6).map(|v| parse_ipv6(&v)).transpose().map_err(Error::verb)?,
                mac: given(mac_address).map(|v| parse_mac(&v)).transpose().map_err(Error::verb)?,
                gw_priority: 0,
            };
            connect(ctx, endpoint, &container)
        }
        What::Create(create) => make_one(ctx, create),
        What::Disconnect { force, network, container } => match disconnect(ctx, &network, &container) {
            Err(e) if !force => Err(e),
            _ => Ok(0),
        },
        What::Inspect { format, verbose: _, names } => look(ctx, format.as_deref(), &names),
        What::Ls { filter, format, no_trunc, quiet } => list(ctx, &filter, format.as_deref(), no_trunc, quiet),
        What::Prune { filter, force } => prune(ctx, &filter, force),
        What::Rm { force, names } => each::print(&names, |name| {
            let removed = make::remove(&ctx.paths, name, &launch::alive(&ctx.paths));
            match removed {
                Err(e) if force && e.message.starts_with("No such network") => Ok(()),
                other => other.map(drop),
            }
        }),
    }
}

fn make_one(ctx: &Context, create: Create) -> Result<u8> {
    let Create { attachable, driver, gateway, internal, ip_range, ipv6, label, opt, subnet, name } = create;
    let wanted = make::Wanted {
        name,
        driver,
        subnets: subnet,
        gateways: gateway,
        ip_ranges: ip_range,
        internal,
        ipv6,
        attachable,
        options: pairs(&opt),
        labels: pairs(&label),
    };
    let made = make::create(&ctx.paths, wanted).map_err(verb)?;
    ui::stdout(&format!("{}\n", made.id))?;
    Ok(0)
}

fn verb(e: Error) -> Error {
    e.of_kind(Kind::Verb)
}

fn look(ctx: &Context, format: Option<&str>, names: &[String]) -> Result<u8> {
    let format = Inspect::parse(format)?;
    let store = Store::new(&ctx.paths);
    inspect::print(&format, names, |name| {
        let network = store.find(name)?.ok_or_else(|| Error::verb(format!("No such network: {name}")))?;
        Ok(shape::NETWORK.typed(Some(&describe::describe(&ctx.paths, &network)?)))
    })
}

/// A network as it is listed.
struct Row {
    network: Network,
    no_trunc: bool,
}

const COLUMNS: Columns<Row> = Columns {
    of: "*formatter.networkContext",
    fields: &[
        Field {
            name: "CreatedAt",
            heading: "CREATED AT",
            value: |r| crate::observe::format::print::go_time(r.network.created.0).into(),
        },
        Field { name: "Driver", heading: "DRIVER", value: |r| r.network.driver.clone().into() },
        Field {
            name: "ID",
            heading: "NETWORK ID",
            value: |r| if r.no_trunc { r.network.id.clone().into() } else { r.network.id[..12].to_owned().into() },
        },
        Field { name: "IPv6", heading: "IPV6", value: |r| r.network.enable_ipv6.to_string().into() },
        Field { name: "Internal", heading: "INTERNAL", value: |r| r.network.internal.to_string().into() },
        Field { name: "Label", heading: "", value: |r| Value::Lookup(std::rc::Rc::new(r.network.labels.clone())) },
        Field {
            name: "Labels",
            heading: "LABELS",
            value: |r| {
                let labels: Vec<String> = r.network.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                labels.join(",").into()
            },
        },
        Field { name: "Name", heading: "NAME", value: |r| r.network.name.clone().into() },
        Field { name: "Scope", heading: "SCOPE", value: |_| Value::text("local") },
    ],
};

fn list(ctx: &Context, filters: &[String], format: Option<&str>, no_trunc: bool, quiet: bool) -> Result<u8> {
    let listing = Listing::parse(format, &["ID", "Name", "Driver", "Scope"], quiet.then_some("ID"))?;
    let filters = Filters::parse(filters, FOR_LISTS)?;
    let mut rows = Vec::new();
    for network in Store::new(&ctx.paths).list()? {
        let used = || crate::net::lease::all(&ctx.paths, &network.id).is_ok_and(|l| !l.is_empty());
        if fits(&filters, &network, &used)? {
            rows.push(Row { network, no_trunc });
        }
    }
    ui::stdout(&listing.render(&COLUMNS, &rows, std::io::stdout().is_terminal())?)?;
    Ok(0)
}

const FOR_LISTS: &[&str] = &["name", "id", "driver", "scope", "type", "label", "dangling"];

/// Of one key any value will do, of several keys each must; labels must all be there.
fn fits(filters: &Filters, network: &Network, used: &dyn Fn() -> bool) -> Result<bool> {
    if let Some(value) = filters.values("type").iter().find(|v| !matches!(v.as_str(), "custom" | "builtin")) {
        return Err(Error::verb(format!("Invalid filter: 'type'='{value}'")));
    }
    let dangling = filters.truth("dangling")?;
    Ok(filters.any("name", |part| network.name.contains(part))
        && filters.any("id", |start| network.id.starts_with(start))
        && filters.any("driver", |name| network.driver == name)
        && filters.any("scope", |name| name == "local")
        && filters.any("type", |kind| network.is_built_in() == (kind == "builtin"))
        && filters.labels(&network.labels)
        && dangling.is_none_or(|wanted| (!network.is_built_in() && !used()) == wanted))
}

fn prune(ctx: &Context, filters: &[String], force: bool) -> Result<u8> {
    let filters = Filters::parse_pruning(filters, FILTERS)?;
    if !force && !confirm("all custom networks not used by at least one container.")? {
        return Ok(0);
    }
    let removed = pruned(ctx, &filters)?;
    ui::stdout(&super::pruned::list("Networks", &removed))?;
    Ok(0)
}

/// Remove the networks that no container is on: their names.
pub fn pruned(ctx: &Context, filters: &Filters) -> Result<Vec<String>> {
    let mut before = None;
    for text in filters.values("until") {
        before = Some(until(text, jiff::Timestamp::now())?);
    }
    let wanted =
        |network: &Network| filters.labels(&network.labels) && before.is_none_or(|before| network.created.0 < before);
    make::prune(&ctx.paths, &wanted, &launch::alive(&ctx.paths)).map_err(verb)
}

/// The network's own name, whatever it was called by: what plans hold.
fn user_network(ctx: &Context, reference: &str) -> Result<Network> {
    let network = Store::new(&ctx.paths).get(reference)?;
    match network.name.as_str() {
        name if BUILT_IN[1..].contains(&name) => Err(Error::verb(format!(
            "container cannot be connected to network {name}: it has a network namespace of its own, or none"
        ))),
        _ => Ok(network),
    }
}

fn connect(ctx: &Context, mut endpoint: EndpointPlan, reference: &str) -> Result<u8> {
    prepare::sweep(ctx)?;
    let container = lookup::find(&ctx.paths, reference)?;
    endpoint.network = user_network(ctx, &endpoint.network)?.name;
    bridged(&container.record.plan.draft.namespaces.network.value)?;
    if container.alive
        && let Some(client) = Client::connect(&container.folder)?
    {
        return client.ask(&Ask::Connect { endpoint: Box::new(endpoint) }).map(|_| 0).map_err(verb);
    }
    change(ctx, container.id(), reference, |endpoints| {
        if endpoints.iter().any(|e| e.network == endpoint.network) {
            return Err(Error::verb(format!(
                "endpoint with name {} already exists in network {}",
                container.record.name, endpoint.network
            )));
        }
        endpoints.push(endpoint);
        Ok(())
    })
}

fn disconnect(ctx: &Context, network: &str, reference: &str) -> Result<u8> {
    prepare::sweep(ctx)?;
    let container = lookup::find(&ctx.paths, reference)?;
    let network = user_network(ctx, network)?;
    bridged(&container.record.plan.draft.namespaces.network.value)?;
    if container.alive
        && let Some(client) = Client::connect(&container.folder)?
    {
        return client.ask(&Ask::Disconnect { network: network.name }).map(|_| 0).map_err(verb);
    }
    change(ctx, container.id(), reference, |endpoints| {
        let before = endpoints.len();
        endpoints.retain(|e| e.network != network.name && !network.id.starts_with(&e.network));
        match endpoints.len() < before {
            true => Ok(()),
            false => {
                Err(Error::verb(format!("container {} is not connected to network {}", container.id(), network.name)))
            }
        }
    })
}

fn bridged(mode: &NetworkMode) -> Result<()> {
    match mode {
        NetworkMode::Bridge | NetworkMode::Named(_) => Ok(()),
        NetworkMode::Host => {
            Err(Error::verb("container cannot be connected to or disconnected from a network: it has the host's"))
        }
        NetworkMode::None | NetworkMode::Container(_) => {
            Err(Error::verb("container cannot be connected to or disconnected from a network: it was made without one"))
        }
    }
}

/// Change the networks of a container that does not run: it joins them when it is started.
fn change(
    ctx: &Context,
    id: &str,
    reference: &str,
    change: impl FnOnce(&mut Vec<EndpointPlan>) -> Result<()>,
) -> Result<u8> {
    let Some(folder) = Folder::open(&ctx.paths, id)? else {
        return Err(Error::verb(format!("container {reference} is being started or removed just now")));
    };
    let mut record = folder.record()?;
    change(&mut record.plan.draft.network.endpoints)?;
    record.digest = record.plan.digest();
    folder.write_record(&record).map_err(verb)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        let dir = tempfile::tempdir().unwrap();
        let paths = crate::state::Paths::new(Some(dir.path()));
        let bridge = Store::new(&paths).get("bridge").unwrap();
        let parse =
            |texts: &[&str]| Filters::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), FOR_LISTS);
        let fit = |texts: &[&str]| fits(&parse(texts).unwrap(), &bridge, &|| false).unwrap();
        assert!(fit(&[]) && fit(&["name=idg"]) && fit(&["name=x", "name=bridge"]) && fit(&["type=builtin"]));
        assert!(!fit(&["name=bridge", "driver=host"]) && !fit(&["type=custom"]) && !fit(&["label=a"]));
        assert!(fit(&["dangling=false"]) && !fit(&["dangling=true"]));
        assert!(fits(&parse(&["type=x"]).unwrap(), &bridge, &|| false).is_err());
        assert_eq!(parse(&["colour=red"]).unwrap_err().message, "Invalid filter 'colour'");
    }
}
