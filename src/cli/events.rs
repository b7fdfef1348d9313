//! `hardrun events`

use super::Context;
use crate::error::{Context as _, Error, Kind, Result};
use crate::observe::events::{self, Event, Query};
use crate::observe::format::{Missing, Options, Purpose, Template, Value};
use crate::observe::{moment, shape};
use crate::ui;
use jiff::Timestamp;
use std::io::{ErrorKind, Write};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only some: container=NAME, image=NAME, event=ACTION, type=container|image|network|volume, label=KEY[=VALUE], …
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `json`, or a template such as '{{.Action}} {{.Actor.ID}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show what happened since a time, such as 2013-01-02T13:23:37Z, or so long ago, such as 42m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Go on until a time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let query = Query {
        since: moment::flag("since", args.since.as_deref())?,
        until: moment::flag("until", args.until.as_deref())?,
        filters: events::terms(&args.filter)?,
    };
    if let (Some(since), Some(until)) = (query.since, query.until)
        && since > until
    {
        return Err(Error::verb(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    let mut gone = false;
    let mut sink = |event: &Event| {
        let line = format.render(event)? + "\n";
        let mut out = std::io::stdout().lock();
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                gone = true;
                Err(Error::verb("nobody reads any more"))
            }
            other => other.verb_context(|| "cannot write to stdout".into()),
        }
    };
    let shown = match query.until {
        Some(until) if until <= Timestamp::now() => events::show(&ctx.paths, &query, &mut sink),
        _ => events::follow(&ctx.paths, &query, &mut sink),
    };
    if gone { Ok(0) } else { shown.map(|()| 0) }
}

enum Format {
    /// Docker's line.
    Line,
    Template(Template),
}

impl Format {
    /// Docker tries the template on an event without anything in it.
    fn parse(format: Option<&str>) -> Result<Format> {
        let text = match format.unwrap_or_default() {
            "" => return Ok(Format::Line),
            "json" => "{{json .}}",
            text => text,
        };
        let wrong = |e: String| Error::new(Kind::TemplateSyntax, format!("Error parsing format: {e}"));
        let template = Template::parse(text).map_err(wrong)?;
        fill(&template, Event::default(), false)?;
        Ok(Format::Template(template))
    }

    fn render(&self, event: &Event) -> Result<String> {
        let clean = ui::on_terminal();
        match self {
            Format::Line if clean => Ok(ui::clean(&event.line())),
            Format::Line => Ok(event.line()),
            Format::Template(template) => fill(template, event.clone(), clean),
        }
    }
}

/// Not every event has every attribute, and one that has not must not end the stream: docker prints `<no value>` there.
fn fill(template: &Template, mut event: Event, clean: bool) -> Result<String> {
    loop {
        let wrong = match template.render(&value(&event)?, options(clean)) {
            Ok(text) => return Ok(text),
            Err(wrong) => wrong,
        };
        let missing = wrong.split_once("map has no entry for key \"").and_then(|(_, key)| key.strip_suffix('"'));
        let key = missing.filter(|key| !event.actor.attributes.contains_key(*key)).map(str::to_owned);
        let Some(key) = key else {
            return Err(Error::new(Kind::TemplateSyntax, format!("Error parsing format: {wrong}")));
        };
        event.actor.attributes.insert(key, "<no value>".into());
    }
}

fn options(clean: bool) -> Options {
    Options { missing: Missing::Absent, purpose: Purpose::Data, clean }
}

fn value(event: &Event) -> Result<Value> {
    let json = serde_json::to_value(event).verb_context(|| "show an event".into())?;
    Ok(shape::EVENT.typed(Some(&json)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_json() {
        let event = Event::volume("create", "v");
        let show = |format: &str| Format::parse(Some(format)).unwrap().render(&event).unwrap();
        assert_eq!(show("{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}"), "volume create v local");
        assert_eq!(
            show("json"),
            r#"{"Type":"volume","Action":"create","Actor":{"ID":"v","Attributes":{"driver":"local"}},"scope":"local"}"#
        );
        assert_eq!(show("{{.Actor.Attributes.driver}} {{.Actor.Attributes.nope}}"), "local <no value>");
        let error = Format::parse(Some("{{.Nope}}")).err().unwrap();
        assert_eq!(error.kind.exit_code(), 64);
        assert!(error.message.ends_with("can't evaluate field Nope in type *events.Message"), "{error}");
    }
}
