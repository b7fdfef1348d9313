//! The container as a thing with a name, a record and an end.

use super::Notes;
use super::reader::{each, int, invalid, non_empty, one_of, read_file, switch, uint, unread, value, with};
use crate::cli::flags::ContainerFlags;
use crate::error::{Error, Result};
use crate::request::container_name::parse_name;
use crate::request::label::{parse_annotation, parse_label};
use crate::request::{Env, GoDuration, HealthRequest, LogDriver, Refusal, Request, RestartPolicy, Signal, env_file};

pub fn resolve(flags: ContainerFlags, request: &mut Request, env: &Env, notes: &mut Notes) -> Result<()> {
    let ContainerFlags {
        annotation,
        cidfile,
        conmon_pidfile,
        health_cmd,
        health_interval,
        health_on_failure,
        health_retries,
        health_start_interval,
        health_start_period,
        health_startup_cmd,
        health_timeout,
        label,
        label_file,
        log_driver,
        log_opt,
        name,
        no_healthcheck,
        pidfile,
        replace,
        requires,
        restart,
        rm,
        rmi,
        stop_signal,
        stop_timeout,
        timeout,
    } = flags;

    notes.not_applicable("--conmon-pidfile", &non_empty(conmon_pidfile), "there is no conmon; use --pidfile");
    notes.not_applicable_list("--requires", &requires, "start the other containers first");
    request.health = HealthRequest {
        disable: switch("--no-healthcheck", no_healthcheck)?.unwrap_or(false),
        cmd: non_empty(health_cmd),
        interval: not_negative("--health-interval", health_interval)?,
        timeout: not_negative("--health-timeout", health_timeout)?,
        start_period: not_negative("--health-start-period", health_start_period)?,
        start_interval: not_negative("--health-start-interval", health_start_interval)?,
        retries: int("--health-retries", health_retries)?.filter(|n| *n != 0),
        on_failure: one_of("--health-on-failure", health_on_failure, &["none", "kill", "restart", "stop"])?
            .map(str::to_owned),
        startup_cmd: non_empty(health_startup_cmd),
    };
    check_health(&request.health, notes)?;

    let lifecycle = &mut request.lifecycle;
    lifecycle.name = with("--name", name, unread(parse_name))?.flatten();
    lifecycle.replace = switch("--replace", replace)?.unwrap_or(false);
    lifecycle.remove = switch("--rm", rm)?.unwrap_or(false);
    lifecycle.remove_image = switch("--rmi", rmi)?.unwrap_or(false);
    lifecycle.cidfile = non_empty(cidfile).map(|path| env.absolute(path));
    lifecycle.pidfile = non_empty(pidfile).map(|path| env.absolute(path));
    lifecycle.labels = labels(label, label_file, env)?;
    lifecycle.annotations = each("--annotation", annotation, parse_annotation)?;
    lifecycle.restart = value("--restart", restart)?;
    lifecycle.stop_signal = with("--stop-signal", non_empty(stop_signal), unread(str::parse::<Signal>))?;
    lifecycle.stop_timeout = int("--stop-timeout", stop_timeout)?;
    lifecycle.timeout = uint("--timeout", timeout, u64::from(u32::MAX))?;
    lifecycle.log = LogDriver::parse(log_driver.as_deref(), &log_opt).map_err(|why| {
        let flag = if log_opt.is_empty() { "--log-driver" } else { "--log-opt" };
        Error::runner(format!("{flag}: {why}"))
    })?;
    let restarts = lifecycle.restart.filter(|policy| *policy != RestartPolicy::No);
    if lifecycle.remove_image {
        notes.unsupported("--rmi is not carried out: run 'hardrun rmi' afterwards");
    }
    if restarts.is_some() && lifecycle.remove {
        return Err(Error::runner("conflicting options: cannot specify both --restart and --rm"));
    }
    Ok(())
}

fn check_health(health: &HealthRequest, notes: &mut Notes) -> Result<()> {
    if let Some(n) = health.retries.filter(|n| *n < 0) {
        return Err(invalid("--health-retries", &n.to_string(), "--health-retries cannot be negative"));
    }
    let HealthRequest {
        disable,
        cmd,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
        on_failure,
        startup_cmd,
    } = health;
    let settings = cmd.is_some()
        || [interval, timeout, start_period, start_interval].iter().any(|d| d.is_some())
        || retries.is_some()
        || startup_cmd.is_some()
        || on_failure.as_deref().is_some_and(|action| action != "none");
    if *disable && settings {
        return Err(Error::runner("--no-healthcheck conflicts with --health-* options"));
    }
    if startup_cmd.is_some() {
        notes.unsupported(
            "--health-startup-cmd is not carried out: --health-start-period gives a container time to start",
        );
    }
    Ok(())
}

/// 0 is docker's word for "as the image says".
fn not_negative(flag: &str, word: Option<String>) -> Result<Option<GoDuration>> {
    let duration = with(flag, word, |w| {
        let duration: GoDuration = w.parse()?;
        match duration.nanos {
            n if n < 0 => Err(Refusal::from(format!("{flag} cannot be negative"))),
            n if n != 0 && n < 1_000_000 => Err(Refusal::engine(format!("{flag} cannot be less than 1ms"))),
            _ => Ok(duration),
        }
    })?;
    Ok(duration.filter(|d| d.nanos != 0))
}

/// Files first, then the words, as docker's client puts them: a later one wins.
fn labels(words: Vec<String>, files: Vec<String>, env: &Env) -> Result<Vec<(String, String)>> {
    let mut labels = Vec::new();
    for file in files {
        let bytes = read_file("--label-file", &file, env)?;
        for line in env_file::parse(&file, &bytes).map_err(|why| invalid("--label-file", &file, why))? {
            // As docker's client: a name alone asks for a variable in an --env-file and for nothing here.
            labels.extend(line.value.map(|value| (line.name.to_owned(), value.to_owned())));
        }
    }
    labels.extend(each("-l, --label", words, parse_label)?);
    Ok(labels)
}
