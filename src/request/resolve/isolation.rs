//! Namespaces, privileges, confinement.

use super::Notes;
use super::reader::{each, invalid, list, non_empty, one_of, split_commas, switch, unread, value, with};
use crate::cli::flags::IsolationFlags;
use crate::error::Result;
use crate::request::{
    CapName, Env, IpcMode, IsolationRequest, NamespaceMode, Refusal, Request, SecurityOpt, UsernsMode,
};

pub fn resolve(flags: IsolationFlags, request: &mut Request, env: &Env, notes: &mut Notes) -> Result<()> {
    let IsolationFlags {
        cap_add,
        cap_drop,
        cgroupns,
        device,
        device_cgroup_rule,
        gidmap,
        gpus,
        ipc,
        isolation,
        personality,
        pid,
        privileged,
        read_only,
        read_only_tmpfs,
        runtime,
        seccomp_policy,
        security_opt,
        subgidname,
        subuidname,
        sysctl,
        systemd,
        uidmap,
        use_api_socket,
        userns,
        uts,
    } = flags;

    if let Some(word) = non_empty(isolation).filter(|w| w != "default") {
        return Err(invalid(
            "--isolation",
            &word,
            Refusal::engine(format!("invalid isolation: {word:?} - linux only supports 'default'")),
        ));
    }
    check_runtime(non_empty(runtime), notes)?;
    match one_of("--systemd", systemd, &["true", "false", "always"])? {
        Some("always") => notes.unsupported("--systemd=always is not carried out: hardrun has no systemd mode"),
        Some("true") => notes.notice("--systemd=true does nothing: hardrun has no systemd mode"),
        _ => {}
    }
    request.process.personality = non_empty(personality);
    request.isolation = IsolationRequest {
        privileged: switch("--privileged", privileged)?.unwrap_or(false),
        cap_add: capabilities("--cap-add", cap_add)?,
        cap_drop: capabilities("--cap-drop", cap_drop)?,
        security_opts: each("--security-opt", security_opt, |text| SecurityOpt::parse(text, env))?,
        seccomp_policy_image: one_of("--seccomp-policy", seccomp_policy, &["default", "image"])? == Some("image"),
        pid: with("--pid", non_empty(pid), |w| namespace(w, true, "--pid: invalid PID mode"))?,
        ipc: with("--ipc", non_empty(ipc), unread(ipc_mode))?,
        uts: with("--uts", non_empty(uts), |w| namespace(w, false, "--uts: invalid UTS mode"))?,
        cgroupns: with("--cgroupns", non_empty(cgroupns), |w| namespace(w, false, "--cgroupns: invalid CGROUP mode"))?,
        userns: with("--userns", non_empty(userns), userns_mode)?,
        uidmap: list("--uidmap", split_commas(uidmap))?,
        gidmap: list("--gidmap", split_commas(gidmap))?,
        subuidname: non_empty(subuidname),
        subgidname: non_empty(subgidname),
        read_only: switch("--read-only", read_only)?,
        read_only_tmpfs: switch("--read-only-tmpfs", read_only_tmpfs)?,
        devices: list("--device", device)?,
        device_cgroup_rules: list("--device-cgroup-rule", device_cgroup_rule)?,
        gpus: value("--gpus", gpus)?,
        sysctls: list("--sysctl", sysctl)?,
        use_api_socket: switch("--use-api-socket", use_api_socket)?.unwrap_or(false),
    };
    what_is_not_carried_out(&request.isolation, notes);
    Ok(())
}

fn what_is_not_carried_out(isolation: &IsolationRequest, notes: &mut Notes) {
    if isolation.gpus.is_some() {
        notes.unsupported("--gpus is not carried out: hardrun has no GPU driver; name the device nodes with --device");
    }
    if isolation.use_api_socket {
        notes.unsupported("--use-api-socket is not applicable: hardrun has no daemon and no API socket");
    }
    let maps = !isolation.uidmap.is_empty() || !isolation.gidmap.is_empty();
    if maps || isolation.subuidname.is_some() || isolation.subgidname.is_some() {
        notes.unsupported(
            "--uidmap, --gidmap, --subuidname and --subgidname are not carried out: every container gets a range of its own",
        );
    }
    match &isolation.userns {
        Some(UsernsMode::Auto(Some(options))) => {
            notes.notice(format!("--userns auto:{options}: the options do nothing, the range is hardrun's choice"));
        }
        Some(UsernsMode::Path(_) | UsernsMode::Container(_)) => {
            notes.unsupported(
                "--userns ns: and container: are not carried out: every container gets a range of its own",
            );
        }
        _ => {}
    }
}

fn capabilities(flag: &str, words: Vec<String>) -> Result<Vec<CapName>> {
    let named = |word: &str| word.parse::<CapName>().map(|cap| CapName { typed: format!("{flag} {word}"), ..cap });
    each(flag, words, unread(named))
}

/// `private`, `host` and, where there is such a thing, `container:NAME`.
fn namespace(word: &str, joinable: bool, error: &str) -> std::result::Result<NamespaceMode, String> {
    match (word, word.strip_prefix("container:")) {
        ("private", _) => Ok(NamespaceMode::Private),
        ("host", _) => Ok(NamespaceMode::Host),
        (_, Some(container)) if joinable && !container.is_empty() => Ok(NamespaceMode::Container(container.to_owned())),
        _ => Err(error.to_owned()),
    }
}

fn ipc_mode(word: &str) -> std::result::Result<IpcMode, String> {
    Ok(match (word, word.strip_prefix("container:")) {
        ("none", _) => IpcMode::None,
        ("private", _) => IpcMode::Private,
        ("shareable", _) => IpcMode::Shareable,
        ("host", _) => IpcMode::Host,
        (_, Some(container)) if !container.is_empty() => IpcMode::Container(container.to_owned()),
        _ => return Err("--ipc: invalid IPC mode".into()),
    })
}

fn userns_mode(word: &str) -> std::result::Result<UsernsMode, String> {
    let (mode, rest) = match word.split_once(':') {
        Some((mode, rest)) => (mode, Some(rest.to_owned())),
        None => (word, None),
    };
    Ok(match (mode, rest) {
        ("host", None) => UsernsMode::Host,
        ("private", None) => UsernsMode::Auto(None),
        ("auto", options) => UsernsMode::Auto(options),
        ("keep-id", options) => UsernsMode::KeepId(options),
        ("nomap", None) => UsernsMode::NoMap,
        ("ns", Some(path)) if path.starts_with('/') => UsernsMode::Path(path.into()),
        ("container", Some(container)) if !container.is_empty() => UsernsMode::Container(container),
        _ => return Err("--userns: invalid USER mode".into()),
    })
}

/// Other engines' runtimes stand for the one built in; a path or an unknown name would be code run outside.
fn check_runtime(word: Option<String>, notes: &mut Notes) -> Result<()> {
    match word.as_deref() {
        None | Some("hardrun" | "youki" | "libcontainer") => Ok(()),
        Some(name @ ("runc" | "crun" | "io.containerd.runc.v2")) => {
            notes.notice(format!("--runtime {name}: hardrun's own runtime is used"));
            Ok(())
        }
        Some(other) => Err(invalid(
            "--runtime",
            other,
            Refusal::engine(format!("unknown runtime specified {other}; hardrun's own is built in")),
        )),
    }
}
