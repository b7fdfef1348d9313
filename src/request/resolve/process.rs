//! The process and what it sees of its caller.

use super::Notes;
use super::reader::{each, invalid, non_empty, one_of, switch, uint, unread, value, with};
use crate::cli::flags::ProcessFlags;
use crate::error::{Error, Kind, Result};
use crate::request::container_name::parse_hostname;
use crate::request::{Attach, Env, EnvSetting, Request, env_file};

pub fn resolve(flags: ProcessFlags, request: &mut Request, env: &Env, notes: &mut Notes) -> Result<()> {
    let ProcessFlags {
        attach,
        detach,
        detach_keys,
        domainname,
        entrypoint,
        env: env_words,
        env_file,
        env_host,
        env_merge,
        group_add,
        group_entry,
        hostname,
        hostuser,
        http_proxy,
        init,
        init_path,
        interactive,
        no_hostname,
        passwd,
        passwd_entry,
        preserve_fds,
        sdnotify,
        sig_proxy,
        tty,
        tz,
        umask,
        unsetenv,
        unsetenv_all,
        user,
        workdir,
    } = flags;

    notes.not_applicable_list("--hostuser", &hostuser, "no user of the host is known inside the container");
    notes.not_applicable(
        "--init-path",
        &non_empty(init_path),
        "a program of the host is not bound in; --init is built in",
    );
    if let Some(mode @ ("container" | "conmon")) = one_of("--sdnotify", sdnotify, &["container", "conmon", "ignore"])? {
        notes.unsupported(format!(
            "--sdnotify={mode} is not carried out: the container gets no socket of the host; use --sdnotify=ignore"
        ));
    }
    request.lifecycle.detach = switch("-d, --detach", detach)?.unwrap_or(false);
    let attach = each("-a, --attach", attach, stream)?;
    if request.lifecycle.detach && !attach.is_empty() {
        return Err(Error::new(Kind::UsageClient, "conflicting options: cannot specify both --attach and --detach"));
    }

    let process = &mut request.process;
    process.interactive = switch("-i, --interactive", interactive)?.unwrap_or(false);
    process.tty = switch("-t, --tty", tty)?.unwrap_or(false);
    process.attach = (!attach.is_empty()).then(|| Attach {
        // As docker: -i attaches stdin whatever -a says.
        stdin: process.interactive || attach.contains(&"stdin"),
        stdout: attach.contains(&"stdout"),
        stderr: attach.contains(&"stderr"),
    });
    process.sig_proxy = switch("--sig-proxy", sig_proxy)?;
    process.detach_keys = value("--detach-keys", detach_keys)?;
    process.entrypoint = entrypoint;
    process.workdir = with("-w, --workdir", non_empty(workdir), unread(absolute))?;
    process.user = value("-u, --user", non_empty(user))?;
    process.group_add = each("--group-add", group_add, group)?;
    process.env = environment(env_words, env_file, env)?;
    process.env_host = switch("--env-host", env_host)?.unwrap_or(false);
    process.env_merge = each("--env-merge", env_merge, |w| match w.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is wanted"),
    })?;
    process.unsetenv = each("--unsetenv", unsetenv, |w| match w {
        "" => Err("empty name"),
        _ => Ok(w.to_owned()),
    })?;
    process.unsetenv_all = switch("--unsetenv-all", unsetenv_all)?.unwrap_or(false);
    process.http_proxy = switch("--http-proxy", http_proxy)?.unwrap_or(false);
    process.caller_env = caller_env(process.env_host, process.http_proxy, env);
    process.hostname = with("-h, --hostname", hostname, parse_hostname)?.flatten();
    process.domainname = with("--domainname", domainname, parse_hostname)?.flatten();
    process.no_hostname = switch("--no-hostname", no_hostname)?.unwrap_or(false);
    process.init = switch("--init", init)?;
    process.umask = value("--umask", umask)?;
    process.tz = with("--tz", non_empty(tz), zone)?;
    if process.tz.as_deref() == Some("local") {
        notes.unsupported("--tz local is not carried out: name the zone, or bind /etc/localtime read-only");
    }
    process.passwd = switch("--passwd", passwd)?;
    process.passwd_entry = with("--passwd-entry", non_empty(passwd_entry), one_line)?;
    process.group_entry = with("--group-entry", non_empty(group_entry), one_line)?;
    if process.passwd_entry.is_some() || process.group_entry.is_some() {
        notes.unsupported("--passwd-entry and --group-entry are not carried out: the image's files stay as they are");
    }
    if process.passwd == Some(true) {
        notes.notice("--passwd does nothing: the image's /etc/passwd stays as it is");
    }
    process.preserve_fds = uint("--preserve-fds", preserve_fds, 1024)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Ok(())
}

fn stream(word: &str) -> std::result::Result<&'static str, String> {
    match word.to_ascii_lowercase().as_str() {
        "stdin" => Ok("stdin"),
        "stdout" => Ok("stdout"),
        "stderr" => Ok("stderr"),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".into()),
    }
}

fn absolute(word: &str) -> std::result::Result<String, String> {
    if !word.starts_with('/') {
        return Err(format!("the working directory '{word}' is invalid, it needs to be an absolute path"));
    }
    Ok(crate::request::mount::clean_path(word))
}

fn group(word: &str) -> std::result::Result<String, String> {
    if word.is_empty() || word.contains([':', '\n']) {
        return Err(format!("unable to find group {word:?}"));
    }
    Ok(word.to_owned())
}

fn one_line(word: &str) -> std::result::Result<String, String> {
    if word.contains(char::is_control) { Err("one line is wanted".into()) } else { Ok(word.to_owned()) }
}

/// `local`, or a name below /usr/share/zoneinfo.
fn zone(word: &str) -> std::result::Result<String, String> {
    let part = |p: &str| {
        !p.is_empty() && p != "." && p != ".." && p.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    if word.split('/').all(part) { Ok(word.to_owned()) } else { Err(format!("{word:?} is not a time zone's name")) }
}

/// Env files in order, then the words, as docker's client puts them.
/// Env files first, then the words: a later one wins.
///
/// # Errors
/// A file that cannot be read, a name that is none.
pub fn environment(words: Vec<String>, files: Vec<String>, env: &Env) -> Result<Vec<EnvSetting>> {
    let mut settings = Vec::new();
    for file in files {
        let bytes = super::reader::read_file("--env-file", &file, env)?;
        for line in env_file::parse(&file, &bytes).map_err(|why| invalid("--env-file", &file, why))? {
            // A bare name that the caller does not have is skipped here, unlike with --env.
            if let Some(value) = line.value.or_else(|| env.get(line.name)) {
                settings.push(EnvSetting { name: line.name.into(), value: Some(value.into()), flag: "--env-file" });
            }
        }
    }
    settings.extend(each("-e, --env", words, |text| EnvSetting::parse(text, env))?);
    Ok(settings)
}

fn caller_env(all: bool, proxies: bool, env: &Env) -> Vec<(String, String)> {
    const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];
    let wanted = |name: &str| all || (proxies && PROXIES.contains(&name.to_ascii_lowercase().as_str()));
    env.vars.iter().filter(|(name, _)| wanted(name)).cloned().collect()
}
