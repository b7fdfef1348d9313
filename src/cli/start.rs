//! `hardrun start`

use super::{Context, prepare, watch};
use crate::control;
use crate::error::{Error, Kind, Result};
use crate::facts::Facts;
use crate::launch::client::{self, Wish};
use crate::policy;
use crate::state::{Container, Record, State, lookup};
use std::time::{Duration, Instant};

/// How long somebody else's start is waited for: it takes as long as the host is busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Attach stdout and stderr, and pass signals on
    #[arg(short, long)]
    attach: bool,
    /// Attach stdin
    #[arg(short, long)]
    interactive: bool,
    /// Keys that detach from the container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    // Where the policy cannot be used nothing starts, whatever the containers are. It is read once, for all of them.
    let facts = Facts::gather(&ctx.paths)?;
    prepare::sweep(ctx)?;
    if !args.attach && !args.interactive {
        let mut failed = Vec::new();
        super::each::print(&args.containers, |name| {
            let found = lookup::find(&ctx.paths, name);
            let started = found.and_then(|container| start(ctx, &facts, &container, control::Streams::default()));
            started.map(drop).inspect_err(|_| failed.push(name.to_owned()))
        })?;
        if !failed.is_empty() {
            return Err(Error::verb(format!("failed to start containers: {}", failed.join(", "))));
        }
        return Ok(0);
    }
    let [name] = args.containers.as_slice() else {
        return Err(Error::verb("you cannot start and attach multiple containers at once"));
    };
    let container = lookup::find(&ctx.paths, name)?;
    let stdio = &container.record.plan.draft.stdio;
    let wish = Wish {
        stdin: args.interactive && stdio.interactive,
        stdout: true,
        stderr: true,
        tty: stdio.tty,
        sig_proxy: !stdio.tty,
        detach_keys: watch::detach_keys(args.detach_keys.as_deref())?,
    };
    if container.is_running() {
        return watch::attach(&container, &wish);
    }
    let (ours, theirs) = client::pipes(&wish)?;
    match start(ctx, &facts, &container, theirs)? {
        Some(connection) => Ok(client::follow(&connection, ours, &wish)?.status()),
        // Somebody else has started it meanwhile.
        None => watch::attach(&lookup::find(&ctx.paths, container.id())?, &wish),
    }
}

/// Start a container in the background, judged by what `facts` say of this host and its site. `None`: it runs already, which
/// docker is content with.
///
/// # Errors
/// A rule that refuses the plan today, or what keeps it from starting; docker's exit code for both is 1.
pub fn start(
    ctx: &Context,
    facts: &Facts,
    container: &Container,
    streams: control::Streams,
) -> Result<Option<control::Client>> {
    if container.alive && container.status.state == State::Paused {
        return Err(Error::verb("cannot start a paused container, try unpause instead"));
    }
    if container.alive && settled(ctx, container.id())? {
        return Ok(None);
    }
    let mut record = container.record.clone();
    let others = prepare::renew(&mut record, facts).map_err(|e| e.of_kind(Kind::Verb))?;
    judge(ctx, &record, facts)?;
    let renewed = others.then(|| container.record.digest.clone());
    let (mut handoff, held) = prepare::handoff(record, facts, ctx)?;
    (handoff.existing, handoff.renewed) = (true, renewed);
    match crate::launch::start(handoff, held, streams) {
        Ok(connection) => Ok(Some(connection)),
        // Of several who start it at once one does, and all of them are content.
        Err(_) if settled(ctx, container.id())? => Ok(None),
        Err(e) => Err(e.of_kind(Kind::Verb)),
    }
}

/// Wait for whoever has the container in hands just now, to start it or to put it away: whether it runs then.
fn settled(ctx: &Context, id: &str) -> Result<bool> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let up = match lookup::find(&ctx.paths, id) {
            Ok(now) if now.alive => now.status.state.is_up().then_some(true),
            _ => Some(false),
        };
        match up {
            Some(up) => return Ok(up),
            None if Instant::now() > give_up => return Ok(false),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Whether the container may be started: what `restart` asks before it stops anything.
///
/// # Errors
/// As those of [`start`].
pub fn may(ctx: &Context, facts: &Facts, container: &Container) -> Result<()> {
    let mut record = container.record.clone();
    // What is renewed is told by the start itself.
    record.plan.renew(facts).map_err(|e| e.of_kind(Kind::Verb))?;
    judge(ctx, &record, facts)
}

/// What was let pass when the container was created is judged again: rules, or this host, may have changed since.
fn judge(ctx: &Context, record: &Record, facts: &Facts) -> Result<()> {
    let draft = prepare::as_of_today(&record.plan.draft, facts, ctx)?;
    let verdict = policy::judge(&draft, facts, &record.allow)?;
    if verdict.passed() {
        return Ok(());
    }
    policy::render::print(&verdict);
    crate::audit::record_refusal(&ctx.paths, &draft, &verdict)?;
    // One that was created where nothing could be limited has none of these.
    let limits = |rule: &&str| ["no-memory-limit", "no-pids-limit"].contains(rule);
    let hint = match verdict.refused_rules().iter().all(limits) {
        true => format!("set them: hardrun update --memory 512m --pids-limit 2048 {}", record.name),
        false => "create it anew, with the overrides that are named above".to_owned(),
    };
    Err(Error::verb(format!("container {} is not started: rules refuse it", record.name)).hint(hint))
}
