//! What happens after the start: restarts, health checks, the log.

use super::Inputs;
use crate::error::{Error, Result};
use crate::image::store::Healthcheck;
use crate::plan::{HealthAction, HealthPlan, LogDriverPlan, LogPlan, Source, Sourced};
use crate::preset::PresetHealth;
use crate::request::{GoDuration, Request, RestartPolicy, Size};
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
/// A container that writes without end must not fill the host's disk. Docker keeps one file without a bound.
const LOG_SIZE: u64 = 100 << 20;
const LOG_FILES: u32 = 3;

pub(super) fn restart(request: &Request) -> Sourced<RestartPolicy> {
    match request.lifecycle.restart {
        Some(policy) => Sourced::flag(policy, "--restart"),
        None => Sourced::default(RestartPolicy::No),
    }
}

/// The image's check with the caller's values over it. `NONE` and `--no-healthcheck` switch it off.
pub(super) fn health(inputs: &Inputs<'_>) -> Option<Sourced<HealthPlan>> {
    let asked = &inputs.request.health;
    if asked.disable {
        return None;
    }
    let preset = inputs.preset.health.as_ref();
    let (of_image, silent) = match (&inputs.image.healthcheck, preset) {
        // What an image says about itself comes before what the preset says of all images of its kind.
        (None, Some(preset)) => (of_preset(&preset.value), preset.source.clone()),
        (image, _) => (image.clone().unwrap_or_default(), Source::Image),
    };
    let (test, source) = match &asked.cmd {
        // podman's way to switch the image's check off.
        Some(word) if word == "none" => return None,
        Some(command) => (vec!["CMD-SHELL".to_owned(), command.clone()], Source::Flag("--health-cmd".into())),
        None => (of_image.test.clone(), silent),
    };
    match test.first().map(String::as_str) {
        None | Some("NONE") => return None,
        _ if test.len() < 2 => return None,
        _ => {}
    }
    let pick = |flag: Option<GoDuration>, image: i64, default: u64| match flag.map(|d| d.nanos).unwrap_or(image) {
        nanos if nanos > 0 => nanos.unsigned_abs(),
        _ => default,
    };
    let retries = asked.retries.unwrap_or(of_image.retries);
    let Healthcheck { interval, timeout, start_period, start_interval, .. } = of_image;
    Some(Sourced::new(
        HealthPlan {
            test,
            interval: pick(asked.interval, interval, 30 * SECOND),
            timeout: pick(asked.timeout, timeout, 30 * SECOND),
            start_period: pick(asked.start_period, start_period, 0),
            start_interval: pick(asked.start_interval, start_interval, 5 * SECOND),
            retries: u32::try_from(retries).ok().filter(|n| *n > 0).unwrap_or(3),
            on_failure: match asked.on_failure.as_deref() {
                Some("kill") => HealthAction::Kill,
                Some("restart") => HealthAction::Restart,
                Some("stop") => HealthAction::Stop,
                _ => HealthAction::None,
            },
        },
        source,
    ))
}

fn of_preset(check: &PresetHealth) -> Healthcheck {
    let PresetHealth { command, interval, timeout, start_period, retries } = check;
    Healthcheck {
        test: std::iter::once("CMD".to_owned()).chain(command.iter().cloned()).collect(),
        interval: *interval,
        timeout: *timeout,
        start_period: *start_period,
        retries: *retries,
        ..Healthcheck::default()
    }
}

/// Options of docker's json-file and local drivers that mean something here; others are errors, as docker's are.
pub(super) fn log(request: &Request) -> Result<Sourced<LogPlan>> {
    let asked = &request.lifecycle.log;
    let driver = match asked.driver.as_deref() {
        Some("none") => LogDriverPlan::None,
        Some("local") => LogDriverPlan::Local,
        _ => LogDriverPlan::JsonFile,
    };
    let mut plan = LogPlan {
        driver,
        max_size: Some(LOG_SIZE),
        max_file: LOG_FILES,
        options: asked.opts.iter().cloned().collect::<BTreeMap<_, _>>(),
    };
    for (key, value) in &asked.opts {
        let invalid = |why: &str| Error::runner(format!("--log-opt {key}={value}: {why}"));
        match key.as_str() {
            "max-size" if value == "-1" => plan.max_size = None,
            "max-size" => {
                let size: Size = value.parse().map_err(|_| invalid("a size such as 10m is wanted"))?;
                plan.max_size = u64::try_from(size.0).ok().filter(|n| *n > 0);
                if plan.max_size.is_none() {
                    return Err(invalid("a size above zero is wanted"));
                }
            }
            "max-file" => {
                plan.max_file =
                    value.parse().ok().filter(|n| *n > 0).ok_or_else(|| invalid("max-file cannot be less than 1"))?;
            }
            // Old files are never compressed here; what they hold is the same.
            "compress" | "mode" | "max-buffer-size" => {}
            "labels" | "labels-regex" | "env" | "env-regex" | "tag" => {}
            _ => return Err(invalid(&format!("unknown log opt '{key}' for json-file log driver"))),
        }
    }
    Ok(match (&asked.driver, asked.opts.is_empty()) {
        (None, true) => Sourced::default(plan),
        (Some(_), _) => Sourced::flag(plan, "--log-driver"),
        (None, false) => Sourced::flag(plan, "--log-opt"),
    })
}
