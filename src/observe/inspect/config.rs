//! What a container was made with: docker's `Config`.

use crate::plan::{HealthPlan, Source};
use crate::state::Record;
use serde_json::{Map, Value, json};

pub fn config(record: &Record) -> Value {
    let (draft, words) = (&record.plan.draft, &record.words);
    let stdio = &draft.stdio;
    let set = |keys: &[String]| -> Value { keys.iter().map(|k| (k.clone(), json!({}))).collect::<Map<_, _>>().into() };
    let mut config_env: Vec<_> =
        draft.process.env.iter().filter(|e| matches!(e.source, Source::Flag(_) | Source::Image)).collect();
    // The user's home, which nobody set: docker finds it at the start as well, and does not list it.
    config_env.pop_if(|e| e.source == Source::Image && e.value.starts_with("HOME="));
    let env: Vec<&str> = config_env.iter().map(|e| e.value.as_str()).collect();
    let mut config = json!({
        "Hostname": draft.hostname.value,
        "Domainname": draft.domainname.as_ref().map(|d| d.value.as_str()).unwrap_or_default(),
        "User": words.user,
        "AttachStdin": stdio.attach_stdin && !words.detached,
        "AttachStdout": stdio.attach_stdout && !words.detached,
        "AttachStderr": stdio.attach_stderr && !words.detached,
        "Tty": stdio.tty,
        "OpenStdin": stdio.interactive,
        "StdinOnce": stdio.interactive && stdio.attach_stdin && !words.detached,
        "Env": if env.is_empty() { Value::Null } else { json!(env) },
        "Cmd": words.cmd,
        "Image": draft.image.reference,
        "Volumes": if words.volumes.is_empty() { Value::Null } else { set(&words.volumes) },
        "WorkingDir": words.workdir,
        "Entrypoint": words.entrypoint,
        "OnBuild": if words.on_build.is_empty() { Value::Null } else { json!(words.on_build) },
        "Labels": draft.labels,
    });
    if !words.exposed.is_empty() {
        config["ExposedPorts"] = set(&words.exposed);
    }
    if let Some(health) = &draft.health {
        config["Healthcheck"] = healthcheck(&health.value);
    } else if let Some(off) = &words.health_off {
        let mut shown = json!({ "Test": ["NONE"] });
        let figures = [("Interval", off.interval), ("Timeout", off.timeout), ("StartPeriod", off.start_period)];
        for (key, figure) in figures.into_iter().chain([("Retries", off.retries)]).filter(|(_, figure)| *figure != 0) {
            shown[key] = json!(figure);
        }
        config["Healthcheck"] = shown;
    }
    if !words.mac_address.is_empty() {
        config["MacAddress"] = json!(words.mac_address);
    }
    if let Some(signal) = &words.stop_signal {
        config["StopSignal"] = json!(signal);
    }
    if let Some(seconds) = words.stop_timeout {
        config["StopTimeout"] = json!(seconds);
    }
    config
}

/// Nanoseconds, as docker has them; every value is the one that is in force.
fn healthcheck(health: &HealthPlan) -> Value {
    let mut shown = json!({
        "Test": health.test,
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "Retries": health.retries,
    });
    // The default is not told, as with docker, whose older versions do not know the key.
    if health.start_interval != 5_000_000_000 {
        shown["StartInterval"] = json!(health.start_interval);
    }
    shown
}
