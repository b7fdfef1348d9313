//! `hardrun exec`

use super::{Context, watch};
use crate::audit::{self, Entry};
use crate::control::{Answer, Ask, Client};
use crate::error::{Error, Kind, Result};
use crate::facts::Facts;
use crate::image::users;
use crate::image::view::View;
use crate::launch::exec::{self, ExecRequest, Way};
use crate::plan::draft::{Host, ThisHost, host_groups};
use crate::plan::{AskedExec, Draft, Source, Sourced, UserNamespace, UserPlan};
use crate::policy::{self, Allow};
use crate::request::{Env, EnvSetting};
use crate::state::{Container, State, lookup};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Keys that detach from the process
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true)]
    detach_keys: Option<String>,
    /// Set an environment variable: NAME=VALUE, or NAME with the caller's value
    #[arg(short, long, value_name = "LIST", allow_hyphen_values = true)]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "LIST")]
    env_file: Vec<String>,
    /// Attach stdin
    #[arg(short, long)]
    interactive: bool,
    /// Give every capability (refused until overridden)
    #[arg(long)]
    privileged: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// User or uid, and group or gid: NAME|UID[:GROUP|GID]
    #[arg(short, long, value_name = "USER", allow_hyphen_values = true)]
    user: Option<String>,
    /// Working directory in the container
    #[arg(short, long, value_name = "DIR", allow_hyphen_values = true)]
    workdir: Option<String>,
    /// Override one rule: RULE or RULE=REASON; the reason is written to the audit log
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
    /// Container, command and its arguments
    #[arg(value_name = "CONTAINER COMMAND [ARG...]", trailing_var_arg = true, num_args = 0..)]
    words: Vec<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let (Some(name), true) = (args.words.first(), args.words.len() > 1) else {
        return Err(Error::new(Kind::UsageClient, "'hardrun exec' requires at least 2 arguments")
            .hint("usage: hardrun exec [OPTIONS] CONTAINER COMMAND [ARG...]\nSee 'hardrun exec --help'."));
    };
    if args.tty && args.interactive && !args.detach && !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::UsageClient, "the input device is not a TTY"));
    }
    let facts = Facts::gather(&ctx.paths)?;
    let container = lookup::find(&ctx.paths, name)?;
    up(name, &container)?;
    container.elsewhere().map_or(Ok(()), Err)?;
    // It may end at any moment from here on.
    enter(&args, ctx, &facts, &container).map_err(|e| match lookup::find(&ctx.paths, container.id()) {
        Ok(now) => up(name, &now).err().unwrap_or(e),
        Err(gone) => gone,
    })
}

/// Whether a command can be started in it, else docker's words for why not.
fn up(name: &str, container: &Container) -> Result<()> {
    match container.status.state {
        State::Running if container.alive => Ok(()),
        State::Paused if container.alive => {
            Err(Error::verb(format!("Container {name} is paused, unpause the container before exec")))
        }
        State::Restarting if container.alive => {
            Err(Error::verb(format!("Container {} is restarting, wait until the container is running", container.id())))
        }
        _ => Err(exec::not_running(container.id())),
    }
}

fn enter(args: &Args, ctx: &Context, facts: &Facts, container: &Container) -> Result<u8> {
    let client = Client::to(container)?;
    let (answer, fds) = client.ask(&Ask::Enter)?;
    let mut fds = fds.into_iter();
    let (Answer::Entrance { pid }, Some(handoff), Some(mounts), Some(init)) =
        (answer, fds.next(), fds.next(), fds.next())
    else {
        return Err(Error::verb("the container's supervisor did not say how to enter"));
    };
    let mut draft = super::prepare::as_of_today(&container.record.plan.draft, facts, ctx)?;
    let asked = request(args, container, pid, &mut draft);
    let request = asked.map_err(|e| match exec::is_ending(init.as_fd()) {
        true => exec::not_running(container.id()),
        false => e,
    })?;
    if let Some(status) = judge(ctx, facts, args, container, &draft)? {
        return Ok(status);
    }
    draft.watched(facts)?.iter().for_each(|line| crate::ui::note(line));
    if args.privileged {
        let over = match draft.namespaces.user.value {
            UserNamespace::Host => "over the host",
            UserNamespace::Private { .. } => "over what the container's user namespace owns, none over the host",
        };
        crate::ui::note(&format!(
            "--privileged: every capability {over}; the container's filter, Landlock rules and no_new_privs stay"
        ));
    }
    let control = client.into_socket();
    let way = Way { handoff: &handoff, mounts: &mounts, init: &init, control: Some(&control) };
    if args.detach {
        return exec::start(&request, &way).map(|()| 0);
    }
    match exec::become_exec(&request, &way)? {}
}

