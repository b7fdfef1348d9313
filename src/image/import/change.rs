//! `--change`: one Dockerfile instruction that sets something in the image's config.

use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// An instruction, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Cmd(Vec<String>),
    Entrypoint(Vec<String>),
    Env(Vec<(String, String)>),
    Expose(Vec<String>),
    Label(Vec<(String, String)>),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
    StopSignal(String),
    Healthcheck(Value),
    OnBuild(String),
}

impl FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Change> {
        let bad = |why: &str| Error::verb(format!("invalid --change {text:?}: {why}"));
        let trimmed = text.trim();
        let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let rest = rest.trim();
        let word = word.to_ascii_uppercase();
        if rest.is_empty() && !matches!(word.as_str(), "CMD" | "ENTRYPOINT") {
            return Err(bad(&format!("{word} requires an argument")));
        }
        Ok(match word.as_str() {
            "CMD" => Change::Cmd(command(rest)),
            "ENTRYPOINT" => Change::Entrypoint(command(rest)),
            "ENV" => Change::Env(pairs(rest).map_err(|e| bad(&e))?),
            "LABEL" => Change::Label(pairs(rest).map_err(|e| bad(&e))?),
            "EXPOSE" => Change::Expose(ports(rest).map_err(|e| bad(&e))?),
            "VOLUME" => Change::Volume(volumes(rest).map_err(|e| bad(&e))?),
            "USER" => Change::User(rest.into()),
            "WORKDIR" => Change::Workdir(rest.into()),
            "STOPSIGNAL" => Change::StopSignal(rest.into()),
            "HEALTHCHECK" => Change::Healthcheck(healthcheck(rest).map_err(|e| bad(&e))?),
            "ONBUILD" => Change::OnBuild(rest.into()),
            other => return Err(bad(&format!("{other} is not a valid change command"))),
        })
    }
}

impl Change {
    /// Set it in the `config` object of an image's config.
    pub fn apply(&self, config: &mut Value) {
        match self {
            Change::Cmd(words) => config["Cmd"] = json!(words),
            Change::Entrypoint(words) => config["Entrypoint"] = json!(words),
            Change::User(user) => config["User"] = json!(user),
            Change::StopSignal(signal) => config["StopSignal"] = json!(signal),
            Change::Healthcheck(check) => config["Healthcheck"] = check.clone(),
            Change::OnBuild(line) => list(config, "OnBuild").push(json!(line)),
            Change::Env(pairs) => {
                let env = list(config, "Env");
                for (key, value) in pairs {
                    env.retain(|known| known.as_str().and_then(|k| k.split_once('=')).is_none_or(|(k, _)| k != key));
                    env.push(json!(format!("{key}={value}")));
                }
            }
            Change::Label(pairs) => {
                let labels = object(config, "Labels");
                labels.extend(pairs.iter().map(|(key, value)| (key.clone(), json!(value))));
            }
            Change::Expose(ports) => {
                object(config, "ExposedPorts").extend(ports.iter().map(|port| (port.clone(), json!({}))));
            }
            Change::Volume(paths) => {
                object(config, "Volumes").extend(paths.iter().map(|path| (path.clone(), json!({}))))
            }
            Change::Workdir(path) => {
                let before = config["WorkingDir"].as_str().unwrap_or("/");
                config["WorkingDir"] = json!(join(before, path));
            }
        }
    }
}

fn list<'a>(config: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !config[key].is_array() {
        config[key] = json!([]);
    }
    config[key].as_array_mut().expect("an array now")
}

fn object<'a>(config: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !config[key].is_object() {
        config[key] = json!({});
    }
    config[key].as_object_mut().expect("an object now")
}

/// A relative WORKDIR continues the one before.
fn join(before: &str, path: &str) -> String {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { before.split('/').collect() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.retain(|p| !p.is_empty());
    format!("/{}", parts.join("/"))
}

/// The JSON form, or words for a shell.
fn command(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        return Vec::new();
    }
    json_words(rest).unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into(), rest.into()])
}

fn json_words(rest: &str) -> Option<Vec<String>> {
    rest.starts_with('[').then(|| serde_json::from_str(rest).ok()).flatten()
}

/// `KEY=value KEY="va lue"…`, or the old `KEY value to the end`.
fn pairs(rest: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let words = shlex::split(rest).ok_or("a quote is not closed")?;
    let first = words.first().ok_or("no name")?;
    let pairs = if first.contains('=') {
        let pair = |word: &String| {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is not of the form KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        words.iter().map(pair).collect::<std::result::Result<Vec<_>, String>>()?
    } else {
        let (key, value) = rest.split_once(char::is_whitespace).ok_or_else(|| format!("{first} has no value"))?;
        vec![(key.to_owned(), value.trim().to_owned())]
    };
    match pairs.iter().any(|(key, _)| key.is_empty()) {
        true => Err("a name is blank".into()),
        false => Ok(pairs),
    }
}

/// `80 443/tcp 8000-8002/udp`
fn ports(rest: &str) -> std::result::Result<Vec<String>, String> {
    let mut out = Vec::new();
    for word in rest.split_whitespace() {
        let bad = || format!("invalid containerPort: {word}");
        let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(format!("invalid proto: {protocol}"));
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if first == 0 || last < first {
            return Err(bad());
        }
        out.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(out)
}

fn volumes(rest: &str) -> std::result::Result<Vec<String>, String> {
    let paths = json_words(rest).unwrap_or_else(|| rest.split_whitespace().map(Into::into).collect());
    match paths.iter().any(|p| p.trim().is_empty()) {
        true => Err("VOLUME specified can not be an empty string".into()),
        false => Ok(paths),
    }
}

/// `NONE`, or `[--interval=30s] [--timeout=5s] [--start-period=…] [--start-interval=…] [--retries=3] CMD …`
fn healthcheck(mut rest: &str) -> std::result::Result<Value, String> {
    let mut check = json!({});
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).ok_or("no CMD or NONE")?;
        rest = after.trim_start();
        let (name, value) = flag.split_once('=').ok_or_else(|| format!("--{flag} has no value"))?;
        let key = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => {
                let count: u32 = value.parse().map_err(|_| format!("--retries={value} is not a number"))?;
                check["Retries"] = json!(count);
                continue;
            }
            other => return Err(format!("unknown flag --{other}")),
        };
        check[key] = json!(duration(value).ok_or_else(|| format!("--{name}={value} is not a duration such as 30s"))?);
    }
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let test = match word.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" if rest.is_empty() => return Err("missing command after HEALTHCHECK CMD".into()),
        "CMD" => match json_words(rest) {
            Some(words) => [vec!["CMD".into()], words].concat(),
            None => vec!["CMD-SHELL".into(), rest.into()],
        },
        other => return Err(format!("unknown type {other:?}; it is CMD or NONE")),
    };
    check["Test"] = json!(test);
    Ok(check)
}

/// Go's notation, `1h2m3.5s`, in nanoseconds.
fn duration(mut text: &str) -> Option<i64> {
    let mut total = 0f64;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = text[..end].parse().ok()?;
        text = &text[end..];
        let units = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| text.starts_with(unit))?;
        text = &text[unit.len()..];
        total += number * factor;
    }
    (total <= i64::MAX as f64).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &[&str]) -> Value {
        let mut config = json!({});
        for change in changes {
            change.parse::<Change>().unwrap().apply(&mut config);
        }
        config
    }

    #[test]
    fn commands_have_a_json_and_a_shell_form() {
        assert_eq!(config(&[r#"CMD ["a", "b c"]"#]), json!({"Cmd": ["a", "b c"]}));
        assert_eq!(config(&["cmd echo $HOME"]), json!({"Cmd": ["/bin/sh", "-c", "echo $HOME"]}));
        assert_eq!(config(&["ENTRYPOINT [not json"])["Entrypoint"][2], "[not json");
        assert_eq!(config(&["ENTRYPOINT []"]), json!({"Entrypoint": []}));
    }

    #[test]
    fn the_rest_as_docker_writes_it() {
        let c = config(&[
            "ENV A=1 B=\"x y\"",
            "ENV A two words",
            "LABEL com.example=1",
            "EXPOSE 80 8000-8001/udp",
            "VOLUME [\"/data\", \"/log\"]",
            "WORKDIR /srv",
            "WORKDIR app/../web",
            "USER 1000:1000",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost/",
        ]);
        assert_eq!(c["Env"], json!(["B=x y", "A=two words"]));
        assert_eq!(c["Labels"], json!({"com.example": "1"}));
        assert_eq!(c["ExposedPorts"], json!({"80/tcp": {}, "8000/udp": {}, "8001/udp": {}}));
        assert_eq!(c["Volumes"], json!({"/data": {}, "/log": {}}));
        assert_eq!(c["WorkingDir"], "/srv/web");
        assert_eq!(c["User"], "1000:1000");
        assert_eq!(c["StopSignal"], "SIGINT");
        let check =
            json!({"Interval": 90_000_000_000i64, "Retries": 3, "Test": ["CMD-SHELL", "curl -f http://localhost/"]});
        assert_eq!(c["Healthcheck"], check);
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for bad in [
            "RUN make",
            "ENV",
            "ENV A",
            "EXPOSE http",
            "EXPOSE 80/icmp",
            "HEALTHCHECK CMD",
            "HEALTHCHECK --interval=x CMD y",
            "ENV A=\"x",
            "",
        ] {
            assert!(bad.parse::<Change>().is_err(), "{bad}");
        }
    }
}