/// The process, and the draft as it would be with it.
fn request(args: &Args, container: &Container, pid: i32, draft: &mut Draft) -> Result<ExecRequest> {
    let own_uid = draft.process.user.value.uid;
    let user = user(args, container, pid, draft)?;
    let mut capabilities = draft.capabilities.value.clone();
    if args.privileged {
        capabilities = caps::all().into_iter().map(|c| c.to_string()).collect();
    }
    draft.asked.exec = Some(AskedExec {
        privileged: args.privileged,
        root: (user.uid == 0 && own_uid != 0).then(|| format!("--user {}", args.user.as_deref().unwrap_or("root"))),
    });
    let args_typed = args.words[1..].to_vec();
    draft.process.args = Sourced::new(args_typed.clone(), Source::Flag("exec".into()));
    if let Some(folder) = &args.workdir {
        if !folder.starts_with('/') {
            return Err(Error::runner(format!(
                "the working directory '{folder}' is invalid, it needs to be an absolute path"
            )));
        }
        draft.process.cwd = Sourced::flag(folder.clone(), "--workdir");
    }
    let env = environment(args, draft, &user)?;
    let groups = || ThisHost.read("/etc/group".as_ref());
    draft.asked.host_groups = host_groups(&draft.namespaces, &user, groups)?;
    draft.process.user = Sourced::flag(user.clone(), "--user");
    Ok(ExecRequest {
        id: crate::plan::draft::new_id()?,
        args: args_typed,
        env,
        cwd: draft.process.cwd.value.clone(),
        user,
        tty: args.tty,
        stdin: args.interactive && !args.detach,
        detached: args.detach,
        capabilities,
        privileged: args.privileged,
        apparmor_mode: draft.asked.apparmor_mode.clone(),
        detach_keys: watch::detach_keys(args.detach_keys.as_deref())?,
        control: false,
        report: false,
        host: false,
    })
}

/// By the container's own files as they are now, as docker does.
fn user(args: &Args, container: &Container, pid: i32, draft: &Draft) -> Result<UserPlan> {
    let Some(typed) = args.user.as_deref().filter(|u| !u.is_empty()) else {
        return Ok(draft.process.user.value.clone());
    };
    let root = PathBuf::from(format!("/proc/{pid}/root/."));
    users::resolve(&View::new(&[root]), typed, &container.record.words.group_add)
        .map_err(|e| Error { kind: Kind::CannotInvoke, ..e })
}

fn environment(args: &Args, draft: &Draft, user: &UserPlan) -> Result<Vec<String>> {
    let caller = Env::from_process();
    let asked: Vec<EnvSetting> = crate::request::environment(args.env.clone(), args.env_file.clone(), &caller)?;
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| {
        env.retain(|(n, _)| n != name);
        env.push((name.to_owned(), value.to_owned()));
    };
    for entry in &draft.process.env {
        let (name, value) = entry.value.split_once('=').unwrap_or((&entry.value, ""));
        // The home of another user is another.
        if name != "HOME" || args.user.is_none() || entry.source != Source::Image {
            set(name, value);
        }
    }
    if args.tty {
        set("TERM", "xterm");
    }
    let mut gone = Vec::new();
    for setting in &asked {
        match &setting.value {
            Some(value) => set(&setting.name, value),
            None => gone.push(setting.name.clone()),
        }
    }
    env.retain(|(name, _)| !gone.contains(name));
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".into(), user.home.clone().unwrap_or_else(|| "/".into())));
    }
    Ok(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// The container with this process in it meets the same rules; what was overridden for the container stays so.
fn judge(ctx: &Context, facts: &Facts, args: &Args, container: &Container, draft: &Draft) -> Result<Option<u8>> {
    let given = args.allow.iter().map(|text| Allow::from_str(text)).collect::<Result<Vec<_>>>()?;
    let mut allow = container.record.allow.clone();
    allow.extend(given.iter().cloned());
    let verdict = policy::judge(draft, facts, &allow)?;
    if !verdict.passed() {
        policy::render::print(&verdict);
        audit::record_refusal(&ctx.paths, draft, &verdict)?;
        return Ok(Some(Kind::Runner.exit_code()));
    }
    let own: Vec<_> = verdict.overridden.iter().filter(|o| given.iter().any(|a| a.rule == o.rule)).cloned().collect();
    audit::append_all(&ctx.paths, &Entry::exec(draft, &container.record.digest, &own))?;
    Ok(None)
}
